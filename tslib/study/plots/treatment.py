"""Figures of what TSLoss does to a prompt: through training, by its weight, in bars, and against the iterations."""

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from tslib.records.record import RunRecord
from tslib.study import shapes, structure
from tslib.study.names import method_name
from tslib.study.plots.clouds import COLOURS, H1_COLOUR, POINT_COLOUR, WIDTH, barcode, legend_below
from tslib.study.plots.runs import around, bars_at, method_colours

__all__ = [
    "MEASURES",
    "changes_by_weight",
    "even_clouds",
    "kind",
    "ratio_against_pull",
    "side_by_side",
    "with_and_without",
]

MEASURES = {
    "spread": "spread of H0 deaths (deviation / mean)",
    "loops": "number of H1 features",
    "entropy": "persistence entropy (nats)",
}
"""What is followed, and what the figures call it."""


def with_and_without(followed: Mapping[str, pd.DataFrame]) -> Figure:
    """Mean of each of `MEASURES` with TSLoss and without against the step, with its 95 % interval over pairs.

    A dotted line stands at the median step at which the first run of a pair is correct.

    Parameters
    ----------
    followed
        By the title of their column: `tslib.study.treatment.followed`.
    """
    figure, axes = plt.subplots(
        len(MEASURES), len(followed), figsize=(WIDTH, 6.2), squeeze=False, sharex="col", sharey="row"
    )
    colours = method_colours(["none", "tsloss"])
    for column, (title, rows) in enumerate(followed.items()):
        for row, (name, label) in enumerate(MEASURES.items()):
            ax = axes[row, column]
            for side, method, line in (("alone", "none", "--"), ("with", "tsloss", "-")):
                mean = structure.mean_curve(rows, f"{name}_{side}")
                ax.plot(mean["step"], mean["value"], line, color=colours[method], label=method_name(method))
                ax.fill_between(mean["step"], mean["low"], mean["high"], color=colours[method], alpha=0.2, linewidth=0)
            half = float(rows.groupby("pair")["correct"].first().median())
            ax.axvline(half, color="grey", linestyle=":", label="half of the pairs have a correct run")
            if column == 0:
                ax.set_ylabel(textwrap.fill(label, 22))
        axes[0, column].set_title(f"{title}\n({rows['pair'].nunique()} pairs)")
        axes[-1, column].set_xlabel("optimiser step")
    for ax in axes[:2].flat:
        ax.set_ylim(bottom=0)
    legend_below(figure, 1)
    return figure


def changes_by_weight(followed: pd.DataFrame) -> Figure:
    """Paired differences from cross-entropy alone against the step, a line a weight λ; bars: 95 % intervals.

    Parameters
    ----------
    followed
        `tslib.study.treatment.followed` of runs with several weights.
    """
    figure, (spread, loops) = plt.subplots(2, 1, figsize=(WIDTH, 6), sharex=True)
    weights = sorted(followed["weight"].unique())
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(weights)))
    for number, (weight, colour) in enumerate(zip(weights, colours, strict=True)):
        of_weight = followed[followed["weight"] == weight]
        for ax, name in ((spread, "spread"), (loops, "loops")):
            mean = structure.mean_curve(of_weight, name)
            if name == "spread":
                mean[["value", "low", "high"]] = np.exp(mean[["value", "low", "high"]])
            ax.plot(mean["step"], mean["value"], color=colour, label=f"λ = {weight:g}")
            few = mean[mean["step"] % 60 == 20 * (number % 3)]  # of each line others, so that they do not overlap
            shift = 2 * (number - (len(weights) - 1) / 2)
            ax.errorbar(few["step"] + shift, few["value"], yerr=around(few), fmt="none", capsize=3, color=colour)
    spread.set(ylabel="spread of H0 deaths,\nwith TSLoss / without", yscale="log")
    _plain(spread, "y", (0.1, 0.2, 0.5, 1.0))
    loops.set(ylabel="H1 features,\nwith TSLoss less without", xlabel="optimiser step")
    for ax, nothing in ((spread, 1), (loops, 0)):
        ax.axhline(nothing, color="grey", linewidth=0.8)
    legend_below(figure, len(weights))
    return figure


def side_by_side(theirs: RunRecord, ours: RunRecord, step: int) -> Figure:
    """Barcodes of the two runs of a pair at one checkpoint, beside each other on one scale."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 4.4))
    for ax, record in zip(axes, (theirs, ours), strict=True):
        barcode(bars_at(record.diagrams, step), ax=ax)
        ax.set_title("with TSLoss" if record is ours else "cross-entropy alone")
        ax.set_xlabel("distance threshold ε")
    farthest = max(ax.get_xlim()[1] for ax in axes)
    for ax in axes:
        ax.set_xlim(right=farthest)
    axes[1].set_ylabel("")
    return figure


def even_clouds(noise: pd.DataFrame, lengths: pd.DataFrame, descents: pd.DataFrame) -> Figure:
    """Loops of clouds that are nearly even: by noise, by how unequal the tokens' lengths are, and under TSLoss alone.

    Parameters
    ----------
    noise, lengths, descents
        `tslib.study.shapes.by_noise`, ``by_lengths`` and ``descents``; drawn are means over draws.
    """
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 5.6))
    by_noise, by_lengths = noise.groupby("noise").mean(), lengths.groupby("lengths").mean()
    axes[0, 0].plot(by_noise.index, by_noise["loops"], "o-", color=H1_COLOUR)
    axes[0, 0].set(ylabel="number of H1 features", ylim=(0, 12))
    axes[0, 1].plot(by_noise.index, by_noise["longest"], "o-", color=H1_COLOUR)
    axes[0, 1].set(ylabel="longest H1 feature /\nmean distance", yscale="log")
    for ax in axes[0]:
        ax.set(xlabel="noise on a simplex of side 1", xscale="log")
    axes[1, 0].plot(by_lengths.index, by_lengths["loops"], "o-", color=H1_COLOUR)
    axes[1, 0].set(xlabel="how unequal the lengths are", ylabel="number of H1 features", ylim=(0, None))
    for (start, line), colour in zip(
        zip(shapes.STARTS, ("--", "-"), strict=True), (POINT_COLOUR, H1_COLOUR), strict=True
    ):
        mean = descents[descents["start"] == start].groupby("step")["loops"].mean()
        axes[1, 1].plot(mean.index, mean, line, color=colour, label=start)
    axes[1, 1].set(xlabel="step with TSLoss alone", ylabel="number of H1 features", ylim=(0, 30))
    axes[1, 1].legend(loc="upper left", fontsize=8.5, handlelength=1.4, borderaxespad=0)
    return figure


KINDS = {
    "TSLoss and its variants": ("o", COLOURS[1]),
    "TSLoss with adaptive weight": ("^", COLOURS[2]),
    "TSLoss with another prompt method": ("s", COLOURS[3]),
    "exact homology and pushes": ("D", COLOURS[4]),
    "L2, pairwise, random direction": ("v", "grey"),
}
"""Marks of `ratio_against_pull`."""


def kind(row: Mapping[Any, Any]) -> str:
    """Return which of `KINDS` a row of ``treatment`` is of."""
    name = str(row["regularizer"])
    if row["method"] != "prompt-tuning":
        return "TSLoss with another prompt method"
    if name in ("tsloss-adaptive", "tsloss-balanced"):
        return "TSLoss with adaptive weight"
    if name.startswith("tsloss"):
        return "TSLoss and its variants"
    return "exact homology and pushes" if name.startswith(("push", "persistence")) else "L2, pairwise, random direction"


def ratio_against_pull(rows: pd.DataFrame, named: Mapping[int, str]) -> Figure:
    """Ratio of iterations of every setting, with its interval, against how hard its regulariser pulls.

    Full marks are of settings in which the regulariser made H0 deaths clearly more even. An interval that is longer
    than the axis is cut off.

    Parameters
    ----------
    rows
        Of `tslib.study.treatment.treatment`, those that `tslib.study.report.treatment.drawn` leaves.
    named
        What stands beside some of the marks, by their row's label.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 5.4))
    kinds = pd.Series(map(kind, rows.to_dict("records")), rows.index, dtype=str)
    for name, (marker, colour) in KINDS.items():
        of_kind = rows[kinds == name]
        bars = around(of_kind, "ratio", "ratio_low", "ratio_high")
        ax.errorbar(of_kind["pull"], of_kind["ratio"], yerr=bars, fmt="none", color=colour, alpha=0.35, linewidth=1)
        for treated, part in of_kind.groupby("treated"):
            face = colour if treated else "white"
            ax.scatter(part["pull"], part["ratio"], s=34, marker=marker, color=face, edgecolors=[colour], zorder=3)
        if len(of_kind):
            ax.plot([], [], marker, color=colour, label=name)
    ax.plot([], [], "o", mfc="white", color="black", label="hollow: not clearly treated")
    _name_marks(ax, rows, named)
    ax.axhline(1, color="grey", linewidth=0.8)
    ax.set(xscale="log", yscale="log", xlabel="pull: gradient of the regulariser / that of cross-entropy")
    ax.set_ylim(rows["ratio"].min() / 1.5, rows["ratio"].max() * 1.3)
    ax.set_ylabel("iterations, relative to\ncross-entropy alone")
    _plain(ax, "y", (0.5, 1.0, 2.0, 4.0, 8.0))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    legend_below(figure, 2)
    return figure


def _name_marks(ax: Axes, rows: pd.DataFrame, named: Mapping[int, str]) -> None:
    """Write names beside some marks: to the right where there is room, and above where marks are close."""
    for label, text in named.items():
        pull, ratio = rows.loc[label, ["pull", "ratio"]].to_numpy(dtype=float)
        place, side = ((-9, -3), "right") if pull > 3 else ((9, -3), "left")
        if 0.9 < ratio < 1.2:
            place, side = (4, 9), "left"
        ax.annotate(text, (pull, ratio), place, textcoords="offset points", ha=side, fontsize=9)


def _plain(ax: Axes, axis: str, ticks: tuple[float, ...]) -> None:
    """Put plain numbers at some ticks of a logarithmic axis."""
    of_axis = getattr(ax, f"{axis}axis")
    of_axis.set_minor_formatter(NullFormatter())
    getattr(ax, f"set_{axis}ticks")(ticks, [f"{tick:g}" for tick in ticks])
