"""What a run takes over from the record of another: the lengths that its regulariser replays."""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.records.record import RunRecord

__all__ = ["announce", "length", "lengths", "replayed"]


def announce(config: TuneConfig, other: TuneConfig) -> None:
    """Say that a run replays another, which is still to be made."""
    tqdm.write(
        f"{config.task} {config.regularizer} sample {config.sample_seed} seed {config.seed}: the run with "
        f"{other.regularizer} whose lengths it replays ({other.hash}) has no record yet and is made first",
        file=sys.stderr,
    )


def lengths(config: TuneConfig, record: RunRecord | None, make: Callable[[TuneConfig], RunRecord]) -> list[float]:
    """Return the lengths that a run replays, one for each step of the other; none where it replays nothing.

    Parameters
    ----------
    config
        The run.
    record
        The other's; None: it is made.
    make
        Makes it.

    Raises
    ------
    InputError
        If the record is not the other's, or not whole, or its regulariser never had a gradient.
    KeyboardInterrupt
        If it was made and interrupted.
    """
    other = config.replayed
    if record is None:
        if other is None:
            return []
        announce(config, other)
        record = make(other)
        if record.status == "interrupted":
            raise KeyboardInterrupt
    if record.config != other or record.status == "interrupted":
        asked = "nothing" if other is None else f"{other.hash}, when it is over"
        raise InputError(f"{config.hash} replays {asked}; given the record of {record.config.hash}, {record.status}")
    found = [float(value) for value in record.steps["grad_norm_reg"]] if len(record.steps) else []
    if found and not any(found):
        raise InputError(f"{other.hash} recorded no gradient of {other.regularizer}: there is no length to match")
    return found


def length(recorded: Sequence[float], step: int) -> float:
    """Return the length of the step after so many; where the other run did not take it, that of its last step.

    Raises
    ------
    InputError
        If it took none.
    """
    if not recorded:
        raise InputError("the run whose lengths are replayed took no step: there is no length to match")
    return recorded[min(step, len(recorded) - 1)]


def replayed(config: TuneConfig, recorded: Sequence[float]) -> dict[str, Any]:
    """Return what a record's environment says of what was replayed: the run's hash, and a digest of the lengths."""
    if config.replayed is None:
        return {}
    digest = hashlib.sha256(json.dumps([*recorded]).encode()).hexdigest()[:12]
    return {"replayed": {"run": config.replayed.hash, "lengths": digest}}
