"""The loop that trains a soft prompt, and the memory it will take.

Imports everything up to ``records``. ``tune`` is imported when it is first used: an estimate of memory needs no torch.
"""

from typing import TYPE_CHECKING

from tslib.errors import needs

needs("tune", "transformers", "tqdm")

if TYPE_CHECKING:
    from tslib.tuning.loop import tune as tune


def __getattr__(name: str) -> object:
    if name == "tune":
        from tslib.tuning.loop import tune

        return tune
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
