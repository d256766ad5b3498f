"""The figures that move, in the built book: a click on the slider moves them, to what the library computes."""

import nbformat
import pytest
import torch
from browser import PHONE, ROOT, load, opened, served

from tslib import TSLoss
from tslib.study.book.pages import parameters

DRAWN = "figure => figure.data.map(trace => [Array.from(trace.x), Array.from(trace.y)])"
"""What Plotly draws now; arrays of numbers may be typed ones."""
SHAPES = "figure => [...figure.querySelectorAll('.points path')].map(path => path.outerHTML)"
"""The bars and markers on the page."""


@pytest.fixture(scope="module")
def base(book):
    with served(book) as address:
        yield address


def figures(page, base, name):
    """Load a chapter and wait for its figures."""
    load(page, f"{base}book/executed/{name}.html")
    page.wait_for_function("[...document.querySelectorAll('div[role=figure]')].every(f => f.querySelector('svg'))")
    return page.locator(".js-plotly-plot")


def click_slider(page, figure, share):
    """Click on the slider at a share of its length, and wait until it says another value."""
    figure.scroll_into_view_if_needed()
    said = figure.locator(".slider-label").first
    before = said.text_content()
    box = figure.locator(".slider-rail-touch-rect").bounding_box()
    page.mouse.click(box["x"] + 1 + share * (box["width"] - 2), box["y"] + box["height"] / 2)
    page.wait_for_function("([element, before]) => element.textContent != before", arg=[said.element_handle(), before])
    return said.text_content()


def last_step():
    """Steps of the run that the chapter tunes."""
    cells = nbformat.read(ROOT / "notebooks" / "02_structural_evolution.ipynb", as_version=4).cells
    return next(parameters(cell) for cell in cells if "parameters" in cell.metadata.get("tags", []))["max_steps"]


@pytest.mark.parametrize("width", [1280, PHONE])
def test_the_film_of_training(browser, base, width):
    with opened(browser, base, width=width) as (page, errors):
        figure = figures(page, base, "02_structural_evolution").first
        before = figure.evaluate(DRAWN)
        shapes = figure.evaluate(SHAPES)
        ranges = figure.evaluate("figure => [figure.layout.xaxis.range, figure.layout.yaxis2.range]")
        assert click_slider(page, figure, 1) == f"step {last_step()}"
        after = figure.evaluate(DRAWN)
        last = figure.evaluate("figure => figure._transitionData._frames.at(-1).data.map(t => [t.x, t.y])")
        assert after[:5] == last
        assert figure.evaluate(SHAPES) != shapes
        for trace, what in enumerate(("tokens", "diagram of H0", "diagram of H1", "bars of H0", "bars of H1")):
            assert after[trace] != before[trace], what
        assert after[5] == before[5]  # the diagonal
        assert figure.evaluate("figure => [figure.layout.xaxis.range, figure.layout.yaxis2.range]") == ranges
        assert errors == []


def test_the_four_points(browser, base):
    with opened(browser, base) as (page, errors):
        figure = figures(page, base, "01_tsloss_by_hand").first
        assert click_slider(page, figure, 1) == "point at (3, 1)"
        _, _, points, _, markers = figure.evaluate(DRAWN)[:5]
        assert [points[0][2], points[1][2]] == [3, 1]
        cloud = torch.tensor([[0, 0], [1, 0], [3, 1], [0, 1]], dtype=torch.float64)
        values = [float(TSLoss(include_self=printed)(cloud)) for printed in (False, True)]
        assert [markers[1][0], markers[1][4]] == pytest.approx(values, rel=1e-4)
        assert errors == []


def test_the_arrow_keys_move_the_slider(browser, base):
    with opened(browser, base) as (page, errors):
        figure = figures(page, base, "01_tsloss_by_hand").first
        said = figure.locator(".slider-label").first
        assert said.text_content() == "point at (1, 1)"
        figure.focus()
        for key, place in (("ArrowRight", "(1.1, 1)"), ("ArrowLeft", "(1, 1)"), ("ArrowLeft", "(0.9, 1)")):
            page.keyboard.press(key)
            page.wait_for_function("([e, s]) => e.textContent == s", arg=[said.element_handle(), f"point at {place}"])
        assert figure.evaluate(DRAWN)[2][0][2] == 0.9
        assert errors == []


def test_panels_are_stacked_where_a_window_is_narrow(browser, base):
    with opened(browser, base) as (page, errors):
        figure = figures(page, base, "01_tsloss_by_hand").first
        domains = "figure => [figure.layout.yaxis.domain, figure.layout.yaxis2.domain, figure.clientHeight]"
        wide = figure.evaluate(domains)
        page.set_viewport_size({"width": PHONE, "height": 900})
        page.wait_for_function("figure => figure.clientHeight == 800", arg=figure.element_handle())
        (low, _), (_, high), _ = figure.evaluate(domains)
        assert low > high
        page.set_viewport_size({"width": 1280, "height": 900})
        page.wait_for_function("figure => figure.clientHeight == 560", arg=figure.element_handle())
        assert figure.evaluate(domains) == wide
        assert errors == []


def test_the_menu_of_the_curves(browser, base):
    with opened(browser, base) as (page, errors):
        figure = figures(page, base, "02_structural_evolution").nth(1)
        figure.scroll_into_view_if_needed()
        seen = "figure => figure.data.filter(trace => trace.visible === true).map(trace => trace.meta)"
        first = set(figure.evaluate(seen))
        figure.locator(".updatemenu-header").click()
        figure.locator(".updatemenu-dropdown-button").nth(3).click()
        page.wait_for_function(
            "([f, first]) => f.data.find(t => t.visible === true).meta != first",
            arg=[figure.element_handle(), first.pop()],
        )
        (quantity,) = set(figure.evaluate(seen))
        label = figure.evaluate("figure => figure.layout.updatemenus[0].buttons[3].label")
        assert figure.evaluate("figure => figure.layout.yaxis.title.text").startswith(label)
        assert quantity not in first
        assert errors == []


def test_the_questions_of_a_picture(browser, base):
    """Each block keeps saying its weight: Plotly lost a text that had once been empty."""
    shown = "figure => [...figure.querySelectorAll('.textpoint')].map(text => text.textContent)"
    with opened(browser, base) as (page, errors):
        figure = figures(page, base, "11_grasp").first
        first = figure.evaluate(shown)
        for share in (1, 0.5, 0):
            click_slider(page, figure, share)
            assert figure.evaluate(shown) == figure.evaluate("figure => figure.data.at(-1).text")
        assert figure.evaluate(shown) == first
        assert len(first) == 16
        assert errors == []
