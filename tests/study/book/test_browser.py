"""The built book as a reader meets it: every page, on a desktop and on a phone, without a network."""

import html
import re
from functools import cache
from urllib.parse import unquote, urldefrag

import nbformat
import prose
import pytest
from browser import (
    BOOK,
    CHAPTERS,
    DESKTOP_LIGHT,
    PAGES,
    PHONE,
    PHONE_LIGHT,
    ROOT,
    Look,
    load,
    opened,
    served,
    visit,
)

from tslib.runs.store import RunStore

EXPLORE = "book/explore.html"

# The tests of a page follow one another, so that where processes share this file each loads a part of the pages. Pytest
# tells pages by their place in a list: those of notebooks have the same in both.
NOTEBOOKS = [path for path in CHAPTERS if "executed" in path]
every_page = pytest.mark.parametrize("path", sorted(PAGES, key=lambda path: path not in NOTEBOOKS), scope="module")
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, scope="module")
every_width = pytest.mark.parametrize("look", [DESKTOP_LIGHT, PHONE_LIGHT], ids=["desktop", "phone from a folder"])


@pytest.fixture(scope="module")
def base(book):
    with served(book) as address:
        yield address


@pytest.fixture(scope="module")
def visited(browser, base):
    """Loads a page once a look, however many tests ask, and whether or not they name the default."""
    once = cache(lambda path, look: visit(browser, base, path, look))
    return lambda path, look=DESKTOP_LIGHT: once(path, look)


@every_page
@every_width
def test_loads_without_an_error_or_a_network(visited, path, look):
    assert visited(path, look).errors == []


@every_page
def test_does_not_scroll_sideways_on_a_phone(visited, path):
    facts = visited(path, PHONE_LIGHT).facts
    assert (facts["scroll_width"] <= facts["client_width"], facts["too_wide"]) == (True, [])


@every_page
def test_pictures_have_alternative_text(visited, path):
    bad = [
        (source, text)
        for source, text in visited(path).facts["images"]
        if not (text or "").strip() or re.fullmatch(r"\S*\.(png|svg|jpe?g|gif|webp)|[0-9a-f]{16,}", text.strip())
    ]
    assert bad == []


@every_notebook
def test_a_page_shows_every_picture_and_table_of_its_notebook(visited, path):
    notebook = nbformat.read((ROOT / path).with_suffix(".ipynb"), as_version=4)
    data = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = sum("image/png" in one for one in data)
    tables = sum(
        one.get("text/html", "").count("<table") + one.get("text/markdown", "").count("\n| --- ") for one in data
    )
    assert (visited(path).facts["figures"], visited(path).facts["tables"]) == (pictures, tables)
    assert "IPython.core.display" not in visited(path).facts["text"]


@pytest.mark.parametrize("path", [path for path in CHAPTERS if "/reference" not in path], scope="module")
def test_prose_has_no_names_of_code(visited, path):
    """Of fields, models and tasks; those of the reference are about them."""
    facts = visited(path).facts
    assert {name for text in facts["prose"] for name in prose.raw_names(text)} == set()


@every_page
def test_boxes_are_short_and_sentences_not_crammed(visited, path):
    facts = visited(path).facts
    assert [text for text in facts["crammed"] if prose.crammed(text)] == []
    boxes = facts["boxes"] if "executed" in path else []
    assert [box for box in boxes if prose.words(box) > 60] == []


@every_page
def test_an_interval_in_a_table_stays_on_one_line(visited, path):
    assert visited(path).facts["broken_intervals"] == []


def test_there_are_intervals_in_tables(visited):
    assert visited("book/executed/03_convergence.html").facts["text"].count(",\N{NO-BREAK SPACE}") > 10


RUNS = {path.name[-12:] for path in RunStore().folders()}


def leads(target, fragment):
    """Whether a page has what a fragment of an address names; the page of records has one run, or two to compare."""
    return not fragment or fragment in anchors(target) or (target == EXPLORE and set(fragment.split("+")) <= RUNS)


@cache
def anchors(target):
    """What a fragment of an address may name on a page, by its source."""
    return {html.unescape(name) for name in re.findall(r'\s(?:id|name)="([^"]+)"', (BOOK / target).read_text("utf-8"))}


@every_page
def test_links_within_the_book_lead_somewhere(visited, base, path):
    inside = [link.removeprefix(base) for link in set(visited(path).facts["links"]) if link.startswith(base)]
    assert inside
    broken = []
    for link in inside:
        target, fragment = map(unquote, urldefrag(link))
        if not (BOOK / target).is_file() or not leads(target, fragment):
            broken.append(link)
    assert broken == []


@every_page
@every_width
def test_axe_finds_nothing_serious(visited, path, look):
    assert visited(path, look).violations == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_the_theme_shows_on_a_phone_alone_can_be_read(browser, base, theme):
    """The same on every page, so that one is enough; here with the rules on colours."""
    assert visit(browser, base, CHAPTERS[0], Look(PHONE, theme)).violations == []


@every_page
@every_width
def test_formulas_are_typeset(visited, path, look):
    facts = visited(path, look).facts
    assert (facts["not_set"], facts["formula_errors"], facts["raw_formulas"]) == ([], [], [])


def test_there_are_formulas_to_typeset(visited):
    assert visited("book/executed/01_tsloss_by_hand.html").facts["formulas"] > 20


@every_page
def test_next_and_previous_follow_the_table_of_contents(visited, base, path):
    facts = visited(path).facts
    around = [None, *(base + chapter for chapter in CHAPTERS), None]
    at = CHAPTERS.index(path) if path in CHAPTERS else None
    expected = (None, None) if at is None else (around[at], around[at + 2])
    assert (facts["previous"], facts["next"]) == expected


@every_notebook
def test_code_is_folded(visited, path):
    assert visited(path).facts["unfolded"] == []


def test_one_click_opens_code(browser, base):
    with opened(browser, base) as (page, _):
        page.goto(base + "book/executed/00_persistent_homology.html")
        cell = page.locator(".cell:has(details)").first
        code = cell.locator(".cell_input").first
        assert not code.is_visible()
        cell.locator("summary").first.click()
        assert code.is_visible()


def test_search_finds_the_chapter_on_persistent_homology(browser, base):
    with opened(browser, base) as (page, errors):
        page.goto(base + "search.html?q=persistence+entropy")
        page.wait_for_function("Search.status?.textContent.includes('found')")
        found = page.eval_on_selector_all("#search-results li a", "links => links.map(link => link.href)")
    assert errors == []
    assert any("00_persistent_homology.html" in link for link in found), found


def test_the_book_weighs_at_most_40_megabytes(book):
    assert sum(path.stat().st_size for path in book.rglob("*") if path.is_file()) <= 40e6


def test_the_front_page_weighs_at_most_2_megabytes(browser, base):
    with opened(browser, base) as (page, errors):
        n_bytes, _ = load(page, base, lands=base + CHAPTERS[0])
    assert errors == []
    assert 50_000 < n_bytes <= 2e6
