"""Making runs again from their records' configs, and saying where the numbers differ."""

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from tslib.errors import InputError, TslibError
from tslib.models import loading as models
from tslib.records.durable import DamagedError
from tslib.records.files import TABLES, compact
from tslib.records.provenance import check_weights, same_bits
from tslib.records.record import RunRecord
from tslib.runs.store import RunStore
from tslib.tuning.loop import tune

__all__ = [
    "FIRST",
    "ITERATIONS",
    "LOSS",
    "Finding",
    "audit",
    "compare",
    "compared",
    "imitated",
    "iterations_gap",
    "loss_gap",
    "make_again",
    "same_table",
]

FIRST = 10
"""Steps whose losses are compared where other code or another machine made the record: rounding grows from step to
step, since AdamW's first updates go by the sign of each gradient."""
LOSS = 0.02
"""Relative difference of those losses that passes."""
ITERATIONS = 0.2
"""Relative difference of the iterations to correct that passes there."""


@dataclass(frozen=True)
class Finding:
    """What an audit says of one record.

    Attributes
    ----------
    record
        Its folder's name.
    expected
        ``bits`` where code, packages, machine and threads are those of the record, so that every number is to be the
        same; else ``tolerance``.
    iterations
        To correct, as recorded; None: censored.
    again
        The same, of the run made again.
    loss
        Largest relative difference of the losses: of all steps where the bits are to be the same, else of the first.
    differences
        What is not as expected; nothing: the record passes.
    """

    record: str
    expected: str
    iterations: int | None
    again: int | None
    loss: float
    differences: tuple[str, ...]

    def as_row(self) -> dict[str, object]:
        """Return one row of a table."""
        return asdict(self) | {"differences": "; ".join(self.differences) or "none"}


def audit(
    store: RunStore, sample: int, seed: int = 0, *, progress: bool = True, any_dtype: bool = False
) -> Iterator[Finding]:
    """Draw some records of a store, make their runs again, and yield what is found of each.

    Parameters
    ----------
    store
        The records; nothing is written there.
    sample
        How many.
    seed
        Which.
    progress
        Show a bar for each run.
    any_dtype
        Draw from runs in a precision that this machine imitates, too.

    Raises
    ------
    InputError
        If there is nothing to draw from.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM; what was found until then has been yielded.
    """
    paths = store.folders()
    if not paths:
        raise InputError(f"no records in {store.root}: name a folder of records")
    slow = set() if any_dtype else set(imitated(store))
    names = [path.name for path in paths if path.name not in slow]
    if not names:
        raise InputError(
            f"all {len(paths)} records in {store.root} are in bfloat16, which this processor only imitates: give "
            "--any-dtype to draw from them"
        )
    for name in random.Random(seed).sample(names, min(sample, len(names))):
        try:
            record = store.load(store.root / name)
            check_weights(record.environment, record.config.model, "it")
            other = record.config.replayed
            replays = None if other is None else store.done(other)
        except (DamagedError, InputError) as error:
            yield Finding(name, "", None, None, float("nan"), (str(error),))
            continue
        yield compare(name, record, make_again(record, replays, progress=progress))


def make_again(record: RunRecord, replays: RunRecord | None = None, *, progress: bool = True) -> RunRecord:
    """Make a record's run again, with as many threads; nothing is written.

    Parameters
    ----------
    record
        Of the run.
    replays
        The record whose lengths the run replays, if it does.
    progress
        Show a bar.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C or SIGTERM.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(int(record.environment["threads"]))
    try:
        again = tune(record.config, progress=progress, replays=replays)
    finally:
        torch.set_num_threads(threads)
    if again.status == "interrupted":  # this run, not the recorded one
        raise KeyboardInterrupt
    return again


def imitated(store: RunStore) -> list[str]:
    """Names of the records whose runs are in a precision that this machine does not compute itself."""
    return [path.name for path in store.folders() if _is_imitated(path)]


def _is_imitated(path: Path) -> bool:
    try:
        config = json.loads((path / "record.json").read_text(encoding="utf-8"))["config"]
        return not models.computes(config["dtype"], config["device"])
    except (OSError, ValueError, LookupError, TypeError, TslibError):  # damaged, or of no device here: drawn, and said
        return False


def compare(name: str, record: RunRecord, again: RunRecord) -> Finding:
    """Say where a record and its run made again differ by more than they may."""
    bits = same_bits(record.environment, again.environment)
    differences = [
        f"{what} {getattr(record, what)}, again {getattr(again, what)}"
        for what in ("status", "rows")
        if getattr(record, what) != getattr(again, what)
    ]
    loss = loss_gap(record, again, None if bits else FIRST)
    correct = (record.iterations_to_correct, again.iterations_to_correct)
    if bits:
        if correct[0] != correct[1]:
            differences.append(f"iterations to correct {correct[0]}, again {correct[1]}")
        differences += [
            f"the table of {table} is not the same" for table in TABLES if not same_table(record, again, table)
        ]
    else:
        if loss > LOSS:
            differences.append(
                f"a loss of the first {compared(record, again, FIRST)} steps differs by {loss:.1%}, {LOSS:.0%} may be"
            )
        gap = iterations_gap(*correct)
        if gap > ITERATIONS:
            bound = f", {ITERATIONS:.0%} may be" if gap < np.inf else ""
            differences.append(f"iterations to correct {correct[0]}, again {correct[1]}{bound}")
    return Finding(name, "bits" if bits else "tolerance", *correct, loss, tuple(differences))


def compared(record: RunRecord, again: RunRecord, first: int | None = None) -> int:
    """How many steps two runs both have, at most the first."""
    both = min(len(record.steps), len(again.steps))
    return both if first is None else min(both, first)


def loss_gap(record: RunRecord, again: RunRecord, first: int | None = None) -> float:
    """Largest relative difference of the losses of the first steps that both have, by default of all; 0 of none."""
    length = compared(record, again, first)
    if not length:
        return 0.0
    one, other = (compact(run.steps)["cross_entropy"].to_numpy()[:length] for run in (record, again))
    gaps, sizes = np.abs(one - other), np.abs(one)
    relative = np.divide(gaps, sizes, out=np.where(gaps > 0, np.inf, 0.0), where=sizes > 0)  # a loss can be 0
    return float(relative.max())


def same_table(record: RunRecord, again: RunRecord, table: str) -> bool:
    """Whether a table of two runs has the same numbers as it is kept, but for how long steps took."""
    first, second = (compact(getattr(run, table)).drop(columns="seconds", errors="ignore") for run in (record, again))
    return np.array_equal(first.to_numpy(float), second.to_numpy(float), equal_nan=True)


def iterations_gap(recorded: int | None, again: int | None) -> float:
    """Relative difference of the iterations to correct: 0 where both runs are censored, infinite where one is."""
    if recorded is None or again is None:
        return 0.0 if recorded is again else np.inf
    return abs(again - recorded) / max(recorded, 1)
