"""What the notebook to start with says of the others is what they say of themselves."""

import json
import os
import re
import shlex
import subprocess
import time
from pathlib import Path

import nbformat
import pytest

from tslib.errors import ResourceError
from tslib.study.book import notebooks

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "notebooks"


@pytest.fixture
def checkout(tmp_path):
    """A checkout with two notebooks and the one to start with."""
    (tmp_path / "notebooks").mkdir()
    sources = {
        "0_a": (
            "# First\n\nWhat a {term}`step <iteration>` is,\nby {cite}`them`.\n\nMore.",
            "seed = 0  # of all\nrate = None",
        ),
        "1_b": ("# Second\n\nSee {doc}`0_a`, [there](../x) and ({eq}`eq-x`) $|x|$.", "values = [1, 'a']"),
        "start": ("# Start\n\nHere.", "store = 'runs'"),
    }
    for name, (text, code) in sources.items():
        cells = [nbformat.v4.new_markdown_cell(text, id="head"), nbformat.v4.new_code_cell(code, id="settings")]
        cells[1].metadata["tags"] = ["parameters"]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / f"{name}.ipynb")
    return tmp_path


def test_titles_texts_and_parameters(checkout):
    first, second = notebooks.read(checkout).to_dict("records")
    assert first == {
        "name": "0_a",
        "title": "First",
        "about": "What a step is, by.",
        "parameters": {"seed": 0, "rate": None},
    }
    assert (second["title"], second["about"]) == ("Second", "See [First](0_a.ipynb), there and $|x|$.")
    assert second["parameters"] == {"values": [1, "a"]}


def test_the_table(checkout):
    *_, first, second = notebooks.table(notebooks.read(checkout)).splitlines()
    assert first == "| [First](0_a.ipynb) | What a step is, by. | `seed`, `rate` |"
    assert second.endswith(r" $\|x\|$. | `values` |")


def test_no_checkout(tmp_path):
    with pytest.raises(ResourceError, match=r"no notebooks in .*: they come with a checkout of the project"):
        notebooks.read(tmp_path)


def test_every_notebook_is_in_the_table_in_words_that_jupyterlab_draws():
    table = notebooks.table(notebooks.read())
    links = re.findall(r"^\| \[[^]]+\]\((\S+)\.ipynb\)", table, re.MULTILINE)
    assert links == sorted(path.stem for path in FOLDER.glob("*.ipynb") if path.stem != notebooks.START)
    assert all((FOLDER / f"{link}.ipynb").is_file() for link in re.findall(r"\]\((\S+)\.ipynb\)", table))
    assert not re.search(r"\{\w+\}`", table)
    assert len({line.count(" | ") for line in table.splitlines()}) == 1


def test_make_lab_opens_it_in_the_folder_of_the_project(tmp_path):
    """A server is started, and what it has a browser open is a page that leads on to the notebook."""
    said = subprocess.run(["make", "-n", "lab"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    program, *arguments = shlex.split(next(line for line in said.splitlines() if "jupyter lab" in line))
    asked = [ROOT / program, *arguments, "--ServerApp.port=0", "--ServerApp.browser=true %s", "--allow-root"]
    folders = {"JUPYTER_RUNTIME_DIR": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path)}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(asked, cwd=ROOT, env=os.environ | folders, stdout=log, stderr=log)
    try:
        opened = []
        for _ in range(600):
            opened = [page.read_text() for page in tmp_path.glob("jpserver-file-to-run-*-open.html")]
            if any(opened) or server.poll() is not None:
                break
            time.sleep(0.2)
        assert any(opened), (tmp_path / "log").read_text()
        assert f"/lab/tree/notebooks/{notebooks.START}.ipynb?" in opened[0]
        info = next(path for path in tmp_path.glob("jpserver-*.json"))
        assert Path(json.loads(info.read_text())["root_dir"]) == ROOT
    finally:
        server.terminate()
        server.wait(60)
