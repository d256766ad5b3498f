"""Figures of many runs: ratios of iterations, settings, and the structure of prompts with its random twin."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tslib.records.record import RunRecord
from tslib.study import structure
from tslib.study.names import feature_name, method_name, model_name, setting_name, task_name
from tslib.study.paper import TABLE2, TABLE4
from tslib.study.plots.clouds import H0_COLOUR, H1_COLOUR, POINT_COLOUR, WIDTH, legend_below
from tslib.study.plots.runs import around, forest, method_colours

QUANTITIES = {
    "h1_count": "number of H1 features",
    "h0_mean_lifespan": "mean H0 lifespan (distance)",
    "persistence_entropy": "persistence entropy (nats)",
    "h1_density": "H1 density (1 / distance)",
}
"""What the paper follows, of those that the random twin has too."""
FEW = 6
"""Of fewer checkpoints than these a curve shows each."""
COLUMNS = 3
"""Panels beside each other whose titles have room."""


def bands(curves: Mapping[str, pd.DataFrame], quantities: Mapping[str, str] = QUANTITIES) -> Figure:
    """Mean of each quantity over runs against the step, with its 95 % interval, and that of the random twins, dashed.

    Each quantity has one scale for all; of many columns, a few stand beside each other and the others below.

    Parameters
    ----------
    curves
        By the title of their column: topology of many runs.
    quantities
        Columns, and what the figure calls them; a column without a twin has no dashed line.
    """
    wide = min(len(curves), COLUMNS)
    high = len(quantities) * math.ceil(len(curves) / wide)
    figure, axes = plt.subplots(high, wide, figsize=(WIDTH, 2.1 * high), squeeze=False)
    for at, (title, of_runs) in enumerate(curves.items()):
        first, column = len(quantities) * (at // wide), at % wide
        for row, (name, label) in enumerate(quantities.items()):
            ax = axes[first + row, column]
            _band(ax, of_runs, name, POINT_COLOUR, "-", "prompts")
            if f"null_{name}" in of_runs:
                _band(ax, of_runs, f"null_{name}", "grey", "--", "random twins")
            if at:
                ax.sharey(axes[row, 0])
            if row:
                ax.sharex(axes[first, column])
            if column == 0:
                ax.set_ylabel(label.replace(" (", "\n("))
            ax.tick_params(labelleft=column == 0, labelbottom=row == len(quantities) - 1)
        axes[first, column].set_title(f"{title} (n = {of_runs['run'].nunique()} runs)")
        ax.set_xlabel("optimiser step")
    for row, name in enumerate(quantities):
        axes[row, 0].autoscale(axis="y")  # to all that share it
        if name != "persistence_entropy":  # whose changes are small
            axes[row, 0].set_ylim(bottom=0)
    for ax in axes.flat:
        if not ax.has_data():
            ax.remove()
    legend_below(figure)
    return figure


def _band(ax: Axes, curves: pd.DataFrame, name: str, colour: object, line: str, label: str) -> None:
    mean = structure.drawn_curve(curves, name)
    marker = "o" if len(mean) < FEW else "None"
    ax.plot(mean["step"], mean["value"], line, color=colour, label=label, marker=marker)
    ax.fill_between(mean["step"], mean["low"], mean["high"], color=colour, alpha=0.2, linewidth=0)


def by_method(curves: pd.DataFrame, quantities: Mapping[str, str]) -> Figure:
    """Mean of each quantity over the runs of each method against the step, with its 95 % interval where n > 1.

    Parameters
    ----------
    curves
        Topology or steps of many runs.
    quantities
        Columns, and what the figure calls them.
    """
    names = list(dict.fromkeys(curves["regularizer"]))
    colours = method_colours(names)
    figure, axes = plt.subplots(1, len(quantities), figsize=(WIDTH, 3.4), squeeze=False)
    for ax, (column, label) in zip(axes[0], quantities.items(), strict=True):
        for name in names:
            runs = curves[curves["regularizer"] == name]
            _band(ax, runs, column, colours[name], "-", f"{method_name(name)} (n = {runs['run'].nunique()})")
        ax.set(xlabel="optimiser step", ylabel=label)
    legend_below(figure)
    return figure


def weights(rows: pd.DataFrame) -> Figure:
    """Iterations and the gradients' ratio against the weight λ of TSLoss (as in the paper's Table 4).

    Parameters
    ----------
    rows
        `tslib.study.report.settings.by_setting` with the field ``weight``.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.2))
    x, colour = rows["value"], method_colours(["tsloss"])["tsloss"]
    left.errorbar(x, rows["ratio"], yerr=around(rows, "ratio"), fmt="o", capsize=3, color=colour, label="ours")
    theirs = TABLE4.dropna()
    theirs = theirs[theirs["weight"] > 0].assign(ratio=theirs["iterations"] / theirs["iterations"].iloc[0])
    left.plot(theirs["weight"], theirs["ratio"].astype(float), "D", mfc="none", color="black", label="the paper")
    left.axhline(1, color="grey", linewidth=0.8)
    left.set(ylabel="iterations, relative to λ = 0", ylim=(0, None))
    left.legend()
    right.plot(x, rows["reg_share"], marker="o", color=colour)
    right.axhline(1, color="grey", linewidth=0.8)
    right.set(ylabel="gradient norm,\nregulariser / cross-entropy", yscale="log")
    for ax in (left, right):
        ax.set_xscale("log")
        ax.set_xticks(x, [f"{value:g}" for value in x], minor=False)
        ax.minorticks_off()
        ax.set_xlabel("weight λ")
    return figure


def settings(rows: pd.DataFrame) -> Figure:
    """Ratio of iterations for each value of each setting that the paper leaves open, with its interval."""
    labels = [setting_name(row["setting"], row["value"]) for row in rows.to_dict("records")]
    return forest(rows.assign(label=labels, regularizer="tsloss", value=rows["ratio"]))


def total_loss(totals: Mapping[float, Sequence[pd.Series]]) -> Figure:
    """Total loss against the step by the weight λ: median over runs and the middle half (the paper's Figure 4).

    Parameters
    ----------
    totals
        `tslib.study.claims.total_losses`.
    """
    figure, axes = plt.subplots(1, len(totals), figsize=(WIDTH, 2.6), sharex=True, sharey=True, squeeze=False)
    for ax, (value, runs) in zip(axes[0], totals.items(), strict=True):
        low, middle, high = (pd.concat(runs, axis=1).quantile(share, axis=1) for share in (0.25, 0.5, 0.75))
        ax.plot(middle.index, middle, color=POINT_COLOUR)
        ax.fill_between(middle.index, low, high, color=POINT_COLOUR, alpha=0.2, linewidth=0)
        ax.set(title=f"λ = {value:g}", yscale="log")
    axes[0, 0].set_ylabel("total loss: median, middle half")
    axes[0, len(totals) // 2].set_xlabel(f"optimiser step (n = {len(runs)} runs each)")
    return figure


def correlations(rows: pd.DataFrame) -> Figure:
    """Spearman's ρ of features with accuracy, within tasks and with task and step taken out, beside the paper's.

    Parameters
    ----------
    rows
        ``feature``, and for each of ``within`` and ``beside`` the value, ``_low`` and ``_high``.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 0.9 + 0.6 * len(rows)))
    for shift, name, colour, label in (
        (0.12, "within", H0_COLOUR, "within tasks"),
        (-0.12, "beside", H1_COLOUR, "task and step taken out"),
    ):
        y = np.arange(len(rows))[::-1] + shift
        spread = around(rows, name, f"{name}_low", f"{name}_high")
        ax.errorbar(rows[name], y, xerr=spread, fmt="o", capsize=3, color=colour, label=label)
    paper = TABLE2.set_index("feature")["rho"].reindex(rows["feature"])
    ax.plot(paper, np.arange(len(rows))[::-1], "D", mfc="none", color="black", label="the paper")
    ax.axvline(0, color="grey", linewidth=0.8)
    ax.set_yticks(np.arange(len(rows))[::-1], [feature_name(name, formulas=False) for name in rows["feature"]])
    ax.set(xlabel="Spearman's ρ with accuracy, 95 % interval over runs", xlim=(-1, 1))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=3, frameon=False)
    return figure


def binned(curves: pd.DataFrame, features: Sequence[str], accuracy: str = "token_accuracy", bins: int = 8) -> Figure:
    """Accuracy against each feature of topology in bins (`tslib.study.structure.in_bins`): mean and 95 % interval."""
    figure, axes = plt.subplots(1, len(features), figsize=(WIDTH, 3), sharey=True, squeeze=False)
    for ax, feature in zip(axes[0], features, strict=True):
        means = structure.in_bins(curves, feature, accuracy, bins)
        ax.errorbar(means["centre"], means["value"], yerr=around(means), marker="o", capsize=3, color=POINT_COLOUR)
        ax.set_xlabel(feature_name(feature, formulas=False))
    axes[0, 0].set(ylabel=accuracy.replace("_", " "), ylim=(0, 1))
    return figure


def progress(table: pd.DataFrame) -> Figure:
    """Runs of each grid that are committed, of those that it asks for; censored and diverged ones apart.

    Parameters
    ----------
    table
        ``Evidence.progress``.
    """
    rows = table.iloc[::-1]
    figure, ax = plt.subplots(figsize=(WIDTH, 0.9 + 0.21 * len(rows)))
    left = np.zeros(len(rows))
    right = rows["done"] - rows["censored"] - rows["diverged"]
    kinds = {"correct": right, "censored": rows["censored"], "diverged": rows["diverged"], "missing": rows["missing"]}
    for (label, counts), colour in zip(kinds.items(), (H0_COLOUR, H1_COLOUR, "black", "lightgrey"), strict=True):
        ax.barh(range(len(rows)), counts, left=left, color=colour, label=label)
        left += counts.to_numpy()
    ax.set_yticks(range(len(rows)), rows["grid"], fontsize=9)
    ax.set(xlabel="runs", ylim=(-0.6, len(rows) - 0.4))
    ax.legend(loc="lower right")
    return figure


def combinations(rows: pd.DataFrame) -> Figure:
    """Ratio of iterations for each combination of task, model and setting, beside the paper's (its Table 3).

    Gains of less than a quarter are shaded.

    Combinations of which no run is correct are left out: their ratio is 1 by censoring alone.

    Parameters
    ----------
    rows
        `tslib.study.claims.ratios`, with the column ``paper``.
    """
    rows = rows[rows["observed"].astype(bool)].sort_values(
        "task", key=lambda tasks: tasks.map(task_name), kind="stable"
    )
    labels = [
        f"{task_name(row['task'])}, {model_name(row['model'])}, {row['setting']} (n = {row['pairs']})"
        for row in rows.to_dict("records")
    ]
    figure = forest(rows.assign(label=labels), "paper")
    figure.axes[0].axvspan(0.75, 1, color="grey", alpha=0.12, linewidth=0)
    return figure


def loss_bands(steps: pd.DataFrame) -> Figure:
    """Cross-entropy by step and method: median over the runs that are not yet correct, and their middle half.

    Parameters
    ----------
    steps
        ``Evidence.steps``.
    """
    names = list(dict.fromkeys(steps["regularizer"]))
    colours = method_colours(names)
    figure, ax = plt.subplots(figsize=(WIDTH, 3.4))
    for name in names:
        runs = steps[steps["regularizer"] == name]
        by_step = runs.groupby("step")["cross_entropy"]
        low, middle, high = (by_step.quantile(share)[by_step.size() > 1] for share in (0.25, 0.5, 0.75))
        label = f"{method_name(name)} (n = {runs['run'].nunique()})"
        ax.plot(middle.index, middle, color=colours[name], label=label)
        ax.fill_between(middle.index, low, high, color=colours[name], alpha=0.15, linewidth=0)
    ax.set(xlabel="optimiser step", ylabel="cross-entropy (nats per token)", yscale="log")
    ax.legend()
    return figure


def learning_rates(rows: pd.DataFrame) -> Figure:
    """Restricted mean of iterations against the learning rate, a line a model and task; a ring at the chosen rate.

    Parameters
    ----------
    rows
        `tslib.study.report.rates.rates`.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 3.4))
    groups = list(rows.groupby(["model", "task"], sort=False))
    for ((model, task), group), colour in zip(groups, sns.color_palette("colorblind", len(groups)), strict=True):
        label = f"{model_name(str(model))}, {task_name(str(task))} (n = {group['runs'].min()} a rate)"
        ax.plot(group["lr"], group["mean"], marker="o", color=colour, label=label)
        ax.plot(*group.loc[group["chosen"], ["lr", "mean"]].iloc[0], "o", ms=13, mfc="none", color=colour)
    ax.set(xlabel="learning rate", ylabel="iterations (restricted mean)", xscale="log", ylim=(0, None))
    ax.legend()
    return figure


def by_value(records: Sequence[RunRecord], setting: str) -> Figure:
    """Cross-entropy, gradients' ratio, mean H0 lifespan and number of loops by step, a line a value of a setting."""
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 5.5), sharex=True)
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(records)))
    for record, colour in zip(records, colours, strict=True):
        steps, topology = record.steps, record.topology
        label = f"{setting} = {getattr(record.config, setting)}"
        axes[0, 0].plot(steps["step"], steps["cross_entropy"], color=colour, label=label)
        axes[0, 1].plot(steps["step"], steps["grad_norm_reg"] / steps["grad_norm_ce"], color=colour)
        axes[1, 0].plot(topology["step"], topology["h0_mean_lifespan"], marker="o", color=colour)
        axes[1, 1].plot(topology["step"], topology["h1_count"], marker="o", color=colour)
    axes[0, 0].set(ylabel="cross-entropy (nats per token)")
    axes[0, 1].set(ylabel="gradient norm,\nregulariser / cross-entropy", yscale="log")
    axes[1, 0].set(xlabel="optimiser step", ylabel="mean H0 lifespan (distance)")
    axes[1, 1].set(xlabel="optimiser step", ylabel="number of H1 features")
    axes[0, 0].legend(fontsize=9)
    return figure


def scatter_at(curves: pd.DataFrame, features: Sequence[str], step: int, accuracy: str = "token_accuracy") -> Figure:
    """Accuracy against each feature, one dot a run, all at the same step; colours are tasks."""
    here = curves[curves["step"] == step]
    figure, axes = plt.subplots(1, len(features), figsize=(WIDTH, 3.2), sharey=True, squeeze=False)
    tasks = list(dict.fromkeys(here["task"]))
    for ax, feature in zip(axes[0], features, strict=True):
        for task, colour in zip(tasks, sns.color_palette("colorblind", len(tasks)), strict=True):
            runs = here[here["task"] == task]
            ax.scatter(runs[feature], runs[accuracy], color=colour, label=f"{task_name(task)} (n = {len(runs)})", s=18)
        ax.set_xlabel(feature_name(feature, formulas=False))
    axes[0, 0].set_ylabel(f"{accuracy.replace('_', ' ')}, step {step}")
    legend_below(figure)
    return figure
