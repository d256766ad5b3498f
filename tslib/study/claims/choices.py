"""What the second part of the criteria chooses before it judges, and pushes in float32, which it judges by themselves.

Rules and runs are those of `tslib.study.claims.sceptic`; of a grid that is not whole there is an empty table.
"""

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from tslib import stats
from tslib.study.evidence import Evidence

__all__ = ["FLOOR", "PUSHES", "RATES", "WEIGHTS", "floors", "pushes", "weights"]

RATES = "the learning rate again"
WEIGHTS = "weights of baselines"
FLOOR = "above the floor, trials"
PUSHES = "pushes in float32"

CHANCE = 0.5
"""Accuracy of a guess in the tasks of `FLOOR`, whose questions have two answers."""


def weights(second: Evidence) -> pd.DataFrame:
    """Iterations of each regulariser at each of its weights; the weight with the smallest restricted mean is chosen.

    Returns
    -------
    DataFrame
        ``regularizer``, ``weight``, ``mean`` (restricted), ``runs``, ``censored``, ``diverged``, ``chosen``; of equal
        means the smaller weight is chosen.
    """
    table = second.runs(WEIGHTS)
    rows = []
    for name, of_method in table[table["regularizer"] != "none"].groupby("regularizer", sort=False):
        at = {float(runs["weight"].iloc[0]): runs for _, runs in of_method.groupby("weight")}
        means = {weight: stats.mean_iterations(runs) for weight, runs in at.items()}
        best = min(means, key=lambda weight: (means[weight], weight))
        for weight, runs in at.items():
            row = {"regularizer": name, "weight": weight, "mean": means[weight], "runs": len(runs)}
            rows.append(row | stats.ended(runs) | {"chosen": weight == best})
    return pd.DataFrame(rows)


def floors(second: Evidence) -> pd.DataFrame:
    """Held-out accuracy of cross-entropy alone above the floor: the larger of the untuned model's and a guess's.

    Returns
    -------
    DataFrame
        ``task``, ``pairs``, ``accuracy`` (mean over pairs), ``floor``, ``gain`` with its 95 % t interval, ``low`` to
        ``high``, and ``used``: whether methods are compared on this task. Tasks without the untuned model's accuracy
        are left out.
    """
    scores = pd.DataFrame() if second.not_evaluated(FLOOR) else second.evaluations(FLOOR)
    rows = []
    for task, of_task in scores.groupby("task", sort=False) if len(scores) else ():
        untuned = second.untuned(str(task), str(of_task["model"].iloc[0]))
        if untuned is None:
            continue
        floor = max(untuned, CHANCE)
        gain = stats.mean(of_task["score"].to_numpy(float) - floor)
        row = {"task": task, "pairs": len(of_task), "accuracy": float(of_task["score"].mean()), "floor": floor}
        rows.append(row | {"gain": gain.value, "low": gain.low, "high": gain.high, "used": gain.low > 0})
    return pd.DataFrame(rows)


def pushes(second: Evidence) -> pd.DataFrame:
    """Held-out answer loss of each push less that of cross-entropy alone, over pairs.

    Returns
    -------
    DataFrame
        ``regularizer``, ``pairs``, ``difference`` (nats per token) with its 95 % t interval, ``low`` to ``high``, ``p``
        of the paired t test, and ``p_holm``.
    """
    scores = pd.DataFrame() if second.not_evaluated(PUSHES) else second.evaluations(PUSHES)
    names = [name for name in dict.fromkeys(scores.get("regularizer", ())) if name != "none"]
    rows = []
    for name in names:
        sides = [scores[scores["regularizer"] == side].set_index(stats.PAIR)["answer_loss"] for side in (name, "none")]
        apart = (sides[0] - sides[1]).dropna().to_numpy(float)
        gain = stats.mean(apart)
        p = float(scipy_stats.ttest_1samp(apart, 0.0).pvalue) if np.ptp(apart) else float(not apart[0])
        row = {"regularizer": name, "pairs": len(apart), "difference": gain.value, "low": gain.low, "high": gain.high}
        rows.append(row | {"p": p})
    found = pd.DataFrame(rows)
    return found.assign(p_holm=stats.holm(found["p"].to_numpy())) if rows else found
