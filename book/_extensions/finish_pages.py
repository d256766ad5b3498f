"""A Sphinx extension: what the theme and MathJax leave to be done on finished pages."""

import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


def repair_roles(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Give things the roles they have: a bibliography is a list of items, the empty corner of a table no header."""
    if body := context.get("body"):
        body = body.replace('role="doc-biblioentry"', 'role="listitem"')
        context["body"] = re.sub(r"<th([^>]*)>((?:<p>\s*</p>|&nbsp;|\s)*)</th>", r"<td\1>\2</td>", body)


def drop_unused(app: Sphinx, error: Exception | None) -> None:
    """Drop what the pages never load of MathJax: its other combined scripts, 15 MB."""
    mathjax = Path(app.outdir) / "_static" / "mathjax"
    if error or not mathjax.exists():
        return
    for script in mathjax.glob("*.js"):
        if script.name != "tex-chtml.js":
            script.unlink()
    shutil.rmtree(mathjax / "output" / "svg", ignore_errors=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", repair_roles)
    app.connect("build-finished", drop_unused, priority=900)  # after MathJax was copied there
    return {"parallel_read_safe": True}
