"""Figures that move: training as a film, four points to push about, curves that tell their values."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from jaxtyping import Float
from numpy import ndarray
from plotly.subplots import make_subplots
from torch import Tensor

from tslib.errors import InputError
from tslib.losses.tsloss import TSLoss
from tslib.study import structure
from tslib.study.plots.clouds import H0_COLOUR, H1_COLOUR, HIGH_COLOUR, LOW_COLOUR, PALETTE
from tslib.study.plots.evidence import QUANTITIES
from tslib.study.plots.moving import Interactive, look, rounded, slide
from tslib.study.plots.runs import bars_at
from tslib.topology import meaning

DOT_COLOUR = "#333333"
TERMS = {"total": DOT_COLOUR, "h0": H0_COLOUR, "repel": LOW_COLOUR, "attract": HIGH_COLOUR}
READINGS = {"off-diagonal": "solid", "as printed": "dash"}
LEAST = 1e-12
"""What is less, as h0 is at the square, lies below the axis of the loss."""
SILENT: dict[str, Any] = {"hoverinfo": "skip", "showlegend": False}


def film(prompts: Mapping[int, Tensor], diagrams: pd.DataFrame) -> Interactive:
    """Show the point cloud of a prompt, its persistence diagram and its barcode, with a slider through training.

    Parameters
    ----------
    prompts
        ``RunRecord.prompts``, by step, each of shape (n, d).
    diagrams
        ``RunRecord.diagrams``: one row a bar.

    Raises
    ------
    InputError
        If a prompt has a cloud in each layer.
    """
    first = next(iter(prompts.values()))
    if first.ndim != 2:
        raise InputError(
            f"a prompt has shape {tuple(first.shape)}: give (n, d), one layer of a method that acts in each"
        )
    coordinates, shares = meaning.plane(list(prompts.values()))
    plane = dict(zip(prompts, coordinates, strict=True))
    shown = {step: bars_at(diagrams, step) for step in plane}
    deaths = diagrams["death"].to_numpy(float)
    end = 1.08 * float(deaths[np.isfinite(deaths)].max(initial=0)) or 1.0
    (forever,) = rounded(1.08 * end)
    first_h1 = max(len(h0) for h0, _ in shown.values()) + 1
    panels = ["tokens", "persistence diagram", "barcode"]
    figure = make_subplots(rows=2, cols=2, specs=[[{}, {}], [{"colspan": 2}, None]], subplot_titles=panels)
    traces = {
        step: [_tokens(plane[step]), *_diagram(shown[step], forever), *_barcode(shown[step], first_h1, end)]
        for step in plane
    }
    places = [(1, 1), (1, 2), (1, 2), (2, 1), (2, 1)]
    for trace, (row, column) in zip(next(iter(traces.values())), places, strict=True):
        figure.add_trace(trace, row=row, col=column)
    grey = {"mode": "lines", "line": {"color": "grey", "width": 1}, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(x=[0, end], y=[0, end], **grey), row=1, col=2)
    figure.add_trace(go.Scatter(x=[0, end], y=[forever] * 2, **grey), row=1, col=2)
    figure.frames = [go.Frame(name=str(step), data=data, traces=list(range(5))) for step, data in traces.items()]
    slide(figure, [str(step) for step in plane], "step ")
    reach = 1.1 * max(float(np.abs(cloud).max()) for cloud in plane.values())
    figure.update_xaxes(range=[-reach, reach], title_text=f"{sum(shares or ()):.0%} of the variance", row=1, col=1)
    figure.update_yaxes(range=[-reach, reach], row=1, col=1)
    figure.update_xaxes(range=[-0.05 * end, 1.02 * end], title_text="birth", row=1, col=2)
    figure.update_yaxes(range=[-0.05 * end, 1.16 * end], title_text="death", row=1, col=2)
    figure.add_annotation(x=end, y=forever, text="∞", showarrow=False, yanchor="bottom", row=1, col=2)
    figure.update_xaxes(range=[0, 1.08 * end], title_text="distance threshold ε (embedding units)", row=2, col=1)
    most_h1 = max(len(h1) for _, h1 in shown.values())
    ticks = {"tickvals": [first_h1 / 2 - 1, first_h1 + most_h1 / 2], "ticktext": ["H0", "H1"]}
    figure.update_yaxes(range=[-1, first_h1 + max(most_h1, 1)], showgrid=False, **ticks, row=2, col=1)
    figure.update_layout(
        height=760,
        bargap=0.25,
        yaxis={"domain": [0.5, 1], "scaleanchor": "x", "constrain": "domain", "constraintoward": "top"},
        xaxis={"domain": [0, 0.44], "constrain": "domain"},
        xaxis2_domain=[0.56, 1],
        yaxis2_domain=[0.5, 1],
        yaxis3_domain=[0, 0.34],
    )
    figure.layout.annotations[2].y = 0.34
    return Interactive(
        figure,
        f"A slider through {len(plane)} checkpoints of training moves three panels: the prompt's tokens in the plane "
        "of their first two principal components, their persistence diagram, and their barcode.",
        {
            **{"height": 660, "xaxis.domain": [0, 0.42], "xaxis2.domain": [0.6, 1], "yaxis3.domain": [0, 0.31]},
            **{"yaxis.domain": [0.54, 1], "yaxis2.domain": [0.54, 1], "annotations[2].y": 0.31},
        },
    )


def _tokens(cloud: Float[ndarray, "n 2"]) -> go.Scatter:
    return go.Scatter(
        x=rounded(cloud[:, 0]),
        y=rounded(cloud[:, 1]),
        mode="markers",
        marker={"color": DOT_COLOUR, "size": 7},
        customdata=list(range(1, len(cloud) + 1)),
        hovertemplate="token %{customdata}: (%{x:.3g}, %{y:.3g})<extra></extra>",
    )


def _ordered(bars: Float[ndarray, "k 2"]) -> Float[ndarray, "k 2"]:
    """Shorter bars first."""
    return bars[np.argsort(bars[:, 1] - bars[:, 0], kind="stable")]


def _words(dimension: int, bars: Float[ndarray, "k 2"]) -> list[str]:
    """Say what each bar is."""
    return [
        f"H{dimension}: birth {birth:.4g}, "
        + (f"death {death:.4g}, lifespan {death - birth:.4g}" if np.isfinite(death) else "never dies")
        for birth, death in bars
    ]


def _diagram(diagrams: Sequence[Float[ndarray, "_ 2"]], forever: float) -> list[go.Scatter]:
    """Return the points of H0 and H1; a feature that never dies lies on the line marked ∞."""
    return [
        go.Scatter(
            x=rounded(bars[:, 0]),
            y=rounded(np.where(np.isfinite(bars[:, 1]), bars[:, 1], forever)),
            mode="markers",
            marker={"color": colour, "size": 8, "symbol": symbol, "opacity": 0.8},
            hovertext=_words(dimension, bars),
            hoverinfo="text",
        )
        for dimension, (bars, colour, symbol) in enumerate(
            zip(map(_ordered, diagrams), (H0_COLOUR, H1_COLOUR), ("circle", "triangle-up"), strict=True)
        )
    ]


def _barcode(diagrams: Sequence[Float[ndarray, "_ 2"]], first_h1: int, end: float) -> list[go.Bar]:
    """Return the bars of H0 and, from a row on that is the same in all frames, of H1; ∞ marks what never dies."""
    return [
        go.Bar(
            orientation="h",
            base=rounded(bars[:, 0]),
            x=rounded(np.where(np.isfinite(bars[:, 1]), bars[:, 1], end) - bars[:, 0]),
            y=list(range(bottom, bottom + len(bars))),
            marker={"color": colour, "line": {"color": colour, "width": 1}},
            text=["" if np.isfinite(death) else "∞" for death in bars[:, 1]],
            textposition="outside",
            constraintext="none",
            cliponaxis=False,
            hovertext=_words(dimension, bars),
            hoverinfo="text",
        )
        for dimension, (bars, colour, bottom) in enumerate(
            zip(map(_ordered, diagrams), (H0_COLOUR, H1_COLOUR), (0, first_h1), strict=True)
        )
    ]


def four_points(
    path: Sequence[tuple[float, float]], *, tau: float = 1.0, alpha: float = 10.0, begin: int = 0
) -> Interactive:
    """Move one of four points along a path: the cloud with its descent directions, and TSLoss with its terms.

    The longest arrow of each reading of the loss is drawn equally long, and its true length stands above.

    Parameters
    ----------
    path
        Places of the point; the other three stay at (0, 0), (1, 0) and (0, 1).
    tau, alpha
        As for `TSLoss`.
    begin
        The place that is shown first.
    """
    clouds = torch.tensor([[[0, 0], [1, 0], place, [0, 1]] for place in path], dtype=torch.float64)
    losses = {name: TSLoss(tau=tau, alpha=alpha, include_self=name == "as printed") for name in READINGS}
    values = {(term, name): value for name, loss in losses.items() for term, value in _values(loss, clouds).items()}
    slopes = {name: _slopes(loss, clouds) for name, loss in losses.items()}
    places = [f"({x:g}, {y:g})" for x, y in path]
    figure = make_subplots(rows=1, cols=2, subplot_titles=["points and descent", "loss"])
    low, high = clouds.amin((0, 1)).numpy() - 0.7, clouds.amax((0, 1)).numpy() + 0.7
    corner = (float(low[0]) + 0.1, float(high[1]) + 0.7)

    def moving(index: int) -> list[go.Scatter]:
        cloud = clouds[index].numpy()
        arrows = [_arrows(cloud, -slopes[name][index], dash) for name, dash in READINGS.items()]
        said = [f"{name} {np.linalg.norm(slopes[name][index], axis=1).max():.1e}" for name in READINGS]
        now = [curve[index] for curve in values.values()]
        return [
            *arrows,
            _corners(cloud),
            _caption(*corner, "longest arrow:<br>" + "<br>".join(said)),
            go.Scatter(x=[index] * len(now), y=rounded(now), mode="markers", marker=_marks(list(values)), **SILENT),
        ]

    for trace, column in zip(moving(begin), (1, 1, 1, 1, 2), strict=True):
        figure.add_trace(trace, row=1, col=column)
    for (term, name), curve in values.items():
        figure.add_trace(_curve(term, name, curve, places), row=1, col=2)
    for name, dash in READINGS.items():  # what solid and dashed stand for, in the legend alone
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", name=name, line={"color": "grey", "dash": dash}))
    moves = list(range(5))
    figure.frames = [go.Frame(name=place, data=moving(index), traces=moves) for index, place in enumerate(places)]
    slide(figure, places, "point at ", begin)
    figure.update_xaxes(range=[low[0], high[0]], constrain="domain", row=1, col=1)
    figure.update_yaxes(
        range=[low[1], corner[1]], scaleanchor="x", constrain="domain", constraintoward="top", row=1, col=1
    )
    ticks = list(range(0, len(places), max(1, (len(places) - 1) // 3)))
    words = [places[index] for index in ticks]
    figure.update_xaxes(title_text="place of the point", tickvals=ticks, ticktext=words, tickangle=0, row=1, col=2)
    decades = np.log10([value for curve in values.values() for value in curve if value > LEAST])
    bounds = [float(np.floor(decades.min(initial=0))), float(np.ceil(decades.max(initial=-1)))]
    figure.update_yaxes(type="log", range=bounds, exponentformat="power", dtick=2, row=1, col=2)
    figure.update_layout(
        height=560,
        showlegend=True,
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0},
        margin={"t": 80},
        xaxis_domain=[0, 0.5],
        xaxis2_domain=[0.62, 1],
        yaxis2_domain=[0, 1],
    )
    return Interactive(
        figure,
        f"A slider moves one of four points through {len(path)} places; arrows show where descent on TSLoss moves each "
        "point, and markers on curves the values of TSLoss and of its three terms, off-diagonal and as printed.",
        {
            **{"height": 800, "margin.t": 110, "xaxis.domain": [0, 1], "xaxis2.domain": [0, 1]},
            **{"yaxis.domain": [0.56, 1], "yaxis2.domain": [0, 0.44]},
            **{"annotations[0].x": 0.5, "annotations[1].x": 0.5, "annotations[1].y": 0.44},
        },
    )


def _values(loss: TSLoss, clouds: Float[Tensor, "t n 2"]) -> dict[str, list[float]]:
    """Return the loss and its terms of each cloud."""
    terms = loss.terms(clouds)
    totals = {"total": [float(loss(cloud)) for cloud in clouds]}
    return totals | {name: terms[name].tolist() for name in ("h0", "repel", "attract")}


def _slopes(loss: TSLoss, clouds: Float[Tensor, "t n 2"]) -> Float[ndarray, "t n 2"]:
    """Return the gradient of the loss of each cloud by its points."""
    points = clouds.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(len(clouds) * loss(points), points)  # the loss is the mean over the clouds
    slopes: Float[ndarray, "t n 2"] = gradient.numpy()
    return slopes


def _arrows(cloud: Float[ndarray, "n 2"], steps: Float[ndarray, "n 2"], dash: str) -> go.Scatter:
    """Return an arrow from each point, the longest 0.6 long."""
    longest = np.linalg.norm(steps, axis=1).max()
    tips = cloud + (0.6 / longest * steps if longest > 0 else 0 * steps)
    x, y = (
        [value for a, b in zip(cloud[:, axis], tips[:, axis], strict=True) for value in (*rounded([a, b]), None)]
        for axis in (0, 1)
    )
    heads = {
        "symbol": "arrow",
        "angleref": "previous",
        "size": [0, 11, 0] * len(cloud),
        "opacity": 1,
        "color": DOT_COLOUR,
    }
    line = {"color": DOT_COLOUR, "width": 2, "dash": dash}
    return go.Scatter(x=x, y=y, mode="lines+markers", line=line, marker=heads, **SILENT)


def _corners(cloud: Float[ndarray, "n 2"]) -> go.Scatter:
    return go.Scatter(
        x=rounded(cloud[:, 0]),
        y=rounded(cloud[:, 1]),
        mode="markers",
        marker={"color": ["#999999", "#999999", PALETTE[9], "#999999"], "size": 12},
        hovertemplate="(%{x:.2f}, %{y:.2f})<extra></extra>",
        showlegend=False,
    )


def _caption(x: float, y: float, words: str) -> go.Scatter:
    return go.Scatter(
        x=[x], y=[y], mode="text", text=[words], textposition="bottom right", textfont={"size": 12}, **SILENT
    )


def _marks(curves: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return a marker for each curve: full off-diagonal, hollow as printed."""
    symbols = ["circle" if READINGS[name] == "solid" else "circle-open" for _, name in curves]
    return {"color": [TERMS[term] for term, _ in curves], "symbol": symbols, "size": 10, "line": {"width": 2}}


def _curve(term: str, name: str, values: Sequence[float], places: Sequence[str]) -> go.Scatter:
    return go.Scatter(
        x=list(range(len(places))),
        y=rounded(values),
        name=term,
        meta=name,
        mode="lines",
        line={"color": TERMS[term], "dash": READINGS[name], "width": 4 if term == "total" else 2},
        text=list(places),
        hovertemplate=f"{term}, {name}, at %{{text}}: %{{y:.4g}}<extra></extra>",
        legendgroup=term,
        showlegend=READINGS[name] == "solid",
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
                mean = structure.drawn_curve(of_runs, column)
                figure.add_trace(
                    go.Scatter(
                        x=mean["step"].tolist(),
                        y=rounded(mean["value"]),
                        error_y={
                            "array": rounded(mean["high"] - mean["value"]),
                            "arrayminus": rounded(mean["value"] - mean["low"]),
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
    look(figure)
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
