"""A Sphinx extension: what the theme and MathJax leave to be done on finished pages."""

import re
import shutil
from pathlib import Path
from typing import Any

import plotly
from sphinx.application import Sphinx

MATHJAX = ("input/tex", "output/chtml", "a11y/assistive-mml")
"""What formulas need of it; the ready-made combinations also bring its menu, which is half of their size."""


def repair_roles(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Give things the roles they have: a bibliography is a list of items, the empty corner of a table no header."""
    if body := context.get("body"):
        body = body.replace('role="doc-biblioentry"', 'role="listitem"')
        context["body"] = re.sub(r"<th([^>]*)>((?:<p>\s*</p>|&nbsp;|\s)*)</th>", r"<td\1>\2</td>", body)


def lighten(app: Sphinx, error: Exception | None) -> None:
    """Drop what pages load without need (icons come from a font too, a tenth of their script), and unused MathJax.

    The switches of the table of contents get the names that the theme does not give them.
    """
    if error or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        text = re.sub(r"<script [^>]*fontawesome\.js[^>]*></script>", "", text)
        named = '<summary aria-label="Show or hide the pages of this section"><span class="toctree-toggle"'
        page.write_text(text.replace('<summary><span class="toctree-toggle"', named), encoding="utf-8")
    static = Path(app.outdir) / "_static"
    (static / "scripts" / "fontawesome.js").unlink(missing_ok=True)
    mathjax = static / "mathjax"
    for path in mathjax.rglob("*.*"):
        name = path.relative_to(mathjax).with_suffix("").as_posix()
        needed = name in ("startup", "core", *MATHJAX) or name.startswith(("input/tex/extensions/", "output/chtml/"))
        if path.is_file() and not needed:
            path.unlink()


def bring_plotly(app: Sphinx) -> None:
    """Put Plotly's script beside the pages, so that figures that move need no network."""
    if app.builder.format == "html":
        script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
        folder = Path(app.outdir) / "_static"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(script, folder)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx, after sphinx-mathjax-offline, whose script this replaces."""
    app.config.mathjax_path = "mathjax/startup.js"
    app.config.mathjax3_config = {"loader": {"load": ["core", *MATHJAX]}}
    app.connect("html-page-context", repair_roles)
    app.connect("build-finished", lambda app, error: None if error else bring_plotly(app))
    app.connect("build-finished", lighten, priority=900)  # after MathJax was copied there
    return {"parallel_read_safe": True}
