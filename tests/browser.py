"""The built book in headless Chromium: what each page loads, shows and breaks.

``python tests/browser.py`` prints what each page weighs and when it can be used; ``--screenshots`` draws the README's.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request

from tslib.study.book import printing
from tslib.study.book.printing import chromium, served

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "_build" / "html"


CHAPTERS = [f"{page}.html" for page in printing.contents()]
"""The pages in the order in which they are read."""
PAGES = [*CHAPTERS, "search.html", "genindex.html", "py-modindex.html"]
DESKTOP, PHONE = 1280, 390
"""Widths in CSS pixels."""
FIGURES = ROOT / "book" / "figures"
SCREENSHOTS = {
    "front": ("book/introduction.html", ""),
    "film": ("book/executed/02_structural_evolution.html", ".js-plotly-plot"),
    "points": ("book/executed/01_tsloss_by_hand.html", ".js-plotly-plot"),
}
"""The README's pictures of the book: the page of each, and what is in the middle."""

# Formulas are set, fonts are there, and the page has nothing left to do: then a reader can use it.
READY = """async () => {
    await window.MathJax?.startup?.promise;
    await document.fonts.ready;
    await new Promise(resolve => requestIdleCallback(resolve));
    return performance.now() / 1000;
}"""
LOOK = r"""() => {
    const name = element => element.outerHTML.slice(0, 120);
    const all = selector => [...document.querySelectorAll(selector)];
    const width = document.documentElement.clientWidth;
    const scrolls = element => element && element.matches('main *')
        && (['auto', 'scroll'].includes(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
    const texts = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
    const raw = [];
    while (texts.nextNode()) {
        const text = texts.currentNode.textContent;
        const verbatim = texts.currentNode.parentElement.closest('code, pre, script, style');
        if (!verbatim && /\\[A-Za-z]+|\\[[(]|\$\$/.test(text)) raw.push(text.trim().slice(0, 120));
    }
    return {
        scroll_width: document.documentElement.scrollWidth,
        client_width: width,
        too_wide: all('main article *').filter(element => {
            const box = element.getBoundingClientRect();
            return box.width > 1 && box.height > 1 && box.right > width + 1 && !scrolls(element.parentElement)
                && !element.closest('mjx-assistive-mml');
        }).map(name),
        images: all('img').map(image => [image.getAttribute('src').slice(0, 80), image.getAttribute('alt')]),
        text: document.querySelector('main').innerText,
        figures: all('main figure img').length,
        tables: all('.cell_output table').length,
        broken_intervals: all('td:not(:has(code))').filter(
            cell => /\[[-+]?[\d.]+, [-+]?[\d.]+\]/.test(cell.textContent)
        ).map(name),
        links: all('a[href]').map(link => link.href),
        formulas: all('.math').length,
        not_set: all('.math').filter(formula => !formula.querySelector('mjx-container')).map(name),
        formula_errors: all('mjx-merror').map(error => error.getAttribute('data-mjx-error')),
        raw_formulas: raw,
        unfolded: all('.cell_input').filter(
            code => !code.closest('details:not([open])') && !code.closest('.tag_show')
        ).map(name),
        crammed: all('figcaption, .admonition.important p').map(text => text.innerText),
        boxes: all('.bd-article > section > .admonition.important').map(box => {
            const copy = box.cloneNode(true);
            copy.querySelectorAll('.admonition-title').forEach(title => title.remove());
            copy.querySelectorAll('.math').forEach(formula => formula.replaceWith('…'));
            return copy.textContent;
        }),
        prose: all('main p, main li, main figcaption, main h1, main h2, main h3').map(text => {
            const copy = text.cloneNode(true);
            copy.querySelectorAll('code, pre, a, script, style, ul, ol, .sig').forEach(one => one.remove());
            return copy.textContent;
        }),
        next: document.querySelector('a.right-next')?.href ?? null,
        previous: document.querySelector('a.left-prev')?.href ?? null,
    };
}"""
# Colours are those after what opens has faded in.
OPEN_ALL = """() => {
    document.querySelectorAll('details').forEach(details => details.open = true);
    document.getAnimations().forEach(animation => animation.finish());
}"""
# The theme's own button goes from light to dark, and from dark by way of the system's, which is light here, to light.
CHANGE_THEME = """() => {
    const root = document.documentElement, before = root.dataset.theme;
    const button = document.querySelector('.theme-switch-button');
    for (let click = 0; click < 3 && root.dataset.theme === before; click++) button.click();
}"""
# Axe would load style sheets a second time, some from a wrong address.
AXE = {"resultTypes": ["violations"], "preload": False}
COLOURS = ["color-contrast", "link-in-text-block"]
"""Axe's rules on colours, which take most of its time: colours depend on the theme, not on the width."""
ALL: dict[str, Any] = {}
OF_COLOURS: dict[str, Any] = {"runOnly": COLOURS}
OTHERS: dict[str, Any] = {"rules": {rule: {"enabled": False} for rule in COLOURS}}
OTHER_THEME = {"light": "dark", "dark": "light"}


@dataclass(frozen=True)
class Look:
    """A way to look at a page."""

    width: int
    theme: str
    folder: bool = False
    """From a folder, not over HTTP."""
    colours: bool = True
    """Whether Axe looks at colours, in this theme and then in the other one."""


DESKTOP_LIGHT = Look(DESKTOP, "light")
PHONE_LIGHT = Look(PHONE, "light", folder=True, colours=False)


@dataclass(frozen=True)
class Visit:
    """What one load of a page showed."""

    errors: list[str]
    """Of the console, of scripts, failed requests, and requests that wanted to leave the machine."""
    n_bytes: int
    """Of the bodies of all responses."""
    seconds: float
    """From the start of navigation until formulas are set and the page is idle."""
    facts: dict[str, Any]
    """The answer of ``LOOK``."""
    violations: list[str]
    """Of axe-core's rules, serious or critical, everything that folds open: theme, rule, impact and elements."""


def missing() -> str:
    """Say what there is to do before the book can be looked at, if anything."""
    if not (BOOK / "index.html").exists():
        return "no book is built: make book"
    if not shutil.which(printing.PROGRAM):
        return "no browser: apt-get install chromium"
    return ""


@contextmanager
def opened(
    browser: Browser, base: str, *, width: int = DESKTOP, theme: str = "light"
) -> Iterator[tuple[Page, list[str]]]:
    """Open an empty page that can reach only what is below ``base``; gives it with the list of what fails on it."""
    errors: list[str] = []
    with browser.new_context(viewport={"width": width, "height": 900}) as context:
        context.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
        context.route(re.compile(rf"^(?!{re.escape(base)}|data:|blob:)"), lambda route: route.abort())
        page = context.new_page()
        page.on("console", lambda said: errors.append(f"console: {said.text}") if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(f"script: {error}"))
        page.on("requestfailed", lambda request: errors.append(f"{request.failure}: {request.url}"))
        page.on("response", lambda got: errors.append(f"{got.status}: {got.url}") if got.status >= 400 else None)
        yield page, errors


def load(page: Page, address: str, lands: str | None = None) -> tuple[int, float]:
    """Load an address, which may lead elsewhere; returns the bytes of all answers and the seconds until it is ready."""
    finished: list[Request] = []
    page.on("requestfinished", lambda request: finished.append(request))  # Playwright takes no built-in method
    page.goto(address)
    page.wait_for_url(lands or address)
    seconds = page.evaluate(READY)
    return sum(request.sizes()["responseBodySize"] for request in finished), seconds


def visit(browser: Browser, base: str, path: str, look: Look) -> Visit:
    """Load a page, from where it is served or from its folder, wait until it can be used, and look at it."""
    base = f"{BOOK.as_uri()}/" if look.folder else base
    with opened(browser, base, width=look.width, theme=look.theme) as (page, errors):
        n_bytes, seconds = load(page, base + path)
        facts = page.evaluate(LOOK)
        violations = _violations(page, look.theme, ALL if look.colours else OTHERS)
        if look.colours:
            page.evaluate(CHANGE_THEME)
            violations += _violations(page, OTHER_THEME[look.theme], OF_COLOURS)
        return Visit(list(errors), n_bytes, seconds, facts, violations)


def _violations(page: Page, theme: str, rules: dict[str, Any]) -> list[str]:
    page.evaluate(OPEN_ALL)
    found = Axe().run(page, options=AXE | rules).response["violations"]
    said = [f"{theme}: {_said(rule)}" for rule in found if rule["impact"] in ("serious", "critical")]
    shown = page.evaluate("document.documentElement.dataset.theme")
    return said if shown == theme else [*said, f"the theme is {shown}, not {theme}"]


def _said(rule: dict[str, Any]) -> str:
    nodes = "; ".join(node["html"][:120] for node in rule["nodes"][:3])
    return f"{rule['id']} ({rule['impact']}), {len(rule['nodes'])} elements: {nodes}"


def draw_screenshots() -> None:
    """Draw the pictures of ``SCREENSHOTS``: a desktop's window, scrolled to what is to be seen."""
    with served(BOOK) as base, chromium() as browser:
        for name, (path, selector) in SCREENSHOTS.items():
            with opened(browser, base) as (page, _):
                load(page, base + path)
                if selector:
                    figure = page.locator(selector).first
                    figure.locator("svg").first.wait_for()
                    figure.evaluate("figure => figure.scrollIntoView({block: 'center'})")
                page.screenshot(path=FIGURES / f"book-{name}.png")
                print(FIGURES / f"book-{name}.png")


def main(screenshots: bool = False) -> None:
    """Print bytes and seconds of every page, each with an empty cache.

    Parameters
    ----------
    screenshots
        Draw the screenshots of the README instead.
    """
    if reason := missing():
        raise SystemExit(reason)
    if screenshots:
        draw_screenshots()
        return
    print(f"{'page':45} {'kB':>6} {'seconds':>8}")
    with served(BOOK) as base, chromium() as browser:
        for path in PAGES:
            with opened(browser, base) as (page, _):
                n_bytes, seconds = load(page, base + path)
            print(f"{path:45} {n_bytes / 1000:6.0f} {seconds:8.2f}")


if __name__ == "__main__":
    tyro.cli(main)
