"""How the topology of prompts changes through training: statistics of each run, and of many runs together.

A *curve* is the topology table of a run, or of many runs below each other with ``run`` to tell them apart
(`tslib.study.evidence.Evidence.topology`): one row a checkpoint.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import stats as scipy_stats

from tslib import stats
from tslib.errors import InputError
from tslib.stats import Interval, Kind

__all__ = [
    "FEWEST",
    "GROUPS",
    "beside",
    "correlation",
    "drawn_curve",
    "drift",
    "drift_test",
    "fall",
    "in_bins",
    "last_third",
    "mean_curve",
    "not_rising",
    "per_run",
    "relative",
    "slopes",
    "spearman",
    "with_half",
    "within",
]

FEWEST = 6
"""Checkpoints of a run that has a first and a last third."""


def per_run(curves: pd.DataFrame, statistic: Callable[[pd.DataFrame], float]) -> "pd.Series[float]":
    """Return a statistic of each run that has at least `FEWEST` checkpoints, by run.

    Parameters
    ----------
    curves
        Topology of many runs.
    statistic
        Takes the topology of one.

    Raises
    ------
    InputError
        If no run has so many checkpoints.
    """
    found = {run: statistic(curve) for run, curve in curves.groupby("run", sort=False) if len(curve) >= FEWEST}
    if not found:
        raise InputError(f"no run has {FEWEST} checkpoints: tune with stop_when_correct=False")
    return pd.Series(found, dtype=float)


def spearman(first: Any, second: Any, axis: int = -1) -> Any:
    """Spearman's ρ of two columns; 0 where one is constant, which goes with nothing.

    Of two arrays of one shape it is an array: a ρ for each line along the axis, counted from the last (-1).
    """
    columns = np.stack([np.moveaxis(np.asarray(one), axis, -1) for one in (first, second)], axis=-1)
    return _correlations(scipy_stats.rankdata(columns, axis=-2))[..., 0, 1]


def _correlations(ranks: Float[ndarray, "*many rows columns"]) -> Float[ndarray, "*many columns columns"]:
    """Pearson's correlations of columns, whose NaN are left out of all; 0 where one is constant."""
    apart = np.nan_to_num(ranks - np.nanmean(ranks, axis=-2, keepdims=True))
    products = apart.swapaxes(-1, -2) @ apart
    norms = np.sqrt(np.diagonal(products, axis1=-2, axis2=-1))
    sizes = norms[..., None] * norms[..., None, :]
    found: ndarray = np.divide(products, sizes, out=np.zeros_like(products), where=sizes > 0)
    return found


def drift(curve: pd.DataFrame, column: str) -> float:
    """Spearman's ρ of a column with the step."""
    return float(spearman(curve[column], curve["step"]))


def last_third(curve: pd.DataFrame, column: str) -> float:
    """Mean of a column over the last third of the checkpoints."""
    return float(curve[column].iloc[-(len(curve) // 3) :].mean())


def relative(curve: pd.DataFrame, column: str) -> float:
    """Mean of the last third over the first checkpoint; 1 where both are 0."""
    first, last = float(curve[column].iloc[0]), last_third(curve, column)
    return last / first if first else (1.0 if last == 0 else np.inf)


def fall(curve: pd.DataFrame, column: str, step: int) -> float:
    """By which part a column has fallen from the first checkpoint to that at a step (negative: risen).

    A run that ended before, since it diverged, has its last checkpoint there.
    """
    first = float(curve[column].iloc[0])
    return 1 - float(curve.loc[curve["step"] <= step, column].iloc[-1]) / first if first else 0.0


def not_rising(curve: pd.DataFrame, column: str) -> float:
    """Share of checkpoints, from the second on, at which a column is not above the checkpoint before."""
    return float((curve[column].diff().iloc[1:] <= 0).mean())


def slopes(curve: pd.DataFrame, column: str, step: int) -> float:
    """Mean absolute change from checkpoint to checkpoint after a step, over that until it."""
    changes = curve[column].diff().abs() / curve["step"].diff()
    before, after = changes[curve["step"] <= step].mean(), changes[curve["step"] > step].mean()
    return float(after / before) if before else (1.0 if after == 0 else np.inf)


def drift_test(curve: pd.DataFrame, column: str, parts: int = 3) -> tuple[float, float]:
    """Mann-Whitney U of the first against the last part of the checkpoints, two-sided.

    Parameters
    ----------
    curve, column
        A run, and what is tested.
    parts
        How many parts of one size the checkpoints are cut into: 3, so that the last third is held against the first, as
        the page of criteria has it; or 2, halves, as the paper's Table 2 seems to have it
        (`tslib.study.paper.group_size`).

    Returns
    -------
    tuple
        U of the first part, and p. U is 0, or as large as can be, where the two do not overlap.
    """
    size = len(curve) // parts
    test = scipy_stats.mannwhitneyu(curve[column].iloc[:size], curve[column].iloc[-size:])
    return float(test.statistic), float(test.pvalue)


def with_half(curve: pd.DataFrame, column: str) -> float:
    """Spearman's ρ of a column with the half of the run that a checkpoint is in, as the paper's Table 2 seems to be.

    Of an odd number of checkpoints the middle one is left out. What only rises has √3/2, about 0.866.
    """
    half = len(curve) // 2
    ends = np.concatenate([curve[column].iloc[:half], curve[column].iloc[-half:]])
    return float(spearman(ends, np.repeat([0, 1], half)))


def correlation(
    curves: pd.DataFrame, column: str, with_: str, given: str | None = None, *, kind: Kind = "t"
) -> Interval:
    """Spearman's ρ over the checkpoints of all runs together, with an interval over runs.

    Where groups of runs differ in both columns, this is as much about groups as about runs: see `within`.

    Parameters
    ----------
    curves
        Topology of many runs.
    column, with_
        Two columns.
    given
        A column whose part in both ranks is taken out (partial correlation of the ranks).
    kind
        Of the interval: runs left out one by one, or whole runs resampled.
    """
    if kind == "t":
        return within(curves, column, with_, given, groups=())
    names = [column, with_] + ([given] if given else [])
    seen = curves.dropna(subset=names)
    runs = seen.groupby("run", sort=False)
    # One table of all runs, so that many resamples are ranked at once; what fills up short runs ranks behind the rest.
    table = np.full((runs.ngroups, runs.size().max(), len(names)), len(seen))
    table[runs.ngroup(), runs.cumcount()] = np.column_stack(
        [np.unique(seen[name], return_inverse=True)[1] for name in names]
    )

    def pooled(chosen: Int[ndarray, "*resamples runs"], axis: int = -1) -> Float[ndarray, "*resamples"]:
        values = table[chosen].reshape(*chosen.shape[:-1], -1, len(names))
        rho = _correlations(np.where(values < len(seen), scipy_stats.rankdata(values, axis=-2), np.nan))
        return partial(rho) if given else rho[..., 0, 1]

    return stats.bootstrap(pooled, np.arange(len(table)), resamples=1999, batch=100)


GROUPS = ("task", "samples")
"""Fields in which groups of runs differ, and with them accuracy and topology."""


def within(
    curves: pd.DataFrame, column: str, with_: str, given: str | None = None, *, groups: Sequence[str] = GROUPS
) -> Interval:
    """Spearman's ρ over the checkpoints of each group of runs, the mean over groups, with an interval over runs.

    Parameters
    ----------
    curves
        Topology of many runs.
    column, with_
        Two columns.
    given
        A column whose part in both ranks is taken out.
    groups
        Fields that a group's runs share; without any, all runs are one group.
    """
    names = [column, with_] + ([given] if given else [])
    seen = curves.dropna(subset=names)

    def rho(values: Float[ndarray, "checkpoints columns"]) -> float:
        found = _correlations(scipy_stats.rankdata(values, axis=0))
        return float(partial(found) if given else found[0, 1])

    of_run = [(key, run[names].to_numpy(np.float64)) for key, run in _by_run(seen, groups)]
    keys = [key for key, _ in of_run]

    def mean_of(kept: Int[ndarray, "kept"]) -> float:
        of_group = [np.concatenate([of_run[i][1] for i in kept if keys[i] == key]) for key in dict.fromkeys(keys)]
        return float(np.mean([rho(values) for values in of_group]))

    return stats.leaving_one_out(mean_of, keys)


def beside(curves: pd.DataFrame, column: str, with_: str, *, groups: Sequence[str] = GROUPS) -> Interval:
    """Spearman's ρ of two columns with group and step taken out, with an interval over runs.

    At each step the runs of a group are ranked among each other; what is correlated is how far each lies from the
    middle rank there. So neither what all runs do with time nor how groups differ has a part in it.
    """
    seen = curves.dropna(subset=[column, with_])
    runs = _by_run(seen, groups)
    table = pd.concat([run.assign(run=number) for number, (_, run) in enumerate(runs)])
    stratum = table.groupby([*groups, "step"]).ngroup().to_numpy()
    values = [np.unique(table[name], return_inverse=True)[1] for name in (column, with_)]
    of_run = [np.flatnonzero(table["run"] == number) for number in range(len(runs))]

    def rho(kept: Int[ndarray, "kept"]) -> float:
        rows = np.concatenate([of_run[number] for number in kept])
        return float(_correlations(np.column_stack([_apart(one[rows], stratum[rows]) for one in values]))[0, 1])

    return stats.leaving_one_out(rho, [key for key, _ in runs])


def _apart(values: Int[ndarray, "rows"], stratum: Int[ndarray, "rows"]) -> Float[ndarray, "rows"]:
    """Return how far the rank of each value in its stratum lies from the middle one there, over how many there are."""
    sizes = np.bincount(stratum)
    before = np.cumsum(sizes) - sizes
    ranks = scipy_stats.rankdata(stratum * (values.max() + 1) + values) - before[stratum]
    found: ndarray = (ranks - (sizes[stratum] + 1) / 2) / sizes[stratum]
    return found


def _by_run(curves: pd.DataFrame, groups: Sequence[str]) -> list[tuple[tuple[object, ...], pd.DataFrame]]:
    """Return each run's rows with the key of its group, group by group."""
    found = [(tuple(run[list(groups)].iloc[0]), run) for _, run in curves.groupby("run", sort=False)]
    return sorted(found, key=lambda one: str(one[0]))


def partial(rho: Float[ndarray, "*resamples 3 3"]) -> Float[ndarray, "*resamples"]:
    """Partial correlation of the first two of three columns given the third, from the plain ones.

    It is 0 where all of one is the third's.
    """
    left = np.clip(1 - rho[..., :2, 2] ** 2, 0, None)  # a correlation of 1 may come out above it
    sizes = np.sqrt(left.prod(axis=-1))
    beyond = rho[..., 0, 1] - rho[..., 0, 2] * rho[..., 1, 2]
    found: ndarray = np.divide(beyond, sizes, out=np.zeros_like(beyond), where=(left > 1e-12).all(axis=-1))
    return found


def mean_curve(curves: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean of a column at each step over the runs that have a checkpoint there, with a 95 % interval over runs.

    Returns
    -------
    DataFrame
        Columns ``step``, ``value``, ``low``, ``high``, ``runs``.
    """
    rows = []
    for step, here in curves.dropna(subset=[column]).groupby("step"):
        found = stats.mean(here[column].to_numpy(dtype=np.float64))
        rows.append({"step": step, **found._asdict(), "runs": len(here)})
    return pd.DataFrame(rows, columns=["step", "value", "low", "high", "runs"])


def in_bins(curves: pd.DataFrame, feature: str, column: str, bins: int = 8) -> pd.DataFrame:
    """Mean of a column in bins of a feature with as many checkpoints each, with a 95 % interval over runs.

    The checkpoints of one run in a bin are much alike, so a bin's mean is a ratio of two numbers of each run: the sum
    over its checkpoints, and how many they are. Where the feature is constant there is one bin.

    Returns
    -------
    DataFrame
        One row a bin: ``centre`` (median of the feature), ``value``, ``low``, ``high``, ``checkpoints``, ``runs``.
    """
    seen = curves.dropna(subset=[feature, column])
    rows = []
    for _, here in seen.groupby(pd.qcut(seen[feature], bins, duplicates="drop").cat.codes):
        of_runs = here.groupby("run")[column].agg(["sum", "size"]).to_numpy(dtype=np.float64)
        found = stats.ratio_of_means(*of_runs.T)
        counts = {"checkpoints": len(here), "runs": len(of_runs)}
        rows.append({"centre": here[feature].median(), **found._asdict(), **counts})
    return pd.DataFrame(rows)


def drawn_curve(curves: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the part of `mean_curve` that is drawn: steps that a quarter of the runs, and two if there are two, have.

    The last checkpoints of single runs lie at any step, and would make the mean jump.
    """
    mean = mean_curve(curves, column)
    most = mean["runs"].max()
    kept: pd.DataFrame = mean[mean["runs"] >= max(min(2, most), most / 4)]
    return kept
