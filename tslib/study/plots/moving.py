"""How a figure that moves gets into JupyterLab and onto a page of the book, and what all of them share.

In JupyterLab Plotly's own renderer draws it. A page of the book has it as a piece of HTML that loads the part of
Plotly with lines, points and bars from the book's ``_static`` folder, so that it needs no network.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go

from tslib.errors import InputError

SCRIPT = "../../_static/lib/plotly-basic.min.js"
"""Where pages of the book, at ``book/executed/``, find Plotly."""
DRAWN = ("scatter", "bar", "pie")
"""Types of traces that this part of Plotly draws; it takes any other one for a line."""
DIGITS = 5
"""Significant digits of what a page is given."""
NARROW = 600
"""Width of a window, in CSS pixels, up to which the narrow layout holds."""

# Plotly's slider answers the mouse alone: the arrow keys are for those who have none.
KEYS = """
const figure = document.getElementById('{plot_id}');
if (figure.layout.sliders) {
    figure.tabIndex = 0;
    figure.addEventListener('keydown', event => {
        const by = {ArrowLeft: -1, ArrowRight: 1}[event.key], {active = 0, steps} = figure.layout.sliders[0];
        if (!by || !steps[active + by]) return;
        event.preventDefault();
        Plotly.animate(figure, ...steps[active + by].args);
    });
}
"""
FIT = """
const phone = matchMedia('(max-width: %(width)dpx)'), layouts = {true: %(narrow)s, false: %(wide)s};
const fit = () => {
    figure.parentElement.style.height = layouts[phone.matches].height + 'px';
    Plotly.relayout(figure, layouts[phone.matches]);
};
phone.addEventListener('change', fit);
if (phone.matches) fit();
"""


@dataclass(frozen=True)
class Interactive:
    """A Plotly figure with its description, for a notebook to show: ``display(Interactive(figure, "..."))``.

    Attributes
    ----------
    figure
        What Plotly draws.
    alt
        What it shows, in words.
    narrow
        What is different in the layout on a phone, by its path: ``{"height": 600, "xaxis.domain": [0, 1]}``. It has
        a height if it has anything.
    """

    figure: go.Figure
    alt: str
    narrow: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what a page of the book would draw as something else.

        Raises
        ------
        InputError
            If a trace is of a type that is not among `DRAWN`.
        """
        traces = [*self.figure.data, *(trace for frame in self.figure.frames for trace in frame.data)]
        if others := sorted({trace.type for trace in traces} - set(DRAWN)):
            raise InputError(f"pages of the book draw {', '.join(DRAWN)}, not {', '.join(others)}: make it of these")

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """Return what JupyterLab draws and what a page of the book holds."""
        return {"application/vnd.plotly.v1+json": self.figure.to_plotly_json(), "text/html": self.fragment()}

    def fragment(self, script: str = SCRIPT) -> str:
        """Return the figure as a piece of HTML that loads Plotly from an address, once a page."""
        fit = KEYS
        if self.narrow:
            wide = {path: self.figure.layout[path] for path in self.narrow}
            fit += FIT % {"width": NARROW, "narrow": json.dumps(self.narrow), "wide": json.dumps(wide)}
        drawn = self.figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            auto_play=False,
            post_script=fit,
            config={"responsive": True, "displaylogo": False},
        )
        load = f"""<script>window.Plotly || document.write('<script src="{script}"><\\/script>')</script>"""
        return f'<div role="figure" aria-label="{html.escape(self.alt)}">{load}{drawn}</div>'


def rounded(values: Any) -> list[float]:
    """Return numbers with the digits that a page is given, in a flat list."""
    return [float(f"{value:.{DIGITS}g}") for value in np.asarray(values, dtype=float).ravel()]


def look(figure: go.Figure) -> None:
    """Set what all of these figures share: a white ground in both themes, and margins that a phone has room for."""
    figure.update_layout(
        template="plotly_white",
        font={"size": 13, "color": "#222222"},
        margin={"l": 50, "r": 15, "t": 60, "b": 50},
        showlegend=False,
    )
    figure.update_annotations(font_size=14)
    figure.update_xaxes(title={"standoff": 5, "font": {"size": 13}})
    figure.update_yaxes(title={"standoff": 5, "font": {"size": 13}})


def slide(figure: go.Figure, labels: Sequence[str], prefix: str, active: int = 0) -> None:
    """Give a figure the slider of its frames, and below it buttons that play them.

    Parameters
    ----------
    figure
        With frames of these names.
    labels
        Names of the frames.
    prefix
        What is said before the name of the frame that is shown.
    active
        The frame that is shown first.
    """
    look(figure)
    now = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    steps = [{"label": label, "method": "animate", "args": [[label], now]} for label in labels]
    play = {"frame": {"duration": 350, "redraw": True}, "fromcurrent": True, "transition": {"duration": 0}}
    buttons = [
        {"label": "Play", "method": "animate", "args": [None, play]},
        {"label": "Stop", "method": "animate", "args": [[None], now]},
    ]
    below = {"type": "buttons", "direction": "right", "showactive": False, "x": 0, "xanchor": "left"}
    figure.update_layout(
        sliders=[{"steps": steps, "active": active, "currentvalue": {"prefix": prefix}, "pad": {"t": 45}}],
        updatemenus=[{**below, "buttons": buttons, "y": 0, "yanchor": "top", "pad": {"t": 130}}],
    )
