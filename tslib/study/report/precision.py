"""What other rounding of the same run does to it, beside what a regulariser does: the noise of one pair."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tslib import stats
from tslib.records.record import RunRecord
from tslib.runs.audit import ITERATIONS, iterations_gap
from tslib.stats import Interval
from tslib.study.evidence import MAIN, Evidence
from tslib.study.names import model_name, task_name
from tslib.study.report.phrases import few, plural

__all__ = ["GRIDS", "beside_rounding", "factors", "read_audits", "read_factors", "read_twice", "words"]

AGAIN = "one sample to the end, gsm8k"
"""The runs of `MAIN` made again: these go on after they are correct, and until then differ in nothing but rounding."""
BFLOAT16 = "sensitivity, dtype"
"""Some of them with the frozen model in bfloat16."""
BASELINES = "baselines, gsm8k"
GRIDS = (MAIN, AGAIN, BFLOAT16, BASELINES)

CHANGES = {
    "rounding, made again, cross-entropy alone": ((MAIN, "none"), (AGAIN, "none")),
    "rounding, made again, with TSLoss": ((MAIN, "tsloss"), (AGAIN, "tsloss")),
    "rounding, bfloat16, cross-entropy alone": ((MAIN, "none"), (BFLOAT16, "none")),
    "rounding, bfloat16, with TSLoss": ((MAIN, "tsloss"), (BFLOAT16, "tsloss")),
    "TSLoss": ((MAIN, "none"), (MAIN, "tsloss")),
    "TSLoss, made again": ((AGAIN, "none"), (AGAIN, "tsloss")),
    "TSLoss, in bfloat16": ((BFLOAT16, "none"), (BFLOAT16, "tsloss")),
    "a random direction": ((MAIN, "none"), (BASELINES, "random-direction")),
}
"""What is changed, and the (grid, regulariser) of the two runs."""


def factors(evidence: Evidence) -> pd.DataFrame:
    r"""By what factor the iterations of a pair change, in either direction, when one thing is changed.

    The factor of two runs with :math:`a` and :math:`b` iterations is :math:`\exp|\log(a/b)|`, never below 1; over the
    pairs that both sides have its geometric mean is taken, with a t interval (of its logarithm). A censored run counts
    with ``max_steps``.

    Returns
    -------
    DataFrame
        One row for each of `CHANGES`, which are its index: ``pairs``, ``censored`` and ``diverged`` (pairs with such a
        run), ``factor``, ``low``, ``high``. Empty while runs are missing.
    """
    if evidence.missing(*GRIDS):
        return pd.DataFrame()
    rows = {}
    for what, pair in CHANGES.items():
        sides = [evidence.runs(grid, regularizer=name).set_index(stats.PAIR) for grid, name in pair]
        common = sides[0].index.intersection(sides[1].index).sort_values()
        first, second = (stats.iterations(side.loc[common]) for side in sides)
        found = stats.mean(np.abs(np.log(np.maximum(first.steps, 1) / np.maximum(second.steps, 1))))
        diverged = np.any([side.loc[common, "status"] == "diverged" for side in sides], axis=0)
        rows[what] = {
            "pairs": len(common),
            "censored": int((~first.correct | ~second.correct).sum()),
            "diverged": int(diverged.sum()),
            **dict(zip(("factor", "low", "high"), np.exp(found), strict=True)),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def words(table: pd.DataFrame) -> pd.DataFrame:
    """Return `factors` as it is shown."""
    if table.empty:
        return table
    shown = [str(Interval(row["factor"], row["low"], row["high"])) for row in table.to_dict("records")]
    counts = table[["pairs", "censored", "diverged"]].assign(**{"factor [95 %]": shown})
    return counts.rename_axis("what changes").reset_index()


def beside_rounding(table: pd.DataFrame) -> str:
    """Say whether TSLoss changes a run by more than rounding does; of no `factors` nothing."""
    if table.empty:
        return ""
    return {
        -1: "TSLoss changes runs by less than rounding does.",
        0: "TSLoss changes runs by no more than rounding can.",
        1: "TSLoss changes runs by more than rounding does.",
    }[_beyond_rounding(table)]


def read_factors(evidence: Evidence) -> str:
    """Say the same with the factors."""
    table = factors(evidence)
    if table.empty:
        return ""
    rounding = table[table.index.str.startswith("rounding")]
    (ours,) = table.loc[["TSLoss"]].to_dict("records")
    return (
        f"{beside_rounding(table)} Over {plural(ours['pairs'], 'pair')} it changes them by a factor of "
        f"{Interval(ours['factor'], ours['low'], ours['high'])}, up or down; rounding alone by "
        f"{rounding['factor'].min():.2f} to {rounding['factor'].max():.2f}. One pair of runs says nothing of a method; "
        "the mean over pairs counts."
    )


def _beyond_rounding(table: pd.DataFrame) -> int:
    """Whether TSLoss changes runs by more than rounding (1), by less (-1), or by what rounding might (0)."""
    rounding, ours = table[table.index.str.startswith("rounding")], table.loc["TSLoss"]
    return int(ours["low"] > rounding["high"].max()) - int(ours["high"] < rounding["low"].min())


def read_twice(evidence: Evidence) -> str:
    """Say where the same runs were made twice, what becomes of the ratio of TSLoss, and how far apart they begin."""
    doubles = _doubles(evidence)
    if not doubles:
        return ""
    first, second = (stats.iteration_ratio(evidence.runs(grid), "tsloss") for grid in (MAIN, AGAIN))
    one, other = (_machines(side) for side in zip(*doubles, strict=True))
    losses = np.array([[record.steps["cross_entropy"].iloc[0] for record in pair] for pair in doubles])
    table = factors(evidence)
    moves = {-1: "more than", 0: "as much as", 1: "less than"}[0 if table.empty else _beyond_rounding(table)]
    where = f"on another processor, {other} after {one}" if one != other else f"on the same processor, {one}"
    run = doubles[0][0].config
    pairs = f"The {few(first.pairs)} pairs" if first.pairs > 1 else "One pair"
    were = "were" if first.pairs > 1 else "was"
    return (
        f"Rounding moves single runs {moves} TSLoss does. {pairs} of {model_name(run.model)} on {task_name(run.task)} "
        f"{were} made again {where}. The ratio is {second} there. It was {first} before. At the first step the losses "
        f"of a run and its double differ by {np.abs(losses[:, 0] / losses[:, 1] - 1).max():.0e} of their size at most; "
        "tuning multiplies that."
    )


def read_audits(evidence: Evidence) -> str:
    """Say for how many of the runs that were made twice an audit would find another number of iterations."""
    doubles = _doubles(evidence)
    if not doubles:
        return ""
    gaps = [iterations_gap(*(record.iterations_to_correct for record in pair)) for pair in doubles]
    return (
        f"Of {len(gaps)} runs that were made twice {sum(gap > ITERATIONS for gap in gaps)} differ in their "
        f"iterations by more than the {ITERATIONS:.0%} that `tslib.runs.audit` allows on another "
        "machine: there a record that fails an audit by its iterations alone need not be wrong."
    )


def _doubles(evidence: Evidence) -> list[tuple[RunRecord, RunRecord]]:
    """Return the runs that were made twice, each beside its double; none unless both grids are whole."""
    main, again = (
        {(record.config.regularizer, record.config.sample_seed, record.config.seed): record for record in records}
        for records in (evidence.records(grid) for grid in (MAIN, AGAIN))
    )
    return [(main[run], double) for run, double in again.items() if run in main]


def _machines(records: Sequence[RunRecord]) -> str:
    """Name the processors that some runs were made on."""
    return " and ".join(sorted({str(record.environment.get("machine", "unknown")) for record in records}))
