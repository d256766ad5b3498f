"""What a run leaves behind, and finding it again.

A record is a folder: ``record.json`` (config, environment, results, checksums) and three small Parquet tables, to be
committed. The prompts of a run are larger and stay in the cache of the machine that ran it; the record has their
checksum. While a run is under way its state is in a hidden file beside its record-to-be (`tslib.records.checkpoints`).
"""

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from tslib.config import SCHEMA_VERSION, TuneConfig

COMMITTED = Path(__file__).resolve().parents[2] / "data" / "results"
"""The records that the book's tables are made of, in a checkout of the project."""

OUTCOME = ("status", "iterations_to_correct", "iterations_to_answer")


@dataclass
class RunRecord:
    """One run of ``tune``.

    Attributes
    ----------
    config
        What was asked for.
    status
        ``finished``, ``interrupted`` or ``diverged``.
    iterations_to_correct
        Optimiser steps until the teacher-forced argmax equals the target at every position of every sample (the
        exact criterion); None when that was not seen within ``max_steps`` (censored).
    iterations_to_answer
        Optimiser steps until the answer in every greedy reply is right, to the next multiple of ``answer_every``.
    results
        ``final_cross_entropy``, ``final_exact``, ``steps_done``, ``seconds``.
    environment
        Versions, machine, model checksum, time of the start; of a run that replays another's lengths ``replayed``: the
        other's hash (``run``) and a digest of the lengths.
    rows
        Ids of the training samples.
    steps
        One row an optimiser step: losses, terms, gradient norms and their cosine, lr, share of samples that are exact
        and of target tokens that are the most probable one, seconds. Row k was measured with the prompt as it was
        before step k.
    topology
        One row a checkpoint: ``TopologySummary``, the shares of the steps table, distances to the diagrams of the
        checkpoint before; and as ``null_...`` the summary of a twin that moves as far in random directions
        (`tslib.topology.nulls`). Of a method with a cloud in each layer, means over the layers.
    diagrams
        One row a bar: step, (layer,) dimension, birth, death.
    prompts
        {step: tensor (n, d)}, or (layers, n, w) of a method with a cloud in each layer; empty where the prompts are
        not in this machine's cache.
    beside
        {"step/name": tensor} of what is trained beside the prompt and in no cloud, kept where the prompts are: the
        keys and queries of a gate.
    """

    config: TuneConfig
    status: str
    iterations_to_correct: int | None
    iterations_to_answer: int | None
    results: dict[str, int | float]
    environment: dict[str, Any]
    rows: list[str]
    steps: pd.DataFrame
    topology: pd.DataFrame
    diagrams: pd.DataFrame
    prompts: dict[int, Tensor] = field(default_factory=dict, repr=False)
    beside: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def summary(self) -> dict[str, Any]:
        """Return one row of a table of runs: the config's fields, then the results."""
        return row_of(as_json(self))


def folder_name(task: str, model: str, what: str, digest: str) -> str:
    """Name a record for people, and by its config's hash; a task's subset and a model's folder become plain words."""
    task, model = (re.sub(r"[^\w.-]+", "-", name).strip("-")[-40:] for name in (task, model))
    return f"{task}_{model}_{what}_{digest}"


def row_of(content: dict[str, Any]) -> dict[str, Any]:
    """Make the row of a table of runs out of what ``record.json`` holds."""
    defaults = {f.name: f.default for f in dataclasses.fields(TuneConfig)}  # of fields younger than the record
    outcome = {name: content[name] for name in OUTCOME}
    return {**defaults, **content["config"], **outcome, **content["results"]}


def as_json(record: RunRecord) -> dict[str, Any]:
    """Return what ``record.json`` holds but for checksums."""
    return {
        "schema": SCHEMA_VERSION,
        "hash": record.config.hash,
        **{name: getattr(record, name) for name in OUTCOME},
        "results": record.results,
        "config": record.config.as_dict(),
        "rows": record.rows,
        "environment": record.environment,
    }
