"""Iterations until a run is correct, as time-to-event data, and runs brought into pairs.

A run that was not correct by ``max_steps`` is censored there: it is known to need more, and it is never dropped.
"""

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy import stats

from tslib.errors import InputError

__all__ = [
    "PAIR",
    "SETTINGS",
    "Iterations",
    "ended",
    "iterations",
    "mean_iterations",
    "median",
    "pair_up",
    "restricted_mean",
    "survival_curve",
    "weights",
]

PAIR = ["model", "task", "samples", "sample_seed", "seed"]
"""What makes a pair of runs; they share all other settings too and differ in the method alone."""

SETTINGS = [
    *("method", "n_tokens", "placement", "init", "init_text", "prompt_scale", "lr", "batch_size", "max_steps", "dtype"),
    *("shots", "max_context", "check_every", "position_encoding", "prompt_dtype", "optimizer"),
]
"""Further fields of ``TuneConfig`` that would change a run's iterations, whatever the method."""


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
            raise no_runs(name, table)
        if side.index.has_duplicates:
            raise InputError(
                f"several runs of {name!r} for {side.index[side.index.duplicated()][0]}: select one setting"
            )
    one_sided = sides[method].index.symmetric_difference(sides[baseline].index)
    if len(one_sided):
        raise InputError(f"{len(one_sided)} pair(s) lack {method!r} or {baseline!r}, the first is {one_sided[0]}")
    index = sides[method].index.sort_values()
    ours, theirs = (sides[name].loc[index].reset_index() for name in (method, baseline))
    for field in (field for field in SETTINGS if field in table):
        for given, other in zip(ours[field].tolist(), theirs[field].tolist(), strict=True):
            if given != other and not (pd.isna(given) and pd.isna(other)):  # None does not equal itself in a table
                said = f"{method!r} was run with {field} {given}, {baseline!r} with {other}"
                raise InputError(f"{said}: select one setting")
    return ours, theirs


def no_runs(method: str, table: pd.DataFrame) -> InputError:
    return InputError(f"no runs of {method!r}; the table has {', '.join(sorted(set(table['regularizer']))) or 'none'}")
