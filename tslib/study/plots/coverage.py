"""Figures of how often intervals contain what they should, and of the pairs that they are drawn from."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tslib.stats import Interval
from tslib.study.plots.clouds import WIDTH, legend_below

__all__ = ["coverage", "many_intervals", "population"]

ENOUGH = (0.93, 0.97)
"""What is close enough to 95 %."""


def coverage(found: pd.DataFrame) -> Figure:
    """Coverage by how many runs are drawn, a panel for each number that is estimated, a line for each interval.

    Parameters
    ----------
    found
        As of ``claims.coverage.measure``.
    """
    panels = list(dict.fromkeys(found["what"]))
    kinds = list(dict.fromkeys(found["interval"]))
    colours = dict(zip(kinds, sns.color_palette("colorblind", len(kinds)), strict=True))
    columns = 2
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, 1.9 * rows + 0.6), sharey=True, squeeze=False)
    for ax, what in zip(axes.flat, panels, strict=False):
        ax.axhspan(*ENOUGH, color="0.9", zorder=0)
        ax.axhline(0.95, color="0.5", linewidth=1)
        for kind, line in found[found["what"] == what].groupby("interval", sort=False):
            marker = "osD^vP"[kinds.index(str(kind)) % 6]
            ax.plot(line["n"], line["covered"], marker=marker, color=colours[str(kind)], label=str(kind))
        ax.set_title(what, fontsize="small", loc="left")
        ax.set(xticks=sorted(found["n"].unique()), xlim=(0, found["n"].max() + 3))
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for ax in axes.flat[len(panels) :]:
        ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel("contain the value")
    for ax in axes.flat[len(panels) - columns : len(panels)]:
        ax.set_xlabel("pairs or runs drawn")
    entries = {label: handle for ax in axes.flat for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(entries.values(), entries, loc="outside lower center", ncols=3, frameon=False)
    axes.flat[0].set_ylim(min(0.7, float(np.floor(found["covered"].min() * 20) / 20)), 1)
    return figure


def population(pairs: Float[np.ndarray, "pairs 2"]) -> Figure:
    """Iterations of the two runs of a pair, each relative to its grid; and how often their ratio is what.

    Parameters
    ----------
    pairs
        Logarithms of iterations with TSLoss and without, less the mean of their grid: ``claims.coverage.pairs``.
    """
    ours, theirs = np.exp(pairs).T
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.2))
    sns.scatterplot(x=theirs, y=ours, ax=left, alpha=0.6)
    left.axline((1, 1), (2, 2), color="0.5", linestyle="--", linewidth=1)
    both = (ours.min(), theirs.min()), (ours.max(), theirs.max())
    ends = (0.9 * min(both[0]), 1.1 * max(both[1]))
    left.set(xlabel="without TSLoss / its grid's mean", ylabel="with TSLoss / its grid's mean", xlim=ends, ylim=ends)
    left.set_aspect("equal")
    sns.histplot(ours / theirs, ax=right, log_scale=True, color="0.6")
    right.axvline(1, color="0.3", linestyle="--", linewidth=1)
    right.set(xlabel="with / without, of one pair", ylabel="pairs")
    right.set_xticks([0.5, 1, 2], ["0.5", "1", "2"])
    right.minorticks_off()
    return figure


def many_intervals(intervals: Sequence[Interval], truth: float) -> Figure:
    """Intervals of draws from one population side by side, those that miss the true value in another colour.

    Parameters
    ----------
    intervals
        One of each draw.
    truth
        The value in the population.
    """
    table = pd.DataFrame(intervals)
    misses = (table["low"] > truth) | (table["high"] < truth)
    figure, ax = plt.subplots(figsize=(WIDTH, 2.8))
    hit_colour, miss_colour = sns.color_palette("colorblind", 4)[0], sns.color_palette("colorblind", 4)[3]
    for missed, colour, label in ((False, hit_colour, "contain it"), (True, miss_colour, "miss it")):
        rows = table[misses == missed]
        ax.vlines(rows.index, rows["low"], rows["high"], color=colour, linewidth=1.5, label=f"{len(rows)} {label}")
        ax.plot(rows.index, rows["value"], ".", color=colour, markersize=4)
    ax.axhline(truth, color="0.3", linestyle="--", linewidth=1, label="true ratio")
    ax.set(xlabel="draw", ylabel="ratio of iterations", xlim=(-1, len(table)), yscale="log")
    ax.set_yticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    ax.minorticks_off()
    legend_below(figure, 3)
    return figure
