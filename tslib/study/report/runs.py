"""Sentences and tables whose numbers come from records; no number in them is typed by hand."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tslib import stats
from tslib.records.record import RunRecord
from tslib.stats import Interval, Ratio
from tslib.study.names import method_name, model_name, task_name
from tslib.study.paper import table3_ratio
from tslib.study.report.phrases import few, plural, upper

PAPER_RATIO = table3_ratio("Gemma-2B-IT", "GSM8K", "one sample")
"""Iterations with TSLoss over those without, single-sample GSM8K with Gemma-2B-IT (the paper's Table 3)."""

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
                "censored": row["censored"],
                "diverged": row["diverged"],
                "median": f"{row['median']:.0f}" if np.isfinite(row["median"]) else "not reached",
                "restricted mean": f"{row['restricted_mean']:.1f}",
                "ratio [95 %]": str(Interval(row["ratio"], row["low"], row["high"])) if compared else "",
                "p (log-rank, Holm)": _p(row["p_holm"]) if compared else "",
                "interval": SIDES[row["verdict"]] if compared else "",
            }
        )
    return pd.DataFrame(rows)


def _p(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else "< 0.01"


def headline(table: pd.DataFrame, method: str = "tsloss") -> str:
    """Say in a sentence or two, in Markdown, whether TSLoss needs fewer iterations, with the interval.

    Parameters
    ----------
    table
        ``RunStore.table()`` of one experiment: paired runs of ``none`` and ``method``.
    method
        The variant of TSLoss.
    """
    ratio = stats.iteration_ratio(table, method)
    ours, theirs = stats.pair_up(table, method)
    means = [stats.mean_iterations(side) for side in (theirs, ours)]
    outside = ratio.low > PAPER_RATIO or ratio.high < PAPER_RATIO
    never = f", {plural(ratio.censored, 'pair')} with a run that is never correct" if ratio.censored else ""
    return (
        f"**{_answer(ratio)}** {upper(_problems(ours))}, each tuned without TSLoss and with it (λ = "
        f"{ours['weight'].iloc[0]:g}, learning rate {ours['lr'].iloc[0]:g}) on {model_name(ours['model'].iloc[0])}: "
        f"{means[0]:.0f} and {means[1]:.0f} iterations on average, a ratio of {ratio.value:.2f} with a 95 % interval "
        f"[{ratio.low:.2f}, {ratio.high:.2f}]{never}. The paper's ratio, {PAPER_RATIO:.2f} with Gemma-2B-IT, lies "
        f"{'outside of' if outside else 'in'} it."
    )


def _problems(runs: pd.DataFrame) -> str:
    """Say how many problems some runs are of, one run each; or how many pairs, where several share a problem."""
    number, samples, task = len(runs), int(runs["samples"].iloc[0]), task_name(runs["task"].iloc[0])
    one = f"{task} problem" if samples == 1 else f"set of {few(samples)} {task} problems"
    if runs["sample_seed"].nunique() < number:
        return f"{few(number)} pairs of a {one} and an initial prompt"
    many = f"{task} problems" if samples == 1 else f"sets of {few(samples)} {task} problems"
    return f"{few(number)} {one if number == 1 else many}"


def _answer(ratio: Ratio) -> str:
    return {
        "reproduced": "In our runs TSLoss makes tuning converge in fewer iterations.",
        "contradicted": "In our runs TSLoss makes tuning converge in more iterations, not fewer.",
        "undecided": "In our runs TSLoss makes no difference to convergence that can be told from chance.",
    }[stats.verdict(ratio)]


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
    ratio = steps["grad_norm_reg"] / steps["grad_norm_ce"]
    return (
        f"In the median step the regulariser's gradient is {ratio.median():.2%} as large as the cross-entropy's, "
        f"at most {ratio.max():.2%}, and the cosine between the two has a median of "
        f"{steps['grad_cosine'].median():+.3f}."
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
    """Read the forest plot: on which side of 1 each interval lies."""
    rows = comparison.dropna(subset="ratio").to_dict("records")
    parts = [f"that of {method_name(row['regularizer'])} {SIDES[row['verdict']]}" for row in rows]
    inside = [row for row in rows if row["low"] <= PAPER_RATIO <= row["high"]]
    return (
        f"Left of 1 a method would need fewer iterations; of the intervals, {' and '.join(parts)}. The paper's ratio "
        f"on GSM8K, {PAPER_RATIO:.2f} with Gemma-2B-IT, lies in {len(inside)} of the {len(rows)} intervals."
    )


def read_pairs(table: pd.DataFrame, baseline: str = "none") -> str:
    """Read the paired figure: in how many pairs each method was faster, slower or neither."""
    parts = []
    for method in dict.fromkeys(table["regularizer"]):
        if method == baseline:
            continue
        ours, theirs = (stats.iterations(side).steps for side in stats.pair_up(table, method, baseline))
        parts.append(
            f"{method_name(method)} needed fewer iterations in {(ours < theirs).sum()}, more in "
            f"{(ours > theirs).sum()} and as many in {(ours == theirs).sum()} of {len(ours)} pairs"
        )
    return f"Each line is one pair (hollow: censored): {'; '.join(parts)}."


def read_survival(table: pd.DataFrame) -> str:
    """Read the survival curves: the step at which half of a method's runs were correct, and the spread of runs."""
    parts = []
    for name in dict.fromkeys(table["regularizer"]):
        runs = stats.iterations(table[table["regularizer"] == name])
        half = stats.median(runs)
        when = f"{half:.0f}" if np.isfinite(half) else f"not within {runs.steps.max():.0f}"
        parts.append(f"{when} ({method_name(name)})")
    steps, correct = stats.iterations(table)
    return (
        f"Half of the runs are correct by step {', '.join(parts)}; single runs of any method range from "
        f"{steps.min():.0f} to {'' if correct.all() else 'more than '}{steps.max():.0f}."
    )
