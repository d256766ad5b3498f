"""The second part of the criteria: what a sceptic would ask for, each experiment judged by the rule written before it.

The runs are those of ``data/sweeps/sceptic.yaml``. Only whole grids are judged.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from statsmodels.stats.contingency_tables import mcnemar

from tslib.records.record import RunRecord
from tslib.stats import Interval
from tslib.study import treatment
from tslib.study.claims.iterations import COMBINATIONS
from tslib.study.evidence import SWEEPS, Evidence

__all__ = ["EXPERIMENTS", "MATTERS", "SCEPTIC", "Experiment", "Found", "failures", "found", "judged"]

SCEPTIC = SWEEPS / "sceptic.yaml"
"""The sweep of these runs."""

MATTERS = (0.95, 1.05)
"""A ratio of iterations whose interval lies within these is no difference that matters."""

Found = Literal["faster", "slower", "no difference that matters", "undecided", "not observed", "not treated"]


class Experiment(NamedTuple):
    """What is judged together.

    Attributes
    ----------
    grids
        Of the sweep.
    looks
        How often the rule looks: the 5 % are divided by it.
    older
        Grids of the first part whose pairs belong to the comparison, by the grid that brings more of them.
    criterion
        Of the iterations.
    """

    grids: tuple[str, ...]
    looks: int
    older: Mapping[str, str] = MappingProxyType({})
    criterion: Literal["correct", "answer"] = "correct"

    @property
    def confidence(self) -> float:
        """Of its intervals."""
        return 1 - 0.05 / self.looks


EXPERIMENTS = {
    "the paper's setting": Experiment(("the paper's setting, SmolLM2", "the paper's setting, Gemma"), 2),
    "to 30 pairs, to 20 pairs": Experiment(
        ("to 30 pairs, gsm8k, SmolLM2", "to 20 pairs, gsm8k, Gemma"),
        2,
        {
            "to 30 pairs, gsm8k, SmolLM2": COMBINATIONS["smollm2-135m", "gsm8k", "one sample"],
            "to 20 pairs, gsm8k, Gemma": COMBINATIONS["gemma3-270m", "gsm8k", "one sample"],
        },
    ),
    "the public code's setting": Experiment(("the public code's setting",), 2, criterion="answer"),
    "stronger": Experiment(("stronger",), 7),
    "high rates; unstable prefix tuning": Experiment(("high rates", "unstable prefix tuning"), 3),
    "longer prompts": Experiment(("longer prompts",), 2),
    "the paper's budget": Experiment(("the paper's budget, mmlu", "the paper's budget, gsm8k"), 2),
    "the answer": Experiment(("the answer",), 1, criterion="answer"),
    "several samples": Experiment(("several samples, HotpotQA", "several samples, BBH"), 2),
    "once more, prompt scale": Experiment(("once more, prompt scale, Gemma",), 1),
}
"""By their names in the criteria. Two looks: two variants, two prompt lengths, or two tasks; three: three rates."""


def found(ratio: Interval, *, observed: bool = True, treated: bool = True) -> Found:
    """Say what the interval of a ratio of iterations means.

    Parameters
    ----------
    ratio
        With the regulariser over without.
    observed
        Whether any run was correct.
    treated
        Whether the regulariser did what it is for (``treatment.treatment``).
    """
    if not observed:
        return "not observed"
    if not treated:
        return "not treated"
    if ratio.high < 1:
        return "faster"
    if ratio.low > 1:
        return "slower"
    return "no difference that matters" if MATTERS[0] <= ratio.low and ratio.high <= MATTERS[1] else "undecided"


def failures(both: list[tuple[RunRecord, RunRecord]]) -> tuple[int, int, float]:
    """Count pairs of which only one run is ever correct.

    Returns
    -------
    tuple
        In how many pairs only the run with the regulariser fails; in how many only the one without; and the two-sided
        p-value of McNemar's exact test that a run fails as often with it as without.
    """
    fails = np.array([[record.iterations_to_correct is None for record in pair] for pair in both])
    ours, theirs = fails.T
    table = [[int((first & second).sum()) for second in (theirs, ~theirs)] for first in (ours, ~ours)]
    return table[0][1], table[1][0], float(mcnemar(table, exact=True).pvalue)


def judged(second: Evidence, first: Evidence, experiment: Experiment) -> pd.DataFrame:
    """Judge each setting with a regulariser against cross-entropy alone.

    Parameters
    ----------
    second
        The runs of `SCEPTIC`.
    first
        Those of the first part.
    experiment
        Which of them.

    Returns
    -------
    DataFrame
        The columns of ``treatment.treatment``, with the intervals of the ratio at the experiment's confidence;
        ``which``, "all pairs" or "new pairs" (both where there are older ones; all of them are judged);
        ``only_ours``, ``only_theirs`` and ``p`` (`failures`); and ``found``. Grids that are not whole are left out.
    """
    rows = []
    for grid, both in treatment.pairs(second, *experiment.grids):
        sets = {"all pairs": both}
        if older := experiment.older.get(grid):
            sets = {"all pairs": _older(first, older, both[0][0].config.regularizer) + both, "new pairs": both}
        for which, of_set in sets.items():
            rows.append(_row(grid, of_set, experiment) | {"which": which})
    return pd.DataFrame(rows)


def _older(first: Evidence, grid: str, regularizer: str) -> list[tuple[RunRecord, RunRecord]]:
    """Return the pairs of a grid of the first part with a regulariser, with the paper's weight of 1."""
    return next(both for _, both in treatment.pairs(first, grid) if both[0][0].config.regularizer == regularizer)


def _row(grid: str, both: list[tuple[RunRecord, RunRecord]], experiment: Experiment) -> dict[str, Any]:
    row = treatment.compared(grid, both, confidence=experiment.confidence, criterion=experiment.criterion)
    only_ours, only_theirs, p = failures(both)
    ratio = Interval(row["ratio"], row["ratio_low"], row["ratio_high"])
    treated = row["treated"] or not row["regularizer"].startswith("tsloss")  # others are not made to even out H0
    said = found(ratio, observed=row["observed"], treated=treated)
    return row | {"only_ours": only_ours, "only_theirs": only_theirs, "p": p, "found": said}
