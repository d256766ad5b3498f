"""What a run leaves behind, and finding it again.

A record is a folder: ``record.json`` (config, environment, results, checksums) and three small Parquet tables, to be
committed. The prompts of a run are larger and stay in the cache of the machine that ran it; the record has their
checksum. While a run is under way its state is in a hidden file beside its record-to-be (`tslib.checkpoints`).
"""

import contextlib
import dataclasses
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import TypeAdapter
from torch import Tensor
from tqdm import tqdm
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from tslib import models
from tslib.checkpoints import Checkpoint
from tslib.config import SCHEMA_VERSION, TuneConfig
from tslib.durable import LARGEST, DamagedError, checked, checksum, locked, sealed, set_aside, sync, unlocked
from tslib.errors import InputError, ResourceError

COMMITTED = Path(__file__).resolve().parents[1] / "data" / "results"
"""The records that the book's tables are made of, in a checkout of the project."""

OUTCOME = ("status", "iterations_to_correct", "iterations_to_answer")
TABLES = ("steps", "topology", "diagrams")
MOST = 10**7
"""Numbers of a table that is read at most."""
LEFTOVER = re.compile(r"\.{1,2}(?P<name>[^.].*_[0-9a-f]{12})(\.checkpoint)?\.(lock|\d+(?P<old>\.old)?)")
"""What a process that was killed leaves beside a record: its lock, and what it was writing."""


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

    def __init__(self, root: str | os.PathLike[str] = COMMITTED, *, checkpoint_every: float = 60.0) -> None:
        self.root = Path(root)
        self.checkpoint_every = checkpoint_every

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
        found = [path for path in self.folders() if path.name.endswith(name)]
        if len(found) != 1:
            raise InputError(
                f"{len(found)} records in {self.root} have a name that ends in {name!r}: give the folder of one, "
                "or the hash at its end"
            )
        return self.load(found[0])

    def get_or_run(self, config: TuneConfig, *, progress: bool = True) -> RunRecord:
        """Return the record of a config; where there is none, or an interrupted or damaged one, run it and keep it.

        Raises
        ------
        KeyboardInterrupt
            If the run was interrupted; its record and its state are kept.
        """
        record = self.done(config)
        if record is None:
            record = self.run(config, progress=progress)
        if record.status == "interrupted":
            raise KeyboardInterrupt
        return record

    def done(self, config: TuneConfig) -> RunRecord | None:
        """Return the record of a config unless the run is still to be made: there is none, or no good one."""
        try:
            record = self.get(config)
        except DamagedError:
            return None
        return None if record is None or record.status == "interrupted" else record

    def run(self, config: TuneConfig, *, anew: bool = False, progress: bool = True) -> RunRecord:
        """Make a run and keep it, going on from where it was interrupted.

        One process at a time makes a run; another waits, and returns the record that the first has made. A damaged
        record is set aside.

        Parameters
        ----------
        config
            The run.
        anew
            Make it from its first step, even if its record is there.
        progress
            Show a progress bar.
        """
        from tslib.tuning import tune

        self.check_writable()
        with locked(self._lock(config)):
            self._tidy(self.path(config).name)
            self._set_aside(config)
            if not anew and (record := self.done(config)) is not None:
                return record
            checkpoint = Checkpoint(self.checkpoint_path(config), config, every=self.checkpoint_every)
            if anew:
                checkpoint.remove()
            record = tune(config, progress=progress, checkpoint=checkpoint)
            self.save(record)
            if record.status != "interrupted":
                checkpoint.remove()
            return record

    def checkpoint_path(self, config: TuneConfig) -> Path:
        """Return the file that has a run's state while it is under way."""
        return self.path(config).with_name(f".{self.path(config).name}.checkpoint")

    def _lock(self, config: TuneConfig) -> Path:
        return self.path(config).with_name(f".{self.path(config).name}.lock")

    def _set_aside(self, config: TuneConfig) -> None:
        path = self.path(config)
        try:
            if path.exists():
                self.load(path)
        except DamagedError as error:
            moved = set_aside(path, self.root)
            tqdm.write(f"{error}; set aside in {moved.parent.name}/{moved.name}", file=sys.stderr)

    def tidy(self) -> None:
        """Remove what killed processes left, but for the states that their runs go on from."""
        found = {match["name"] for path in self.root.glob(".*") if (match := LEFTOVER.fullmatch(path.name))}
        for name in sorted(found):
            with unlocked(self.root / f".{name}.lock") as free:
                if free:
                    self._tidy(name)
        for folder in (self.root, _prompts_folder()):
            for probe in folder.glob(".probe.*"):
                probe.unlink(missing_ok=True)

    def _tidy(self, name: str) -> None:
        """Remove the leftovers of a run whose lock is held."""
        for path in self.root.glob(".*"):
            match = LEFTOVER.fullmatch(path.name)
            if match is None or match["name"] != name or path.suffix == ".lock":
                continue
            if match["old"] and not (self.root / name).exists():
                path.rename(self.root / name)  # killed between the two renames of a save
            elif path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        for path in _prompts_folder().glob(f"{name[-12:]}.[0-9]*"):
            path.unlink(missing_ok=True)

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
        failed = None
        try:
            prompts = _save_prompts(record)
        except ResourceError as error:
            failed, prompts = error, None
        try:
            with locked(self._lock(record.config)):
                try:
                    temporary.mkdir(parents=True)
                    self._write(record, prompts, temporary)
                    if target.exists():
                        target.rename(old)  # a folder cannot be renamed over another
                    temporary.rename(target)
                    sync(self.root)
                finally:
                    if old.exists() and not target.exists():
                        old.rename(target)
                    for leftover in (temporary, old):
                        shutil.rmtree(leftover, ignore_errors=True)
        except OSError as error:
            raise _unwritable(target, error) from error
        if failed is not None:
            raise failed
        return target

    @staticmethod
    def _write(record: RunRecord, prompts: str | None, folder: Path) -> None:
        """Write the files of a record, synced, into an empty folder."""
        files = {}
        for name in TABLES:
            path = folder / f"{name}.parquet"
            # Parquet's own types say all; the schemas of pandas and arrow would be three quarters of a file
            compact(getattr(record, name)).to_parquet(path, compression="zstd", index=False, store_schema=False)
            files[path.name] = checksum(path.read_bytes())
        if prompts is not None:
            files["prompts"] = prompts
        _write_json(folder / "record.json", _as_json(record) | {"files": files})
        for path in (*folder.iterdir(), folder):
            sync(path)

    def load(self, path: Path) -> RunRecord:
        """Read a record.

        Raises
        ------
        DamagedError
            (a ``ResourceError``) if a file is missing, was changed or is not what it should be; the message names it.
        """
        try:
            content = _content(path)
            config = TuneConfig(**content["config"])
            if config.hash != content["hash"]:
                raise ValueError(f"its config has the hash {config.hash}, the record says {content['hash']}")
            files: dict[str, str] = content["files"]
            tables: dict[str, Any] = {name: _table(path / f"{name}.parquet", files) for name in TABLES}
            fields: dict[str, Any] = {name: content[name] for name in (*OUTCOME, "results", "environment", "rows")}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _unreadable(path, error) from error
        return RunRecord(config=config, prompts=_load_prompts(config, files.get("prompts")), **tables, **fields)

    def seal(self, path: Path) -> None:
        """Give the record in a folder its checksums, as it is: one of before there were any."""
        try:
            content: dict[str, Any] = json.loads((path / "record.json").read_text(encoding="utf-8"))
            if "checksum" in content:
                checked(path / "record.json")
                return
            names = [f"{name}.parquet" for name in TABLES]
            files = {name: checksum((path / name).read_bytes()) for name in names}
            _write_json(path / "record.json", content | {"files": files})
            self.load(path)
        except (OSError, ValueError, TypeError) as error:
            raise _unreadable(path, error) from error

    def records(self) -> list[RunRecord]:
        """Return all records, in the order of their folders' names."""
        return [self.load(path) for path in self.folders()]

    def table(self, configs: Iterable[TuneConfig] | None = None) -> pd.DataFrame:
        """Return one row a run: the fields of ``TuneConfig`` under their own names, then the results.

        Parameters
        ----------
        configs
            The runs to list, in this order, those left out that are not here; by default all.
        """
        folders = self.folders()
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

    def folders(self) -> list[Path]:
        """Return the folders of all records, by name."""
        return sorted(p.parent for p in self.root.glob("[!.]*/record.json"))


class _Document(TypedDict):
    """What ``record.json`` says."""

    schema: int
    hash: str
    status: Literal["finished", "interrupted", "diverged"]
    iterations_to_correct: int | None
    iterations_to_answer: int | None
    results: dict[str, int | float]
    config: dict[str, Any]
    rows: list[str]
    environment: dict[str, Any]
    files: dict[str, str]
    checksum: str


_DOCUMENT = TypeAdapter(_Document)


def _content(path: Path) -> dict[str, Any]:
    """Return what ``record.json`` says, if it is as it was written, in this version's way, and about this folder."""
    content = checked(path / "record.json")
    _DOCUMENT.validate_python(content, strict=True)
    if content["schema"] != SCHEMA_VERSION:
        raise ResourceError(
            f"{path} has schema version {content['schema']}, this tslib reads {SCHEMA_VERSION}; "
            "delete the folder and run it again"
        )
    if not path.name.endswith(f"_{content['hash']}"):
        raise ValueError(f"it is the record of {content['hash']}, under another name")
    return content


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(sealed(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _table(path: Path, files: dict[str, str]) -> pd.DataFrame:
    """Read a table whose bytes have the checksum that the record says, and that says itself that it is small."""
    from pyarrow import ArrowException, parquet

    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name} has more than {LARGEST} bytes")
    content = path.read_bytes()
    if checksum(content) != files[path.name]:
        raise ValueError(f"{path.name} does not have the content that its checksum was made of")
    try:
        found = parquet.ParquetFile(io.BytesIO(content)).metadata
        if found.num_rows * found.num_columns > MOST:
            raise ValueError(f"{path.name} says that it has {found.num_rows} rows of {found.num_columns} columns")
        return pd.read_parquet(io.BytesIO(content))
    except ArrowException as error:
        raise ValueError(f"{path.name}: {error}") from error


def _unreadable(path: Path, error: Exception) -> DamagedError:
    said = " ".join(str(error).split())
    return DamagedError(f"{path} is not a readable record ({type(error).__name__}: {said}); delete it and run it again")


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


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as it is kept: in single precision, whose seven digits are more than a figure needs."""
    floats = table.select_dtypes("float64").columns
    return table.astype(dict.fromkeys(floats, "float32"))


def _prompts_folder() -> Path:
    return models.cache_dir() / "prompts"


def _prompts_path(config: TuneConfig) -> Path:
    return _prompts_folder() / f"{config.hash}.safetensors"


def _save_prompts(record: RunRecord) -> str | None:
    """Keep a run's prompts in the cache, and return their checksum."""
    from safetensors import SafetensorError  # what it makes of a full disk, too
    from safetensors.torch import save_file

    if not record.prompts:
        return None
    path = _prompts_path(record.config)
    temporary = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({str(step): prompt for step, prompt in record.prompts.items()}, temporary)
        sync(temporary)
        found = checksum(temporary.read_bytes())
        temporary.replace(path)
        return found
    except (OSError, SafetensorError) as error:
        raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _load_prompts(config: TuneConfig, expected: str | None) -> dict[int, Tensor]:
    """Return a run's prompts, if those in the cache are of this very run."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = _prompts_path(config)
    try:
        content = path.read_bytes()
        if expected is not None and checksum(content) != expected:
            return {}
        prompts = {int(step): prompt for step, prompt in load(content).items()}
    except FileNotFoundError:
        return {}
    except (OSError, SafetensorError, ValueError) as error:
        raise _unreadable(path, error) from error
    return dict(sorted(prompts.items()))
