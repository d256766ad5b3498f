"""Runs and evaluations that no sweep file declares, pairing, and the rule that chooses a learning rate.

``python -m tslib experiment NAME`` does those that are missing.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pandas as pd

from tslib import stats
from tslib.config import EvalConfig, TuneConfig
from tslib.errors import InputError
from tslib.runs.sweeps import Grid


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


SIX = ("gsm8k", "math", "bbh", "mmlu", "hotpotqa", "longbench")
"""The paper's benchmarks; MMLU for MMLU-CF, whose rows cannot be had here."""


def tour() -> list[TuneConfig]:
    """Once over ten rows of each benchmark with both embedded models, two rows a step: that every path works, no more.

    In bfloat16, and with LongBench's prompts cut to fewer positions than the models have, to save time.
    """
    settings: dict[str, Any] = {"samples": 10, "batch_size": 2, "max_steps": 5, "check_every": 5, "answer_every": 0}
    settings |= {"dtype": "bfloat16"}
    return [
        TuneConfig(model=model, task=task, max_context=cut if task == "longbench" else None, **settings)
        for model, cut in (("smollm2-135m", 2048), ("gemma3-270m", 1024))
        for task in SIX
    ]


def untuned() -> list[EvalConfig]:
    """SmolLM2-135M as it is, on 100 held-out rows of each benchmark; GSM8K also as its makers test it, with 5 shots.

    MMLU is scored both ways. LongBench's prompts are cut to the model's context. In bfloat16 to save time, but for
    GSM8K and MMLU without shots.
    """
    cases: list[dict[str, Any]] = [
        {"task": task, "dtype": "float32" if task in ("gsm8k", "mmlu") else "bfloat16"} for task in SIX
    ]
    cases += [{"task": "mmlu", "scoring": "likelihood"}, {"task": "gsm8k", "shots": 5, "dtype": "bfloat16"}]
    return [EvalConfig(batch_size=50, pass_tokens=16384, **case) for case in cases]


def tour_heldout() -> list[EvalConfig]:
    """The prompts of `tour` on five held-out rows each."""
    shared = ("model", "task", "max_context", "dtype")
    return [EvalConfig(run=run.hash, limit=5, **{name: getattr(run, name) for name in shared}) for run in tour()]


EXPERIMENTS: dict[str, Callable[[], list[TuneConfig]]] = {"tour": tour}
"""Experiments by the name that the command line takes."""

EVALUATIONS: dict[str, Callable[[], list[EvalConfig]]] = {"untuned": untuned, "tour": tour_heldout}
"""Evaluations by the name that the command line takes; those of an experiment's runs have its name."""
