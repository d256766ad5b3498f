"""Named benchmarks: their rows as prompt, target and answer, and each one's own rule of scoring.

Imports ``errors``. A new task is one module with a subclass of `Task`, and one line in `tslib.tasks.registry`.
"""

from tslib.errors import needs

needs("tune", "datasets", "rapidfuzz", "rouge")

from tslib.tasks.base import Example, Hub, Reading, Refused, SourceTask, Task
from tslib.tasks.registry import FAMILIES, TASKS, few_shot, find_task, load_task, shuffled

__all__ = [
    "FAMILIES",
    "TASKS",
    "Example",
    "Hub",
    "Reading",
    "Refused",
    "SourceTask",
    "Task",
    "few_shot",
    "find_task",
    "load_task",
    "shuffled",
]
