"""The paper's claims: the criteria of ``book/claims.md`` applied to the records, one verdict each.

Imports the library and the study's data (`tslib.study.evidence`).
"""

from tslib.study.claims.amended import above_floor, counted, geometric
from tslib.study.claims.criteria import Amendment, Criterion, Finding, amendments, criteria
from tslib.study.claims.held_out import held_out_gain
from tslib.study.claims.iterations import COMBINATIONS, KEPT_BACK, by_censoring, ratios, rises, total_losses
from tslib.study.claims.verdicts import AMENDED, JUDGES, judge

__all__ = [
    "AMENDED",
    "COMBINATIONS",
    "JUDGES",
    "KEPT_BACK",
    "Amendment",
    "Criterion",
    "Finding",
    "above_floor",
    "amendments",
    "by_censoring",
    "counted",
    "criteria",
    "geometric",
    "held_out_gain",
    "judge",
    "ratios",
    "rises",
    "total_losses",
]
