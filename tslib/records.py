"""What a run leaves behind, and finding it again.

A record is a folder: ``record.json`` (config, environment, results) and three small Parquet tables, to be committed.
The prompts of a run are larger and stay in the cache of the machine that ran it.
"""

import contextlib
import dataclasses
import json
import os
import platform
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor, device, get_num_threads

from tslib import models
from tslib.config import SCHEMA_VERSION, TuneConfig
from tslib.errors import InputError, ResourceError

COMMITTED = Path(__file__).resolve().parents[1] / "data" / "results"
"""The records that the book's tables are made of, in a checkout of the project."""

OUTCOME = ("status", "iterations_to_correct", "iterations_to_answer")
TABLES = ("steps", "topology", "diagrams")
PACKAGES = ("torch", "transformers", "ripser", "numpy", "scipy")


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
        Versions, machine, model checksum, time of the start.
    rows
        Ids of the training samples.
    steps
        One row an optimiser step: losses, terms, gradient norms and their cosine, lr, seconds. Row k was measured
        with the prompt as it was before step k.
    topology
        One row a checkpoint: ``TopologySummary``, share of samples that are exact, distances to the diagrams of the
        checkpoint before.
    diagrams
        One row a bar: step, dimension, birth, death.
    prompts
        {step: tensor (n, d)}; empty where the prompts are not in this machine's cache.
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

    def summary(self) -> dict[str, Any]:
        """Return one row of a table of runs: the config's fields, then the results."""
        return _row(_as_json(self))


def environment(model: str, on: device, started: float) -> dict[str, Any]:
    """Describe where a run was made; nothing in it names a person, a host or a folder."""
    import torch

    return {
        "tslib": version("tslib"),
        "packages": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(on) if on.type == "cuda" else on.type,
        "threads": get_num_threads(),
        "model": models.identity(model),
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def folder_name(task: str, model: str, what: str, digest: str) -> str:
    """Name a record for people, and by its config's hash; a task's subset and a model's folder become plain words."""
    task, model = (re.sub(r"[^\w.-]+", "-", name).strip("-")[-40:] for name in (task, model))
    return f"{task}_{model}_{what}_{digest}"


class RunStore:
    """A folder of records.

    For instance::

        store = RunStore("data/results")
        record = store.get_or_run(TuneConfig(task="gsm8k", regularizer="tsloss"))
        store.table()[["regularizer", "seed", "iterations_to_correct"]]
    """

    def __init__(self, root: str | os.PathLike[str] = COMMITTED) -> None:
        self.root = Path(root)

    def path(self, config: TuneConfig) -> Path:
        """Return the folder of a config's record, whether or not it is there."""
        return self.root / folder_name(config.task, config.model, config.regularizer, config.hash)

    def get(self, config: TuneConfig) -> RunRecord | None:
        """Return the record of a config, or None."""
        path = self.path(config)
        return self.load(path) if path.is_dir() else None

    def find(self, name: str) -> RunRecord:
        """Return the record in a folder, or in the folder here whose name ends so (its hash is enough).

        Raises
        ------
        InputError
            If there is none, or more than one.
        """
        if (Path(name) / "record.json").is_file():
            return self.load(Path(name))
        found = [path for path in self._folders() if path.name.endswith(name)]
        if len(found) != 1:
            raise InputError(
                f"{len(found)} records in {self.root} have a name that ends in {name!r}: give the folder of one, "
                "or the hash at its end"
            )
        return self.load(found[0])

    def get_or_run(self, config: TuneConfig, *, progress: bool = True) -> RunRecord:
        """Return the record of a config; where there is none, or an interrupted one, run it and keep it.

        Raises
        ------
        KeyboardInterrupt
            If the run was interrupted; its record is kept.
        """
        from tslib.tuning import tune

        record = self.get(config)
        if record is None or record.status == "interrupted":
            self.check_writable()
            record = tune(config, progress=progress)
            self.save(record)
            if record.status == "interrupted":
                raise KeyboardInterrupt
        return record

    def check_writable(self) -> None:
        """Find out before a run, not after it, that its record or its prompts cannot be kept."""
        for folder in (self.root, _prompts_folder()):
            probe = folder / f".probe.{os.getpid()}"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                probe.write_bytes(b"tslib")
            except OSError as error:
                raise _unwritable(folder, error) from error
            finally:
                with contextlib.suppress(OSError):
                    probe.unlink(missing_ok=True)

    def save(self, record: RunRecord) -> Path:
        """Write a record, whole or not at all; a record of the same config is replaced.

        Raises
        ------
        ResourceError
            If the record cannot be written, or it was and its prompts cannot be.
        """
        target = self.path(record.config)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        old = target.with_name(f"{temporary.name}.old")
        try:
            temporary.mkdir(parents=True)
            text = json.dumps(_as_json(record), indent=1, allow_nan=False)
            (temporary / "record.json").write_text(text + "\n", encoding="utf-8")
            for name in TABLES:
                table = _compact(getattr(record, name))
                # Parquet's own types say all; the schemas of pandas and arrow would be three quarters of a file
                table.to_parquet(temporary / f"{name}.parquet", compression="zstd", index=False, store_schema=False)
            if target.exists():
                target.rename(old)  # a folder cannot be renamed over another
            temporary.rename(target)
        except OSError as error:
            raise _unwritable(target, error) from error
        finally:
            if old.exists() and not target.exists():
                old.rename(target)
            for leftover in (temporary, old):
                shutil.rmtree(leftover, ignore_errors=True)
        if record.prompts:
            _save_prompts(record)
        return target

    def load(self, path: Path) -> RunRecord:
        """Read a record.

        Raises
        ------
        ResourceError
            If a file is missing or not what it should be; the message names it.
        """
        try:
            content = _content(path)
            config = TuneConfig(**content["config"])
            tables: dict[str, Any] = {name: pd.read_parquet(path / f"{name}.parquet") for name in TABLES}
            fields: dict[str, Any] = {name: content[name] for name in (*OUTCOME, "results", "environment", "rows")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _unreadable(path, error) from error
        return RunRecord(config=config, prompts=_load_prompts(config), **tables, **fields)

    def records(self) -> list[RunRecord]:
        """Return all records, in the order of their folders' names."""
        return [self.load(path) for path in self._folders()]

    def table(self, configs: Iterable[TuneConfig] | None = None) -> pd.DataFrame:
        """Return one row a run: the fields of ``TuneConfig`` under their own names, then the results.

        Parameters
        ----------
        configs
            The runs to list, in this order, those left out that are not here; by default all.
        """
        folders = self._folders()
        if configs is not None:
            here = set(folders)
            folders = [path for config in configs if (path := self.path(config)) in here]
        rows = []
        for path in folders:
            try:
                rows.append(_row(_content(path)))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise _unreadable(path, error) from error
        columns = [f.name for f in dataclasses.fields(TuneConfig)]
        table = pd.DataFrame(rows) if rows else pd.DataFrame(columns=[*columns, *OUTCOME])
        return table.astype(dict.fromkeys(OUTCOME[1:], "Int64"))

    def _folders(self) -> list[Path]:
        return sorted(p.parent for p in self.root.glob("[!.]*/record.json"))


def _content(path: Path) -> dict[str, Any]:
    """Return what ``record.json`` says, if it says it in this version's way."""
    content: dict[str, Any] = json.loads((path / "record.json").read_text(encoding="utf-8"))
    if content["schema"] != SCHEMA_VERSION:
        raise ResourceError(
            f"{path} has schema version {content['schema']}, this tslib reads {SCHEMA_VERSION}; "
            "delete the folder and run it again"
        )
    return content


def _unreadable(path: Path, error: Exception) -> ResourceError:
    said = " ".join(str(error).split())
    return ResourceError(
        f"{path} is not a readable record ({type(error).__name__}: {said}); delete it and run it again"
    )


def _unwritable(path: Path, error: Exception) -> ResourceError:
    cause = getattr(error, "strerror", None) or str(error)
    return ResourceError(f"cannot write a record to {path} ({cause}); free space there or name another folder")


def _row(content: dict[str, Any]) -> dict[str, Any]:
    """Make the row of a table of runs out of what ``record.json`` holds."""
    defaults = {f.name: f.default for f in dataclasses.fields(TuneConfig)}  # of fields younger than the record
    outcome = {name: content[name] for name in OUTCOME}
    return {**defaults, **content["config"], **outcome, **content["results"]}


def _as_json(record: RunRecord) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION,
        "hash": record.config.hash,
        **{name: getattr(record, name) for name in OUTCOME},
        "results": record.results,
        "config": record.config.as_dict(),
        "rows": record.rows,
        "environment": record.environment,
    }


def _compact(table: pd.DataFrame) -> pd.DataFrame:
    """Single precision and whole steps: seven digits are more than a figure needs, at half the size."""
    floats = table.select_dtypes("float64").columns
    return table.astype(dict.fromkeys(floats, "float32"))


def _prompts_folder() -> Path:
    return models.cache_dir() / "prompts"


def _prompts_path(config: TuneConfig) -> Path:
    return _prompts_folder() / f"{config.hash}.safetensors"


def _save_prompts(record: RunRecord) -> None:
    from safetensors import SafetensorError  # what it makes of a full disk, too
    from safetensors.torch import save_file

    path = _prompts_path(record.config)
    temporary = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({str(step): prompt for step, prompt in record.prompts.items()}, temporary)
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _load_prompts(config: TuneConfig) -> dict[int, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = _prompts_path(config)
    try:
        prompts = load_file(path) if path.is_file() else {}
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error
    return {int(step): prompt for step, prompt in sorted(prompts.items(), key=_step)}


def _step(item: tuple[str, Tensor]) -> int:
    return int(item[0])
