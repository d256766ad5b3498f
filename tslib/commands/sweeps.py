"""Many runs, and their records."""

import os
import sys
from pathlib import Path

from tyro.conf import Positional

from tslib.commands.registry import command
from tslib.errors import InputError, ResourceError


@command
def sweep(
    file: Positional[Path],
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

    Example: python -m tslib sweep data/sweeps/short.yaml

    Parameters
    ----------
    file
        A sweep: a YAML file that declares grids of runs.
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
    """
    from tslib import engine, sweeps
    from tslib.records import RunStore
    from tslib.report_sweeps import plan

    if jobs < 0 or threads < 1 or group < 1 or checkpoint_every < 0:
        raise InputError("jobs and checkpoint_every must be 0 or more, threads and group 1 or more")
    records = RunStore(store, checkpoint_every=checkpoint_every)
    asked = sweeps.Sweep.load(file)
    jobs = jobs or max(1, (os.cpu_count() or 1) // threads)
    print(plan(asked, records, jobs))
    if show:
        return
    left = engine.run(asked, records, jobs=jobs, threads=threads, group=group, profile=profile)
    if left:
        print("\n".join(left), file=sys.stderr)
        raise ResourceError(f"{len(left)} of {len(asked.configs)} runs are still missing; the same command tries again")
    print(f"all {len(asked.configs)} runs are done: {records.root}")


@command
def work(
    file: Positional[Path],
    runs: Positional[tuple[str, ...]],
    store: Path = Path("runs"),
    threads: int = 1,
    checkpoint_every: float = 60.0,
) -> None:
    """Do some runs of a sweep one after the other, as a job of Snakemake.

    Example: python -m tslib work data/sweeps/short.yaml 0123456789ab --store runs

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
    """
    import torch

    from tslib import sweeps
    from tslib.records import RunStore

    torch.set_num_threads(threads)
    records = RunStore(store, checkpoint_every=checkpoint_every)
    failed = sweeps.work(sweeps.Sweep.load(file), records, runs, progress=sys.stderr.isatty())
    if failed:
        raise ResourceError(f"{len(failed)} of {len(runs)} runs failed")


@command
def audit(store: Positional[Path] = Path("data/results"), sample: int = 5, seed: int = 0) -> None:
    """Draw records at random, make their runs again from their configs, and say where the numbers differ.

    Example: python -m tslib audit data/results --sample 5

    Parameters
    ----------
    store
        Folder of records.
    sample
        How many.
    seed
        Which.
    """
    import pandas as pd

    from tslib.audit import Finding, audit
    from tslib.records import RunStore

    found: list[Finding] = []
    try:
        found.extend(audit(RunStore(store), sample, seed))
    finally:
        if found:
            print(pd.DataFrame([one.as_row() for one in found]).to_string(index=False))
    if bad := sum(bool(one.differences) for one in found):
        raise ResourceError(f"{bad} of {len(found)} records are not what their runs give now")


@command
def table(store: Path = Path("data/results")) -> None:
    """Print all records of a folder as CSV, one line a run.

    Example: python -m tslib table --store runs

    Parameters
    ----------
    store
        Folder of records.
    """
    from tslib.records import RunStore

    RunStore(store).table().to_csv(sys.stdout, index=False)


@command
def seal(folder: Positional[Path]) -> None:
    """Give records of before there were checksums theirs, as they are: one record's folder, or all records in a folder.

    Example: python -m tslib seal runs

    Parameters
    ----------
    folder
        A record, or a folder of records and evaluations.
    """
    from tslib.evaluation import EvaluationStore
    from tslib.records import RunStore

    if (folder / "record.json").is_file():
        RunStore(folder.parent).seal(folder)
        return
    records = RunStore(folder)
    for path in records.folders():
        records.seal(path)
    EvaluationStore(folder / "evaluations").seal()
