"""What a task is: rows of a benchmark as prompt, target and answer, in splits that never overlap, and a scoring rule.

A benchmark that is published with one split is divided here by a hash of the prompt, so that a row's side depends on
nothing but its own text: the same with 300 rows as with all, and a question that occurs twice lies on one side.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tslib.errors import InputError

__all__ = ["Example", "Hub", "Reading", "Refused", "Row", "SourceTask", "Task", "made", "prompt_key"]

TRAIN_SHARE = 3
"""One prompt of this many becomes a training row where the source has one split only."""


@dataclass(frozen=True)
class Example:
    """One row of a task.

    Attributes
    ----------
    id
        Task, split and index in the source, such as ``gsm8k/train/17``; with its subset, ``bbh/navigate/17``.
    prompt
        What the user asks.
    target
        What the model should reply, word for word.
    answer
        The gold answer, or every accepted one.
    choices
        The replies among which a closed question chooses, such as A to D; empty where the answer is free.
    picture
        What the question is about: a file, or the key of a generated scene; empty where it is the text alone.
    """

    id: str
    prompt: str
    target: str
    answer: str | tuple[str, ...]
    choices: tuple[str, ...] = ()
    picture: str = ""

    @property
    def answers(self) -> tuple[str, ...]:
        """Every accepted answer."""
        return (self.answer,) if isinstance(self.answer, str) else self.answer


@dataclass(frozen=True)
class Hub:
    """Where a task lies on the Hugging Face hub; pinned, so that a name means one set of rows."""

    repo: str
    config: str | None
    revision: str


@dataclass(frozen=True)
class Refused:
    """A row of the source that is not used, and why."""

    where: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """What came of reading a split; ``read`` is ``used`` + refused + elsewhere.

    Attributes
    ----------
    examples
        The rows to use, in the order of the source.
    read
        Rows that the source has.
    refused
        Rows not used, each with the reason: repeated or broken.
    elsewhere
        Rows that belong to another split of the task.
    missing
        Subsets of the task that the folder lacks.
    """

    examples: list[Example]
    read: int
    refused: tuple[Refused, ...] = ()
    elsewhere: int = 0
    missing: tuple[str, ...] = ()

    @property
    def used(self) -> int:
        """Number of examples."""
        return len(self.examples)


class Task(ABC):
    """A benchmark: where its rows come from, and its own rule of scoring.

    Attributes
    ----------
    name, title
        Name in `TASKS`, and the name to print.
    licence, source
        Licence of the rows, and where they are published.
    splits
        Names that `load` takes, ``train`` and ``test`` among them.
    hub
        Dataset on the hub, or None when the rows are not from there.
    stand_in
        Task that can replace this one where its rows cannot be had, or None. Nothing falls back to it.
    subsets
        Parts of the task that have names of their own, as in ``bbh/navigate``.
    layout
        Files that are read below TSLIB_DATA_DIR; empty for a task that is made, not read.
    metric
        What the mean of `score` over rows is called.
    max_new_tokens
        Longest reply that an evaluation decodes.
    cuts_middle
        Whether the middle of a prompt may be left out where the model's context is too short for it.
    """

    name: str
    title: str
    licence: str
    source: str
    splits: tuple[str, ...] = ("train", "test")
    hub: Hub | None = None
    stand_in: str | None = None
    subsets: tuple[str, ...] = ()
    layout: str = ""
    metric: str = "accuracy"
    max_new_tokens: int = 256
    cuts_middle: bool = False

    def load(self, split: str) -> list[Example]:
        """All usable rows of a split, in the order of the source.

        Raises
        ------
        InputError
            If there is no such split, or a row is malformed.
        ResourceError
            If the rows cannot be had.
        """
        return self.reading(split).examples

    def reading(self, split: str) -> Reading:
        """All rows of a split, with a count of those that are not used and why. Raises as `load` does."""
        if split not in self.splits:
            allowed = ", ".join(self.splits)
            raise InputError(f"unknown split {split!r} of task {self.name}: choose one of {allowed}")
        return self.read(split)

    @abstractmethod
    def read(self, split: str) -> Reading:
        """Rows of a split that is known to exist."""

    @abstractmethod
    def extract(self, text: str) -> str | None:
        """Answer found in generated text, or None."""

    @abstractmethod
    def score(self, text: str, example: Example) -> float:
        """Score of generated text, from 0 to 1."""

    def key(self, example: Example) -> str:
        """What two rows share that ask the same: by default the prompt without case, with single blanks."""
        return prompt_key(example.prompt)

    def complete(self, text: str) -> bool:
        """Whether the answer of a reply stands, so that nothing more need be decoded."""
        return False


@dataclass(frozen=True)
class Row:
    """One record of the source, before it becomes an `Example`.

    Attributes
    ----------
    index
        Position in its file or split, from 0; blank lines of a file do not count.
    where
        File and line, or dataset and row, for messages.
    fields
        The record.
    subset
        Subset that it belongs to, or empty.
    """

    index: int
    where: str
    fields: Mapping[str, Any]
    subset: str = ""

    def value(self, field: str) -> Any:
        """Value of a field that must be there.

        Raises
        ------
        InputError
            If it is not.
        """
        if field not in self.fields:
            found = ", ".join(map(str, self.fields)) or "none"
            raise InputError(f"{self.where}: expected a field {field!r}, found the fields: {found}")
        return self.fields[field]

    def text(self, field: str) -> str:
        """Text of a field that must be there and not be blank.

        Raises
        ------
        InputError
            If it is not.
        """
        value = self.value(field)
        if not isinstance(value, str) or not value.strip():
            kind = "blank text" if isinstance(value, str) else type(value).__name__
            raise InputError(f"{self.where}: expected text in the field {field!r}, found {kind}")
        return value


class SourceTask(Task):
    """A task whose rows are read, from ``$TSLIB_DATA_DIR`` when that variable is set, else from the hub.

    Both ways end in `example`, the one parser. Of rows whose prompt occurs again in a split only the first is used.

    Attributes
    ----------
    source_splits
        The source's own name of each split. A benchmark that is published with one split has ``all`` alone here: it
        is divided into ``train`` and ``test`` (`is_training_prompt`).
    """

    source_splits: ClassVar[Mapping[str, str]] = {"train": "train", "test": "test"}

    @abstractmethod
    def rows(self, source_split: str) -> tuple[list[Row], tuple[str, ...]]:
        """Rows of a split of the source, and the subsets that are missing there."""

    @abstractmethod
    def example(self, row: Row, source_split: str) -> Example | str:
        """Make an example of a row, or say why the row cannot be used; a malformed row is an `InputError`."""

    def read(self, split: str) -> Reading:
        """Rows of a split that is known to exist."""
        divided = "all" in self.source_splits
        source_split = self.source_splits["all" if divided else split]
        rows, missing = self.rows(source_split)
        examples: dict[str, Example] = {}
        refused: list[Refused] = []
        elsewhere = 0
        for row in rows:
            example = self.example(row, source_split)
            if isinstance(example, str):
                refused.append(Refused(row.where, example))
                continue
            _check_unicode(row, example)
            key = self.key(example)
            if divided and split != "all" and is_training_prompt(key) != (split == "train"):
                elsewhere += 1
            elif key in examples:
                refused.append(Refused(row.where, f"repeats {examples[key].id}"))
            else:
                examples[key] = example
        return Reading(list(examples.values()), len(rows), tuple(refused), elsewhere, missing)


def _check_unicode(row: Row, example: Example) -> None:
    """Refuse text that JSON can write and UTF-8 cannot: half of a surrogate pair, as in a cut-off emoji."""
    try:
        "".join((example.prompt, example.target, *example.answers, *example.choices)).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{row.where}: expected text that UTF-8 can hold ({error.reason}): mend the row") from None


def prompt_key(prompt: str) -> str:
    """What two prompts share that ask the same: the text without case and with single blanks."""
    return " ".join(prompt.split()).casefold()


def is_training_prompt(key: str) -> bool:
    """Whether a prompt of a source with one split is a training row: one in three, by the SHA-256 of its key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % TRAIN_SHARE == 0


def made(examples: Iterable[Example]) -> Reading:
    """Wrap rows that were made rather than read: all are used."""
    rows = list(examples)
    return Reading(rows, len(rows))
