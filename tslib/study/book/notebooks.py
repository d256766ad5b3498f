"""What the notebooks are, in their own words: titles, first paragraphs and parameters, for the one to start with."""

import re
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pandas as pd
from nbformat import NotebookNode

from tslib.errors import ResourceError
from tslib.study.book import build as book
from tslib.study.book.pages import parameters

START = "start"
"""Name of the notebook that ``make lab`` opens."""


SHARED = ("model", "task", "store", "device", "dtype", "lr", "n_tokens", "settings")
"""Parameters of most notebooks."""


def read(root: Path = book.ROOT) -> pd.DataFrame:
    """Return one row a notebook but the one to start with, in their order.

    Parameters
    ----------
    root
        A checkout of the project.

    Returns
    -------
    DataFrame
        Columns ``name`` (of the file, without extension), ``title``, ``about`` (the first paragraph below it, without
        roles of MyST) and ``parameters`` (a dictionary of defaults).

    Raises
    ------
    ResourceError
        If there are no notebooks.
    """
    found = {path.stem: nbformat.read(path, as_version=4).cells for path in book.pages(root) if path.stem != START}
    if not found:
        raise ResourceError(f"no notebooks in {root / 'notebooks'}: they come with a checkout of the project")
    titles = {name: cells[0].source.partition("\n")[0].removeprefix("# ") for name, cells in found.items()}
    rows = [
        {
            "name": name,
            "title": titles[name],
            "about": plain(_first_paragraph(cells[0]), titles),
            "parameters": next(parameters(cell) for cell in cells if "parameters" in cell.metadata.get("tags", [])),
        }
        for name, cells in found.items()
    ]
    return pd.DataFrame(rows)


def _first_paragraph(cell: NotebookNode) -> str:
    return str(cell.source).split("\n\n")[1]


def plain(text: str, titles: Mapping[str, str]) -> str:
    """Return a paragraph in the Markdown that JupyterLab draws: no roles of MyST, no links but to notebooks.

    Parameters
    ----------
    text
        May have line breaks; they become spaces.
    titles
        Of notebooks, by their names.

    Examples
    --------
    >>> plain("An {term}`iteration <step>` ({eq}`eq-loss`), see {doc}`a` and [the list](b).", {"a": "All of it"})
    'An iteration, see [All of it](a.ipynb) and the list.'
    """
    text = re.sub(r"\s*(?:\(\{(?:cite|eq)\}`[^`]*`\)|\{(?:cite|eq)\}`[^`]*`)", "", " ".join(text.split()))
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\{doc\}`([^`]*)`", lambda found: link(found[1], titles.get(found[1], found[1])), text)
    return re.sub(r"\{\w+\}`([^`<]*?)(?: <[^`]*>)?`", r"\1", text)


def link(name: str, title: str) -> str:
    """Return the link that opens a notebook, in JupyterLab as on a page of the book."""
    return f"[{title}]({name}.ipynb)"


def table(notebooks: pd.DataFrame) -> str:
    """Return the table of the notebooks in Markdown: a link that opens each, a sentence on it, parameters of its own.

    Parameters
    ----------
    notebooks
        Of ``read``.
    """
    lines = ["| notebook | what it is about | parameters of its own |", "| --- | --- | --- |"]
    for row in notebooks.to_dict("records"):
        own = ", ".join(f"`{name}`" for name in row["parameters"] if name not in SHARED)
        first = re.split(r"(?<=[.?!])\s", row["about"])[0]
        cells = [link(row["name"], row["title"]), first, own]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)
