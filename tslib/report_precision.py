"""What another rounding of the same model does to a run, beside what a regulariser does: the noise of one pair."""

import numpy as np
import pandas as pd

from tslib import stats
from tslib.evidence import MAIN, Evidence
from tslib.report import method_name
from tslib.stats import Interval

__all__ = ["GRIDS", "factors", "read_factors", "words"]

GRIDS = (MAIN, "sensitivity, dtype", "baselines, gsm8k")
"""The runs in float32, those in bfloat16, and the ones with a random direction."""

OURS = "TSLoss, in float32"


def factors(evidence: Evidence) -> pd.DataFrame:
    r"""By what factor the iterations of a pair change, in either direction, when one thing is changed.

    The factor of two runs with :math:`a` and :math:`b` iterations is :math:`\exp|\log(a/b)|`, never below 1; over pairs
    its geometric mean is taken, with a BCa bootstrap interval. A censored run counts with ``max_steps``.

    Returns
    -------
    DataFrame
        One row for each change: ``what``, ``rounding`` (whether it is the precision alone that changes), ``pairs``,
        ``censored`` (pairs), ``factor``, ``low``, ``high``. Empty while runs are missing.
    """
    runs = evidence.paired(*GRIDS)
    if runs.empty:
        return pd.DataFrame()
    sides = {key: part.set_index(stats.PAIR).sort_index() for key, part in runs.groupby(["regularizer", "dtype"])}
    alone = {dtype: ("none", dtype) for dtype in ("float32", "bfloat16")}
    changes = [
        (f"precision, {method_name(name)}", (name, "float32"), (name, "bfloat16")) for name in ("none", "tsloss")
    ]
    changes += [(OURS, alone["float32"], ("tsloss", "float32"))]
    changes += [("TSLoss, in bfloat16", alone["bfloat16"], ("tsloss", "bfloat16"))]
    changes += [("a random direction, in float32", alone["float32"], ("random-direction", "float32"))]
    rows = []
    for what, *pair in changes:
        first, second = (stats.iterations(sides[key]) for key in pair)
        found = stats.mean(np.abs(np.log(np.maximum(first.steps, 1) / np.maximum(second.steps, 1))))
        rows.append(
            {
                **{"what": what, "rounding": pair[0][0] == pair[1][0], "pairs": len(first.steps)},
                "censored": int((~first.correct | ~second.correct).sum()),
                **dict(zip(("factor", "low", "high"), np.exp(found), strict=True)),
            }
        )
    return pd.DataFrame(rows)


def words(table: pd.DataFrame) -> pd.DataFrame:
    """Return `factors` as it is shown."""
    if table.empty:
        return table
    shown = [str(Interval(row["factor"], row["low"], row["high"])) for row in table.to_dict("records")]
    return pd.DataFrame(
        {"what changes": table["what"], "pairs": table["pairs"], "censored": table["censored"], "factor [95 %]": shown}
    )


def read_factors(table: pd.DataFrame) -> str:
    """Say whether TSLoss changes a run by more than a change of precision does."""
    if table.empty:
        return ""
    rounding = table[table["rounding"]]
    ours = table[table["what"] == OURS].iloc[0]
    more = "more than rounding does" if ours["low"] > rounding["high"].max() else "no more than rounding can"
    return (
        f"On {int(ours['pairs'])} pairs the precision of the frozen model alone, float32 or bfloat16, changes the "
        f"iterations by a factor of {rounding['factor'].min():.2f} to {rounding['factor'].max():.2f}, up or down; "
        f"TSLoss changes them by {Interval(ours['factor'], ours['low'], ours['high'])}, {more}. So two runs, one with "
        "and one without, say nothing about a method: what counts is the mean over pairs."
    )
