"""Figures of benchmarks and models: scores, lengths of prompts, memory."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from tslib.study.names import task_name
from tslib.study.plots.clouds import POINT_COLOUR, WIDTH, legend_below


def scores(table: pd.DataFrame) -> Figure:
    """Score of each evaluation with its interval, one row each, in the order of the table.

    Parameters
    ----------
    table
        ``EvaluationStore.table()``.
    """
    rows = table.iloc[::-1].to_dict("records")
    figure, ax = plt.subplots(figsize=(WIDTH, 0.7 + 0.26 * len(rows)))
    for y, row in enumerate(rows):
        spread = [[row["score"] - row["low"]], [row["high"] - row["score"]]]
        ax.errorbar(row["score"], y, xerr=spread, fmt="o", capsize=3, color=POINT_COLOUR)
    shots = [f", {row['shots']} shots" if row["shots"] else "" for row in rows]
    ways = [", likelihood" if row["scoring"] == "likelihood" else "" for row in rows]
    names = [task_name(row["task"]) + shown + way for row, shown, way in zip(rows, shots, ways, strict=True)]
    ax.set_yticks(range(len(rows)), names)
    ax.set(xlim=(-0.02, 1.02), xlabel="score, with its 95 % interval")
    return figure


def lengths(tokens: Mapping[str, Sequence[int]], context: int) -> Figure:
    """Tokens of the prompts of each task, with a line at the context: box of the middle half, whiskers over all."""
    figure, ax = plt.subplots(figsize=(WIDTH, 0.7 + 0.26 * len(tokens)))
    names = list(tokens)[::-1]
    boxes = [np.asarray(tokens[name]) for name in names]
    labels = [task_name(name) for name in names]
    ax.boxplot(
        boxes,
        orientation="horizontal",
        whis=(0, 100),
        tick_labels=labels,
        medianprops={"color": POINT_COLOUR},
    )
    ax.axvline(context, color="grey", linewidth=0.8, linestyle=":")
    ax.set(xscale="log", xlabel=f"tokens of a prompt with the chat template (dotted: the context of {context})")
    return figure


def memory(fits: pd.DataFrame) -> Figure:
    """Memory of one tuning step for each model and length of context, by what it is for (``memory.table``)."""
    parts = ["weights", "activations", "logits"]
    colours = dict(zip(parts, sns.color_palette("colorblind", len(parts)), strict=True))
    shown = fits[(fits["n_tokens"] == fits["n_tokens"].min()) & ~fits["too_long"]]
    dtypes = list(dict.fromkeys(shown["dtype"]))
    figure, axes = plt.subplots(1, len(dtypes), figsize=(WIDTH, 0.24 * len(shown) / len(dtypes) + 1.5), sharey=True)
    for ax, dtype in zip(np.atleast_1d(axes), dtypes, strict=True):
        rows = shown[shown["dtype"] == dtype].iloc[::-1]
        left = np.zeros(len(rows))
        for part in parts:
            ax.barh(range(len(rows)), rows[part], left=left, color=colours[part], label=part)
            left += rows[part].to_numpy()
        for limit in (16, 80):
            ax.axvline(limit, color="grey", linewidth=0.8, linestyle=":")
        ax.set_yticks(range(len(rows)), [f"{row.model}, {row.context}" for row in rows.itertuples()])
        ax.set(title=dtype, xlabel="GiB (dotted: 16 and 80)")
    legend_below(figure)
    return figure
