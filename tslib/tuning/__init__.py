"""The loop that trains a soft prompt, and the memory it will take.

Imports everything up to ``records``.
"""

from tslib.errors import needs

needs("tune", "transformers", "tqdm")

from tslib.tuning.loop import tune

__all__ = ["tune"]
