"""Statistics of paired, censored runs: iterations until correct, intervals of few runs, methods compared.

Imports `tslib.errors` alone.
"""

from tslib.stats.comparison import Ratio, Verdict, comparison, holm, iteration_ratio, log_ratios, verdict
from tslib.stats.intervals import (
    Interval,
    Kind,
    bootstrap,
    difference,
    leaving_one_out,
    mean,
    mean_score,
    ratio_of_means,
    sign_flip,
)
from tslib.stats.iterations import (
    PAIR,
    SETTINGS,
    Iterations,
    ended,
    iterations,
    mean_iterations,
    median,
    pair_up,
    restricted_mean,
    survival_curve,
    weights,
)

__all__ = [
    "PAIR",
    "SETTINGS",
    "Interval",
    "Iterations",
    "Kind",
    "Ratio",
    "Verdict",
    "bootstrap",
    "comparison",
    "difference",
    "ended",
    "holm",
    "iteration_ratio",
    "iterations",
    "leaving_one_out",
    "log_ratios",
    "mean",
    "mean_iterations",
    "mean_score",
    "median",
    "pair_up",
    "ratio_of_means",
    "restricted_mean",
    "sign_flip",
    "survival_curve",
    "verdict",
    "weights",
]
