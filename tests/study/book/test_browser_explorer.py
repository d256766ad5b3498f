"""The page "Explore the records" in Chromium, from a folder: filter, sort, curves, a comparison, by mouse and keys."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import AXE, DESKTOP, PHONE, load, opened

from tslib.runs.store import RunStore

PAGE, OTHER = "book/explore.html", "book/running.html"
CELLS = "(table, at) => [...table.tBodies[0].rows].map(row => row.cells[at].textContent)"
HEADERS = "table => [...table.tHead.rows[0].cells].map(cell => cell.textContent.trim())"
HASH = "location.hash"
SECOND = "table => [...table.rows].map(row => [row.cells[0].textContent, row.cells[2].textContent])"
DRAWN = "figure => figure.data.map(trace => [trace.name, Array.from(trace.x), Array.from(trace.y)])"


@pytest.fixture(scope="module")
def records():
    """The table of the committed records, which knows nothing of the page."""
    return RunStore().table()


@pytest.fixture
def explore(browser, book):
    """Opens the page, and perhaps what its address names; gives it with its table and what failed."""
    base = f"{book.as_uri()}/"
    contexts = []

    def look(fragment="", width=DESKTOP, theme="light"):
        context = opened(browser, base, width=width, theme=theme)
        page, errors = context.__enter__()
        contexts.append(context)
        n_bytes, _ = load(page, base + PAGE + fragment)
        if fragment:
            page.locator(".explore .main-svg").first.wait_for()
        return page, page.locator("#runs"), errors, n_bytes

    yield look
    for context in contexts:
        context.__exit__(None, None, None)


def cells(table, name):
    return table.evaluate(CELLS, table.evaluate(HEADERS).index(name))


def pair(page):
    return page.locator(".explore a.example").get_attribute("href")


def test_it_weighs_at_most_3_megabytes_more_than_a_page_of_text(explore, browser, book):
    page, _, errors, n_bytes = explore()
    *_, n_with_curves = explore(pair(page))
    with opened(browser, f"{book.as_uri()}/") as (other, _):
        plain, _ = load(other, f"{book.as_uri()}/{OTHER}")
    assert errors == []
    scripts = (book / "_static" / "lib" / "plotly-basic.min.js").stat().st_size
    assert n_with_curves + scripts > n_bytes + scripts > plain
    assert n_bytes - plain + scripts <= 3e6


def test_filters_search_and_order(explore, records):
    page, table, errors, _ = explore()
    info = page.locator(".dt-info")
    assert f"of {len(records)}" in info.text_content()
    page.get_by_label("task", exact=True).select_option("MATH")
    of_task = records[records["task"] == "math"]
    assert set(cells(table, "task")) == {"MATH"}
    assert f"of {len(of_task)} (of all {len(records)})" in info.text_content()
    page.get_by_label("runs a page").select_option("100")
    table.get_by_role("columnheader", name="iterations").click()
    shown = [int(cell) for cell in cells(table, "iterations") if cell.isdigit()]
    assert shown == sorted(of_task["iterations_to_correct"].dropna())
    assert len(cells(table, "iterations")) == len(of_task), "those without an end stand behind the others"
    assert not any(cell.isdigit() for cell in cells(table, "iterations")[len(shown) :])
    page.get_by_role("button", name="Show all runs").click()
    (one,) = records[records["task"] == "math"].head(1).to_dict("records")
    page.get_by_label("Search in all columns").fill("Gemma MATH")
    found = records[(records["task"] == "math") & (records["model"] == "gemma3-270m")]
    assert f"of {len(found)} " in info.text_content(), one
    assert errors == []


def test_a_link_shows_the_curves_of_its_record(explore):
    page, table, errors, _ = explore()
    link = table.get_by_role("link").first
    digest = link.text_content()
    link.click()
    page.locator(".explore .main-svg").first.wait_for()
    assert page.evaluate(HASH) == f"#{digest}"
    assert page.evaluate("document.activeElement.textContent").startswith("The chosen runs")
    record = RunStore().find(digest)
    loss, h0, h1, entropy = page.locator(".explore .curves").evaluate(DRAWN)
    steps = record.steps.set_index("step")["cross_entropy"]
    assert loss[0] == digest
    assert loss[1][-1] == len(record.steps)
    assert loss[2] == pytest.approx(steps[loss[1]].tolist(), rel=1e-3)
    shown = record.topology.set_index("step").loc[h0[1]]
    for (_, _, values), name in zip(
        (h0, h1, entropy), ("h0_mean_lifespan", "h1_count", "persistence_entropy"), strict=True
    ):
        assert values == pytest.approx(shown[name].tolist(), rel=1e-3)
    assert f"python -m tslib rerun {digest}" in page.locator(".explore pre").text_content()
    assert f"data/results/{RunStore().path(record.config).name}" in page.locator(".explore .said").text_content()
    assert errors == []


def test_two_are_compared_and_a_third_takes_the_place_of_the_first(explore):
    page, table, errors, _ = explore()
    names = cells(table, "record")
    boxes = table.get_by_role("checkbox")
    for place in range(3):
        boxes.nth(place).focus()
        page.keyboard.press("Space")
    assert page.evaluate(HASH) == f"#{names[1]}+{names[2]}"
    assert [boxes.nth(place).is_checked() for place in range(3)] == [False, True, True]
    page.locator(".explore .main-svg").first.wait_for()
    page.wait_for_function("document.querySelector('.explore .curves').data?.length == 8")
    said = page.locator(".explore .said table")
    one, other = (RunStore().find(name) for name in names[1:3])
    shown = dict(
        said.evaluate("table => [...table.rows].map(row => [row.cells[0], row.cells[2]].map(c => c.textContent))")
    )
    assert shown["what differs"] == names[2]
    assert shown["iterations to correct"] == str(other.iterations_to_correct)
    assert ("regulariser" in shown) == (one.config.regularizer != other.config.regularizer)
    assert "model" not in shown, "which is the same"
    boxes.nth(2).uncheck()
    assert page.evaluate(HASH) == f"#{names[1]}"
    assert errors == []


@pytest.mark.parametrize(("width", "theme"), [(PHONE, "light"), (DESKTOP, "dark")])
def test_a_comparison_can_be_read_on_a_phone_and_in_the_dark(explore, width, theme):
    page, _, _, _ = explore()
    page, _, errors, _ = explore(pair(page), width, theme)
    assert page.locator(".explore .curves").get_attribute("aria-label").count("Curves of GSM8K") == 2
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    panels = page.locator(".explore .curves").evaluate("figure => figure.layout.grid.columns")
    assert panels == (1 if width == PHONE else 2)
    found = Axe().run(page, options=AXE).response["violations"]
    assert [rule["id"] for rule in found if rule["impact"] in ("serious", "critical")] == []
    assert errors == []
    before = page.locator(".explore .curves").evaluate("figure => figure.layout.font.color")
    page.evaluate(f"document.documentElement.dataset.theme = '{'light' if theme == 'dark' else 'dark'}'")
    page.wait_for_function(
        "before => document.querySelector('.explore .curves').layout.font.color != before", arg=before
    )
