"""Named benchmarks: their rows as prompt, target and answer, and each one's own rule of scoring.

A new task is one module with a subclass of `Task`, and one line in `_FAMILIES`.
"""

import logging
import random

from tslib.errors import InputError
from tslib.tasks.base import Example, Hub, Reading, Refused, SourceTask, Task, prompt_key
from tslib.tasks.gsm8k import GSM8K
from tslib.tasks.gsm_symbolic import GSMSymbolic

__all__ = ["FAMILIES", "TASKS", "Example", "Hub", "Reading", "Refused", "SourceTask", "Task", "load_task"]

_FAMILIES: tuple[tuple[Task, ...], ...] = (
    (GSM8K(),),
    (GSMSymbolic(),),
)

FAMILIES: dict[str, Task] = {family[0].name: family[0] for family in _FAMILIES}
"""The benchmarks, each as a whole."""

TASKS: dict[str, Task] = {task.name: task for family in _FAMILIES for task in family}
"""The benchmarks and, under names such as ``bbh/navigate``, their subsets."""

_log = logging.getLogger("tslib")


def load_task(name: str, split: str = "train", limit: int | None = None, seed: int = 0) -> list[Example]:
    """Load rows of a task, all of them or a random sample.

    Parameters
    ----------
    name
        Name in `TASKS`.
    split
        One of the task's ``splits``, or ``heldout``: the rows of ``test`` whose prompt is not in ``train``.
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
    task = _task(name)
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, or None for every row, not {limit}")
    if seed < 0:
        raise InputError(f"seed must be at least 0, not {seed}")
    examples = _heldout(task) if split == "heldout" else _load(task, split)
    if limit is None:
        return examples
    if limit > len(examples):
        raise InputError(f"limit {limit} is more than the {len(examples)} rows of {name} {split}: lower it")
    # Only random() promises the same numbers in every version of Python; sample() and shuffle() do not.
    generator = random.Random(seed)
    keys = [generator.random() for _ in examples]
    order = sorted(range(len(examples)), key=keys.__getitem__)
    return [examples[index] for index in order[:limit]]


def _task(name: str) -> Task:
    if name in TASKS:
        return TASKS[name]
    family, slash, subset = name.partition("/")
    if slash and (known := FAMILIES.get(family)) and known.subsets:
        raise InputError(f"unknown subset {subset!r} of task {family}: choose one of {', '.join(known.subsets)}")
    raise InputError(f"unknown task {name!r}: choose one of {', '.join(FAMILIES)}")


def _load(task: Task, split: str) -> list[Example]:
    reading = task.reading(split)
    if reading.missing:
        _log.warning(
            "%s: %d of its %d subsets are not in the folder of rows and are left out: %s",
            *(task.name, len(reading.missing), len(task.subsets), ", ".join(reading.missing)),
        )
    return reading.examples


def _heldout(task: Task) -> list[Example]:
    training = {prompt_key(example.prompt) for example in task.reading("train").examples}
    return [example for example in _load(task, "test") if prompt_key(example.prompt) not in training]
