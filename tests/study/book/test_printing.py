"""The PDF of the whole book, and what is said where there is nothing to print it from or with."""

import os
import re
import unicodedata

import nbformat
import pytest
import yaml
from browser import ROOT
from filelock import FileLock
from pypdf import PdfReader

from tslib.__main__ import main
from tslib.errors import ResourceError
from tslib.study.book import printing


@pytest.fixture(scope="module")
def pdf(book, tmp_path_factory):
    """The book, printed by the first of the test processes that wants it."""
    file = printed(tmp_path_factory.getbasetemp())
    with FileLock(file.with_suffix(".lock")):
        if not file.exists():
            printing.write(file)
    return PdfReader(file)


def printed(folder):
    """The file that test processes share, whose folders lie side by side in one of the session."""
    return (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "book.pdf"


@pytest.fixture(scope="module")
def texts(pdf):
    """The text of each page without its spaces."""
    return [plain(page.extract_text()) for page in pdf.pages]


@pytest.fixture
def checkout(tmp_path):
    """A book of a front page and one chapter, neither of them built."""
    (tmp_path / "_toc.yml").write_text("root: front\nparts:\n- chapters:\n  - file: a\n    sections:\n    - file: b\n")
    return tmp_path


def built(root, *pages):
    for page in pages:
        path = root / "_build" / "html" / f"{page}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("<h1>A page</h1>")


def heading(name: str) -> str:
    """The title of a page of the table of contents, from its source."""
    path = ROOT / name
    if path.with_suffix(".md").is_file():
        source = path.with_suffix(".md").read_text(encoding="utf-8")
    else:
        source = nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells[0].source
    return re.search(r"^# (.+)$", source, re.MULTILINE)[1]


def numbered() -> list[str]:
    """The titles of all pages, with a number in the parts that have them; the numbers go on from part to part."""
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    chapters = [chapter["file"] for part in parts if "numbered" in part for chapter in part["chapters"]]
    numbers = {name: f"{number}. " for number, name in enumerate(chapters, start=1)}
    return [numbers.get(name, "") + heading(name) for name in printing.contents()]


def plain(text: str) -> str:
    """Without spaces, ligatures and typographic quotation marks."""
    return "".join(unicodedata.normalize("NFKC", text.replace("’", "'")).split())


def test_bookmarks_are_the_chapters_in_their_order(pdf):
    bookmarks = [mark for mark in pdf.outline if not isinstance(mark, list)]
    assert [plain(mark.title) for mark in bookmarks] == [plain(title) for title in numbered()]
    starts = [pdf.get_destination_page_number(mark) for mark in bookmarks]
    assert starts == sorted(set(starts)), "each chapter begins on a page of its own"
    assert starts[0] == 0


def test_the_page_of_a_bookmark_has_its_title(pdf, texts):
    for mark in pdf.outline:
        if not isinstance(mark, list):
            assert plain(mark.title) in texts[pdf.get_destination_page_number(mark)]


def test_pages_are_a4_numbered_and_not_empty(pdf, texts):
    sizes = {tuple(round(float(side) / 72 * 25.4) for side in page.mediabox[2:]) for page in pdf.pages}
    assert sizes == {printing.PAPER}
    title = plain(heading(printing.contents()[0]))
    for number, (page, text) in enumerate(zip(pdf.pages, texts, strict=True), start=1):
        foot = f"{title}{number}/{len(texts)}"
        assert text.endswith(foot), f"page {number} ends with {text[-60:]}"
        assert len(text) > len(foot) or page.images, f"page {number} is empty"


def test_formulas_are_set(texts):
    whole = "".join(texts)
    assert "Dij=∥xi−xj∥" in whole
    assert "(Eqs.1,2)" in whole  # a remark within a formula
    assert not re.search(r"\\(begin|mathbb|lVert|sum|lambda)|\$\$", whole)


def test_tables_are_not_cut(texts):
    """Every heading of a column of every table that a notebook displays; what is outside of its box is not printed."""
    whole, asked = "".join(texts), 0
    for path in sorted((ROOT / "book" / "executed").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                for head in re.findall(r"<thead>.*?</thead>", output.get("data", {}).get("text/html", ""), re.DOTALL):
                    for name in re.findall(r"<th[^>]*>([^<&]+)</th>", head):
                        asked += 1
                        assert plain(name) in whole, f"{path.stem}: {name}"
    assert asked > 50


def test_code_is_left_out_but_where_a_section_has_nothing_else(texts):
    whole = "".join(texts)
    assert "deftsloss(points,include_self=False):" in whole
    assert "plots.style()" not in whole
    assert "Showcodecellsource" not in whole


def test_links_stay_within_the_pdf_or_lead_out_of_this_machine(pdf):
    actions = [note.get_object() for page in pdf.pages for note in page.get("/Annots", [])]
    out = [str(note["/A"].get("/URI")) for note in actions if "/A" in note]
    inside = [note for note in actions if "/Dest" in note]
    assert out
    assert not [address for address in out if "127.0.0.1" in address or address.startswith("file:")]
    assert {str(note["/Dest"]) for note in inside} <= set(pdf.named_destinations)
    assert len(inside) > len(printing.contents())


def test_the_contents_are_read_depth_first(checkout):
    assert printing.contents(checkout) == ["front", "a", "b"]


def test_a_book_that_is_not_built(checkout):
    built(checkout, "front")
    with pytest.raises(ResourceError, match=r"2 of the 3 pages .* the first is a.html: build the book first"):
        printing.write(root=checkout)


def test_no_chromium(checkout, monkeypatch):
    built(checkout, "front", "a", "b")
    monkeypatch.setenv("PATH", str(checkout))
    with pytest.raises(ResourceError, match=r"no program 'chromium' on the PATH: install Chromium \(as root, apt-get"):
        printing.write(root=checkout)
    assert not (checkout / "_build" / "book.pdf").exists()


def test_the_command_says_where_the_pdf_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(printing, "write", lambda path: path)
    assert main(["pdf", "--file", str(tmp_path / "a.pdf")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.pdf'}\n"
