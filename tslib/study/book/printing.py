"""The built book as one PDF: its pages are put behind each other on one page in Chromium, and that is printed.

One page and not one PDF a chapter, so that page numbers, bookmarks and the links between chapters are Chromium's own.
"""

import functools
import io
import logging
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import yaml
from playwright.sync_api import Browser, Error, Page, sync_playwright
from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, TextStringObject
from tqdm import tqdm

from tslib.errors import ResourceError
from tslib.records import durable
from tslib.study.book.build import ROOT

PROGRAM = "chromium"
PAPER, MARGIN = (210, 297), 18
"""Width and height of a page, A4, and its margin on each side, in millimetres."""
SCALE = 0.8
"""Of what is printed to what is on the screen: 16 CSS pixels become 9.6 points."""
WIDTH = round((PAPER[0] - 2 * MARGIN) / 25.4 * 96 / SCALE)
"""Of the text, in CSS pixels, of which an inch has 96."""
WAIT = 300_000
"""Milliseconds until a page that does not load is an error."""

# Called with a page's address, its name, and the names of all pages by their addresses. Ids get the page's name before
# them, since two pages may have the same; those inside of figures that move, and of tables that pandas styles, are
# random, and scripts and style sheets know them. Scripts in HTML that was fetched do not run: they are made anew.
ADD = r"""async ([address, name, names]) => {
    const url = new URL(address, location.origin);
    const source = new DOMParser().parseFromString(await (await fetch(url)).text(), 'text/html');
    const chapter = Object.assign(document.createElement('div'), {className: 'chapter', id: name});
    chapter.append(...source.querySelector('article.bd-article').childNodes);
    const all = selector => [...chapter.querySelectorAll(selector)];
    all('.headerlink').forEach(link => link.remove());
    for (const element of all('[id]'))
        if (!element.closest('[role=figure]') && !element.id.startsWith('T_')) element.id = `${name}--${element.id}`;
    for (const image of all('img')) image.src = new URL(image.getAttribute('src'), url);
    for (const link of all('a[href]')) {
        const target = new URL(link.getAttribute('href'), url), fragment = target.hash.slice(1);
        const page = names[target.pathname.slice(1)];
        if (page) link.href = `#${page}${fragment && '--'}${fragment}`;
        else if (target.origin === url.origin) link.removeAttribute('href');  // a file: there is none beside a PDF
    }
    for (const section of all('section')) {  // that has code and nothing else: there it is not left out
        const body = [...section.children].filter(child => !/^(H\d|SPAN)$/.test(child.tagName));
        if (body.length && body.every(child => child.matches('.cell') && !child.querySelector('.cell_output')))
            section.querySelectorAll('details').forEach(code => code.replaceWith(code.querySelector('.cell_input')));
    }
    all('details').forEach(details => details.open = true);
    document.querySelector('article.bd-article').append(chapter);
    for (const script of all('script:not([type]), script[type="text/javascript"]')) {
        const again = document.createElement('script');
        again.textContent = script.textContent;
        script.replaceWith(again);
    }
    await MathJax.typesetPromise([chapter]);
    await Promise.all(all('img').map(image => image.decode()));
}"""
DRAWN = "[...document.querySelectorAll('.plotly-graph-div')].every(figure => figure.querySelector('.main-svg'))"
# What is wider than the text shrinks, a step at a time, since what breaks into lines gets more room by each.
FIT = r"""async () => {
    await document.fonts.ready;
    const right = document.querySelector('article.bd-article').getBoundingClientRect().right + 1;
    for (const wide of document.querySelectorAll('.chapter :is(table, mjx-container, pre, img, [role=figure])')) {
        if (wide.parentElement.closest('table')) continue;
        const ends = () => {
            const box = wide.getBoundingClientRect();
            return box.left + Math.max(box.width, wide.scrollWidth * wide.currentCSSZoom);
        };
        for (let zoom = 1; ends() > right && zoom > 0.3;) wide.style.zoom = zoom -= 0.05;
    }
}"""
FACTS = r"""() => ({
    formula_errors: [...document.querySelectorAll('mjx-merror')].map(error => error.getAttribute('data-mjx-error')),
    headings: [...document.querySelectorAll('.chapter :is(h1, h2, h3, h4, h5, h6)')]
        .filter(heading => heading.checkVisibility()).map(heading => heading.textContent.replace(/\s+/g, ' ').trim()),
})"""
FOOTER = """<div style="display: flex; justify-content: space-between; width: 100%; margin: 0 {margin}mm;
    font: 8px sans-serif; color: #555"><span class="title"></span>
    <span><span class="pageNumber"></span> / <span class="totalPages"></span></span></div>"""


def contents(root: Path = ROOT) -> list[str]:
    """Return the pages of the table of contents without extension, in the order in which they are read."""
    return _files(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))


def _files(entry: Mapping[str, Any]) -> list[str]:
    below = [file for key in ("parts", "chapters", "sections") for one in entry.get(key, []) for file in _files(one)]
    return [entry[key] for key in ("root", "file") if key in entry] + below


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: the browser records what fails."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of this machine; gives its address, with a slash at the end."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium without a window.

    Raises
    ------
    ResourceError
        If it is not installed.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise ResourceError(f"no program {PROGRAM!r} on the PATH: install Chromium (as root, apt-get install chromium)")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # its sandbox refuses to run as root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def write(path: Path | None = None, root: Path = ROOT) -> Path:
    """Print the built book, its pages in the order of the table of contents, and return where the PDF is.

    Code that the pages fold is left out, except where a section has nothing else.

    Parameters
    ----------
    path
        The PDF; by default ``_build/book.pdf``.
    root
        A checkout of the project in which the book was built.

    Raises
    ------
    ResourceError
        If pages or Chromium are missing, or something on a page fails; the message says which.
    """
    html = root / "_build" / "html"
    files = contents(root)
    if missing := [file for file in files if not (html / f"{file}.html").is_file()]:
        raise ResourceError(
            f"{len(missing)} of the {len(files)} pages of the table of contents are not in {html}, the first is "
            f"{missing[0]}.html: build the book first (make book)"
        )
    path = root / "_build" / "book.pdf" if path is None else path
    try:
        with served(html) as base, chromium() as browser:
            printed = _printed(browser, base, files)
    except Error as error:
        raise ResourceError(f"Chromium could not print the book: {error.message}") from error
    durable.write(path, printed)
    return path


def _printed(browser: Browser, base: str, files: list[str]) -> bytes:
    names = {f"{file}.html": file.replace("/", "-") for file in files}
    with browser.new_context(viewport={"width": WIDTH, "height": 1200}) as context, tqdm(total=len(files) + 1) as bar:
        context.set_default_timeout(WAIT)
        context.add_init_script("localStorage.setItem('mode', 'light'); localStorage.setItem('theme', 'light')")
        page = context.new_page()
        failed: list[str] = []
        page.on("pageerror", lambda error: failed.append(error.message))
        page.on("requestfailed", lambda request: failed.append(f"{request.failure}: {request.url}"))
        page.on("response", lambda got: failed.append(f"{got.status}: {got.url}") if got.status >= 400 else None)
        page.emulate_media(media="print", color_scheme="light")
        _begin(page, f"{base}{files[0]}.html")
        for address, name in names.items():
            bar.set_description(address.removesuffix(".html"))
            page.evaluate(ADD, [address, name, names])
            bar.update()
        bar.set_description("printing")
        page.wait_for_function(DRAWN)
        page.evaluate(FIT)
        facts = page.evaluate(FACTS)
        failed += facts["formula_errors"]
        if failed:
            raise ResourceError(f"{len(failed)} things failed on the pages of the book: {'; '.join(failed[:5])}")
        width, height, margin = (f"{length}mm" for length in (*PAPER, MARGIN))
        printed = page.pdf(
            width=width,
            height=height,
            margin={"top": margin, "right": margin, "bottom": margin, "left": margin},
            scale=SCALE,
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER.format(margin=MARGIN),
            outline=True,
            tagged=True,
        )
        bar.update()
        return _titled(printed, facts["headings"])


def _titled(printed: bytes, titles: list[str]) -> bytes:
    """Give the bookmarks their titles anew: Chromium's lack formulas and the spaces where a line of a heading ends."""
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns of Chromium's count of objects, which is too small
    writer = PdfWriter(clone_from=io.BytesIO(printed))
    bookmarks = list(_bookmarks(cast("DictionaryObject", writer.root_object["/Outlines"])))
    if len(bookmarks) != len(titles):
        raise ResourceError(f"Chromium made {len(bookmarks)} bookmarks of {len(titles)} headings")
    for bookmark, title in zip(bookmarks, titles, strict=True):
        bookmark[NameObject("/Title")] = TextStringObject(title)
    renamed = io.BytesIO()
    writer.write(renamed)
    return renamed.getvalue()


def _bookmarks(item: DictionaryObject) -> Iterator[DictionaryObject]:
    """Yield what is below a bookmark or the whole outline, in the order of the pages."""
    below = item.get("/First")
    while below is not None:
        bookmark = cast("DictionaryObject", below.get_object())
        yield bookmark
        yield from _bookmarks(bookmark)
        below = bookmark.get("/Next")


def _begin(page: Page, address: str) -> None:
    """Load the front page for its style sheets and MathJax, and take its text out; it comes again as a chapter."""
    page.goto(address)
    page.evaluate("() => MathJax.startup.promise")
    page.evaluate("() => { document.title = document.querySelector('h1').firstChild.textContent }")
    page.evaluate("() => document.querySelector('article.bd-article').replaceChildren()")
    page.add_script_tag(url="/_static/lib/plotly-basic.min.js")
