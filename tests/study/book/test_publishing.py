"""What publishes the project says the same as the project."""

import re
import struct
import tomllib
from pathlib import Path

import yaml
from browser import DESKTOP, FIGURES, SCREENSHOTS

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_workflow_calls_targets_that_exist():
    lines = [step.get("run", "") for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    asked = {target for line in lines for target in re.findall(r"make (\w+)", line)}
    assert {"setup", "book", "test", "links"} <= asked
    assert asked <= set(re.findall(r"^(\w+):", MAKEFILE, re.MULTILINE))


def test_the_workflow_tests_the_oldest_python():
    versions = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert PROJECT["requires-python"] == f">={versions[0]}"


def test_only_the_job_that_publishes_may_write():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert {name for name, job in WORKFLOW["jobs"].items() if "permissions" in job} == {"publish"}


def test_the_citation_and_the_changelog_have_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert {"cff-version", "message", "title", "authors", "type"} <= set(citation)
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    (paper,) = citation["references"]
    assert f"title = {{{paper['title']}}}" in bibliography
    assert f"url = {{{paper['url']}}}" in bibliography
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_binder_installs_what_the_notebooks_need():
    folder = ROOT / ".binder"
    asked = (folder / "requirements.txt").read_text(encoding="utf-8").split()
    assert asked[0] == "-r"
    assert (folder / asked[1]).resolve() == ROOT / "requirements.txt"
    post = folder / "postBuild"
    assert post.stat().st_mode & 0o100, "Binder runs it"
    assert "--editable ." in post.read_text(encoding="utf-8")


def test_the_screenshots_of_the_readme_are_those_that_are_drawn():
    """``make screenshots`` draws them from the built book, in a window of 1280 × 900."""
    shown = re.findall(r"\]\((book/figures/book-[a-z]+\.png)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert set(shown) == {str((FIGURES / f"book-{name}.png").relative_to(ROOT)) for name in SCREENSHOTS}
    for path in shown:
        head = (ROOT / path).read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", head[16:24]) == (DESKTOP, 900)
