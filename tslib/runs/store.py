"""A folder of records: finding a run's record, and making the run where there is none."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from tslib.config import TuneConfig
from tslib.errors import InputError, ResourceError
from tslib.records.checkpoints import Checkpoint
from tslib.records.durable import DamagedError, checked, checksum, locked, set_aside, sync, unlocked
from tslib.records.files import (
    TABLES,
    load_prompts,
    prompts_folder,
    read_bytes,
    read_document,
    read_table,
    save_prompts,
    unreadable,
    unwritable,
    unwritable_prompts,
    write_document,
    write_files,
)
from tslib.records.provenance import check_weights, same_weights
from tslib.records.record import COMMITTED, OUTCOME, RunRecord, as_json, folder_name, row_of
from tslib.tuning.replay import announce

LEFTOVER = re.compile(r"\.{1,2}(?P<name>[^.].*_[0-9a-f]{12})(\.checkpoint)?\.(lock|\d+(?P<old>\.old)?)")
"""What a process that was killed leaves beside a record: its lock, and what it was writing."""


class RunStore:
    """A folder of records.

    For instance::

        store = RunStore("data/results")
        record = store.get_or_run(TuneConfig(task="gsm8k", regularizer="tsloss"))
        store.table()[["regularizer", "seed", "iterations_to_correct"]]
    """

    def __init__(self, root: str | os.PathLike[str] = COMMITTED, *, checkpoint_every: float = 60.0) -> None:
        self.root = Path(root)
        if self.root.is_file():
            raise InputError(f"{root} is a file: name the folder of the records, or one that is still to be made")
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

    def get_or_run(self, config: TuneConfig, *, prompts: bool = False, progress: bool = True) -> RunRecord:
        """Return the record of a config; where there is none, or an interrupted or damaged one, run it and keep it.

        Parameters
        ----------
        config
            The run.
        prompts
            Make it again also where its prompts are not on this machine, since another made it.
        progress
            Show a progress bar.

        Raises
        ------
        InputError
            If the record was made with other weights than the model's name leads to now.
        KeyboardInterrupt
            If the run was interrupted; its record and its state are kept.
        """
        record = self.done(config)
        if record is None:
            record = self.run(config, progress=progress)
        elif prompts and not record.prompts:
            record = self.run(config, anew=True, progress=progress)
        if record.status == "interrupted":
            raise KeyboardInterrupt
        return record

    def done(self, config: TuneConfig) -> RunRecord | None:
        """Return the record of a config unless the run is still to be made: there is none, or no good one.

        Raises
        ------
        InputError
            If it was made with other weights than the model's name leads to now.
        """
        try:
            record = self.get(config)
        except DamagedError:
            return None
        if record is None or record.status == "interrupted":
            return None
        check_weights(record.environment, config.model, str(self.path(config)))
        return record

    def outcome(self, config: TuneConfig, *, weights: bool = False) -> dict[str, Any] | None:
        """Return one row of a table of runs if the record of a config is done, else None; quicker than `done`.

        The files are held against their checksums, and not read.

        Parameters
        ----------
        config
            The run.
        weights
            A record that was made with other weights than the model's name leads to now is none.
        """
        path = self.path(config)
        try:
            content = read_document(path)
            for name in TABLES:
                read_bytes(path / f"{name}.parquet", content["files"])
            same = TuneConfig(**content["config"]) == config
            same = same and not (weights and not same_weights(content["environment"], config.model))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return row_of(content) if same and content["status"] != "interrupted" else None

    def run(self, config: TuneConfig, *, anew: bool = False, progress: bool = True) -> RunRecord:
        """Make a run and keep it, going on from where it was interrupted; first the run that it replays, if it does.

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

        Raises
        ------
        InputError
            If its record is there and was made with other weights than the model's name leads to now.
        """
        from tslib.tuning.loop import tune

        self.check_writable()
        with locked(self._lock(config)):
            self._tidy(self.path(config).name)
            try:
                found = self.get(config)
            except DamagedError as error:
                found = None
                set_aside(self.path(config), self.root, error)
            if not anew and found is not None and found.status != "interrupted":
                check_weights(found.environment, config.model, str(self.path(config)))
                return found
            checkpoint = Checkpoint(self.checkpoint_path(config), config, every=self.checkpoint_every)
            if anew:
                checkpoint.remove()
            record = tune(config, progress=progress, checkpoint=checkpoint, **self._replayed(config, progress))
            self.save(record)
            if record.status != "interrupted":
                checkpoint.remove()
            return record

    def _replayed(self, config: TuneConfig, progress: bool) -> dict[str, RunRecord]:
        """Return the record that a run replays, for `tune`, made first where there is none; else nothing.

        It is made under its own lock, beside which no other is waited for: two runs cannot wait for each other.
        """
        other = config.replayed
        if other is None:
            return {}
        if self.done(other) is None:
            announce(config, other)
        return {"replays": self.get_or_run(other, progress=progress)}

    def checkpoint_path(self, config: TuneConfig) -> Path:
        """Return the file that has a run's state while it is under way."""
        return self.path(config).with_name(f".{self.path(config).name}.checkpoint")

    def _lock(self, config: TuneConfig) -> Path:
        return self.path(config).with_name(f".{self.path(config).name}.lock")

    def tidy(self) -> None:
        """Remove what killed processes left, but for the states that their runs go on from."""
        found = {match["name"] for path in self.root.glob(".*") if (match := LEFTOVER.fullmatch(path.name))}
        for name in sorted(found):
            with unlocked(self.root / f".{name}.lock") as free:
                if free:
                    self._tidy(name)
        for folder in (self.root, prompts_folder()):
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
        for path in prompts_folder().glob(f"{name[-12:]}*.[0-9]*"):
            path.unlink(missing_ok=True)

    def check_writable(self) -> None:
        """Find out before a run, not after it, that its record or its prompts cannot be kept."""
        for folder, told in ((self.root, unwritable), (prompts_folder(), unwritable_prompts)):
            probe = folder / f".probe.{os.getpid()}"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                probe.write_bytes(b"tslib")
            except OSError as error:
                raise told(folder, error) from error
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
            prompts = save_prompts(record.config, record.environment, record.prompts, record.beside)
        except ResourceError as error:
            failed, prompts = error, None
        try:
            with locked(self._lock(record.config)):
                try:
                    temporary.mkdir(parents=True)
                    write_files(temporary, as_json(record), {name: getattr(record, name) for name in TABLES}, prompts)
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
            raise unwritable(target, error) from error
        if failed is not None:
            raise failed
        return target

    def load(self, path: Path) -> RunRecord:
        """Read a record.

        Raises
        ------
        DamagedError
            (a ``ResourceError``) if a file is missing, was changed or is not what it should be; the message names it.
        """
        try:
            content = read_document(path)
            config = TuneConfig(**content["config"])
            if config.hash != content["hash"]:
                raise ValueError(f"its config has the hash {config.hash}, the record says {content['hash']}")
            files: dict[str, str] = content["files"]
            tables: dict[str, Any] = {name: read_table(path / f"{name}.parquet", files) for name in TABLES}
            fields: dict[str, Any] = {name: content[name] for name in (*OUTCOME, "results", "environment", "rows")}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise unreadable(path, error) from error
        prompts, beside = load_prompts(config, fields["environment"], files.get("prompts"))
        return RunRecord(config=config, prompts=prompts, beside=beside, **tables, **fields)

    def seal(self, path: Path) -> None:
        """Give the record in a folder its checksums, as it is: one of before there were any."""
        try:
            content: dict[str, Any] = json.loads((path / "record.json").read_text(encoding="utf-8"))
            if "checksum" in content:
                checked(path / "record.json")
                return
            names = [f"{name}.parquet" for name in TABLES]
            files = {name: checksum((path / name).read_bytes()) for name in names}
            write_document(path / "record.json", content | {"files": files})
            self.load(path)
        except (OSError, ValueError, TypeError) as error:
            raise unreadable(path, error) from error

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
        if configs is None:
            paths = self.folders()
        else:
            paths = [path for path in map(self.path, configs) if (path / "record.json").is_file()]
        rows = []
        for path in paths:
            try:
                rows.append(row_of(read_document(path)))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise unreadable(path, error) from error
        columns = [f.name for f in dataclasses.fields(TuneConfig)]
        table = pd.DataFrame(rows) if rows else pd.DataFrame(columns=[*columns, *OUTCOME])
        return table.astype(dict.fromkeys(OUTCOME[1:], "Int64"))

    def folders(self) -> list[Path]:
        """Return the folders of all records, by name."""
        return sorted(p.parent for p in self.root.glob("[!.]*/record.json"))
