"""What a task is, and how its rows are found: a local folder when there is one, else the Hugging Face hub."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tslib.errors import InputError, ResourceError

__all__ = ["DATA_DIR", "Example", "Hub", "Row", "Task", "data_dir", "drop_repeats", "read_hub", "read_jsonl"]

DATA_DIR = "TSLIB_DATA_DIR"


@dataclass(frozen=True)
class Example:
    """One row of a task.

    Attributes
    ----------
    id
        Task, split and index in the source, such as ``gsm8k/train/17``.
    prompt
        What the user asks.
    target
        What the model should reply, word for word.
    answer
        The gold answer, or every accepted one.
    """

    id: str
    prompt: str
    target: str
    answer: str | tuple[str, ...]

    @property
    def answers(self) -> tuple[str, ...]:
        """Every accepted answer."""
        return (self.answer,) if isinstance(self.answer, str) else self.answer


@dataclass(frozen=True)
class Hub:
    """Where a task lies on the Hugging Face hub; pinned, so that a name means one set of rows."""

    repo: str
    config: str
    revision: str


class Task(ABC):
    """A benchmark: where its rows come from, and its own rule of scoring.

    Attributes
    ----------
    name, title
        Name in `TASKS`, and the name to print.
    licence, source
        Licence of the rows, and where they are published.
    splits
        Names that `load` takes.
    hub
        Dataset on the hub, or None when the rows are not from there.
    stand_in
        Task that can replace this one where its rows cannot be had, or None. Nothing falls back to it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    licence: ClassVar[str]
    source: ClassVar[str]
    splits: ClassVar[tuple[str, ...]]
    hub: ClassVar[Hub | None] = None
    stand_in: ClassVar[str | None] = None

    def load(self, split: str) -> list[Example]:
        """All rows of a split, in the order of the source.

        Raises
        ------
        InputError
            If there is no such split, or a row is malformed.
        ResourceError
            If the rows cannot be had.
        """
        if split not in self.splits:
            allowed = ", ".join(self.splits)
            raise InputError(f"unknown split {split!r} of task {self.name}: choose one of {allowed}")
        return self.read(split)

    @abstractmethod
    def read(self, split: str) -> list[Example]:
        """Rows of a split that is known to exist."""

    @abstractmethod
    def extract(self, text: str) -> str | None:
        """Answer found in generated text, or None."""

    @abstractmethod
    def score(self, text: str, example: Example) -> float:
        """Score of generated text, from 0 to 1."""


@dataclass(frozen=True)
class Row:
    """One record of the source, before it becomes an `Example`.

    Attributes
    ----------
    index
        Position in its split, from 0; blank lines of a file do not count.
    where
        File and line, or dataset and row, for messages.
    fields
        The record.
    """

    index: int
    where: str
    fields: Mapping[str, Any]

    def text(self, field: str) -> str:
        """Text of a field that must be there and not be blank.

        Raises
        ------
        InputError
            If it is not.
        """
        if field not in self.fields:
            found = ", ".join(map(str, self.fields)) or "none"
            raise InputError(f"{self.where}: expected a field {field!r}, found the fields: {found}")
        value = self.fields[field]
        if not isinstance(value, str) or not value.strip():
            kind = "blank text" if isinstance(value, str) else type(value).__name__
            raise InputError(f"{self.where}: expected text in the field {field!r}, found {kind}")
        return value


def data_dir() -> Path | None:
    """Folder named by the environment variable TSLIB_DATA_DIR, or None when that is not set."""
    folder = os.environ.get(DATA_DIR, "")
    return Path(folder).expanduser() if folder else None


def read_jsonl(task: Task, path: Path) -> list[Row]:
    """Read a file with one JSON object a line; blank lines are skipped.

    Raises
    ------
    InputError
        If a line is not a JSON object; the message names the file and the line.
    ResourceError
        If the file cannot be read.
    """
    rows: list[Row] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    where = f"{path} line {number}"
                    rows.append(Row(len(rows), where, _json_object(line, where)))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8 text ({error.reason}): get the file again") from None
    except OSError as error:
        cause = error.strerror or type(error).__name__
        remedy = f"put the file there, or unset {DATA_DIR}{' to read from the hub' if task.hub else ''}"
        raise ResourceError(
            f"no rows for task {task.name}: {DATA_DIR} is set, and {path} cannot be read ({cause}); "
            f"{remedy}{_stand_in(task)}"
        ) from error
    if not rows:
        raise InputError(f"{path}: expected at least one row, found none")
    return rows


def read_hub(task: Task, split: str, layout: str) -> list[Row]:
    """Read a split from the hub, or from its cache on disk.

    Parameters
    ----------
    task
        Task with a `Hub`.
    split
        Split, by the hub's name.
    layout
        Path below TSLIB_DATA_DIR that would be read instead; the error message names it.

    Raises
    ------
    ResourceError
        If they cannot be had, whatever the reason.
    """
    assert task.hub is not None, f"task {task.name} has no hub dataset"
    hub = task.hub
    where = f"{hub.repo} ({hub.config}, revision {hub.revision[:12]})"
    try:
        import datasets
        from huggingface_hub.utils import logging

        logging.set_verbosity_error()  # it would print each retry; what counts is told below
        records = datasets.load_dataset(hub.repo, hub.config, split=split, revision=hub.revision)
        return [Row(index, f"{where} {split} row {index}", record) for index, record in enumerate(records)]
    except Exception as error:  # offline, proxy, rate limit, full disk: each has its own, all mean "no rows"
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise ResourceError(
            f"no rows for task {task.name}: cannot get split {split} of {where} from the hub ({cause[:200]}); "
            f"allow network access, or set {DATA_DIR} to a folder that holds {layout}{_stand_in(task)}"
        ) from error


def drop_repeats(examples: Iterable[Example]) -> list[Example]:
    """Leave out examples whose prompt came before, so that a sample never holds one question twice."""
    first: dict[str, Example] = {}
    for example in examples:
        first.setdefault(example.prompt, example)
    return list(first.values())


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: expected one JSON object a line, found bad JSON ({error.msg})") from None
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected one JSON object a line, found {type(value).__name__}")
    return value


def _stand_in(task: Task) -> str:
    return f"; the stand-in {task.stand_in} needs no download" if task.stand_in else ""
