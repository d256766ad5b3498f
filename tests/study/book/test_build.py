"""Building the book where something goes wrong."""

import re
import shutil
from functools import partial

import nbformat
import pytest

from tslib.__main__ import main
from tslib.errors import InputError, ResourceError
from tslib.study.book import build as book
from tslib.study.book import reuse


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with three notebooks, the second of which raises."""
    (tmp_path / "notebooks").mkdir()
    for name, source in (("a", "print(1)"), ("b", "raise ValueError('in the middle')"), ("c", "print(3)")):
        title = nbformat.v4.new_markdown_cell(f"# {name}", id=f"{name}-title")
        notebook = nbformat.v4.new_notebook(cells=[title, nbformat.v4.new_code_cell(source, id=name)])
        nbformat.write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
    monkeypatch.setattr(book, "EXECUTED", tmp_path / "executed")
    (tmp_path / "executed").mkdir()
    (tmp_path / "said.md").write_text("of records")
    monkeypatch.setattr(book, "of_records", partial(shutil.copy, tmp_path / "said.md"))  # for another process to call
    return tmp_path


def test_a_notebook_that_raises_keeps_no_other_from_being_run(checkout, monkeypatch, capfd):
    monkeypatch.setattr(book, "html", None)  # nothing is assembled from half of the pages
    with pytest.raises(ResourceError, match=r"^b.ipynb raised ValueError: in the middle; what it did until then is in"):
        book.build(checkout)
    made = {
        page.name: nbformat.read(page, 4).cells[-1].outputs for page in sorted((checkout / "executed").glob("*.ipynb"))
    }
    assert list(made) == ["a.ipynb", "b.ipynb", "c.ipynb"]
    assert made["c.ipynb"][0]["text"] == "3\n"
    assert (checkout / "executed" / "said.md").read_text() == "of records"
    out, err = capfd.readouterr()
    assert re.search(r"^b  0:\d\d  failed$", out, flags=re.MULTILINE)
    assert "WARNING" not in err, "kernels have nothing to warn of"
    again = reuse.reused(checkout / "executed", reuse.digests(book.pages(checkout)))
    assert [(run.name, run.seconds > 0) for run in again] == [("a", True), ("c", True)]


def test_a_model_that_cannot_be_had_ends_the_build(checkout, monkeypatch):
    monkeypatch.setattr(book, "MODEL", "smollm9-135m")
    with pytest.raises(InputError, match="unknown model 'smollm9-135m'"):
        book.build(checkout)


@pytest.fixture
def in_this_process(checkout, monkeypatch):
    """Notebooks are run one after the other, without kernels; gives the names of those that were."""
    ran = []

    def execute(notebook, output, progress=True):
        ran.append(notebook.stem)
        if "in the middle" in notebook.read_text():
            raise ResourceError(f"{notebook.name} raised")
        page = nbformat.read(notebook, 4)
        reuse.note(page, reuse.digests([notebook])[notebook.stem], 83.2)
        output.parent.mkdir(exist_ok=True)
        nbformat.write(page, output)

    monkeypatch.setattr(book, "MOST", 1)
    monkeypatch.setattr(book, "execute", execute)
    monkeypatch.setattr(book, "html", lambda root: root / "index.html")
    return ran


def test_a_notebook_is_run_again_only_where_something_that_it_reads_has_changed(checkout, in_this_process, capsys):
    def built(**how):
        in_this_process.clear()
        assert book.build(checkout, **how) == checkout / "index.html"
        return sorted(in_this_process), capsys.readouterr().out.splitlines()[-1]

    with pytest.raises(ResourceError, match=r"b\.ipynb raised"):
        book.build(checkout)
    assert "b  0:00  failed" in capsys.readouterr().out
    path = checkout / "notebooks" / "b.ipynb"
    path.write_text(path.read_text().replace("in the middle", "never"), encoding="utf-8")
    ran, said = built()
    assert ran == ["b"], "the one that failed"
    assert said == (
        "1 notebook was run in 0:00; 2 were reused, since nothing that they read has changed: a (1:23), c (1:23)"
    )
    assert built()[0] == []
    assert built(force=True) == (["a", "b", "c"], "3 notebooks were run in 0:00")
    (checkout / "executed" / "c.ipynb").unlink()
    assert built()[0] == ["c"]
    (checkout / "data" / "results" / "x").mkdir(parents=True)
    (checkout / "data" / "results" / "x" / "record.json").write_text("{}")
    assert built()[0] == ["a", "b", "c"], "a new record"


def test_what_a_page_is_made_of(checkout, monkeypatch):
    """Of the library, the versions of packages, the variables that name rows; `start` of all notebooks."""
    start = checkout / "notebooks" / "start.ipynb"
    start.write_text("{}")
    before = reuse.digests(book.pages(checkout))
    assert before == reuse.digests(book.pages(checkout))

    def changed():
        now = reuse.digests(book.pages(checkout))
        return [name for name in now if now[name] != before[name]]

    (checkout / "notebooks" / "a.ipynb").write_text("{}")
    assert changed() == ["a", "start"]
    assert {pattern.partition("/")[0] for pattern in reuse.READ} == {"tslib", "data", "book", "requirements.txt"}
    for name in ("tslib/losses/one.py", "requirements.txt", "data/sweeps/one.yaml", "book/claims.md"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("1")
        assert changed() == ["a", "b", "c", "start"]
        (checkout / name).unlink()
        assert changed() == ["a", "start"]
    monkeypatch.setenv("TSLIB_DATA_DIR", "elsewhere")
    assert changed() == ["a", "b", "c", "start"]


def test_notebooks_that_take_longest_are_run_first():
    names = [page.stem for page in book.pages()]
    found = [page.stem for page in book.in_turn(book.pages())]
    assert found[:2] == ["11_grasp", "10_your_own_training"]
    assert found == [*book.LONGEST, *(name for name in names if name not in book.LONGEST)]


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
