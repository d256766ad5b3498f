"""Figures of what makes prompt tuning fast: where prompts start, and how runs of several settings go."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy import ndarray

from tslib.records.record import RunRecord
from tslib.study.plots.clouds import WIDTH

__all__ = ["starts", "step_by_step"]


def starts(norms: Mapping[str, Float[ndarray, "_"]], vocabulary: Float[ndarray, "v"]) -> Figure:
    """Lengths of the virtual tokens of some starts, beside those of all embedded tokens of the vocabulary.

    Parameters
    ----------
    norms
        By the start's name: (n,) lengths.
    vocabulary
        (v,) lengths; the band holds nine tenths of them, the line is their median.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 0.9 + 0.42 * len(norms)))
    low, middle, high = np.quantile(vocabulary, [0.05, 0.5, 0.95])
    ax.axvspan(low, high, color="0.88", zorder=0, label="the vocabulary, nine tenths")
    ax.axvline(middle, color="0.4", label="the vocabulary, median")
    colours = sns.color_palette("colorblind", len(norms))
    for y, (lengths, colour) in enumerate(zip(norms.values(), colours, strict=True)):
        ax.plot(lengths, np.full(len(lengths), -y), "o", color=colour, alpha=0.6)
    ax.set_yticks(-np.arange(len(norms)), list(norms))
    ax.set(xlabel="length of a virtual token at the start", xscale="log", ylim=(0.6 - len(norms), 0.6))
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.35), ncols=2, frameon=False)
    return figure


def step_by_step(records: Mapping[str, RunRecord]) -> Figure:
    """Cross-entropy and learning rate by step, a line a run; a dot where a run became correct.

    Parameters
    ----------
    records
        By what the legend calls them.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.4))
    colours = sns.color_palette("colorblind", len(records))
    for (name, record), colour in zip(records.items(), colours, strict=True):
        steps = record.steps
        left.plot(steps["step"], steps["cross_entropy"], color=colour, label=name)
        right.plot(steps["step"], steps["lr"], color=colour)
        if record.iterations_to_correct is not None:
            at = record.iterations_to_correct + 1
            left.plot(at, record.results["final_cross_entropy"], "o", color=colour)
    left.set(xlabel="optimiser step", ylabel="cross-entropy (nats per token)", yscale="log")
    right.set(xlabel="optimiser step", ylabel="learning rate")
    left.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_minor_formatter(NullFormatter())
    left.legend()
    return figure
