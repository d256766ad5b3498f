"""Sentences and tables whose numbers come from records; no number in them is typed by hand."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tslib import stats
from tslib.records.record import RunRecord
from tslib.stats import Interval
from tslib.study.names import method_name
from tslib.study.paper import GSM8K_RATIO
from tslib.study.report.phrases import few, listed, upper

SIDES = {"reproduced": "lies below 1", "contradicted": "lies above 1", "undecided": "contains 1"}
"""What a verdict on fewer iterations says of the interval of a ratio."""


def run_table(record: RunRecord) -> str:
    """Return the few lines that the command line prints after a run."""
    config, results = record.config, record.results
    rows = {
        "model, task": f"{config.model}, {config.task}",
        "method": f"{config.method}, {config.placement}",
        "regularizer": f"{config.regularizer}"
        + (f", weight {config.weight:g}" if config.regularizer != "none" else ""),
        "samples, sample seed, seed": f"{config.samples}, {config.sample_seed}, {config.seed}",
        "learning rate": f"{config.learning_rate:g}",
        "status": record.status,
        "optimiser steps": f"{results['steps_done']:g} in {results['seconds']:.0f} s",
        "iterations to exact target": _count(record.iterations_to_correct, record),
        "iterations to right answer": _count(record.iterations_to_answer, record),
    }
    if len(record.steps):
        first, last = record.steps["cross_entropy"].iloc[[0, -1]]
        rows["cross-entropy, first and last step"] = f"{first:.4f}, {last:.4f}"
    if len(record.topology):
        first, last = record.topology.iloc[0], record.topology.iloc[-1]
        rows["H1 features, first and last"] = f"{first['h1_count']:.0f}, {last['h1_count']:.0f}"
        rows["mean H0 lifespan, first and last"] = f"{first['h0_mean_lifespan']:.4f}, {last['h0_mean_lifespan']:.4f}"
    return aligned(rows)


def aligned(rows: dict[str, str]) -> str:
    """Lines of name and value, the values below each other."""
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def _count(iterations: int | None, record: RunRecord) -> str:
    if iterations is not None:
        return str(iterations)
    return f"not within {record.results['steps_done']:g} steps"


def method_table(comparison: pd.DataFrame) -> pd.DataFrame:
    """Word a ``stats.comparison`` for readers: one row a method, the interval in brackets."""
    rows = []
    for row in comparison.to_dict("records"):
        compared = not pd.isna(row.get("ratio"))
        rows.append(
            {
                "method": method_name(row["regularizer"]),
                "runs": row["runs"],
                "never correct": row["censored"],
                "diverged": row["diverged"],
                "median": f"{row['median']:.0f}" if np.isfinite(row["median"]) else "not reached",
                "mean": f"{row['restricted_mean']:.1f}",
                "ratio [95 %]": str(Interval(row["ratio"], row["low"], row["high"])) if compared else "",
                "p (signs flipped, Holm)": _p(row["p_holm"]) if compared else "",
            }
        )
    return shortened(pd.DataFrame(rows))


def shortened(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the column of runs that diverged where there is none."""
    return table if "diverged" not in table or table["diverged"].any() else table.drop(columns="diverged")


def _p(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else "< 0.01"


def read_evolution(topology: pd.DataFrame) -> str:
    """Read the figure of counts, lifespans, entropy and density: what each was at the first and last checkpoint."""
    first, last = topology.iloc[0], topology.iloc[-1]
    change = (last["persistence_entropy"] / first["persistence_entropy"] - 1) * 100
    return (
        f"From step {first['step']:.0f} to step {last['step']:.0f} the number of H1 features goes from "
        f"{first['h1_count']:.0f} to {last['h1_count']:.0f}, the mean H0 lifespan from "
        f"{first['h0_mean_lifespan']:.3f} to {last['h0_mean_lifespan']:.3f}, and the persistence entropy from "
        f"{first['persistence_entropy']:.3f} to {last['persistence_entropy']:.3f} nats ({change:+.1f} %); the number "
        f"of H0 features is {_span(topology['h0_count'])} throughout."
    )


def _span(values: "pd.Series[float]") -> str:
    low, high = values.min(), values.max()
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def read_diagrams(diagrams: pd.DataFrame) -> str:
    """Read the barcodes: how the length of the longest loop compares with that of the typical component."""
    finite = diagrams[np.isfinite(diagrams["death"])]
    spans = finite.assign(lifespan=finite["death"] - finite["birth"])
    parts = []
    for step in (diagrams["step"].min(), diagrams["step"].max()):
        now = spans[spans["step"] == step]
        components = now.loc[now["dimension"] == 0, "lifespan"]
        loops = now.loc[now["dimension"] == 1, "lifespan"]
        share = f"{loops.max() / components.mean():.1%} of" if len(loops) else "absent beside"
        parts.append(f"at step {step} the longest loop is {share} the mean component")
    return f"Components live long and loops hardly at all: {', '.join(parts)}."


def read_stability(record: RunRecord) -> str:
    """Read the distances between successive diagrams against the size of what is compared."""
    later = record.topology.iloc[1:]
    where = int(later["h0_bottleneck"].to_numpy().argmax())
    return (
        f"Between successive checkpoints the H0 diagrams are at most {later['h0_bottleneck'].max():.4f} apart in "
        f"the bottleneck distance, {later['h0_bottleneck'].max() / later['h0_mean_lifespan'].mean():.1%} of the mean "
        f"lifespan; the largest change comes by step {later['step'].iloc[where]:.0f}."
    )


def read_ends(curves: pd.DataFrame, quantities: Mapping[str, str]) -> str:
    """Read curves by method (``plots.by_method``): the last value of each quantity, a mean over a method's runs."""
    last = curves.groupby("run", sort=False).last()
    parts = []
    for column, label in quantities.items():
        means = last.groupby("regularizer", sort=False)[column].mean().items()
        parts.append(f"{label}: {', '.join(f'{value:.3g} ({method_name(str(name))})' for name, value in means)}")
    return f"At the end, {'; '.join(parts)}."


def read_gradients(records: Sequence[RunRecord]) -> str:
    """Read the figure of gradients: how large the regulariser's is beside the cross-entropy's."""
    steps = pd.concat([record.steps for record in records])
    ratio, cosine = (steps["grad_norm_reg"] / steps["grad_norm_ce"]).median(), steps["grad_cosine"].median()
    lead = "Hardly" if ratio < 0.05 else "Clearly" if ratio > 0.2 else "A little"
    way = "at right angles to it" if abs(cosine) < 0.1 else "in the same direction" if cosine > 0 else "against it"
    return (
        f"{lead}: in the median step the regulariser's gradient is {ratio:.1%} as long as the cross-entropy's, "
        f"and {way}: the cosine is {cosine:+.2f}."
    )


def read_losses(table: pd.DataFrame) -> str:
    """Read the loss curves: iterations to correct of each method's runs."""
    parts = []
    for name in dict.fromkeys(table["regularizer"]):
        runs = stats.iterations(table[table["regularizer"] == name])
        words = [f"{step:.0f}" if right else f"more than {step:.0f}" for step, right in zip(*runs, strict=True)]
        parts.append(f"{method_name(name)}: {', '.join(words)}")
    return f"Iterations to correct, in the order of the seeds: {'; '.join(parts)}."


def read_ratios(comparison: pd.DataFrame) -> str:
    """Read the forest plot: which methods are clearly faster or slower, and whether the paper's gain is excluded."""
    rows = comparison.dropna(subset="ratio").to_dict("records")
    said: dict[str, list[str]] = {}
    for row in rows:
        does = {"reproduced": "is faster", "contradicted": "is slower", "undecided": "makes no clear difference"}
        said.setdefault(does[row["verdict"]], []).append(method_name(row["regularizer"]))
    parts = [f"{listed(names)} {_agree(does, len(names))}" for does, names in said.items()]
    inside = sum(row["low"] <= GSM8K_RATIO <= row["high"] for row in rows)
    return (
        f"{upper(listed(parts))}: left of 1 a method needs fewer iterations. The paper's ratio, {GSM8K_RATIO:.2f} with "
        f"Gemma-2B-IT, lies in {few(inside)} of {few(len(rows))} intervals."
    )


def _agree(does: str, number: int) -> str:
    return does if number == 1 else does.replace("is ", "are ").replace("makes", "make")


def read_pairs(table: pd.DataFrame, baseline: str = "none") -> str:
    """Read the paired figure: in how many pairs each method was faster, slower or neither."""
    parts = []
    for method in dict.fromkeys(table["regularizer"]):
        if method == baseline:
            continue
        ours, theirs = (stats.iterations(side).steps for side in stats.pair_up(table, method, baseline))
        fewer, more, same = ((ours < theirs).sum(), (ours > theirs).sum(), (ours == theirs).sum())
        as_many = f", {few(int(same))} as many" if same else ""
        parts.append(
            f"With {method_name(method)} {few(int(fewer))} of {few(len(ours))} pairs took fewer iterations, "
            f"{few(int(more))} more{as_many}."
        )
    return f"{' '.join(parts)} Each line is one pair; hollow ends are runs that were never correct."


def read_survival(table: pd.DataFrame) -> str:
    """Read the survival curves: the step at which half of a method's runs were correct, and the spread of runs."""
    parts = []
    for name in dict.fromkeys(table["regularizer"]):
        runs = stats.iterations(table[table["regularizer"] == name])
        half = stats.median(runs)
        when = f"{half:.0f}" if np.isfinite(half) else f"not within {runs.steps.max():.0f}"
        parts.append(f"{when} with {method_name(name)}")
    steps, correct = stats.iterations(table)
    return (
        f"Half of the runs are correct by step {', '.join(parts)}; single runs of any method range from "
        f"{steps.min():.0f} to {'' if correct.all() else 'more than '}{steps.max():.0f}."
    )


def read_one(live: pd.DataFrame, committed: pd.DataFrame, baseline: str = "none") -> str:
    """Say which way one live pair goes, and how many of the committed pairs go so: one pair decides nothing.

    Parameters
    ----------
    live
        Two runs, of the baseline and of a method.
    committed
        Many pairs, which may have other methods.
    """
    names = [str(name) for name in dict.fromkeys(live["regularizer"]) if name != baseline]
    if len(live) != 2 or len(names) != 1 or names[0] not in set(committed["regularizer"]):
        return ""
    one, many = (
        np.subtract(*(stats.iterations(side).steps for side in stats.pair_up(table, names[0], baseline)))
        for table in (live, committed)
    )
    way = int(np.sign(one[0]))
    favours = {-1: f"favours {method_name(names[0])}", 0: "favours neither", 1: f"favours {method_name(baseline)}"}[way]
    alike = int((np.sign(many) == way).sum())
    return f"This pair {favours}. It means nothing: {few(alike)} of {few(len(many))} committed pairs went this way."


def read_time(table: pd.DataFrame) -> str:
    """Say how long some committed runs took in all, so that nobody starts them unawares."""
    return f"These {len(table)} runs took {table['seconds'].sum() / 60:.0f} minutes in all, on the CPUs that made them."
