"""Evaluations that are kept: what a prompt or a model scored on rows it was not tuned on, one file each."""

import dataclasses
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tslib.config import SCHEMA_VERSION, EvalConfig, TuneConfig
from tslib.errors import InputError, ResourceError
from tslib.records.durable import DamagedError, checked, sealed, set_aside, write
from tslib.records.provenance import check_weights, same_weights
from tslib.records.record import COMMITTED, RunRecord, folder_name

__all__ = ["Evaluation", "EvaluationStore", "of_config", "of_run"]


@dataclass
class Evaluation:
    """Outcome of one evaluation.

    Attributes
    ----------
    config
        What was asked for.
    results
        ``score`` (mean over rows) with the ends ``low`` and ``high`` of its 95 % interval, ``answer_loss`` (mean over
        rows of the mean cross-entropy of the target's tokens), ``rows``, ``cut`` (rows whose prompt lost its
        middle), ``unfinished`` (replies cut off at their longest, or where the context ends), ``seconds``.
    environment
        As of a run's record.
    rows
        One row an example: id, score, answer_loss, tokens of the reply; of a gate what it chooses
        (`tslib.vision.gates.chosen`); no text.
    """

    config: EvalConfig
    results: dict[str, int | float]
    environment: dict[str, Any]
    rows: pd.DataFrame

    def summary(self) -> dict[str, Any]:
        """Return one row of a table: the config's fields, then the results."""
        return self.config.as_dict() | self.results


def of_run(config: EvalConfig, record: RunRecord) -> EvalConfig:
    """Return the config for the prompt of a run, whose model, task and so on it takes over.

    Raises
    ------
    InputError
        If the config asks for others.
    """
    return of_config(config, record.config)


def of_config(config: EvalConfig, run: TuneConfig) -> EvalConfig:
    """Return the same as `of_run`, which needs no more than the run's config."""
    if config.run not in ("", run.hash):
        raise InputError(f"the record is run {run.hash}, the config names {config.run}: leave one out")
    taken = {
        name: getattr(run, name) for name in ("model", "task", "shots", "max_context", "projector", "dtype", "device")
    }
    for name, value in taken.items():
        asked = getattr(config, name)
        if asked not in (value, getattr(EvalConfig(), name)):
            raise InputError(f"run {run.hash} has {name} {value}, not {asked}: leave {name} out")
    return dataclasses.replace(config, run=run.hash, **taken)


class EvaluationStore:
    """A folder of evaluations, one JSON file each."""

    def __init__(self, root: str | os.PathLike[str] = COMMITTED / "evaluations") -> None:
        self.root = Path(root)

    def path(self, config: EvalConfig) -> Path:
        """Return the file of an evaluation, whether or not it is there."""
        return self.root / f"{folder_name(config.task, config.model, config.run or 'untuned', config.hash)}.json"

    def has(self, config: EvalConfig) -> bool:
        """Whether there is a good evaluation, of the weights that the model's name leads to now."""
        try:
            found = self.load(self.path(config))
            return found.config == config and same_weights(found.environment, config.model)
        except ResourceError:
            return False

    def get_or_run(
        self, config: EvalConfig, record: RunRecord | None = None, *, progress: bool = True, force: bool = False
    ) -> Evaluation:
        """Return an evaluation that was made before; else make it and keep it.

        Raises
        ------
        InputError
            If it was made with other weights than the model's name leads to now.
        """
        path = self.path(config)
        try:
            if not force and path.is_file():
                found = self.load(path)
                check_weights(found.environment, config.model, str(path))
                return found
        except DamagedError as error:
            set_aside(path, self.root, error)
        from tslib.runs.evaluation import evaluate  # opens transformers, which a store has no need of

        evaluation = evaluate(config, record, progress=progress)
        self.save(evaluation)
        return evaluation

    def save(self, evaluation: Evaluation) -> Path:
        """Write an evaluation, whole or not at all."""
        path = self.path(evaluation.config)
        content = {
            "schema": SCHEMA_VERSION,
            "hash": evaluation.config.hash,
            "results": evaluation.results,
            "config": evaluation.config.as_dict(),
            "environment": evaluation.environment,
            "rows": evaluation.rows.round(5).to_dict("records"),
        }
        try:
            write(path, _text(content))
        except OSError as error:
            raise ResourceError(f"cannot write {path} ({error.strerror}): free space or name another folder") from error
        return path

    def seal(self) -> None:
        """Give evaluations of before there were checksums theirs, as they are.

        Raises
        ------
        DamagedError
            If one is not what it should be.
        """
        for path in sorted(self.root.glob("*.json")):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                if "checksum" not in content:
                    write(path, _text(content))
            except UNREADABLE as error:
                raise _unreadable(path, error) from error
            self.load(path)

    def load(self, path: Path) -> Evaluation:
        """Read an evaluation.

        Raises
        ------
        DamagedError
            (a ``ResourceError``) if the file was changed or is not what it should be.
        """
        try:
            content = checked(path)
            config = EvalConfig(**content["config"])
            if not path.stem.endswith(f"_{config.hash}"):
                raise ValueError(f"it is the evaluation {config.hash}, under another name")
            return Evaluation(config, content["results"], content["environment"], pd.DataFrame(content["rows"]))
        except UNREADABLE as error:
            raise _unreadable(path, error) from error

    def table(self, configs: Iterable[EvalConfig] | None = None) -> pd.DataFrame:
        """Return one row an evaluation: the fields of ``EvalConfig``, then the results; by default of all."""
        paths = sorted(self.root.glob("*.json")) if configs is None else [self.path(config) for config in configs]
        return pd.DataFrame([self.load(path).summary() for path in paths if path.is_file()])


UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""What reading an evaluation raises that is not one."""


def _unreadable(path: Path, error: Exception) -> DamagedError:
    said = " ".join(str(error).split())
    return DamagedError(f"{path} is not a readable evaluation ({said}): delete it and make it again")


def _text(content: dict[str, Any]) -> bytes:
    """An evaluation as it is kept: sealed, one line for each of its rows."""
    whole = sealed(content)
    rows = ",\n  ".join(json.dumps(row) for row in whole.pop("rows"))
    return f'{json.dumps(whole, indent=1, allow_nan=False)[:-2]},\n "rows": [\n  {rows}\n ]\n}}\n'.encode()
