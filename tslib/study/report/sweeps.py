"""What the command line says of a sweep before it is done, and the book of sweeps that were killed."""

import json
from datetime import timedelta
from pathlib import Path

from tslib.config import TuneConfig
from tslib.records.record import COMMITTED
from tslib.runs.store import RunStore
from tslib.runs.sweeps import Sweep, estimate, missing, status
from tslib.study.report.catalogue import plain

__all__ = ["TORTURE", "plan", "torture"]

TORTURE = COMMITTED / "torture.json"


def plan(sweep: Sweep, store: RunStore, jobs: int) -> str:
    """Say what is done of a sweep, what is missing, and how long it will take.

    Parameters
    ----------
    sweep
        The sweep.
    store
        Where its records are.
    jobs
        Jobs at once.
    """
    asked = missing(sweep, store)
    lines = [sweep.title, plain(status(sweep, store))]
    if not asked:
        return "\n".join(lines)
    runs = [job for job in asked if isinstance(job, TuneConfig)]
    seconds, unknown = estimate(runs, store.table())
    said = f"{len(asked)} of {len(sweep.jobs)} runs are missing"
    if unknown < len(runs):
        said += f"; about {timedelta(seconds=round(seconds / jobs))} with {jobs} at once, by the runs that are done"
    if unknown:
        said += f"; how long {unknown} of them take is not known, since no run of their model is done"
    if len(runs) < len(asked):
        said += "; how long evaluations of models as they are take is not estimated"
    return "\n".join([*lines, said])


def torture(path: Path = TORTURE) -> str:
    """What became of sweeps that were killed, as a paragraph of the book."""
    if not path.is_file():
        return "No outcome is committed yet, so none is given here."
    found = json.loads(path.read_text(encoding="utf-8"))
    kills = found["kills"]
    who = ", ".join(f"{number} of {name}" for name, number in kills.items())
    bad = {name: len(found[name]) for name in ("differences", "missing", "damaged", "stray")}
    return (
        f"The committed outcome, `data/results/{path.name}`: "
        f"{sum(kills.values())} kills ({who}) in {found['sweeps']} sweeps, of {found['runs']} runs in all, "
        f"{found['resumed']} of which went on from a state. Numbers that differ from the undisturbed runs': "
        f"{bad['differences']}; missing records: {bad['missing']}; "
        f"damaged records: {bad['damaged']}; files that should not be there: {bad['stray']}."
    )
