"""What other rounding of the same model does to a run, beside what a regulariser does: the noise of one pair."""

import numpy as np
import pandas as pd

from tslib import stats
from tslib.evidence import MAIN, Evidence
from tslib.stats import Interval

__all__ = ["GRIDS", "factors", "read_factors", "words"]

GRIDS = (MAIN, "sensitivity, dtype", "baselines, gsm8k")
"""The runs in float32, those in bfloat16, and the ones with a random direction."""

CHANGES = {
    "rounding, cross-entropy alone": (("none", "float32"), ("none", "bfloat16")),
    "rounding, with TSLoss": (("tsloss", "float32"), ("tsloss", "bfloat16")),
    "TSLoss, in float32": (("none", "float32"), ("tsloss", "float32")),
    "TSLoss, in bfloat16": (("none", "bfloat16"), ("tsloss", "bfloat16")),
    "a random direction, in float32": (("none", "float32"), ("random-direction", "float32")),
}
"""What is changed, and the (regulariser, precision) of the two runs."""


def factors(evidence: Evidence) -> pd.DataFrame:
    r"""By what factor the iterations of a pair change, in either direction, when one thing is changed.

    The factor of two runs with :math:`a` and :math:`b` iterations is :math:`\exp|\log(a/b)|`, never below 1; over pairs
    its geometric mean is taken, with a BCa bootstrap interval. A censored run counts with ``max_steps``.

    Returns
    -------
    DataFrame
        One row for each of `CHANGES`, which are its index: ``pairs``, ``censored`` and ``diverged`` (pairs with such a
        run), ``factor``, ``low``, ``high``. Empty while runs are missing.
    """
    runs = evidence.paired(*GRIDS)
    if runs.empty:
        return pd.DataFrame()
    sides = {key: part.set_index(stats.PAIR).sort_index() for key, part in runs.groupby(["regularizer", "dtype"])}
    rows = {}
    for what, pair in CHANGES.items():
        first, second = (stats.iterations(sides[key]) for key in pair)
        found = stats.mean(np.abs(np.log(np.maximum(first.steps, 1) / np.maximum(second.steps, 1))))
        diverged = (sides[pair[0]]["status"] == "diverged") | (sides[pair[1]]["status"] == "diverged")
        rows[what] = {
            "pairs": len(first.steps),
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


def read_factors(evidence: Evidence) -> str:
    """Say whether TSLoss changes a run by more than rounding does, and between which processors that was seen."""
    table = factors(evidence)
    if table.empty:
        return ""
    rounding = table[table.index.str.startswith("rounding")]
    (ours,) = table.loc[["TSLoss, in float32"]].to_dict("records")
    more = "more than rounding does" if ours["low"] > rounding["high"].max() else "no more than rounding can"
    return (
        f"On {ours['pairs']} pairs rounding alone ({_where(evidence)}) changes the iterations by a factor of "
        f"{rounding['factor'].min():.2f} to {rounding['factor'].max():.2f}, up or down; TSLoss changes them by "
        f"{Interval(ours['factor'], ours['low'], ours['high'])}, {more}. So two runs, one with and one without, say "
        "nothing about a method: what counts is the mean over pairs."
    )


def _where(evidence: Evidence) -> str:
    """Name the processors of either precision: a run in another precision may be one on another machine, too."""
    parts = []
    for dtype in ("float32", "bfloat16"):
        environments = [record.environment for record in evidence.records(*GRIDS[:2], dtype=dtype)]
        machines = sorted({str(environment.get("machine", "unknown")) for environment in environments})
        parts.append(f"{dtype} on {' and '.join(machines)}")
    return ", ".join(parts)
