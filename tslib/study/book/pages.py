"""From a notebook that was run to a page of the book: finding first, code folded, captions, ways to run it."""

import ast
import base64
import json
import re
import shlex
from typing import Any

import nbformat
from nbformat import NotebookNode

FINDING = "finding"
"""Tag of the cell whose text, or whose Markdown output, is the box at the head of its page."""
SHOWN = "show"
"""Tag of a cell whose code is what the page is about: it is not folded."""
COLUMNS, PIXELS = 7, 800
"""From so many columns on a table, and from so wide on a picture, takes the room of the margin, too."""


def finish(notebook: NotebookNode, name: str, repository: str = "") -> NotebookNode:
    """Turn a notebook that was run into a page of the book.

    Its code is folded, but where it is tagged `SHOWN`; code without an output goes with the next that has one, so that
    no fold stands alone. Every picture is a figure of its own: its caption is the Markdown that is displayed after it,
    in the same cell or as the only output of the next one, and its alternative text the one in its metadata (see
    ``tslib.study.plots.style``). What the cell with the tag ``finding`` says stands below the title. The line that
    changes the parameters is folded beside the links. Wide tables and pictures take the margin's room.

    Parameters
    ----------
    notebook
        With outputs; it is not changed.
    name
        Its file's name without extension.
    repository
        ``OWNER/NAME`` on GitHub, for the links that run the notebook elsewhere; without it there are none.
    """
    page: NotebookNode = nbformat.reads(nbformat.writes(notebook), as_version=4)
    finding = _take_finding(page.cells)
    box = "".join(_box(cell, name) for cell in page.cells)
    for cell in page.cells:
        if cell.cell_type == "code":
            _fold(cell)
    cells = [piece for cell in _joined(_gathered(page.cells)) for piece in _one_picture_each(cell)]
    pictures = 0
    for cell in cells:
        if cell.cell_type == "code":
            _widen(cell)
            pictures += _caption(cell, f"{name}-figure-{pictures + 1}")
    page.cells = [_head(cells[0], name, repository, finding, box), *cells[1:]]
    return page


def _tags(cell: NotebookNode) -> list[str]:
    tags: list[str] = cell.metadata.setdefault("tags", [])
    return tags


def _kind(output: NotebookNode) -> str:
    """Return what an output is here: a picture, Markdown, or something else."""
    data = output.get("data", {})
    return "picture" if "image/png" in data else "markdown" if "text/markdown" in data else "other"


def _take_finding(cells: list[NotebookNode]) -> str:
    """Take the finding out of the cells, and return it."""
    cell = next((cell for cell in cells if FINDING in _tags(cell)), None)
    if cell is None:
        return ""
    if cell.cell_type == "markdown":
        cells.remove(cell)
        return str(cell.source)
    said = [output for output in cell.outputs if _kind(output) == "markdown"]
    cell.outputs = [output for output in cell.outputs if output not in said]
    return "\n\n".join(output.data["text/markdown"] for output in said)


def _gathered(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Put folded code without an output before the next folded code that has one; at the end, behind the last."""
    gathered: list[NotebookNode] = []
    waiting: list[str] = []
    for cell in cells:
        if cell.cell_type != "code" or "hide-input" not in _tags(cell):
            gathered.append(cell)
        elif cell.outputs:
            cell.source = "\n\n".join([*waiting, cell.source])
            waiting = []
            gathered.append(cell)
        else:
            waiting.append(cell.source)
    if waiting:
        last = next((cell for cell in reversed(gathered) if cell.cell_type == "code" and cell.outputs), None)
        if last is None or "hide-input" not in _tags(last):
            last = nbformat.v4.new_code_cell("", metadata={"tags": ["hide-input"]})
            gathered.append(last)
        last.source = "\n\n".join(filter(None, [last.source, *waiting]))
    return gathered


def _widen(cell: NotebookNode) -> None:
    """Let a cell with a wide table or picture take the room of the margin."""
    for output in cell.outputs:
        data = output.get("data", {})
        row = re.search(r"<tr>(.*?)</tr>", str(data.get("text/html", "")), re.DOTALL)
        wide = row is not None and row[1].count("<th") >= COLUMNS
        if "image/png" in data:
            head = base64.b64decode(str(data["image/png"])[:32])
            wide = len(head) == 24 and int.from_bytes(head[16:20], "big") > PIXELS
        if wide and "full-width" not in _tags(cell):
            _tags(cell).append("full-width")


def _joined(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Join a cell that ends with a picture and the next one where that only displays Markdown: the caption."""
    joined: list[NotebookNode] = []
    for cell in cells:
        before = joined[-1] if joined else None
        if (
            before is not None
            and before.cell_type == cell.cell_type == "code"
            and before.outputs
            and _kind(before.outputs[-1]) == "picture"
            and [_kind(output) for output in cell.outputs] == ["markdown"]
        ):
            before.source = f"{before.source}\n\n{cell.source}"
            before.outputs = before.outputs + cell.outputs
        else:
            joined.append(cell)
    return joined


def _one_picture_each(cell: NotebookNode) -> list[NotebookNode]:
    """Split a cell so that each picture, with its caption alone, has a cell; the code stays with the first."""
    if cell.cell_type != "code" or not any(_kind(output) == "picture" for output in cell.outputs):
        return [cell]
    groups: list[list[NotebookNode]] = [[]]
    for output in cell.outputs:
        kind, before = _kind(output), [_kind(other) for other in groups[-1]]
        caption = kind == "markdown" and before == ["picture"]
        if before and not caption and "picture" in (kind, *before):
            groups.append([])
        groups[-1].append(output)
    pieces = [cell]
    for outputs in groups[1:]:
        piece = nbformat.v4.new_code_cell("# of the cell above", outputs=outputs)  # Sphinx drops a cell without code
        piece.metadata["tags"] = [*_tags(cell), "remove-input"]
        pieces.append(piece)
    cell.outputs = groups[0]
    return pieces


def _fold(cell: NotebookNode) -> None:
    """Fold the code, and leave out what progress bars left."""
    tags = _tags(cell)
    if SHOWN in tags and "hide-input" in tags:
        tags.remove("hide-input")
    if not {"hide-input", "remove-input", SHOWN} & set(tags):
        tags.append("hide-input")
    for output in cell.outputs:
        output.get("data", {}).pop("application/vnd.plotly.v1+json", None)  # for JupyterLab, as a page has HTML
    cell.outputs = [output for output in cell.outputs if output.get("data", {}).get("text/markdown") != ""]
    if "remove-stderr" in tags:
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]


def _caption(cell: NotebookNode, name: str) -> bool:
    """Turn a cell's picture into a figure with a name, alternative text and, if Markdown follows it, a caption."""
    if not cell.outputs or _kind(cell.outputs[0]) != "picture":
        return False
    picture, *after = cell.outputs
    figure = {"name": name}
    if after:
        figure["caption"] = after[0].data["text/markdown"]
    cell.outputs = [picture]
    alternative = picture.metadata.get("image/png", {}).get("alt", "")
    cell.metadata["mystnb"] = {"image": {"alt": alternative}, "figure": figure}
    return True


def _head(cell: NotebookNode, name: str, repository: str, finding: str, box: str) -> NotebookNode:
    """Put the finding and the ways to run the notebook between the title and what follows it."""
    title, _, rest = cell.source.partition("\n")
    parts = [title]
    if finding:
        parts.append(f"::::{{admonition}} In short\n:class: important\n{finding}\n::::")
    parts += [_ways(name, repository, box), rest.strip()]
    head: NotebookNode = nbformat.v4.new_markdown_cell("\n\n".join(filter(None, parts)), metadata=cell.metadata)
    return head


def _ways(name: str, repository: str, box: str) -> str:
    """Return the line of links, the notebook to keep, and to run elsewhere; and the folded box."""
    links, first = [f"{{download}}`Download the notebook <../../notebooks/{name}.ipynb>`"], ""
    if repository:
        path = f"notebooks/{name}.ipynb"
        colab = f"https://colab.research.google.com/github/{repository}/blob/main/{path}"
        binder = f"https://mybinder.org/v2/gh/{repository}/main?urlpath=lab/tree/{path}"
        links += [f"[Open in Colab]({colab})", f"[Launch on Binder]({binder})"]
        # Committed records are in a checkout only; Python looks first into the folder where it works.
        clone = f"!git clone --depth 1 https://github.com/{repository} book"
        first = f"\n\nOn Colab, first run in a cell of its own:\n\n```\n{clone}\n%cd book\n%pip install .[study]\n```"
    return f"::::{{div}} ways\n{' · '.join(links)}{first}\n\n{box}::::"


def parameters(cell: NotebookNode) -> dict[str, Any]:
    """Return the names and defaults that a cell of parameters sets.

    Raises
    ------
    ValueError
        If it does anything else.
    """
    found = {}
    for statement in ast.parse(cell.source).body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            raise ValueError(f"parameters are set by NAME = VALUE, this is: {ast.unparse(statement)}")
        found[statement.targets[0].id] = ast.literal_eval(statement.value)
    return found


def command(cell: NotebookNode, name: str) -> str:
    r"""Return the line that runs a notebook with all its parameters, given the cell that has them.

    Examples
    --------
    >>> cell = nbformat.v4.new_code_cell("task = 'gsm8k'\nvalues = [0.1, 1.0]  # of the weight")
    >>> print(command(cell, "04_sensitivity"))
    papermill notebooks/04_sensitivity.ipynb out.ipynb \
      -p task gsm8k \
      -y 'values: [0.1, 1.0]'
    """
    lines = [f"papermill notebooks/{name}.ipynb out.ipynb"]
    for parameter, value in parameters(cell).items():
        plain = isinstance(value, str | int | float)
        lines.append(
            f"-p {parameter} {shlex.quote(str(value))}"
            if plain
            else f"-y {shlex.quote(f'{parameter}: {json.dumps(value)}')}"
        )
    return " \\\n  ".join(lines)


def _box(cell: NotebookNode, name: str) -> str:
    """Return a folded box with that line for the cell of the parameters; for other cells nothing."""
    if "parameters" not in cell.metadata.get("tags", []):
        return ""
    return (
        ":::{dropdown} Change a parameter\n"
        "These are all of them, at their defaults; keep the lines that you change. `out.ipynb` is the notebook "
        f"that was run.\n\n```bash\n{command(cell, name)}\n```\n:::\n"
    )
