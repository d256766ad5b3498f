"""One record's run made again, and one sentence that says how near the numbers came."""

from tslib.records.files import TABLES
from tslib.records.provenance import unlike
from tslib.records.record import RunRecord
from tslib.runs.audit import FIRST, ITERATIONS, LOSS, compared, iterations_gap, loss_gap, same_table

__all__ = ["announcement", "sentence"]

_WORDS = {
    "packages": "versions of packages",
    "platform": "operating system",
    "machine": "processor",
    "device": "kind of device",
    "threads": "number of threads",
    "model": "weights",
    "dtype": "precision",
    "replayed": "lengths that are replayed",
    "kernels": "kernels",
}


def announcement(name: str, record: RunRecord) -> str:
    """Say what is going to be made again, and how long that took.

    Parameters
    ----------
    name
        Of the record's folder.
    record
        Of the run.
    """
    seconds, made = float(record.results["seconds"]), record.environment
    took = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
    return (
        f"{name}: {record.results['steps_done']} steps, which took {took} on {made['machine']}, "
        f"with {made['threads']} thread{'s' * (int(made['threads']) != 1)}"
    )


def sentence(record: RunRecord, again: RunRecord) -> str:
    """Say whether a run made again has the record's bits, or its iterations, or by how much it differs, and why.

    Parameters
    ----------
    record
        Of the run.
    again
        The same run, made now.
    """
    changed = [what for what in ("status", "rows") if getattr(record, what) != getattr(again, what)]
    whole = not changed and all(same_table(record, again, table) for table in TABLES)
    if whole and record.iterations_to_correct == again.iterations_to_correct:
        counts = f"{len(record.steps)} steps, {len(record.topology)} checkpoints and {len(record.diagrams)} bars"
        return f"The same bits: all numbers of {counts}; {_iterations(record, again)}."
    near, far = (loss_gap(record, again, first) for first in (FIRST, None))
    losses = (
        f"losses differ by at most {_percent(near)} in the first {compared(record, again, FIRST)} steps and "
        f"{_percent(far)} in all {compared(record, again)} that both runs have"
    )
    others = f"; {' and '.join(changed)} not those of the record" if changed else ""
    return f"Not the same bits: {_iterations(record, again)}; {losses}{others}. {_why(record, again)}"


def _iterations(record: RunRecord, again: RunRecord) -> str:
    """Say how the iterations to correct compare."""
    one, other = record.iterations_to_correct, again.iterations_to_correct
    never = f"correct in none of {record.config.max_steps} steps"
    if one == other:
        return f"{never}, as recorded" if one is None else f"the same {one} iterations to correct"
    said = [never if count is None else f"{count} iterations to correct" for count in (one, other)]
    gap = "" if one is None or other is None else f", {_percent(iterations_gap(one, other))} {_side(other - one)}"
    return f"{said[0]} in the record, {said[1]} now{gap}"


def _side(difference: int) -> str:
    return "more" if difference > 0 else "fewer"


def _why(record: RunRecord, again: RunRecord) -> str:
    """Say whether the bits should have been the same."""
    names = [_WORDS.get(name, name) for name in unlike(record.environment, again.environment)]
    if not names:
        return "Code, packages, processor, threads and kernels are the record's, so that they should be: a fault."
    return (
        f"Not the record's here: {', '.join(names)}. Rounding may then differ and grows from step to step; an audit "
        f"allows {_percent(LOSS)} in the first {FIRST} losses and {_percent(ITERATIONS)} in the iterations."
    )


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f} %" if percent == 0 or percent >= 10 else f"{percent:.2g} %"
