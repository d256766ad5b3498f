"""From a notebook that was run to a page: finding, folded code, captions, and lines that run it."""

import base64
import os
import re
import shlex
import struct
import subprocess
import sys

import nbformat
import papermill.cli
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tslib.study.book import build as book
from tslib.study.book.pages import command, finish


def shown(kind, content, **metadata):
    return new_output("display_data", data={kind: content}, metadata=metadata)


def picture(alt="Lines: a against b."):
    return shown("image/png", "iVBORw0KGgo=", **{"image/png": {"alt": alt}})


def said(text):
    return shown("text/markdown", text)


def page(*cells, repository=""):
    return finish(new_notebook(cells=[new_markdown_cell("# Title\n\nWhat it is about."), *cells]), "03_x", repository)


def options(cell):
    return cell.metadata["mystnb"]


def test_markdown_after_a_picture_is_its_caption():
    _, cell, rest = page(new_code_cell("plot()", outputs=[picture(), said("It falls."), said("More.")])).cells
    assert options(cell)["figure"] == {"name": "03_x-figure-1", "caption": "It falls."}
    assert options(cell)["image"] == {"alt": "Lines: a against b."}
    assert len(cell.outputs) == 1
    assert [output.data for output in rest.outputs] == [{"text/markdown": "More."}]
    assert "mystnb" not in rest.metadata


def test_a_cell_that_only_says_something_is_the_caption_of_the_picture_before_it():
    first, second = new_code_cell("plot()", outputs=[picture()]), new_code_cell("say()", outputs=[said("It falls.")])
    _, cell = page(first, second).cells
    assert options(cell)["figure"]["caption"] == "It falls."
    assert cell.source == "plot()\n\nsay()"


def test_text_in_between_keeps_a_picture_and_markdown_apart():
    first, second = new_code_cell("plot()", outputs=[picture()]), new_code_cell("say()", outputs=[said("A table:")])
    _, cell, text, other = page(first, new_markdown_cell("Next."), second).cells
    assert "caption" not in options(cell)["figure"]
    assert (text.source, other.outputs[0].data) == ("Next.", {"text/markdown": "A table:"})


def test_each_picture_of_a_cell_is_a_figure_of_its_own():
    outputs = [said("First:"), picture("A."), said("a"), picture("B."), said("b")]
    _, lead, first, second = page(new_code_cell("plot()", outputs=outputs)).cells
    assert [output.data for output in lead.outputs] == [{"text/markdown": "First:"}]
    assert [options(cell)["figure"] for cell in (first, second)] == [
        {"name": "03_x-figure-1", "caption": "a"},
        {"name": "03_x-figure-2", "caption": "b"},
    ]
    assert [options(cell)["image"]["alt"] for cell in (first, second)] == ["A.", "B."]
    assert lead.source == "plot()"
    assert all(cell.source.startswith("#") for cell in (first, second)), "a cell without code is dropped from the page"
    assert "remove-input" in first.metadata["tags"]


def test_nothing_said_is_not_shown():
    _, cell = page(new_code_cell("note()", outputs=[said(""), said("A note.")])).cells
    assert [output.data for output in cell.outputs] == [{"text/markdown": "A note."}]


def test_code_is_folded_and_progress_bars_are_left_out():
    bar = new_output("stream", name="stderr", text="100 %")
    silent = new_code_cell("tune()", outputs=[bar], metadata={"tags": ["remove-stderr"]})
    _, plain = page(silent, new_code_cell("1 + 1", outputs=[said("2")])).cells
    assert plain.metadata["tags"] == ["hide-input"]
    assert plain.source == "tune()\n\n1 + 1", "no fold stands alone"
    assert plain.outputs == [said("2")]


def test_code_without_an_output_goes_with_the_next_that_has_one():
    cells = [
        new_code_cell("import a"),
        new_markdown_cell("## Section"),
        new_code_cell("b = 1"),
        new_code_cell("print(b)", outputs=[said("1")]),
        new_code_cell("c = 2"),
    ]
    _, section, shown = page(*cells).cells
    assert (section.source, shown.source) == ("## Section", "import a\n\nb = 1\n\nprint(b)\n\nc = 2")
    (_, alone) = page(new_code_cell("import a")).cells
    assert (alone.source, alone.metadata["tags"]) == ("import a", ["hide-input"])


def test_code_that_a_page_is_about_is_shown_where_it_stands():
    cells = [new_code_cell("loss = ts(p)", metadata={"tags": ["show"]}), new_code_cell("loss", outputs=[said("0")])]
    _, shown, folded = page(new_code_cell("import a"), *cells).cells
    assert (shown.source, shown.metadata["tags"]) == ("loss = ts(p)", ["show"])
    assert (folded.source, folded.metadata["tags"]) == ("import a\n\nloss", ["hide-input"])


@pytest.mark.parametrize(("columns", "wide"), [(6, False), (7, True)])
def test_wide_tables_take_the_margins_room(columns, wide):
    html = f"<table><thead><tr>{'<th>a</th>' * columns}</tr></thead><tr>{'<th>b</th>' * 9}</tr></table>"
    _, cell = page(new_code_cell("table", outputs=[shown("text/html", html)])).cells
    assert ("full-width" in cell.metadata["tags"]) == wide


@pytest.mark.parametrize(("pixels", "wide"), [(782, False), (847, True)])
def test_wide_pictures_take_the_margins_room(pixels, wide):
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", pixels, 300)
    encoded = base64.b64encode(head + bytes(20)).decode()
    _, cell = page(new_code_cell("plot", outputs=[shown("image/png", encoded)])).cells
    assert ("full-width" in cell.metadata["tags"]) == wide


@pytest.mark.parametrize(
    ("cell", "cells_left"),
    [
        (new_code_cell("judge()", outputs=[said("No difference.")], metadata={"tags": ["finding"]}), 2),
        (new_markdown_cell("No difference.", metadata={"tags": ["finding"]}), 1),
    ],
)
def test_the_finding_stands_below_the_title(cell, cells_left):
    made = page(cell).cells
    assert len(made) == cells_left
    title, box, *rest = made[0].source.split("\n\n")
    assert title == "# Title"
    assert box == "::::{admonition} In short\n:class: important\nNo difference.\n::::"
    assert rest[-1] == "What it is about."
    assert not any(output for left in made[1:] for output in left.outputs)


def test_links_to_run_it_elsewhere_need_a_repository():
    here, there = page().cells[0].source, page(repository="them/that").cells[0].source
    assert "notebooks/03_x.ipynb" in here
    assert "colab" not in here
    assert "https://colab.research.google.com/github/them/that/blob/main/notebooks/03_x.ipynb" in there
    assert "https://mybinder.org/v2/gh/them/that/main?urlpath=lab/tree/notebooks/03_x.ipynb" in there
    assert "git clone" not in here


def test_what_colab_runs_first_finds_the_committed_records(tmp_path):
    """Its cell is run in an empty folder, but for pip; Git takes this checkout for the repository on GitHub."""
    cell = re.search(
        r"```\n(.*?)%pip install \.\[study\]\n```", page(repository="them/that").cells[0].source, re.DOTALL
    )
    shown = "from tslib.study.evidence import SWEEP\nprint(SWEEP.is_file(), SWEEP)"
    asked = [sys.executable, "-m", "IPython", "--no-banner", "--HistoryManager.enabled=False", "-c"]
    instead = {
        "GIT_CONFIG_KEY_0": f"url.{book.ROOT.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/them/that",
    }
    found = subprocess.run(
        [*asked, cell.group(1) + shown],
        cwd=tmp_path,
        env=os.environ | instead | {"GIT_CONFIG_COUNT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.endswith(f"True {tmp_path / 'book' / 'data' / 'sweeps' / 'evidence.yaml'}\n")


def test_the_box_has_a_line_that_papermill_takes(tmp_path, monkeypatch):
    source = 'task = "a task"\nvalues = [0.1, 1.0]  # of the weight\nlimit = None\nsteps = 3\nempty = ""'
    cell = new_code_cell(source, metadata={"tags": ["parameters"]})
    box = page(cell).cells[0].source
    assert command(cell, "03_x") in box
    assert box.index(":::{dropdown} Change a parameter") < box.index("What it is about.")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").mkdir()
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(new_notebook(cells=[cell], metadata=kernel), tmp_path / "notebooks" / "03_x.ipynb")
    words = shlex.split(command(cell, "03_x").replace("\\\n", ""))
    assert papermill.cli.papermill.main([*words[1:], "--prepare-only"], standalone_mode=False) is None
    injected = nbformat.read(tmp_path / "out.ipynb", 4).cells[1].source
    values = {}
    exec(injected, values)
    asked = {"task": "a task", "values": [0.1, 1.0], "limit": None, "steps": 3, "empty": ""}
    assert {name: values[name] for name in asked} == asked


def test_parameters_that_are_no_plain_values():
    with pytest.raises(ValueError, match=r"NAME = VALUE, this is: a, b = \(1, 2\)"):
        command(new_code_cell("a, b = 1, 2"), "03_x")


def test_finish_leaves_the_notebook_as_it_was():
    notebook = new_notebook(cells=[new_markdown_cell("# T"), new_code_cell("1", outputs=[picture()])])
    before = nbformat.writes(notebook)
    finish(notebook, "03_x")
    assert nbformat.writes(notebook) == before


@pytest.mark.parametrize(
    ("remote", "name"),
    [
        ("git@github.com:them/that.git", "them/that"),
        ("https://github.com/them/that", "them/that"),
        ("https://example.org/them/that.git", ""),
        ("", ""),
    ],
)
def test_the_repository_is_that_of_the_remote(remote, name, monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)

    class Said:
        stdout = f"{remote}\n"

    monkeypatch.setattr(book.subprocess, "run", lambda *_, **__: Said)
    assert book.repository() == name
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/workflow")
    assert book.repository() == "a/workflow"
