"""Sweeps: what is missing of them, and doing it with Snakemake; `tslib.runs.grids` says what a file means.

The engine, its rules for tables, notebooks and book, and its executors for clusters are Snakemake's (`Snakefile`).
Here is what a store lacks, and the work of one of Snakemake's jobs: some runs that share a model.
"""

import sys
import traceback
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from tslib.config import EvalConfig, TuneConfig
from tslib.errors import InputError, TslibError
from tslib.runs.evaluations import EvaluationStore, of_config, of_run
from tslib.runs.grids import Grid, Job, Sweep
from tslib.runs.store import RunStore

__all__ = ["Grid", "Sweep", "estimate", "groups", "missing", "path_of", "status", "work"]

SHARED = ("model", "dtype", "device")
"""What runs of one job have in common, so that the model is loaded once."""
PAIR = (*SHARED, "task", "sample_seed", "seed")
"""What runs of one pair have in common."""


def missing(sweep: Sweep, store: RunStore) -> list[Job]:
    """Return the runs that lack a good record or an evaluation, and the evaluations that are not there.

    They are in the order that they will be done in.
    """
    return [job for job in sweep.jobs if not _is_done(sweep, store, job)]


def _is_done(sweep: Sweep, store: RunStore, job: Job) -> bool:
    if isinstance(job, EvalConfig):
        return _evaluations(store).has(job)
    outcome = store.outcome(job, weights=True)
    if outcome is None:
        return False
    asked = sweep.evaluations(job) if outcome["status"] == "finished" else []
    if not asked:
        return True
    return all(_evaluations(store).has(of_config(one, job)) for one in asked)


def _evaluations(store: RunStore) -> EvaluationStore:
    return EvaluationStore(store.root / "evaluations")


def groups(configs: Iterable[Job], size: int) -> list[list[Job]]:
    """Divide runs into jobs of some runs that share a model; their order is kept as far as that allows.

    Runs of one pair that follow each other stay in one job, whatever its size, so that what is compared is made by the
    same processor.
    """
    found: list[list[Job]] = []
    filling: dict[tuple[Any, ...], list[Job]] = {}
    for pair, runs in groupby(configs, key=lambda config: [getattr(config, name, "") for name in PAIR]):
        together = list(runs)
        shared = tuple(pair[: len(SHARED)])
        job = filling.get(shared)
        if job is None or len(job) + len(together) > size:
            job = filling[shared] = []
            found.append(job)
        job.extend(together)
    return found


ALIKE: tuple[tuple[str, ...], ...] = (
    ("model", "task", "samples", "batch_size", "method", "placement", "n_tokens", "max_steps", "dtype"),
    ("model", "task", "samples", "dtype"),
    ("model",),
)
"""By which fields runs are taken for alike when their time is estimated, the closest kind first."""


def estimate(configs: Sequence[TuneConfig], done: pd.DataFrame) -> tuple[float, int]:
    """Return the seconds that runs will take, one after the other, and for how many of them there is no telling.

    A run is taken to last as long as the median of those in the table that are most alike.
    """
    known: list[dict[tuple[Any, ...], float]] = []
    for names in ALIKE:
        kinds: Any = done.groupby(list(names))["seconds"] if len(done) else []
        known.append({key if isinstance(key, tuple) else (key,): float(times.median()) for key, times in kinds})
    total, unknown = 0.0, 0
    for config in configs:
        keys = [tuple(getattr(config, name) for name in names) for names in ALIKE]
        found = next((medians[key] for medians, key in zip(known, keys, strict=True) if key in medians), None)
        total, unknown = total + (found or 0.0), unknown + (found is None)
    return total, unknown


def status(sweep: Sweep, store: RunStore) -> pd.DataFrame:
    """Return one line a grid: how many runs or evaluations, how many done, under way, missing, censored, diverged."""
    lines = []
    for grid, configs in zip(sweep.grids, sweep.runs, strict=True):
        outcomes = [store.outcome(config, weights=True) for config in configs]
        done = [outcome for outcome in outcomes if outcome is not None]
        lines.append(
            {
                "priority": grid.priority,
                "grid": grid.name,
                "runs": len(configs),
                "done": len(done),
                "begun": sum(
                    store.checkpoint_path(config).exists()
                    for config, outcome in zip(configs, outcomes, strict=True)
                    if outcome is None
                ),
                "missing": len(configs) - len(done),
                "censored": sum(o["status"] == "finished" and o["iterations_to_correct"] is None for o in done),
                "diverged": sum(o["status"] == "diverged" for o in done),
            }
        )
    for one in sweep.untuned:
        asked = one.configs()
        there = sum(_evaluations(store).has(config) for config in asked)
        line = {"priority": one.priority, "grid": one.name, "runs": len(asked), "done": there, "begun": 0}
        lines.append(line | {"missing": len(asked) - there, "censored": 0, "diverged": 0})
    return pd.DataFrame(lines)


def work(sweep: Sweep, store: RunStore, hashes: Sequence[str], *, progress: bool = True) -> list[str]:
    """Do some runs of a sweep, one after the other; one that fails does not keep the others from being done.

    Returns
    -------
    list of str
        What failed, in one line each.

    Raises
    ------
    KeyboardInterrupt
        If it was interrupted; the run under way is kept.
    """
    by_hash = {job.hash: job for job in sweep.jobs}
    if unknown := [name for name in hashes if name not in by_hash]:
        raise InputError(f"{sweep.path} has no run {', '.join(unknown)}")
    failed = []
    for name in hashes:
        job = by_hash[name]
        try:
            if isinstance(job, EvalConfig):
                _evaluations(store).get_or_run(job, progress=progress)
            else:
                _evaluate(sweep, store, store.get_or_run(job, progress=progress))
        except Exception as error:  # whatever it is, the other runs are not to blame
            if not isinstance(error, TslibError):
                traceback.print_exc()
            said = f"{'' if isinstance(error, TslibError) else type(error).__name__ + ': '}{error}"
            failed.append(f"{path_of(store, job).stem}: {' '.join(said.split())}")
            tqdm.write(f"error: {failed[-1]}", file=sys.stderr)
    return failed


def path_of(store: RunStore, job: Job) -> Path:
    """Return where a run's record, or an evaluation, is or goes."""
    return _evaluations(store).path(job) if isinstance(job, EvalConfig) else store.path(job)


def _evaluate(sweep: Sweep, store: RunStore, record: Any) -> None:
    asked = sweep.evaluations(record.config)
    if asked and record.status == "finished":
        for config in asked:
            _evaluations(store).get_or_run(of_run(config, record), record)
