"""Figures that move: training as a film, four points to push about, curves that tell their values.

Plotly draws them. In JupyterLab it is Plotly's own renderer; a page of the book has them as a piece of HTML that loads
``plotly.min.js`` from the book's ``_static`` folder, so that it needs no network.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from jaxtyping import Float
from numpy import ndarray
from plotly.subplots import make_subplots
from torch import Tensor

from tslib import structure
from tslib.errors import InputError
from tslib.losses import TSLoss
from tslib.plots.clouds import H0_COLOUR, H1_COLOUR, PALETTE
from tslib.plots.evidence import QUANTITIES
from tslib.plots.runs import bars_at

SCRIPT = "../../_static/plotly.min.js"
"""Where pages of the book, at ``book/executed/``, find Plotly."""
DIGITS = 5
"""Significant digits of what a page is given."""


@dataclass(frozen=True)
class Interactive:
    """A Plotly figure with its description, for a notebook to show: ``display(Interactive(figure, "..."))``."""

    figure: go.Figure
    alt: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """Return what JupyterLab draws and what a page of the book holds."""
        return {"application/vnd.plotly.v1+json": self.figure.to_plotly_json(), "text/html": self.fragment()}

    def fragment(self, script: str = SCRIPT) -> str:
        """Return the figure as a piece of HTML that loads Plotly from an address, once a page."""
        drawn = self.figure.to_html(
            full_html=False, include_plotlyjs=False, auto_play=False, config={"responsive": True, "displaylogo": False}
        )
        load = f"""<script>window.Plotly || document.write('<script src="{script}"><\\/script>')</script>"""
        return f'<div role="figure" aria-label="{html.escape(self.alt)}">{load}{drawn}</div>'


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in np.asarray(values, dtype=float).ravel()]


def principal_plane(prompts: Mapping[int, Tensor]) -> tuple[dict[int, Float[ndarray, "n 2"]], float]:
    """Return the tokens of each checkpoint in the plane of the first two principal components of all of them.

    Parameters
    ----------
    prompts
        By step, each of shape (n, d).

    Returns
    -------
    tuple
        The coordinates by step, each of shape (n, 2), and the share of the variance that the plane keeps.
    """
    clouds = [prompt.double().numpy() for prompt in prompts.values()]
    if any(cloud.ndim != 2 for cloud in clouds):
        raise InputError(f"a prompt has shape {clouds[0].shape}: give (n, d), one layer of a method that acts in each")
    together = np.concatenate(clouds)
    centre = together.mean(axis=0)
    _, sizes, axes = np.linalg.svd(together - centre, full_matrices=False)
    share = float((sizes[:2] ** 2).sum() / (sizes**2).sum())
    return {step: (cloud - centre) @ axes[:2].T for step, cloud in zip(prompts, clouds, strict=True)}, share


def film(prompts: Mapping[int, Tensor], diagrams: pd.DataFrame) -> Interactive:
    """Show the point cloud of a prompt, its persistence diagram and its barcode, with a slider through training.

    Parameters
    ----------
    prompts
        ``RunRecord.prompts``, by step, each of shape (n, d).
    diagrams
        ``RunRecord.diagrams``: one row a bar.
    """
    plane, share = principal_plane(prompts)
    deaths = diagrams["death"].to_numpy(float)
    end = 1.05 * float(deaths[np.isfinite(deaths)].max(initial=0)) or 1.0
    start = 0.95 * float(diagrams["death"].min())
    figure = make_subplots(
        rows=2,
        cols=2,
        specs=[[{}, {}], [{"colspan": 2}, None]],
        subplot_titles=["tokens", "diagram", "barcode"],
        vertical_spacing=0.2,
    )
    steps = list(plane)
    first = _film_traces(plane[steps[0]], bars_at(diagrams, steps[0]), end)
    for trace, (row, column) in zip(first, [(1, 1), (1, 2), (1, 2), (2, 1), (2, 1)], strict=True):
        figure.add_trace(trace, row=row, col=column)
    figure.add_trace(
        go.Scatter(x=[start, end], y=[start, end], mode="lines", line={"color": "grey"}, hoverinfo="skip"), row=1, col=2
    )
    figure.frames = [
        go.Frame(name=str(step), data=_film_traces(plane[step], bars_at(diagrams, step), end), traces=list(range(5)))
        for step in steps
    ]
    reach = 1.1 * max(float(np.abs(cloud).max()) for cloud in plane.values())
    figure.update_xaxes(range=[-reach, reach], title=f"{share:.0%} of the variance", row=1, col=1)
    figure.update_yaxes(range=[-reach, reach], row=1, col=1)
    figure.update_xaxes(range=[-0.02 * end, end], title="birth", row=1, col=2)
    figure.update_yaxes(range=[start, 1.03 * end], title="death", row=1, col=2)
    bars = int(diagrams.groupby("step").size().max())
    figure.update_xaxes(range=[0, end], title="distance threshold ε", row=2, col=1)
    figure.update_yaxes(range=[-1, bars + 1], showticklabels=False, row=2, col=1)
    _slide(figure, [f"{step}" for step in steps], "step ")
    figure.update_layout(height=640)
    return Interactive(
        figure,
        f"A slider through {len(steps)} checkpoints of training moves three panels: the prompt's tokens in the plane "
        "of their first two principal components, their persistence diagram, and their barcode.",
    )


def _film_traces(cloud: Float[ndarray, "n 2"], bars: Sequence[Float[ndarray, "_ 2"]], end: float) -> list[go.Scatter]:
    """Return the cloud, the diagrams and the barcodes of a checkpoint; a bar that never dies runs to the end."""
    tokens = go.Scatter(
        x=_rounded(cloud[:, 0]),
        y=_rounded(cloud[:, 1]),
        mode="markers",
        marker={"color": "#333333", "size": 7},
        customdata=list(range(1, len(cloud) + 1)),
        hovertemplate="token %{customdata}<extra></extra>",
    )
    points, lines, row = [], [], 0
    for dimension, (found, colour) in enumerate(zip(bars[:2], (H0_COLOUR, H1_COLOUR), strict=False)):
        ordered = found[np.argsort(found[:, 1] - found[:, 0])]
        births, deaths = ordered[:, 0], np.where(np.isfinite(ordered[:, 1]), ordered[:, 1], end)
        lives = _rounded(deaths - births)
        said = f"H{dimension}: %{{customdata:.4g}} long<extra></extra>"
        points.append(
            go.Scatter(
                x=_rounded(births),
                y=_rounded(deaths),
                mode="markers",
                marker={"color": colour, "size": 7, "symbol": "circle" if dimension == 0 else "triangle-up"},
                name=f"H{dimension}",
                customdata=lives,
                hovertemplate=f"birth %{{x:.4g}}, death %{{y:.4g}}<br>{said}",
            )
        )
        pairs = [value for pair in zip(_rounded(births), _rounded(deaths), strict=True) for value in (*pair, None)]
        rows = [value for number in range(row, row + len(ordered)) for value in (number, number, None)]
        lengths = [value for life in lives for value in (life, life, None)]
        lines.append(
            go.Scatter(
                x=pairs,
                y=rows,
                mode="lines",
                line={"color": colour, "width": 4},
                customdata=lengths,
                hovertemplate=said,
            )
        )
        row += len(ordered) + 1
    return [tokens, *points, *lines]


def four_points(path: Sequence[tuple[float, float]], *, tau: float = 1.0, alpha: float = 10.0) -> Interactive:
    """Move one of four points along a path: the cloud with its descent directions, and TSLoss with its terms.

    Parameters
    ----------
    path
        Places of the point; the other three stay at (0, 0), (1, 0) and (0, 1).
    tau, alpha
        As for `TSLoss`.
    """
    clouds = [torch.tensor([[0.0, 0.0], [1.0, 0.0], list(place), [0.0, 1.0]], dtype=torch.float64) for place in path]
    loss, printed = TSLoss(tau=tau, alpha=alpha), TSLoss(tau=tau, alpha=alpha, include_self=True)
    values: dict[str, list[float]] = {"TSLoss": [], "as printed": [], "h0": [], "repel": [], "attract": []}
    directions = []
    for cloud in clouds:
        points = cloud.clone().requires_grad_()
        total = loss(points)
        (gradient,) = torch.autograd.grad(total, points)
        directions.append(-gradient.numpy())
        terms = loss.terms(cloud)
        values["TSLoss"].append(total.item())
        values["as printed"].append(printed(cloud).item())
        for name in ("h0", "repel", "attract"):
            values[name].append(terms[name].item())
    longest = max(float(np.linalg.norm(direction, axis=1).max()) for direction in directions) or 1.0
    places = [f"({x:g}, {y:g})" for x, y in path]
    position = list(range(len(path)))
    figure = make_subplots(rows=1, cols=2, subplot_titles=["the points", "the loss"])

    def moving(index: int) -> list[go.Scatter]:
        cloud = clouds[index].numpy()
        tips = cloud + 0.6 / longest * directions[index]
        x, y = (
            [value for a, b in zip(cloud[:, axis], tips[:, axis], strict=True) for value in (*_rounded([a, b]), None)]
            for axis in (0, 1)
        )
        return [
            go.Scatter(x=x, y=y, mode="lines", line={"color": PALETTE[3], "width": 3}, hoverinfo="skip"),
            go.Scatter(
                x=_rounded(cloud[:, 0]),
                y=_rounded(cloud[:, 1]),
                mode="markers",
                marker={"color": ["#333333", "#333333", PALETTE[0], "#333333"], "size": 12},
                hovertemplate="(%{x:.2f}, %{y:.2f})<extra></extra>",
            ),
            go.Scatter(
                x=[index] * len(values),
                y=_rounded([curve[index] for curve in values.values()]),
                mode="markers",
                marker={"color": PALETTE[: len(values)], "size": 10},
                hoverinfo="skip",
            ),
        ]

    for trace, column in zip(moving(0), (1, 1, 2), strict=True):
        figure.add_trace(trace, row=1, col=column)
    for (name, curve), colour in zip(values.items(), PALETTE, strict=False):
        figure.add_trace(
            go.Scatter(
                x=position,
                y=_rounded(curve),
                name=name,
                mode="lines",
                line={"color": colour, "dash": "dash" if name == "as printed" else "solid"},
                text=places,
                hovertemplate=f"{name} at %{{text}}: %{{y:.4g}}<extra></extra>",
                showlegend=True,
            ),
            row=1,
            col=2,
        )
    figure.frames = [go.Frame(name=place, data=moving(index), traces=[0, 1, 2]) for index, place in enumerate(places)]
    every = torch.cat(clouds).numpy()
    low, high = every.min(axis=0) - 0.7, every.max(axis=0) + 0.7
    figure.update_xaxes(range=[low[0], high[0]], row=1, col=1)
    figure.update_yaxes(range=[low[1], high[1]], scaleanchor="x", row=1, col=1)
    ticks = position[:: max(1, len(position) // 5)]
    figure.update_xaxes(title="place of the point", tickvals=ticks, ticktext=[places[i] for i in ticks], row=1, col=2)
    _slide(figure, places, "point at ")
    figure.update_layout(height=520, showlegend=True, legend={"orientation": "h", "y": 1.1, "yanchor": "bottom"})
    figure.update_layout(margin={"t": 130}, updatemenus=[{"y": 1.25}])
    return Interactive(
        figure,
        f"A slider moves one of four points through {len(path)} places; arrows show where descent on TSLoss moves each "
        "point, and markers on five curves the values of TSLoss, off-diagonal and as printed, and of its three terms.",
    )


def curves(of_settings: Mapping[str, pd.DataFrame], quantities: Mapping[str, str] = QUANTITIES) -> Interactive:
    """Draw means over runs with 95 % intervals that tell their values; a menu chooses the quantity.

    Parameters
    ----------
    of_settings
        Topology of many runs, by the name of the line.
    quantities
        Columns, and what the figure calls them.
    """
    figure = go.Figure()
    for name in quantities:
        for (title, of_runs), colour in zip(of_settings.items(), PALETTE, strict=False):
            for column, words, dash in ((name, title, "solid"), (f"null_{name}", f"{title}, random twins", "dot")):
                if column not in of_runs:
                    continue
                mean = structure.mean_curve(of_runs, column)
                mean = mean[mean["runs"] >= max(min(2, mean["runs"].max()), mean["runs"].max() / 4)]
                figure.add_trace(
                    go.Scatter(
                        x=mean["step"].tolist(),
                        y=_rounded(mean["value"]),
                        error_y={
                            "array": _rounded(mean["high"] - mean["value"]),
                            "arrayminus": _rounded(mean["value"] - mean["low"]),
                            "thickness": 1,
                        },
                        customdata=np.column_stack([mean["low"], mean["high"], mean["runs"]]).round(6).tolist(),
                        mode="lines+markers",
                        name=words,
                        meta=name,
                        line={"color": colour, "dash": dash},
                        visible=name == next(iter(quantities)),
                        hovertemplate=(
                            "step %{x}: %{y:.4g} [%{customdata[0]:.4g}, %{customdata[1]:.4g}], "
                            f"%{{customdata[2]}} runs<extra>{words}</extra>"
                        ),
                    )
                )
    menu = [
        {
            "label": said.split(" (")[0],
            "method": "update",
            "args": [{"visible": [trace.meta == name for trace in figure.data]}, {"yaxis.title.text": said}],
        }
        for name, said in quantities.items()
    ]
    _look(figure)
    figure.update_layout(
        height=440,
        showlegend=True,
        xaxis_title="optimiser step",
        yaxis_title=next(iter(quantities.values())),
        updatemenus=[{"buttons": menu, "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}],
        legend={"orientation": "h", "y": -0.2},
    )
    return Interactive(
        figure,
        f"Means over runs with 95 % intervals against the step, {', '.join(of_settings)}, beside random twins; a menu "
        f"chooses one of {len(quantities)} quantities.",
    )


def _look(figure: go.Figure) -> None:
    """Set what all of these figures share: a white ground in both themes, and margins that a phone has room for."""
    figure.update_layout(
        template="plotly_white",
        font={"size": 13, "color": "#222222"},
        margin={"l": 50, "r": 15, "t": 60, "b": 50},
        showlegend=False,
    )


def _slide(figure: go.Figure, labels: Sequence[str], prefix: str) -> None:
    """Give a figure the slider of its frames, and a button that plays them."""
    _look(figure)
    now = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    steps = [{"label": label, "method": "animate", "args": [[label], now]} for label in labels]
    play = {"frame": {"duration": 350, "redraw": True}, "fromcurrent": True, "transition": {"duration": 0}}
    buttons = [
        {"label": "Play", "method": "animate", "args": [None, play]},
        {"label": "Stop", "method": "animate", "args": [[None], now]},
    ]
    figure.update_layout(
        sliders=[{"steps": steps, "currentvalue": {"prefix": prefix}, "pad": {"t": 45}}],
        updatemenus=[
            {
                "type": "buttons",
                "direction": "right",
                "buttons": buttons,
                "showactive": False,
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "pad": {"b": 22},
            }
        ],
    )
