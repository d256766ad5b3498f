"""Building the book where something goes wrong."""

import nbformat
import pytest

from tslib.__main__ import main
from tslib.errors import ResourceError
from tslib.study.book import build as book


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with three notebooks, the second of which raises."""
    (tmp_path / "notebooks").mkdir()
    for name, source in (("a", "print(1)"), ("b", "raise ValueError('in the middle')"), ("c", "print(3)")):
        title = nbformat.v4.new_markdown_cell(f"# {name}", id=f"{name}-title")
        notebook = nbformat.v4.new_notebook(cells=[title, nbformat.v4.new_code_cell(source, id=name)])
        nbformat.write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
    monkeypatch.setattr(book, "EXECUTED", tmp_path / "executed")
    return tmp_path


def test_a_notebook_that_raises_keeps_no_other_from_being_run(checkout, monkeypatch, capfd):
    monkeypatch.setattr(book, "assemble", None)  # nothing is assembled from half of the pages
    with pytest.raises(ResourceError, match=r"^b.ipynb raised ValueError: in the middle; what it did until then is in"):
        book.build(checkout)
    made = {page.name: nbformat.read(page, 4).cells[-1].outputs for page in sorted((checkout / "executed").iterdir())}
    assert list(made) == ["a.ipynb", "b.ipynb", "c.ipynb"]
    assert made["c.ipynb"][0]["text"] == "3\n"
    assert "WARNING" not in capfd.readouterr().err, "kernels have nothing to warn of"


def test_notebooks_that_tune_longest_are_run_first():
    steps = {page.stem: book._steps(page) for page in book.pages()}
    assert (steps["00_persistent_homology"], steps["03_convergence"]) == (0, 100)
    names = [page.stem for page in book.in_turn(book.pages())]
    assert sorted(names) == [page.stem for page in book.pages()]
    first, then, last = (names.index(name) for name in ("03_convergence", "05_baselines", "09_verdicts"))
    assert first < then < last


def test_no_notebooks(tmp_path):
    with pytest.raises(ResourceError, match="the book is built in a checkout of the project"):
        book.build(tmp_path)


def test_an_unknown_notebook(capsys):
    assert main(["book", "--only", "99_nonesuch"]) == 1
    assert "no notebook '99_nonesuch': give one of 00_persistent_homology, " in capsys.readouterr().err


def test_what_a_kernel_logs_is_not_shown(tmp_path, capfd):
    """Stopping a kernel interrupts it, and one that is not idle yet logs an error of that, which is none."""
    cell = nbformat.v4.new_code_cell(
        "log = get_ipython().kernel.log\nlog.error('caught in kernel')\nlog.critical('lost')"
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "made.ipynb")
    book.execute(tmp_path / "made.ipynb", tmp_path / "out" / "made.ipynb", progress=False)
    said = capfd.readouterr().err
    assert "caught in kernel" not in said
    assert "lost" in said
