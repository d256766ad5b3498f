"""The figure of how often intervals contain what they should."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tslib.study.plots.clouds import WIDTH

__all__ = ["coverage"]

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
