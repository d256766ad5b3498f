"""The statistics of the tables: iterations-to-correct as time-to-event data, paired comparisons, verdicts.

A run that was not correct by ``max_steps`` is censored there: it is known to need more, and it is never dropped.
"""

import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from tslib.errors import InputError

PAIR = ["model", "task", "samples", "sample_seed", "seed"]
"""What makes a pair of runs; they share all other settings too and differ in the method alone."""

SETTINGS = [
    *("method", "n_tokens", "placement", "init", "init_text", "prompt_scale", "lr", "batch_size", "max_steps", "dtype"),
    *("shots", "max_context", "check_every"),
]
"""Further fields of ``TuneConfig`` that would change a run's iterations, whatever the method."""

Verdict = Literal["reproduced", "contradicted", "undecided"]


class Iterations(NamedTuple):
    """Iterations of several runs.

    Attributes
    ----------
    steps
        Until the run was correct, or until it was censored.
    correct
        False where it was censored.
    """

    steps: Float[ndarray, "runs"]
    correct: Bool[ndarray, "runs"]

    def censored_data(self) -> "stats.CensoredData":
        """Return the same as ``scipy.stats`` takes it."""
        return stats.CensoredData(uncensored=self.steps[self.correct], right=self.steps[~self.correct])


class Interval(NamedTuple):
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


class Ratio(NamedTuple):
    """Ratio of iterations, method over baseline (below 1: the method is faster), with a bootstrap interval.

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
    """

    value: float
    low: float
    high: float
    confidence: float
    pairs: int
    censored: int

    def __str__(self) -> str:
        return str(Interval(self.value, self.low, self.high))


def iterations(table: pd.DataFrame, criterion: Literal["correct", "answer"] = "correct") -> Iterations:
    """Take the iterations out of a table of runs (``RunStore.table``), censored at ``max_steps``.

    Raises
    ------
    InputError
        If there are no runs, or one was interrupted: what it would have done until ``max_steps`` is not known.
    """
    if table.empty:
        raise InputError("the table has no runs: make them first (python -m tslib tune, or sweep FILE)")
    if "status" in table and (open_runs := int((table["status"] == "interrupted").sum())):
        raise InputError(
            f"{open_runs} run(s) were interrupted: the same command goes on from there "
            "(python -m tslib tune, or sweep FILE)"
        )
    steps = table[f"iterations_to_{criterion}"]
    correct = steps.notna().to_numpy(dtype=bool)
    filled = steps.astype("Float64").fillna(table["max_steps"].astype("Float64"))
    return Iterations(filled.to_numpy(dtype=np.float64), correct)


def survival_curve(runs: Iterations) -> pd.DataFrame:
    """Kaplan-Meier estimate of the share of runs that are not yet correct.

    Returns
    -------
    DataFrame
        Columns ``step`` and ``share``, starting at step 0 with 1; a step function, right-continuous.
    """
    curve = stats.ecdf(runs.censored_data()).sf
    last = float(runs.steps.max())
    steps = np.concatenate([[0.0], curve.quantiles, [last]])
    shares = np.concatenate([[1.0], curve.probabilities, curve.probabilities[-1:]])
    return pd.DataFrame({"step": steps, "share": shares})


def ended(table: pd.DataFrame) -> dict[str, int]:
    """Count the runs of a table that were never correct (``censored``), and those that ``diverged``.

    A run that goes on after it was correct may still diverge; it is counted as diverged alone.
    """
    return {
        "censored": int(table["iterations_to_correct"].isna().sum()),
        "diverged": int((table["status"] == "diverged").sum()) if "status" in table else 0,
    }


def median(runs: Iterations) -> float:
    """Median of iterations; infinite where half of the runs or more were censored, so that it was not reached."""
    return float(np.median(np.where(runs.correct, runs.steps, np.inf)))


def restricted_mean(runs: Iterations, horizon: float) -> float:
    """Restricted mean of iterations: the area under the Kaplan-Meier curve up to the horizon.

    Raises
    ------
    InputError
        If a run was censored before the horizon, where the curve would be a guess.
    """
    if (early := runs.steps[~runs.correct & (runs.steps < horizon)]).size:
        raise InputError(f"{early.size} run(s) were censored before step {horizon:g}, the first at {early.min():g}")
    return float(np.minimum(runs.steps, horizon).mean())


def weights(table: pd.DataFrame) -> pd.Series:
    """Return λ of each row, which is 0 for cross-entropy alone, whatever its config has in its place."""
    return table["weight"].where(table["regularizer"] != "none", 0.0).astype(float)


def mean_iterations(table: pd.DataFrame) -> float:
    """Restricted mean of iterations of the runs in a table, up to their ``max_steps``."""
    return restricted_mean(iterations(table), float(table["max_steps"].min()))


def logrank(first: Iterations, second: Iterations) -> float:
    """Return the two-sided p-value of the log-rank test that two groups of runs share one survival curve.

    It is 1 where no run was correct: nothing tells the groups apart.
    """
    if not (first.correct.any() or second.correct.any()):
        return 1.0
    return float(stats.logrank(first.censored_data(), second.censored_data()).pvalue)


def pair_up(table: pd.DataFrame, method: str, baseline: str = "none") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the runs of two methods, row by row on the same model, task, samples and seed.

    Raises
    ------
    InputError
        If a pair lacks one of its runs or has two: a comparison over what happens to be there would be biased. And
        if the two methods were run with other settings: their difference would not be the method's alone.
    """
    sides = {name: table[table["regularizer"] == name].set_index(PAIR) for name in (method, baseline)}
    for name, side in sides.items():
        if side.empty:
            raise _no_runs(name, table)
        if side.index.has_duplicates:
            raise InputError(
                f"several runs of {name!r} for {side.index[side.index.duplicated()][0]}: select one setting"
            )
    one_sided = sides[method].index.symmetric_difference(sides[baseline].index)
    if len(one_sided):
        raise InputError(f"{len(one_sided)} pair(s) lack {method!r} or {baseline!r}, the first is {one_sided[0]}")
    index = sides[method].index.sort_values()
    ours, theirs = (sides[name].loc[index].reset_index() for name in (method, baseline))
    for field in SETTINGS:
        if field not in table:
            continue
        absent = ours[field].isna() & theirs[field].isna()  # None, which does not equal itself in a table
        if (differs := ((ours[field] != theirs[field]) & ~absent).to_numpy(dtype=bool)).any():
            given, other = ours.loc[differs, field].iloc[0], theirs.loc[differs, field].iloc[0]
            raise InputError(f"{method!r} was run with {field} {given}, {baseline!r} with {other}: select one setting")
    return ours, theirs


def _no_runs(method: str, table: pd.DataFrame) -> InputError:
    return InputError(f"no runs of {method!r}; the table has {', '.join(sorted(set(table['regularizer']))) or 'none'}")


def iteration_ratio(
    table: pd.DataFrame,
    method: str,
    baseline: str = "none",
    *,
    criterion: Literal["correct", "answer"] = "correct",
    confidence: float = 0.95,
) -> Ratio:
    """Ratio of the restricted means of iterations over paired runs, with a BCa bootstrap interval over the pairs.

    The restricted mean counts ``max_steps`` for a censored run, which is less than it needs: where one method has more
    of them the ratio flatters that method.
    Pairs that share a sample or a seed are not independent, so the interval is, if anything, too narrow.
    """
    ours, theirs = (iterations(side, criterion) for side in pair_up(table, method, baseline))

    def ratio(a: Any, b: Any, axis: int = -1) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            quotient = a.mean(axis=axis) / b.mean(axis=axis)
        return np.where(np.isnan(quotient), 1.0, quotient)  # all right at step 0, on both sides: no difference

    found = bootstrap(ratio, ours.steps, theirs.steps, paired=True, confidence=confidence)
    censored = int((~ours.correct | ~theirs.correct).sum())
    return Ratio(*found, confidence, len(ours.steps), censored)


def mean_score(scores: Float[ndarray, "rows"], *, confidence: float = 0.95) -> Interval:
    """Mean of scores in [0, 1] with an interval: Wilson's where each is right or wrong, else BCa bootstrap.

    Raises
    ------
    InputError
        If there are no scores, or one lies outside of [0, 1].
    """
    if not scores.size or scores.min() < 0 or scores.max() > 1:
        raise InputError(f"expected scores from 0 to 1, found {sorted(scores)[:1] + sorted(scores)[-1:]}")
    if not np.isin(scores, (0, 1)).all():
        return mean(scores, confidence=confidence)
    low, high = proportion_confint(scores.sum(), scores.size, alpha=1 - confidence, method="wilson")
    return Interval(float(scores.mean()), float(low), float(high))


def mean(values: Float[ndarray, "runs"], *, confidence: float = 0.95) -> Interval:
    """Mean over runs, or over pairs of runs, with a BCa bootstrap interval.

    Raises
    ------
    InputError
        If there are no values, or one is NaN.
    """
    values = np.asarray(values, dtype=np.float64)
    if not values.size or np.isnan(values).any():
        raise InputError(f"expected numbers to take the mean of, found {values.tolist()[:5]}")
    return bootstrap(lambda v, axis=-1: v.mean(axis=axis), values, confidence=confidence)


def difference(
    first: Float[ndarray, "runs"], second: Float[ndarray, "others"], *, confidence: float = 0.95
) -> Interval:
    """Difference of the means of two groups of runs that are not paired, first minus second; BCa bootstrap."""

    def between(a: Any, b: Any, axis: int = -1) -> Any:
        return a.mean(axis=axis) - b.mean(axis=axis)

    return bootstrap(between, np.asarray(first, float), np.asarray(second, float), confidence=confidence)


def bootstrap(
    statistic: Any,
    *samples: Any,
    paired: bool = False,
    resamples: int = 9999,
    batch: int | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Return a statistic of some samples with its BCa bootstrap interval (``scipy.stats.bootstrap``).

    Along its ``axis`` the statistic is given ``batch`` resamples at once, by default all. Without a spread (all
    resamples agree) the interval is the value itself; of a single run there is none (NaN).
    """
    value = float(statistic(*samples))
    if min(len(sample) for sample in samples) < 2:
        return Interval(value, float("nan"), float("nan"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of 0 / 0 where nothing varies, which is seen to below
        found = stats.bootstrap(
            samples,
            statistic,
            paired=paired,
            vectorized=True,
            confidence_level=confidence,
            n_resamples=resamples,
            batch=batch,
            rng=np.random.default_rng(0),
        )
    low, high = found.confidence_interval
    if np.isnan(low) or np.isnan(high):
        spread = found.bootstrap_distribution
        low, high = np.nanquantile(spread, [(1 - confidence) / 2, (1 + confidence) / 2], method="nearest")
    return Interval(value, float(low), float(high))


def verdict(ratio: Ratio) -> Verdict:
    """Judge "fewer iterations with the method": by the side of 1 on which the whole interval lies."""
    if ratio.high < 1:
        return "reproduced"
    return "contradicted" if ratio.low > 1 else "undecided"


def comparison(
    table: pd.DataFrame, baseline: str = "none", criterion: Literal["correct", "answer"] = "correct"
) -> pd.DataFrame:
    """One row a method: restricted mean of iterations, runs not correct, ratio to the baseline, log-rank p, verdict.

    p-values are Holm-corrected over the methods compared.
    """
    if baseline not in set(table["regularizer"]):
        raise _no_runs(baseline, table)
    methods = [baseline, *dict.fromkeys(name for name in table["regularizer"] if name != baseline)]
    horizon = float(table["max_steps"].min())
    reference = iterations(table[table["regularizer"] == baseline], criterion)
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
            row["p"] = logrank(runs, reference)
        rows.append(row)
    result = pd.DataFrame(rows)
    if len(methods) > 1:
        result.loc[1:, "p_holm"] = multipletests(result.loc[1:, "p"].to_numpy(), method="holm")[1]
    return result
