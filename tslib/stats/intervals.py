"""Intervals of few runs, each by a method whose coverage is measured (`tslib.study.claims.coverage`)."""

import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from tslib.errors import InputError

__all__ = [
    "Interval",
    "Kind",
    "bootstrap",
    "difference",
    "leaving_one_out",
    "mean",
    "mean_score",
    "ratio_of_means",
    "sign_flip",
]

Kind = Literal["t", "bca"]
"""How the ends of an interval are found: from Student's t, or by a BCa bootstrap, which is too narrow for few runs and
is kept for the rules that named it before the runs."""


class Interval(NamedTuple):
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Say it with two decimals, or up to four where its ends would look the same."""
        digits = 2
        while digits < 4 and self.high - self.low > 1e-4 and round(self.low, digits) == round(self.high, digits):
            digits += 1
        value, low, high = (round(one, digits) + 0.0 for one in self)  # 0 has no sign
        return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def mean(values: Float[ndarray, "runs"], *, confidence: float = 0.95, kind: Kind = "t") -> Interval:
    """Mean over runs, or over pairs of runs, with a t interval; of a single one there is none (NaN).

    Raises
    ------
    InputError
        If there are no values, or one is NaN.
    """
    values = np.asarray(values, dtype=np.float64)
    if not values.size or np.isnan(values).any():
        raise InputError(f"expected numbers to take the mean of, found {values.tolist()[:5]}")
    if kind == "bca":
        return bootstrap(lambda v, axis=-1: v.mean(axis=axis), values, confidence=confidence)
    if len(values) < 2:
        return Interval(float(values[0]), np.nan, np.nan)
    return Interval(float(values.mean()), *map(float, DescrStatsW(values).tconfint_mean(1 - confidence)))


def difference(
    first: Float[ndarray, "runs"], second: Float[ndarray, "others"], *, confidence: float = 0.95, kind: Kind = "t"
) -> Interval:
    """Difference of the means of two groups of runs that are not paired, first minus second; Welch's t interval."""
    first, second = (np.asarray(group, dtype=np.float64) for group in (first, second))

    def between(a: Any, b: Any, axis: int = -1) -> Any:
        return a.mean(axis=axis) - b.mean(axis=axis)

    if kind == "bca":
        return bootstrap(between, first, second, confidence=confidence)
    value = float(between(first, second))
    if min(len(first), len(second)) < 2:
        return Interval(value, np.nan, np.nan)
    if not (first.std() or second.std()):
        return Interval(value, value, value)
    found = CompareMeans(DescrStatsW(first), DescrStatsW(second)).tconfint_diff(1 - confidence, usevar="unequal")
    return Interval(value, *map(float, found))


def ratio_of_means(
    ours: Float[ndarray, "pairs"], theirs: Float[ndarray, "pairs"], *, confidence: float = 0.95
) -> Interval:
    r"""Ratio of the means of two numbers of each pair, neither below 0, with Fieller's interval.

    A ratio is inside if a t test does not tell the mean of :math:`a_i - r b_i` over the pairs from 0. With
    :math:`\hat r = \bar a / \bar b`, :math:`e_i = a_i - \hat r b_i`, the (co)variances :math:`v` of the means times
    the square of t's quantile, and :math:`r = \hat r + \delta`, these are the :math:`\delta` with
    :math:`(\bar b^2 - v_{bb}) \delta^2 + 2 v_{eb} \delta - v_{ee} \le 0`. Where :math:`\bar b` cannot be told from 0
    any ratio is inside; where all pairs have the same one, it alone.
    """
    first, second = (np.asarray(side, dtype=np.float64) for side in (ours, theirs))
    above, below = float(first.mean()), float(second.mean())
    if not below:  # nor is any of them
        return Interval(*[np.inf if above else 1.0] * 3)
    value, n = above / below, len(first)
    if n < 2:
        return Interval(value, np.nan, np.nan)
    apart = first - value * second
    if np.allclose(apart, 0, atol=1e-9 * below):
        return Interval(value, value, value)
    t = stats.t.ppf((1 + confidence) / 2, n - 1)
    (vee, veb), (_, vbb) = np.cov(apart, second) / n * t**2
    lead = below**2 - vbb
    if lead <= 0:
        return Interval(value, 0.0, np.inf)
    root = float(np.sqrt(veb**2 + lead * vee))
    return Interval(value, max(value - float(veb + root) / lead, 0.0), value + float(root - veb) / lead)


def sign_flip(ours: Float[ndarray, "pairs"], theirs: Float[ndarray, "pairs"]) -> float:
    """Return the two-sided p-value that the two of a pair are exchangeable: of the sums with signs flipped at random.

    All flips are tried for up to 13 pairs, else 9999 of them; it is 1 where all pairs agree, and of one pair.
    """

    def apart(first: Any, second: Any, axis: int = -1) -> Any:
        return (first - second).mean(axis=axis)

    if np.array_equal(ours, theirs) or len(ours) < 2:
        return 1.0
    test = stats.permutation_test(
        (np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)),
        apart,
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def leaving_one_out(
    correlation: Callable[[Int[ndarray, "kept"]], float], groups: Sequence[Hashable], *, confidence: float = 0.95
) -> Interval:
    r"""Return a correlation over runs with a t interval from leaving out one run after the other (jackknife).

    What is left out is a whole run, since checkpoints of one run are much alike. The interval is that of Fisher's
    :math:`z = \operatorname{artanh} \rho`, whose variance is
    :math:`\sum_g \frac{n_g - 1}{n_g} \sum_{i \in g} (z_{-i} - \bar z_g)^2` over the groups, with as many degrees of
    freedom as there are runs less groups. It is NaN where a group has a single run.

    Parameters
    ----------
    correlation
        Takes the indices of the runs that are kept.
    groups
        The group of each run.
    confidence
        Of the interval.
    """
    runs = np.arange(len(groups))
    value = float(correlation(runs))
    variance, members = 0.0, [np.flatnonzero([group == one for group in groups]) for one in dict.fromkeys(groups)]
    if min(map(len, members), default=0) < 2 or np.isnan(value):
        return Interval(value, np.nan, np.nan)
    for of_group in members:
        z = _fisher(np.array([correlation(np.delete(runs, run)) for run in of_group]))
        variance += (len(z) - 1) * float(z.var())
    half = stats.t.ppf((1 + confidence) / 2, len(runs) - len(members)) * np.sqrt(variance)
    low, high = np.tanh(_fisher(value) + np.array([-half, half]))
    return Interval(value, float(low), float(high))


def _fisher(rho: Any) -> Any:
    return np.arctanh(np.clip(rho, -1 + 1e-9, 1 - 1e-9))


def mean_score(scores: Float[ndarray, "rows"], *, confidence: float = 0.95) -> Interval:
    """Mean of scores in [0, 1] with an interval: Wilson's where each is right or wrong, else a BCa bootstrap's.

    Of a hundred skewed scores the bootstrap covers better than t does; of fewer than 20 it is of t.

    Raises
    ------
    InputError
        If there are no scores, or one lies outside of [0, 1].
    """
    if not scores.size or scores.min() < 0 or scores.max() > 1:
        raise InputError(f"expected scores from 0 to 1, found {sorted(scores)[:1] + sorted(scores)[-1:]}")
    if not np.isin(scores, (0, 1)).all():
        return mean(scores, confidence=confidence, kind="bca" if len(scores) >= 20 else "t")
    low, high = proportion_confint(scores.sum(), scores.size, alpha=1 - confidence, method="wilson")
    return Interval(float(scores.mean()), float(low), float(high))


def bootstrap(
    statistic: Any,
    *samples: Any,
    paired: bool = False,
    resamples: int = 9999,
    batch: int | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Return a statistic of some samples with its BCa bootstrap interval (``scipy.stats.bootstrap``).

    Of few runs it is too narrow: the rules that were written before the runs name it, and of runs nothing else uses it.
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
