"""Figures in words: the text that a reader gets who cannot see a figure, made from what is drawn."""

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure


def describe(figure: Figure) -> str:
    """Say what each panel of a figure shows: its title, what is drawn, against what, and whose it is.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> figure, ax = plt.subplots()
    >>> _ = ax.plot([1, 2], [3, 4], label="TSLoss")
    >>> _ = ax.set(xlabel="step", ylabel="cross-entropy")
    >>> describe(figure)
    'Lines: cross-entropy against step; TSLoss.'
    """
    panels = [_panel(ax) for ax in figure.axes if ax.get_visible() and ax.axison]
    if len(panels) == 1:
        return panels[0]
    return " ".join([f"{len(panels)} panels.", *(f"({number}) {panel}" for number, panel in enumerate(panels, 1))])


def _panel(ax: Axes) -> str:
    x, y = _name(ax, "x"), _name(ax, "y")
    axes = f"{y} against {x}" if x and y else x or y or "no named axes"
    if not y and 0 < len(names := [_words(label.get_text()) for label in ax.get_yticklabels()]) <= 12:
        axes += f", for {', '.join(filter(None, names))}" if any(map(_plain_word, names)) else ""
    title = _words(ax.get_title())
    series = "; ".join(dict.fromkeys(map(_words, ax.get_legend_handles_labels()[1])))
    text = f"{_kind(ax)}: {axes}" + (f"; {series}" if series else "") + "."
    return f"{title}. {text}" if title else text


def _name(ax: Axes, axis: Literal["x", "y"]) -> str:
    """Name of an axis: its own, or that of the panel it shares the axis with, where a reader sees it."""
    sharing = getattr(ax, f"get_shared_{axis}_axes")().get_siblings(ax)
    return next(filter(None, (_words(getattr(one, f"get_{axis}label")()) for one in (ax, *sharing))), "")


def _kind(ax: Axes) -> str:
    if any(np.size(line.get_xdata()) > 1 and line.get_linestyle() not in ("None", "") for line in ax.lines):
        return "Lines"
    if ax.patches:
        return "Bars"
    if ax.images:
        return "Picture"
    if any(isinstance(drawn, PathCollection) for drawn in ax.collections) or ax.lines:
        return "Points"
    return "Lines" if any(isinstance(drawn, LineCollection) for drawn in ax.collections) else "Drawing"


def _words(text: str) -> str:
    return " ".join(text.replace("$", "").split())


def _plain_word(text: str) -> bool:
    return any(letter.isalpha() for letter in text)


def in_notebooks() -> None:
    """Give every figure that a notebook shows its description as metadata of the picture; elsewhere do nothing."""
    try:
        from IPython import get_ipython
        from IPython.core.pylabtools import print_figure
    except ImportError:
        return
    import matplotlib.pyplot as plt

    shell = get_ipython()
    if shell is None:
        return
    plt.switch_backend(plt.get_backend())  # loads it, since it sets a formatter of its own when it is loaded

    def picture(figure: Figure) -> tuple[Any, dict[str, str]]:
        return print_figure(figure, fmt="png", base64=True), {"alt": describe(figure)}

    shell.display_formatter.formatters["image/png"].for_type(Figure, picture)
