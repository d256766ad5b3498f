"""Named benchmarks: their rows as prompt, target and answer, and each one's own rule of scoring.

A new task is one module with a subclass of `Task`, and one line in `TASKS`.
"""

import random

from tslib.errors import InputError
from tslib.tasks.base import Example, Hub, Task
from tslib.tasks.gsm8k import GSM8K
from tslib.tasks.gsm_symbolic import GSMSymbolic

__all__ = ["TASKS", "Example", "Hub", "Task", "load_task"]

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        GSM8K(),
        GSMSymbolic(),
    )
}


def load_task(name: str, split: str = "train", limit: int | None = None, seed: int = 0) -> list[Example]:
    """Load rows of a task, all of them or a random sample.

    Parameters
    ----------
    name
        Name in `TASKS`.
    split
        One of the task's ``splits``.
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
    if name not in TASKS:
        raise InputError(f"unknown task {name!r}: choose one of {', '.join(TASKS)}")
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, or None for every row, not {limit}")
    if seed < 0:
        raise InputError(f"seed must be at least 0, not {seed}")
    examples = TASKS[name].load(split)
    if limit is None:
        return examples
    if limit > len(examples):
        raise InputError(f"limit {limit} is more than the {len(examples)} rows of {name} {split}: lower it")
    # Only random() promises the same numbers in every version of Python; sample() and shuffle() do not.
    generator = random.Random(seed)
    keys = [generator.random() for _ in examples]
    order = sorted(range(len(examples)), key=keys.__getitem__)
    return [examples[index] for index in order[:limit]]
