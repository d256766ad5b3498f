"""Pairing, the rule that chooses a learning rate, and what a sweep keeps back; runs are declared in ``data/sweeps``."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import pandas as pd

from tslib import stats
from tslib.config import EvalConfig, TuneConfig
from tslib.errors import InputError
from tslib.runs.evaluations import of_config
from tslib.runs.sweeps import Grid, Sweep


def paired(
    regularizers: Sequence[str], sample_seeds: Sequence[int], seeds: Sequence[int], **fields: Any
) -> list[TuneConfig]:
    """Return every regulariser on every (sample, seed) pair, so that each pair has all methods; pair by pair.

    Parameters
    ----------
    regularizers
        Names; ``none`` is cross-entropy alone, and takes no weight.
    sample_seeds, seeds
        Samples and initial prompts; each combination is a pair.
    **fields
        Further fields of ``TuneConfig``, the same for all runs. Those of the regulariser are left out of the run
        without one, which is the same run whatever they are.
    """
    fields = fields | {"regularizer": list(regularizers)}
    return Grid(name="paired", fields=fields, pairs=list(product(sample_seeds, seeds))).configs()


def chosen_rate(table: pd.DataFrame) -> float:
    """Return the learning rate that the rule of ``data/sweeps/learning_rate.yaml`` chooses.

    It is the rate with the smallest restricted mean of iterations to correct; where others agree with it to within one
    iteration, the smallest of these. A run that diverged, or was never right, counts ``max_steps``.

    Parameters
    ----------
    table
        Runs of cross-entropy alone on one model and task, as many at each rate (``RunStore.table``).

    Raises
    ------
    InputError
        If there are no runs, or not the same pairs at each rate.
    """
    pairs = {rate: frozenset(zip(runs["sample_seed"], runs["seed"], strict=True)) for rate, runs in table.groupby("lr")}
    if len(set(pairs.values())) != 1 or len(table) != sum(map(len, pairs.values())):
        raise InputError(f"expected the same pairs at each learning rate, found {dict(table['lr'].value_counts())}")
    means = {
        rate: stats.mean_iterations(runs)
        for rate, runs in ((float(runs["lr"].iloc[0]), runs) for _, runs in table.groupby("lr"))
    }
    best = min(means.values())
    return min(rate for rate, mean in means.items() if mean <= best + 1)


def prompts_held_out(sweep: Sweep) -> list[EvalConfig]:
    """Return how the prompts of a sweep's runs are evaluated on rows that are kept back, in the order of the runs."""
    return [of_config(asked, config) for config in sweep.configs for asked in sweep.evaluations(config)]
