"""C9 to C12 and C15: iterations until a prompt is correct, with TSLoss and without."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from tslib import stats
from tslib.stats import Interval, Kind, Ratio, Verdict
from tslib.study.claims.criteria import SINGLE, Finding, decided, not_yet
from tslib.study.evidence import Evidence
from tslib.study.names import model_name, task_name
from tslib.study.paper import table3_ratio

TWO_LOOKS = 0.975
"""Confidence of a ratio that is the better of two variants'."""

IN_PAPER = {"gsm8k": "GSM8K", "mmlu": "MMLU-CF", "longbench": "LongBench"}
"""What the paper has in the place of our tasks."""

VARIANTS = ("tsloss", "tsloss-printed")

COMBINATIONS = {
    ("smollm2-135m", "gsm8k", "one sample"): "one sample, gsm8k, SmolLM2",
    ("smollm2-135m", "mmlu", "one sample"): "one sample, mmlu, SmolLM2",
    ("smollm2-135m", "hotpotqa-short", "one sample"): "one sample, hotpotqa-short, SmolLM2",
    ("gemma3-270m", "gsm8k", "one sample"): "one sample, gsm8k, Gemma",
    ("gemma3-270m", "mmlu", "one sample"): "one sample, mmlu, Gemma",
    ("smollm2-135m", "longbench", "one sample"): "long contexts, gsm8k's rate",
    ("smollm2-135m", "gsm8k", "ten samples"): "ten samples, gsm8k",
    ("smollm2-135m", "mmlu", "ten samples"): "ten samples, mmlu",
}
"""The grid of each combination of model, task and setting of Table 3."""

KEPT_BACK = {
    ("smollm2-135m", "math", "one sample"): "kept back, math",
    ("smollm2-135m", "bbh", "one sample"): "kept back, bbh",
}
"""Those of the tasks that nothing was chosen on."""

AGAIN = "once more, init vocabulary"
"""Pairs that were not used to find the interval below 1 of this initialisation."""


def ratios(
    evidence: Evidence,
    confidence: float = 0.95,
    combinations: Mapping[tuple[str, str, str], str] = COMBINATIONS,
    kind: Kind = "t",
) -> pd.DataFrame:
    """Return the ratio of iterations, TSLoss over cross-entropy alone, for each whole combination and variant.

    Parameters
    ----------
    evidence
        The runs.
    confidence
        Of the intervals.
    combinations
        The grid of each (model, task, setting).
    kind
        Of the intervals.

    Returns
    -------
    DataFrame
        ``model``, ``task``, ``setting``, ``regularizer``, the fields of ``stats.Ratio``, the restricted means
        ``baseline`` and ``ours``, whether any run is correct (``observed``), ``diverged`` runs of the grid, and
        ``paper``, the ratio of Gemma-2B-IT on the task of that name in the paper (NaN where it has none).
    """
    return _ratios(evidence, confidence, tuple(combinations.items()), kind).copy()


@lru_cache(maxsize=8)
def _ratios(
    evidence: Evidence, confidence: float, combinations: tuple[tuple[tuple[str, str, str], str], ...], kind: Kind
) -> pd.DataFrame:
    """Compute `ratios`, which several claims ask for."""
    rows = []
    for (model, task, setting), grid in combinations:
        table = evidence.runs(grid)
        for regularizer in [name for name in VARIANTS if name in set(table["regularizer"])]:
            ratio = stats.iteration_ratio(table, regularizer, confidence=confidence, kind=kind)
            sides = {"ours": regularizer, "baseline": "none"}
            means = {side: stats.mean_iterations(table[table["regularizer"] == name]) for side, name in sides.items()}
            diverged = int((table["status"] == "diverged").sum())
            task_there = IN_PAPER.get(task)
            paper = table3_ratio("Gemma-2B-IT", task_there, setting) if task_there else float("nan")
            place: dict[str, Any] = {"model": model, "task": task, "setting": setting, "regularizer": regularizer}
            more = {"observed": ratio.observed, "diverged": diverged, "paper": paper}
            rows.append(place | ratio._asdict() | means | more)
    names = ["model", "task", "setting", "regularizer"]
    columns = [*names, *Ratio._fields, "ours", "baseline", "observed", "diverged", "paper"]
    return pd.DataFrame(rows, columns=columns)


def fewer_everywhere(evidence: Evidence) -> Finding:
    """C9: TSLoss needs fewer iterations on every model, data set and setting."""
    table = ratios(evidence, TWO_LOOKS, kind="bca")
    missing = evidence.missing(*COMBINATIONS.values())
    if table.empty:
        return not_yet(missing)
    best = table.loc[table.groupby(["model", "task", "setting"], sort=False)["value"].idxmin()]
    below, above = int((best["high"] < 1).sum()), int((best["low"] > 1).sum())
    level = int(((best["low"] > 0.75) & (best["low"] <= 1) & (best["high"] >= 1)).sum())
    verdict: Verdict | None = decided(below == len(best), bool(above) or level >= 2 / 3 * len(best))
    if missing and not above:  # one above 1 contradicts, whatever the others are
        verdict = None
    said = (
        f"Of {len(best)} combinations of model, task and setting whose runs are all made, the interval of the better "
        f"variant's ratio ({TWO_LOOKS:.1%}) lies below 1 in {below}, above 1 in {above}, and includes 1 with a lower "
        f"end above 0.75 in {level}.{by_censoring(best)} The smallest ratio is {_smallest(best)}."
    )
    return Finding(verdict, said, "More pairs where the interval includes 1; the paper's models.", missing)


def by_censoring(table: pd.DataFrame) -> str:
    """Say in how many rows of `ratios` no run was correct, so that the ratio is 1 of itself; or nothing."""
    n = int(((table["censored"] == table["pairs"]) & (table["low"] == 1) & (table["high"] == 1)).sum())
    return f" In {n} of them no run is correct within its steps: that ratio is 1 by censoring alone." if n else ""


def _smallest(table: pd.DataFrame) -> str:
    row = table.nsmallest(1, "value").iloc[0]
    place = f"{model_name(row['model'])}, {task_name(row['task'])}, {row['setting']}"
    return f"{Interval(row['value'], row['low'], row['high'])}, of {place}"


def largest_for_the_smallest(evidence: Evidence) -> Finding:
    """C10: the gain is largest for the smallest model."""
    models, tasks = ("smollm2-135m", "gemma3-270m"), ("gsm8k", "mmlu")
    grids = [COMBINATIONS[model, task, "one sample"] for task in tasks for model in models]
    if missing := evidence.missing(*grids):
        return not_yet(missing)
    sides = []
    for grid in grids:
        table = evidence.runs(grid)
        ours, theirs = stats.pair_up(table[table["regularizer"] != "tsloss-printed"], "tsloss")
        sides += [stats.iterations(side).steps for side in (ours, theirs)]

    def apart(*steps: Any, axis: int = -1) -> Any:
        logs = [np.log(values.mean(axis=axis)) for values in steps]
        of_task = [logs[i] - logs[i + 1] - logs[i + 2] + logs[i + 3] for i in range(0, len(logs), 4)]
        return np.mean(of_task, axis=0)

    mean = stats.bootstrap(apart, *sides, paired=True)
    each = [float(apart(*sides[i : i + 4])) for i in range(0, len(sides), 4)]
    verdict = decided(mean.high < 0 and max(each) < 0, mean.low > 0)
    parts = ", ".join(f"{value:+.2f} on {task_name(task)}" for value, task in zip(each, tasks, strict=True))
    said = f"SmolLM2-135M's log ratio less Gemma-3-270M's: {parts}; mean {mean}."
    return Finding(verdict, said, "Further models: two cannot say more than in which direction two differ.")


def _by_weight(evidence: Evidence) -> tuple[pd.DataFrame, int]:
    """Runs of Table 4 with the weight 0 for cross-entropy alone, and how many are missing."""
    grids = (SINGLE[0], "the weight, gsm8k")
    table = evidence.runs(*grids)
    return table.assign(weight=stats.weights(table)), evidence.missing(*grids)


def weight(evidence: Evidence, kind: Kind = "bca") -> Finding:
    """C11: iterations fall as λ grows from 0 to 1, and at 10 none is correct."""
    table, missing = _by_weight(evidence)
    if missing:
        return not_yet(missing)
    table = table.assign(steps=stats.iterations(table).steps)
    steps = table.pivot_table(index="seed", columns="weight", values="steps")
    until_one = steps[[1.0, 0.5, 0.1, 0.0]].to_numpy()  # in the order in which the claim has them grow
    trend = float(scipy_stats.page_trend_test(until_one).pvalue)
    against = float(scipy_stats.page_trend_test(until_one[:, ::-1]).pvalue)
    at_one = stats.iteration_ratio(table[table["weight"].isin((0.0, 1.0))], "tsloss", confidence=TWO_LOOKS, kind=kind)
    at_ten = table[table["weight"] == 10]
    right = int(at_ten["iterations_to_correct"].notna().sum())
    verdict = decided(trend < 0.05 and at_one.high < 1 and right == 0, right >= len(at_ten) / 2 or against < 0.05)
    said = (
        f"Page's trend of fewer iterations from λ = 0 to 1 has p = {trend:.2g} (of more: {against:.2g}). The ratio at "
        f"1 is {at_one}, at {TWO_LOOKS:.1%}. At 10, {right} of {len(at_ten)} runs are correct within 300 steps."
    )
    change = (
        "A weight of 10 that keeps most runs from being correct, as the paper has it: that would take a larger "
        "gradient of TSLoss beside that of cross-entropy, as another model may give. For the trend, more pairs."
    )
    return Finding(verdict, said, change)


def loss_near_zero(evidence: Evidence, kind: Kind = "bca", smallest: float = 0.0) -> Finding:
    """C12: the total loss comes near zero by step 100, from the smallest λ on; at λ = 10 it oscillates."""
    _table, missing = _by_weight(evidence)
    if missing:
        return not_yet(missing)
    totals = total_losses(evidence)
    shares = {
        value: float(np.mean([total.get(100, np.inf) < 0.1 * total.iloc[0] for total in runs]))
        for value, runs in totals.items()
    }
    more = rises(totals, kind)
    low = [share for value, share in shares.items() if smallest <= value <= 1]
    verdict = decided(min(low) >= 0.9 and more.low > 0, min(low) <= 0.5 or more.high < 0)
    parts = ", ".join(f"{share:.0%} at λ = {value:g}" for value, share in shares.items())
    said = (
        f"At step 100 the total loss is below a tenth of its start in {parts} of the runs. Steps at which it rises by "
        f"more than a tenth: {more} more at λ = 10 than at 1."
    )
    change = (
        "Runs that are faster, as on easier problems: step 100 is early or late by how many steps a problem takes. For "
        "the second half, more pairs."
    )
    return Finding(verdict, said, change)


def total_losses(evidence: Evidence) -> dict[float, list[pd.Series]]:
    """Return the total loss by step of each run of Table 4, by its weight, in the order of the seeds."""
    steps = evidence.steps(SINGLE[0], "the weight, gsm8k")
    steps = steps.assign(weight=stats.weights(steps), total=steps["cross_entropy"] + steps["penalty"])
    return {
        float(str(value)): [run.set_index("step")["total"] for _, run in runs.groupby("seed")]
        for value, runs in steps.groupby("weight")
    }


def rises(totals: dict[float, list[pd.Series]], kind: Kind = "t") -> Interval:
    """Return at how many more steps the total loss rises by over a tenth with λ = 10 than with 1, mean over pairs."""
    ten, one = (np.array([float((run > 1.1 * run.shift()).sum()) for run in totals[value]]) for value in (10.0, 1.0))
    return stats.mean(ten - one, kind=kind)


def factors(evidence: Evidence) -> Finding:
    """C15: half or a quarter of the iterations, on models that are not run here."""
    table = ratios(evidence, kind="bca")
    if table.empty:
        return not_yet(evidence.missing(*COMBINATIONS.values()))
    half, quarter = (int((table["low"] <= factor).sum()) for factor in (0.5, 0.25))
    said = (
        f"Those models are not run here. Of our {len(table)} ratios {half} have an interval that reaches 0.5, and "
        f"{quarter} one that reaches 0.25."
    )
    return Finding("undecided", said, "Runs of Gemma-2B-IT and Qwen1.5-14B.")
