"""Figures of prompts tied to places: what a gate chooses on a picture, the prompts that come of it, differences."""

import base64
import io
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import seaborn as sns
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray
from PIL import Image

from tslib.study.places import Places
from tslib.study.plots.clouds import H0_COLOUR, H1_COLOUR, WIDTH, diagram
from tslib.study.plots.moving import Interactive, rounded, slide
from tslib.topology import meaning
from tslib.topology.diagrams import persistence_diagrams

__all__ = ["choices", "course", "differences", "fused_prompts", "questions"]

Picture = UInt8[ndarray, "s s 3"]
QUALITY = 70
"""Of a picture on a page, as JPEG."""


def choices(picture: Picture, weights: Mapping[str, Float[ndarray, "n"]]) -> Figure:
    """A picture with its blocks, once for each question; the brighter a block, the more weight it has.

    Parameters
    ----------
    picture
        Red, green and blue, from 0 to 255.
    weights
        Of the blocks, row by row, by question.
    """
    figure, axes = plt.subplots(1, len(weights), figsize=(WIDTH, WIDTH / len(weights) + 0.5), squeeze=False)
    for ax, (question, own) in zip(axes[0], weights.items(), strict=True):
        _blocks(ax, picture, own)
        ax.set_title(_folded(question, 60 // len(weights)), fontsize=9)
    return figure


def _blocks(ax: Axes, picture: Picture, weights: Float[ndarray, "n"]) -> None:
    side, size = round(len(weights) ** 0.5), len(picture)
    ax.imshow(picture)
    dark = 0.75 * (1 - weights.reshape(side, side) / max(float(weights.max()), 1e-9))
    veil = np.dstack([np.zeros((side, side, 3)), dark])
    ax.imshow(veil, extent=(0, size, size, 0), interpolation="nearest")
    for edge in np.linspace(0, size, side + 1)[1:-1]:
        ax.axhline(edge, color="white", linewidth=0.8)
        ax.axvline(edge, color="white", linewidth=0.8)
    for number, weight in enumerate(weights):
        row, column = divmod(number, side)
        if weight > 0:
            at = ((column + 0.5) * size / side, (row + 0.5) * size / side)
            ax.annotate(f"{weight:.2f}", at, color="white", ha="center", va="center", fontsize=9)
    ax.set(xticks=[], yticks=[], xlim=(0, size), ylim=(size, 0))


def _folded(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        lines[-1:] = [f"{lines[-1]} {word}".strip()] if len(lines[-1]) + len(word) < width else [lines[-1], word]
    return "\n".join(lines)


def questions(picture: Picture, weights: Mapping[str, Float[ndarray, "n"]]) -> Interactive:
    """A picture under the weights of its blocks, with a slider through questions; parameters as for `choices`."""
    side, names = round(len(next(iter(weights.values()))) ** 0.5), list(weights)
    most = max(float(own.max()) for own in weights.values())
    corners = [(place % side / side, place // side / side) for place in range(side * side)]

    def veil(name: str) -> list[go.Scatter]:
        own = rounded(weights[name])
        blocks = [
            go.Scatter(
                x=[left, left + 1 / side, left + 1 / side, left, left],
                y=[top, top, top + 1 / side, top + 1 / side, top],
                mode="lines",
                line={"color": "white", "width": 1},
                fill="toself",
                fillcolor=f"rgba(0,0,0,{max(0.0, 0.75 * (1 - weight / most)):.3f})",  # rounded up it may pass the most
                hoverinfo="skip",
            )
            for (left, top), weight in zip(corners, own, strict=True)
        ]
        said = go.Scatter(
            x=[left + 0.5 / side for left, _ in corners],
            y=[top + 0.5 / side for _, top in corners],
            mode="text",
            text=[f"{weight:.2f}" if weight > 0 else "0" for weight in own],  # a text that is empty never comes back
            textfont={"color": "white"},
            customdata=own,
            hovertemplate="weight %{customdata:.2f}<extra></extra>",
        )
        return [*blocks, said]

    figure = go.Figure(veil(names[0]))
    figure.frames = [
        go.Frame(name=str(number), data=veil(name), layout={"title": {"text": name}})
        for number, name in enumerate(names)
    ]
    slide(figure, [str(number) for number in range(len(names))], "question ")
    figure.add_layout_image(
        source=_jpeg(picture), x=0, y=0, sizex=1, sizey=1, xref="x", yref="y", sizing="stretch", layer="below"
    )
    figure.update_xaxes(range=[0, 1], visible=False, constrain="domain")
    figure.update_yaxes(range=[1, 0], visible=False, scaleanchor="x", constrain="domain")
    figure.update_layout(height=620, title={"text": names[0], "font": {"size": 13}})
    return Interactive(
        figure,
        f"A slider through {len(names)} questions about one picture, whose {side * side} blocks are the brighter the "
        "more weight they have.",
        {"height": 560},
    )


def _jpeg(picture: Picture) -> str:
    held = io.BytesIO()
    Image.fromarray(picture).save(held, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode()}"


def fused_prompts(found: Places) -> Figure:
    """The set of fused prompts with the bank that it is made of, in a plane, and its persistence, first and last."""
    steps = [min(found.fused), max(found.fused)]
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.9))
    last = steps[-1]
    both = np.concatenate([found.banks[last], found.fused[last]])
    same = np.allclose(both, both[0])  # one block, and so one prompt
    (places,), shares = ([np.zeros((len(both), 2))], None) if same else meaning.plane([torch.from_numpy(both)])
    blocks = len(found.banks[last])
    axes[0].plot(*places[:blocks].T, "s", mfc="none", color="black", label="blocks' prompts")
    axes[0].plot(*places[blocks:].T, "o", color=H0_COLOUR, alpha=0.6, markersize=4, label="fused prompts")
    axes[0].set(xticks=[], yticks=[], xlabel=f"{sum(shares or ()):.0%} of the variance", title=f"step {last}")
    axes[0].legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)
    for ax, step in zip(axes[1:], steps, strict=True):
        diagram(persistence_diagrams(np.unique(found.fused[step], axis=0)), ax)
        ax.set_title(f"fused, step {step}")
    return figure


def course(table: pd.DataFrame) -> Figure:
    """What becomes of a gate through training: right blocks, support and entropy; spread and gradient.

    Parameters
    ----------
    table
        ``Places.course``.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.8))
    for (name, said), colour in zip(
        {"right": "weight in the quarter that is named", "entropy": "entropy, of equal weights 1"}.items(),
        sns.color_palette("colorblind", 2),
        strict=True,
    ):
        left.plot(table["step"], table[name], "o-", color=colour, label=said)
    left.set(xlabel="optimiser step", ylim=(-0.05, 1.05))
    left.legend(fontsize=8)
    right.plot(table["step"], table["spread"], "o-", color=H0_COLOUR, label="spread of the blocks' prompts")
    if table["gradient"].notna().any():
        other = right.twinx()
        other.plot(table["step"], table["gradient"], "s--", color=H1_COLOUR, label="gradient of the scores")
        other.set_ylabel("gradient of the scores", color=H1_COLOUR)
        other.set_ylim(bottom=0)
    right.set(xlabel="optimiser step")
    right.set_ylabel("spread of the blocks' prompts", color=H0_COLOUR)
    right.set_ylim(0, 1.2 * table["spread"].max() or 1.0)
    return figure


def differences(rows: pd.DataFrame) -> Figure:
    """Differences of accuracy with their intervals, one row each, in points.

    Parameters
    ----------
    rows
        ``label``, ``value``, ``low``, ``high``, as shares.
    """
    rows = rows.iloc[::-1]
    figure, ax = plt.subplots(figsize=(WIDTH, 0.9 + 0.34 * max(len(rows), 3)))
    values = 100 * rows[["value", "low", "high"]].to_numpy(float)
    spread = np.abs(values[:, 1:] - values[:, :1]).T
    ax.errorbar(values[:, 0], range(len(rows)), xerr=spread, fmt="o", capsize=3, color=H0_COLOUR)
    ax.axvline(0, color="grey", linewidth=0.8)
    ax.set_yticks(range(len(rows)), rows["label"])
    ax.set(ylim=(-0.6, len(rows) - 0.4), xlabel="difference of accuracy in points (right of 0: better)")
    return figure
