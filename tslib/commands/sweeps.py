"""Many runs, and their records."""

import os
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from tslib.commands.registry import command, say
from tslib.errors import InputError, ResourceError


def _at_least(least: int, **given: int | float) -> None:
    for name, value in given.items():
        if value < least:
            raise InputError(f"{name.replace('_', '-')} must be at least {least}, not {value:g}")


@command
def sweep(
    file: Annotated[Positional[Path], arg(metavar="FILE")],
    store: Path = Path("runs"),
    jobs: int = 0,
    threads: int = 1,
    group: int = 8,
    profile: str = "",
    show: bool = False,
    checkpoint_every: float = 60.0,
) -> None:
    """Show what is done of a sweep, what is missing and how long it will take; then do what is missing.

    Whatever stops it, the same command goes on from there.

    Parameters
    ----------
    file
        A sweep: a YAML file that declares grids of runs, and evaluations of models as they are.
    store
        Folder of records.
    jobs
        Jobs at once; 0: as many as there are processors for.
    threads
        Threads of a run.
    group
        Runs of one job at most, which share a model that is loaded once.
    profile
        A Snakemake profile instead of this machine, such as profiles/slurm.
    show
        Only show.
    checkpoint_every
        Seconds between two states of a run that are kept.

    Examples
    --------
    python -m tslib sweep data/sweeps/short.yaml --show
    python -m tslib sweep data/sweeps/short.yaml --jobs 2
    python -m tslib sweep data/sweeps/evidence.yaml --store my-runs --profile profiles/slurm
    """
    from tslib.config import TuneConfig
    from tslib.kernels.precision import advice
    from tslib.runs import engine, sweeps
    from tslib.runs.store import RunStore
    from tslib.study.report.sweeps import plan

    _at_least(0, jobs=jobs, checkpoint_every=checkpoint_every)
    _at_least(1, threads=threads, group=group)
    records = RunStore(store, checkpoint_every=checkpoint_every)
    asked = sweeps.Sweep.load(file)
    jobs = jobs or max(1, (os.cpu_count() or 1) // threads)
    print(plan(asked, records, jobs))
    missing = [(job.dtype, job.device) for job in sweeps.missing(asked, records) if isinstance(job, TuneConfig)]
    for kind in [] if profile else sorted(set(missing)):  # with a profile they are run elsewhere
        say(advice(*kind, of=f"a step of {missing.count(kind)} of the missing runs"))
    if show:
        return
    left = engine.run(asked, records, jobs=jobs, threads=threads, group=group, profile=profile)
    if left:
        print("\n".join(left), file=sys.stderr)
        raise ResourceError(f"{len(left)} of {len(asked.jobs)} runs are still missing; the same command tries again")
    print(f"all {len(asked.jobs)} runs are done: {records.root}")


@command
def work(
    file: Annotated[Positional[Path], arg(metavar="FILE")],
    runs: Annotated[Positional[tuple[str, ...]], arg(metavar="[RUN ...]")],
    store: Path = Path("runs"),
    threads: int = 1,
    checkpoint_every: float = 60.0,
) -> None:
    """Do some runs of a sweep one after the other, as a job of Snakemake.

    Parameters
    ----------
    file
        The sweep.
    runs
        Hashes of its runs.
    store
        Folder of records.
    threads
        Threads of a run.
    checkpoint_every
        Seconds between two states that are kept.

    Examples
    --------
    python -m tslib work data/sweeps/short.yaml f3428d36d890 --store runs
    """
    import torch

    from tslib.runs import sweeps
    from tslib.runs.store import RunStore

    _at_least(0, checkpoint_every=checkpoint_every)
    _at_least(1, threads=threads)
    torch.set_num_threads(threads)
    records = RunStore(store, checkpoint_every=checkpoint_every)
    failed = sweeps.work(sweeps.Sweep.load(file), records, runs, progress=sys.stderr.isatty())
    if failed:
        raise ResourceError(f"{len(failed)} of {len(runs)} runs failed")


@command
def audit(
    store: Annotated[Positional[Path], arg(metavar="[STORE]")] = Path("data/results"),
    sample: int = 5,
    seed: int = 0,
    any_dtype: bool = False,
) -> None:
    """Draw records at random, make their runs again from their configs, and say where the numbers differ.

    Parameters
    ----------
    store
        Folder of records.
    sample
        How many.
    seed
        Which.
    any_dtype
        Draw from runs in bfloat16, too, where this processor only imitates it.

    Examples
    --------
    python -m tslib audit data/results --sample 5
    """
    import pandas as pd

    from tslib.kernels.precision import advice
    from tslib.runs.audit import Finding, audit, imitated
    from tslib.runs.store import RunStore

    _at_least(1, sample=sample)
    records = RunStore(store)
    if slow := len(imitated(records)):
        drawn = "may be drawn" if any_dtype else "are left out unless --any-dtype is given"
        say(advice("bfloat16", of=f"a step of the {slow} records in it, which {drawn},"))
    found: list[Finding] = []
    try:
        found.extend(audit(records, sample, seed, any_dtype=any_dtype))
    finally:
        if found:
            print(pd.DataFrame([one.as_row() for one in found]).to_string(index=False))
    if bad := sum(bool(one.differences) for one in found):
        raise ResourceError(f"{bad} of {len(found)} records are not what their runs give now")


@command
def rerun(
    record: Annotated[Positional[str], arg(metavar="RECORD")],
    store: Path = Path("data/results"),
) -> None:
    """Make one named run again, and say whether it is the record's to the last bit, or by how much it differs.

    Nothing is written.

    Parameters
    ----------
    record
        Folder of a record, or the hash at the end of its name.
    store
        Folder of records.

    Examples
    --------
    python -m tslib rerun f3428d36d890
    """
    from tslib.kernels.precision import advice
    from tslib.records.provenance import check_weights
    from tslib.runs import rerun
    from tslib.runs.audit import compare, make_again
    from tslib.runs.store import RunStore

    records = RunStore(store)
    found = records.find(record)
    name = records.path(found.config).name
    check_weights(found.environment, found.config.model, name, "make its run anew with --force of tune")
    print(rerun.announcement(name, found), flush=True)
    say(advice(found.config.dtype, found.config.device))
    other = found.config.replayed
    again = make_again(found, None if other is None else records.done(other))
    print(rerun.sentence(found, again))
    if differences := compare(name, found, again).differences:
        raise ResourceError(f"that is more than may be: {'; '.join(differences)}")


@command
def table(store: Path = Path("data/results")) -> None:
    """Print all records of a folder as CSV, one line a run.

    Parameters
    ----------
    store
        Folder of records.

    Examples
    --------
    python -m tslib table > runs.csv
    python -m tslib table --store runs
    """
    from tslib.runs.store import RunStore

    RunStore(store).table().to_csv(sys.stdout, index=False)


@command
def seal(folder: Annotated[Positional[Path], arg(metavar="FOLDER")]) -> None:
    """Give records of before there were checksums theirs, as they are: one record's folder, or all records in a folder.

    Parameters
    ----------
    folder
        A record, or a folder of records and evaluations.

    Examples
    --------
    python -m tslib seal runs
    """
    from tslib.runs.evaluations import EvaluationStore
    from tslib.runs.store import RunStore

    if not folder.is_dir():
        raise InputError(f"no folder {folder}: name a record, or a folder of records")
    if (folder / "record.json").is_file():
        RunStore(folder.parent).seal(folder)
        return
    records = RunStore(folder)
    for path in records.folders():
        records.seal(path)
    EvaluationStore(folder / "evaluations").seal()
