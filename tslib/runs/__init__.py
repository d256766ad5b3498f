"""Many runs: the store of records, evaluations, sweeps and their engine, audits.

Imports everything up to ``tuning``. `tslib.runs.evaluation` is not opened from here, since it imports transformers.
"""

from tslib.errors import needs

needs("tune", "pandas", "yaml", "tqdm")

from tslib.runs.store import RunStore
from tslib.runs.sweeps import Sweep

__all__ = ["RunStore", "Sweep"]
