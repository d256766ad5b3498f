"""Named benchmarks: their rows as prompt, target and answer, and each one's own rule of scoring.

A new task is one module with a subclass of `Task`, and one line in `_FAMILIES`, or in `_PICTURES` if it has pictures.
"""

import logging
import random
from collections import UserDict
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from tslib.errors import InputError
from tslib.tasks.base import Example, Task
from tslib.tasks.bbh import BBH
from tslib.tasks.bbh_symbolic import BBHSymbolic
from tslib.tasks.competition_math import CompetitionMath
from tslib.tasks.gsm8k import GSM8K
from tslib.tasks.gsm_symbolic import GSMSymbolic
from tslib.tasks.hotpotqa import HotpotQA, HotpotQAShort
from tslib.tasks.longbench import LongBench
from tslib.tasks.math_symbolic import MathSymbolic
from tslib.tasks.mmlu import CATEGORIES, MMLU, MMLUCF, SUBJECTS
from tslib.tasks.multiple_choice import MultipleChoice
from tslib.tasks.needle import LENGTHS, Needle
from tslib.tasks.two_hop import TwoHop

__all__ = ["FAMILIES", "TASKS", "few_shot", "find_task", "load_task", "shuffled"]

_FAMILIES: tuple[tuple[Task, ...], ...] = (
    (GSM8K(),),
    (GSMSymbolic(),),
    (CompetitionMath(),),
    (MathSymbolic(),),
    (BBH(), *map(BBH, BBH().subsets)),
    (BBHSymbolic(), *map(BBHSymbolic, BBHSymbolic().subsets)),
    (MMLU(), *map(MMLU, SUBJECTS)),
    (MMLUCF(), *map(MMLUCF, CATEGORIES)),
    (MultipleChoice(),),
    (HotpotQA(),),
    (HotpotQAShort(),),
    (TwoHop(),),
    (LongBench(), *map(LongBench, LongBench().subsets)),
    (Needle(), *map(Needle, LENGTHS)),
)

_FOLDS = tuple(f"/fold-{fold}" for fold in range(1, 6))
_PICTURES = {"aerial-scenes": ("/closed",), "rsvqa-hr": _FOLDS, "rsvqa-lr": ()}
"""Benchmarks with pictures and the ends of their subsets' names: `tslib.vision.tasks` has them, a room above."""


class _Table(UserDict[str, Any]):
    """Tasks by name; those with pictures are imported when one of them is first asked for."""

    def __getitem__(self, name: str) -> Task:
        if name in self.data and self.data[name] is None:
            self.data[name] = import_module("tslib.vision.tasks").TASKS[name]
        task: Task = super().__getitem__(name)
        return task


FAMILIES = _Table({family[0].name: family[0] for family in _FAMILIES} | dict.fromkeys(_PICTURES))
"""The benchmarks, each as a whole."""

TASKS = _Table(
    {task.name: task for family in _FAMILIES for task in family}
    | {name + end: None for name, ends in _PICTURES.items() for end in ("", *ends)}
)
"""The benchmarks and, under names such as ``bbh/navigate``, their subsets."""

_log = logging.getLogger("tslib")


def load_task(name: str, split: str = "train", limit: int | None = None, seed: int = 0) -> list[Example]:
    """Load rows of a task, all of them or a random sample.

    Parameters
    ----------
    name
        Name in `TASKS`.
    split
        One of the task's ``splits``, or ``heldout``: the rows of ``test`` whose question is not in ``train``.
    limit
        Rows to draw without replacement, at least 1; None gives every row in the order of its source.
    seed
        Which sample, at least 0. It decides the order too: a larger limit adds rows after those of a smaller.

    Raises
    ------
    InputError
        If the task or split is unknown, limit or seed is out of range, or a row is malformed.
    ResourceError
        If the rows cannot be had.
    """
    task = find_task(name)
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, or None for every row, not {limit}")
    if seed < 0:
        raise InputError(f"seed must be at least 0, not {seed}")
    if split not in (*task.splits, "heldout"):
        raise InputError(f"unknown split {split!r} of task {name}: choose one of {', '.join(task.splits)}, heldout")
    examples = _heldout(task) if split == "heldout" else _load(task, split)
    if limit is None:
        return examples
    if limit > len(examples):
        raise InputError(f"limit {limit} is more than the {len(examples)} rows of {name} {split}: lower it")
    return shuffled(examples, seed)[:limit]


def shuffled(examples: Sequence[Example], seed: int) -> list[Example]:
    """Examples in the random order of a seed, the same on every machine."""
    # Only random() promises the same numbers in every version of Python; sample() and shuffle() do not.
    generator = random.Random(seed)
    keys = [generator.random() for _ in examples]
    return [examples[index] for index in sorted(range(len(examples)), key=keys.__getitem__)]


def few_shot(name: str, count: int, seed: int = 0, skip: int = 0) -> Callable[[Example], list[Example]]:
    """Make what chooses the solved training rows that go before a question, none of them the question itself.

    They are of the question's own subset, so that they show the same kind of question, and the same for each of them.

    Parameters
    ----------
    name
        Name in `TASKS`.
    count
        Rows before each question.
    seed, skip
        Which rows: those after the first `skip` of the sample that `load_task` draws with the seed.

    Returns
    -------
    Callable
        From a question to the rows; an `InputError` where there are too few.
    """
    pool = shuffled(load_task(name, "train"), seed)[skip:] if count else []

    def choose(example: Example) -> list[Example]:
        shown = [row for row in pool if _subset(row) == _subset(example) and row.id != example.id][:count]
        if len(shown) < count:
            where = f" like {example.id}" if _subset(example) else ""
            raise InputError(f"{count} shots are more than the {len(shown)} training rows of {name}{where}: take fewer")
        return shown

    return choose


def _subset(example: Example) -> str:
    family, subset, *_ = example.id.split("/")
    return subset if family in FAMILIES and FAMILIES[family].subsets else ""


def find_task(name: str) -> Task:
    """Task of a name in `TASKS`; an unknown name is an `InputError` that says which there are."""
    if name in TASKS:
        return TASKS[name]
    family, slash, subset = name.partition("/")
    if slash and (known := FAMILIES.get(family)) and known.subsets:
        raise InputError(f"unknown subset {subset!r} of task {family}: choose one of {', '.join(known.subsets)}")
    raise InputError(f"unknown task {name!r}: choose one of {', '.join(FAMILIES)}")


def _load(task: Task, split: str) -> list[Example]:
    reading = task.reading(split)
    if reading.missing:
        _tell_missing(task.name, reading.missing, len(task.subsets))
    return reading.examples


@cache  # once is enough
def _tell_missing(name: str, missing: tuple[str, ...], subsets: int) -> None:
    _log.warning(
        "%s: %d of its %d subsets are not in the folder of rows and are left out (%s)",
        *(name, len(missing), subsets, ", ".join(missing[:3]) + ", …" * (len(missing) > 3)),
    )


def _heldout(task: Task) -> list[Example]:
    training = {task.key(example) for example in task.reading("train").examples}
    return [example for example in _load(task, "test") if task.key(example) not in training]
