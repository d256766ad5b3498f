"""What a run leaves behind: its record, files that are whole, checksums, where it was made, its state under way.

Imports ``errors``, ``config``, ``models`` and ``topology``.
"""

from tslib.errors import needs

needs("tune", "pandas", "pyarrow", "filelock")

from tslib.records.durable import DamagedError
from tslib.records.record import COMMITTED, RunRecord

__all__ = ["COMMITTED", "DamagedError", "RunRecord"]


def __getattr__(name: str) -> object:
    if name == "RunStore":  # stood here before it moved up to `tslib.runs`
        from tslib.runs.store import RunStore

        return RunStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
