"""The rules that make the book ask for what a change needs, and for nothing else."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the rules read, with empty pages and book that are newer than all of it."""
    copy = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "executed")
    for name in ("tslib", "notebooks", "book", "data"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("Snakefile", "_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, copy / name)
    made = [copy / "_build/tables/runs.csv"]
    made += [copy / "book/executed" / page.name for page in sorted((copy / "notebooks").glob("*.ipynb"))]
    made += [copy / "_build/html/index.html"]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        time.sleep(0.02)
    return copy


def asked_for(checkout: Path) -> list[str]:
    """The jobs that making the book would take."""
    command = [sys.executable, "-m", "snakemake", "book", "--dry-run", "--quiet", "rules", "--cores", "1"]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    process = subprocess.run(
        [*command, "--rerun-triggers", "mtime", "--nolock"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    lines = (process.stdout + process.stderr).splitlines()
    found = [line.split()[0] for line in lines if re.fullmatch(r"(notebook|tables|book|runs)\s+\d+", line)]
    pages = [re.search(r"page=(\S+)", line)[1] for line in lines if "wildcards: page=" in line]
    return sorted(set(found)) + sorted(set(pages))


def test_a_change_asks_only_for_what_depends_on_it(checkout):
    pages = sorted(page.stem for page in (checkout / "notebooks").glob("*.ipynb"))
    assert len(pages) >= 6
    assert asked_for(checkout) == []
    os.utime(checkout / "book" / "assumptions.md")
    assert asked_for(checkout) == ["book"]
    os.utime(checkout / "_build" / "html" / "index.html")
    os.utime(checkout / "notebooks" / f"{pages[3]}.ipynb")
    assert asked_for(checkout)[:2] == ["book", "notebook"]
    os.utime(next((checkout / "data" / "results").glob("*/record.json")))
    assert asked_for(checkout)[:3] == ["book", "notebook", "tables"]
