"""A Sphinx extension: what the theme and MathJax leave to be done on finished pages."""

import re
from pathlib import Path

from sphinx.application import Sphinx

MATHJAX = ("input/tex", "output/chtml", "a11y/assistive-mml")
"""What formulas need of it; the ready-made combinations also bring its menu, which is half of their size."""


def repaired(page: str) -> str:
    """Return a page without what the theme loads in vain, and with the roles and names that a screen reader needs.

    Icons come from a font too, a tenth of their script. The index of all words is for a search while one types, which
    is off; the page of a search, at the top, keeps it. A bibliography and the parameters of a signature are lists, the
    empty corner of a table is no header, and what unfolds the pages of a chapter has a name. An interval in a table is
    not broken between its ends.
    """
    page = re.sub(r"<script [^>]*fontawesome\.js[^>]*></script>", "", page)
    unused = r"_static/searchtools|_static/language_data|searchindex"
    page = re.sub(rf'<script src="(\.\./)+({unused})\.js"></script>\s*', "", page)
    page = page.replace('role="doc-biblioentry"', 'role="listitem"')
    page = page.replace('<dl>\n<dd><em class="sig-param">', '<dl role="list">\n<dd><em class="sig-param">')
    page = page.replace('<dd><em class="sig-param">', '<dd role="listitem"><em class="sig-param">')
    named = '<summary aria-label="Show or hide the pages of this section"><span class="toctree-toggle"'
    page = page.replace('<summary><span class="toctree-toggle"', named)
    page = re.sub(r"\[([-+]?[\d.]+), ([-+]?[\d.]+)\](?=[^<>]*(?:</p>)?</td>)", r"[\1,&nbsp;\2]", page)
    return re.sub(r"<th([^>]*)>((?:<p>\s*</p>|&nbsp;|\s)*)</th>", r"<td\1>\2</td>", page)


def finish(app: Sphinx, error: Exception | None) -> None:
    """Repair every page, and drop the scripts that none of them loads."""
    if error or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        page.write_text(repaired(page.read_text(encoding="utf-8")), encoding="utf-8")
    static = Path(app.outdir) / "_static"
    (static / "scripts" / "fontawesome.js").unlink(missing_ok=True)
    mathjax = static / "mathjax"
    for path in mathjax.rglob("*.*"):
        name = path.relative_to(mathjax).with_suffix("").as_posix()
        needed = name in ("startup", "core", *MATHJAX) or name.startswith(("input/tex/extensions/", "output/chtml/"))
        if path.is_file() and not needed:
            path.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx, after sphinx-mathjax-offline, whose script this replaces."""
    app.config.mathjax_path = "mathjax/startup.js"
    app.config.mathjax3_config = {"loader": {"load": ["core", *MATHJAX]}}
    app.connect("build-finished", finish, priority=900)  # after MathJax was copied there
    return {"parallel_read_safe": True}
