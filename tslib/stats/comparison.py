"""Methods compared on pairs of runs: the ratio of iterations, its interval, and what it says."""

import gc
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from tslib.stats import intervals
from tslib.stats.intervals import Interval, Kind
from tslib.stats.iterations import ended, iterations, median, no_runs, pair_up, restricted_mean

__all__ = ["Ratio", "Verdict", "comparison", "holm", "iteration_ratio", "log_ratios", "verdict"]

Verdict = Literal["reproduced", "contradicted", "undecided"]


class Ratio(NamedTuple):
    """Ratio of iterations, method over baseline (below 1: the method is faster), with its interval.

    Attributes
    ----------
    value, low, high
        The ratio, and the ends of its interval.
    confidence
        Of the interval, such as 0.95.
    pairs
        Pairs of runs.
    censored
        Pairs in which at least one of the two runs was censored.
    unseen
        Pairs in which both runs were censored, so that their iterations are not known.
    p
        Two-sided, that the two methods are exchangeable (`tslib.stats.sign_flip`).
    """

    value: float
    low: float
    high: float
    confidence: float
    pairs: int
    censored: int
    unseen: int
    p: float

    def __str__(self) -> str:
        return str(Interval(self.value, self.low, self.high))

    @property
    def observed(self) -> bool:
        """Whether any run was correct: else the ratio is 1 by censoring alone, and says nothing."""
        return self.unseen < self.pairs


def iteration_ratio(
    table: pd.DataFrame,
    method: str,
    baseline: str = "none",
    *,
    criterion: Literal["correct", "answer"] = "correct",
    confidence: float = 0.95,
    kind: Kind = "t",
) -> Ratio:
    """Ratio of the restricted means of iterations over paired runs, with Fieller's interval (`ratio_of_means`).

    The restricted mean counts ``max_steps`` for a censored run, which is less than it needs: where one method has more
    of them the ratio flatters that method.
    Pairs that share a sample or a seed are not independent, so the interval is, if anything, too narrow.
    """
    ours, theirs = (iterations(side, criterion) for side in pair_up(table, method, baseline))

    def ratio(a: Any, b: Any, axis: int = -1) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            quotient = a.mean(axis=axis) / b.mean(axis=axis)
        return np.where(np.isnan(quotient), 1.0, quotient)  # all right at step 0, on both sides: no difference

    if kind == "bca":
        found = intervals.bootstrap(ratio, ours.steps, theirs.steps, paired=True, confidence=confidence)
    else:
        found = intervals.ratio_of_means(ours.steps, theirs.steps, confidence=confidence)
    censored, unseen = (int(of(~ours.correct, ~theirs.correct).sum()) for of in (np.logical_or, np.logical_and))
    p = intervals.sign_flip(ours.steps, theirs.steps)
    return Ratio(*found, confidence, len(ours.steps), censored, unseen, p)


def log_ratios(table: pd.DataFrame, method: str, baseline: str = "none") -> "pd.Series[float]":
    """Return the logarithm of each pair's ratio of iterations, method over baseline, by sample seed and seed.

    A censored run counts with ``max_steps``, one that is right at step 0 with 1.
    """
    sides = pair_up(table, method, baseline)
    ours, theirs = (np.maximum(iterations(side).steps, 1) for side in sides)
    return pd.Series(np.log(ours / theirs), index=pd.MultiIndex.from_frame(sides[0][["sample_seed", "seed"]]))


def verdict(ratio: Ratio) -> Verdict:
    """Judge "fewer iterations with the method": by the side of 1 on which the whole interval lies."""
    if ratio.high < 1:
        return "reproduced"
    return "contradicted" if ratio.low > 1 else "undecided"


def comparison(
    table: pd.DataFrame, baseline: str = "none", criterion: Literal["correct", "answer"] = "correct"
) -> pd.DataFrame:
    """One row a method: restricted mean of iterations, runs not correct, ratio to the baseline, p, verdict.

    p-values are of flipped signs (`tslib.stats.sign_flip`), Holm-corrected over the methods compared.
    """
    if baseline not in set(table["regularizer"]):
        raise no_runs(baseline, table)
    methods = [baseline, *dict.fromkeys(name for name in table["regularizer"] if name != baseline)]
    horizon = float(table["max_steps"].min())
    rows = []
    for method in methods:
        of_method = table[table["regularizer"] == method]
        runs = iterations(of_method, criterion)
        row: dict[str, Any] = {
            "regularizer": method,
            "runs": len(runs.steps),
            "censored": int((~runs.correct).sum()),
            "diverged": ended(of_method)["diverged"],
            "median": median(runs),
            "restricted_mean": restricted_mean(runs, horizon),
        }
        if method != baseline:
            ratio = iteration_ratio(table, method, baseline, criterion=criterion)
            row |= {"ratio": ratio.value, "low": ratio.low, "high": ratio.high, "verdict": verdict(ratio)}
            row["p"] = ratio.p
        rows.append(row)
    result = pd.DataFrame(rows)
    if len(methods) > 1:
        result.loc[1:, "p_holm"] = holm(result.loc[1:, "p"].to_numpy())
    return result


def holm(p: Float[np.ndarray, "m"] | Sequence[float]) -> Float[np.ndarray, "m"]:
    """p-values of several comparisons after Holm's correction, by statsmodels."""
    from statsmodels.stats.multitest import multipletests  # takes long to open, and not all that import this ask

    frozen = gc.get_freeze_count() > 0
    gc.freeze()  # statsmodels looks for garbage each time, which takes half a second in a process that has read records
    try:
        return np.asarray(multipletests(p, method="holm")[1])
    finally:
        if not frozen:
            gc.unfreeze()
