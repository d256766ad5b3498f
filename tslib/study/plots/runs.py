"""Figures of runs, one function each, drawn from records."""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from tslib import stats
from tslib.records.record import RunRecord
from tslib.study.names import METHOD_NAMES, method_name
from tslib.study.plots.clouds import H0_COLOUR, H1_COLOUR, POINT_COLOUR, WIDTH, barcode, diagram

BOTH = {"H0": H0_COLOUR, "H1": H1_COLOUR}


def method_colours(regularizers: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """Return one colour a method, the same in every figure."""
    known = [*METHOD_NAMES, *sorted(set(regularizers) - set(METHOD_NAMES))]
    safe = sns.color_palette("colorblind", 10)
    # random directions, exact homology and orthogonality
    controls = sns.color_palette(["#404040", "#1b5e20", "#7f4f24", "#5b2a86"])
    palette = [*safe, *controls, *safe[1:]]
    return {name: palette[known.index(name) % len(palette)] for name in regularizers}


def evolution(topology: pd.DataFrame) -> Figure:
    """Counts, mean lifespans, entropy and densities through training (the paper's Figures 2a, 2c, 3a and 3b).

    Parameters
    ----------
    topology
        ``RunRecord.topology``: one row a checkpoint.
    """
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 5.5), sharex=True)
    steps = topology["step"]
    for name, colour in BOTH.items():
        key = name.lower()
        axes[0, 0].plot(steps, topology[f"{key}_count"], marker="o", color=colour, label=name)
        axes[0, 1].plot(steps, topology[f"{key}_mean_lifespan"], marker="o", color=colour, label=name)
        axes[1, 0].plot(steps, topology[f"{key}_entropy"], marker=".", color=colour, label=name)
    axes[1, 0].plot(steps, topology["persistence_entropy"], marker="o", color=POINT_COLOUR, label="H0 and H1")
    axes[1, 1].plot(steps, topology["density"], marker="o", color=POINT_COLOUR, label="all points")
    axes[1, 1].plot(steps, topology["h1_density"], marker="o", color=H1_COLOUR, label="H1")
    for ax, label in zip(
        axes.flat,
        ("features", "mean lifespan (distance)", "persistence entropy (nats)", "density (1 / distance)"),
        strict=True,
    ):
        ax.set_ylabel(label)
        ax.set_ylim(bottom=0)
        ax.legend()
    axes[0, 0].yaxis.set_major_locator(MaxNLocator(integer=True))
    for ax in axes[1]:
        ax.set_xlabel("optimiser step")
    return figure


def first_and_last(diagrams: pd.DataFrame) -> Figure:
    """Barcode and persistence diagram of the first and the last checkpoint (the paper's Figures 2b and 2d).

    Parameters
    ----------
    diagrams
        ``RunRecord.diagrams``: one row a bar.
    """
    ends = (int(diagrams["step"].min()), int(diagrams["step"].max()))
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 6.5))
    for column, step in enumerate(ends):
        bars = bars_at(diagrams, step)
        barcode(bars, ax=axes[0, column])
        diagram(bars, ax=axes[1, column])
        axes[0, column].set_title(f"step {step}")
    longest = max(ax.get_xlim()[1] for ax in axes[0])
    for ax in axes[0]:
        ax.set_xlim(right=longest)
    return figure


def bars_at(diagrams: pd.DataFrame, step: int) -> list[Float[ndarray, "_ 2"]]:
    """Take the persistence diagrams of one checkpoint out of ``RunRecord.diagrams``."""
    rows = diagrams[diagrams["step"] == step]
    return [
        rows.loc[rows["dimension"] == dimension, ["birth", "death"]].to_numpy(dtype=np.float64) for dimension in (0, 1)
    ]


def stability(topology: pd.DataFrame) -> Figure:
    """Bottleneck and Wasserstein distance of each checkpoint's diagrams to those before it, for H0 and H1."""
    figure, axes = plt.subplots(1, 2, sharex=True)
    for ax, kind in zip(axes, ("bottleneck", "Wasserstein"), strict=True):
        for name, colour in BOTH.items():
            ax.plot(topology["step"], topology[f"{name}_{kind}".lower()], marker="o", color=colour, label=name)
        ax.set(xlabel="optimiser step", ylabel=f"{kind} distance", ylim=(0, None))
        ax.legend()
    return figure


def losses(records: Mapping[str, Sequence[RunRecord]]) -> Figure:
    """Cross-entropy per step, one line a run, one colour a method; a dot where a run became correct."""
    colours = method_colours(list(records))
    figure, ax = plt.subplots(figsize=(WIDTH, 3.8))
    for name, runs in records.items():
        for run in runs:
            ax.plot(run.steps["step"], run.steps["cross_entropy"], color=colours[name], alpha=0.6, linewidth=1)
            if run.iterations_to_correct is not None:
                final = run.results["final_cross_entropy"]
                ax.plot(run.iterations_to_correct + 1, final, marker="o", color=colours[name])
        ax.plot([], [], color=colours[name], label=method_name(name))
    ax.set(xlabel="optimiser step", ylabel="cross-entropy (nats per token)", yscale="log")
    ax.legend()
    return figure


def training(table: pd.DataFrame, loss: str, *groups: Sequence[str]) -> Figure:
    """Curves of a log side by side: the loss, then a panel for each group of columns.

    Parameters
    ----------
    table
        One row a step, with ``step``; NaN where a column has no value.
    loss
        Column of the first panel.
    *groups
        Columns that share a panel, each.
    """
    panels = [[loss], *groups]
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 2.9), squeeze=False)
    for ax, columns in zip(axes[0], panels, strict=True):
        for column in columns:
            seen = table[["step", column]].dropna()
            ax.plot(seen["step"], seen[column], marker="o", markersize=3, label=column)
        ax.set(xlabel="optimiser step", ylim=(0, None))
        ax.legend()
    return figure


def gradients(records: Mapping[str, Sequence[RunRecord]]) -> Figure:
    """Norm of the regulariser's gradient over that of the cross-entropy, and the cosine between them, per step."""
    colours = method_colours(list(records))
    figure, (ratio, cosine) = plt.subplots(1, 2, figsize=(WIDTH, 3.2))
    for name, runs in records.items():
        for run in runs:
            steps = run.steps
            ratio.plot(steps["step"], steps["grad_norm_reg"] / steps["grad_norm_ce"], color=colours[name], alpha=0.6)
            cosine.plot(steps["step"], steps["grad_cosine"], color=colours[name], alpha=0.6)
        ratio.plot([], [], color=colours[name], label=method_name(name))
    ratio.set(xlabel="optimiser step", ylabel="gradient norm, regulariser / cross-entropy", yscale="log")
    cosine.set(xlabel="optimiser step", ylabel="cosine of the two gradients", ylim=(-1, 1))
    cosine.axhline(0, color="grey", linewidth=0.8)
    ratio.legend()
    return figure


def survival(table: pd.DataFrame) -> Figure:
    """Kaplan-Meier curves, one a method: share of runs that are not yet correct."""
    methods = list(dict.fromkeys(table["regularizer"]))
    colours = method_colours(methods)
    figure, ax = plt.subplots(figsize=(WIDTH, 3.5))
    for name in methods:
        runs = stats.iterations(table[table["regularizer"] == name])
        curve, label = stats.survival_curve(runs), f"{method_name(name)} (n = {len(runs.steps)})"
        ax.step(curve["step"], curve["share"], where="post", color=colours[name], label=label)
    ax.set(xlabel="optimiser step", ylabel="share of runs not yet correct", ylim=(0, 1.02))
    ax.set_xlim(left=0)
    ax.legend()
    return figure


def paired_iterations(table: pd.DataFrame, baseline: str = "none") -> Figure:
    """Iterations to correct of each pair, a line from the baseline to each method; censored runs are hollow."""
    methods = [name for name in dict.fromkeys(table["regularizer"]) if name != baseline]
    colours = method_colours([baseline, *methods])
    figure, axes = plt.subplots(1, len(methods), figsize=(WIDTH, 3.5), sharey=True, squeeze=False)
    for ax, method in zip(axes.flat, methods, strict=True):
        sides = [stats.iterations(side) for side in reversed(stats.pair_up(table, method, baseline))]
        for before, after in zip(sides[0].steps, sides[1].steps, strict=True):
            ax.plot([0, 1], [before, after], color="grey", linewidth=0.8, zorder=1)
        for x, (side, name) in enumerate(zip(sides, (baseline, method), strict=True)):
            face = [colours[name] if correct else "white" for correct in side.correct]
            ax.scatter(np.full(len(side.steps), x), side.steps, c=face, edgecolors=[colours[name]], zorder=2)
        ax.set_xticks([0, 1], [method_name(baseline), method_name(method)])
        ax.set_xlim(-0.3, 1.3)
    axes[0, 0].set(ylabel="iterations to correct", ylim=(0, None))  # shared: once all panels are drawn
    return figure


def around(rows: pd.DataFrame, value: str = "value", low: str = "low", high: str = "high") -> Float[ndarray, "2 rows"]:
    """Lengths of error bars below and above a value."""
    lengths: Float[ndarray, "2 rows"] = np.abs(rows[[low, high]].to_numpy(dtype=float).T - rows[value].to_numpy(float))
    return lengths


def forest(rows: pd.DataFrame, paper: str | None = None, against: str = method_name("none")) -> Figure:
    """Ratios of iterations with their intervals, one row each (a forest plot).

    Parameters
    ----------
    rows
        ``label``, ``regularizer``, ``value``, ``low``, ``high``; and the column that ``paper`` names.
    paper
        A column with the paper's ratio, drawn as a hollow diamond where it has one.
    against
        What the iterations are relative to; where it is no method, colours of methods say nothing and have no legend.
    """
    rows = rows.iloc[::-1]
    colours = method_colours(list(rows["regularizer"]))
    height = max(len(rows), 3)  # in rows: the legend below needs room
    figure, ax = plt.subplots(figsize=(WIDTH, 0.9 + 0.34 * height))
    for y, (row, spread) in enumerate(zip(rows.to_dict("records"), around(rows).T, strict=True)):
        ax.errorbar(row["value"], y, xerr=spread[:, None], fmt="o", capsize=3, color=colours[row["regularizer"]])
        if paper and not pd.isna(row[paper]):
            ax.plot(row[paper], y, marker="D", mfc="none", color="black", linestyle="none")
    for name in dict.fromkeys(rows["regularizer"]):
        if against == method_name("none") and method_name(name) not in set(rows["label"]):
            ax.plot([], [], "o", color=colours[name], label=method_name(name))
    if paper and rows[paper].notna().any():
        ax.plot([], [], marker="D", mfc="none", color="black", linestyle="none", label="the paper, Gemma-2B-IT")
    ax.axvline(1, color="grey", linewidth=0.8)
    ax.set_yticks(range(len(rows)), rows["label"])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_xlabel(f"iterations to correct, relative to {against} (left of 1: faster)")
    if ax.get_legend_handles_labels()[0]:
        inches = ax.get_position().height * figure.get_figheight()  # half an inch below the axis, however many rows
        ax.legend(loc="upper center", bbox_to_anchor=(0.4, -0.5 / inches), ncols=2, frameon=False)
    return figure


def steps_needed(rows: pd.DataFrame) -> Figure:
    """Steps until correct, of a hundred that plain tuning takes: a bar each, with its interval where it has one.

    Parameters
    ----------
    rows
        ``label``, and the ratio ``value`` with ``low`` and ``high``, which may be NaN; a hollow bar where they are.
    """
    rows = rows.iloc[::-1]
    figure, ax = plt.subplots(figsize=(4.0, 0.8 + 0.5 * len(rows)))  # it stands beside the answer
    for y, row in enumerate(rows.to_dict("records")):
        ours = not np.isnan(row["low"])
        ax.barh(y, 100 * row["value"], 0.6, color=POINT_COLOUR if ours else "none", edgecolor=POINT_COLOUR, alpha=0.6)
        ax.text(2, y, f"{100 * row['value']:.0f}", va="center", color="black", fontweight="bold")
        if ours:
            ax.plot([100 * row["low"], 100 * row["high"]], [y, y], color="black", linewidth=1.5)
    ax.axvline(100, color="black", linewidth=1, linestyle="--")
    ax.set_yticks(range(len(rows)), [textwrap.fill(label, 20) for label in rows["label"]])
    ax.set_xlim(0, 115)
    ax.set_xlabel("steps until correct, where plain tuning takes 100")
    return figure


def ratios(comparison: pd.DataFrame) -> Figure:
    """Ratio of iterations to the baseline, with its interval, one row a method.

    Parameters
    ----------
    comparison
        ``stats.comparison``.
    """
    rows = comparison.dropna(subset="ratio")
    return forest(rows.assign(label=rows["regularizer"].map(method_name), value=rows["ratio"]))
