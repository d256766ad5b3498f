"""The command line: ``python -m tslib COMMAND``. What goes wrong is told in one line."""

import contextlib
import functools
import io
import itertools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import tyro
from pydantic import ValidationError
from tyro.conf import OmitArgPrefixes, Positional

from tslib.config import EvalConfig, TuneConfig, explain
from tslib.errors import InputError, ResourceError, TslibError

app = tyro.extras.SubcommandApp()
Function = TypeVar("Function", bound=Callable[..., None])


def command(function: Function) -> Function:
    """Make a function a subcommand; parsing the command line returns its call, to be made afterwards."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Callable[[], None]:
        return functools.partial(function, *args, **kwargs)

    app.command(call)
    return function


@command
def fetch(name: Positional[str] = "smollm2-135m", accept_gemma_terms: bool = False, force: bool = False) -> None:
    """Fetch a model into the cache, unless it is there.

    Example: python -m tslib fetch gemma3-270m --accept-gemma-terms

    Parameters
    ----------
    name
        smollm2-135m, gemma3-270m, a model of the paper (gemma-2b-it, ...), or any id on the Hugging Face hub.
    accept_gemma_terms
        You have read and accept the terms at https://ai.google.dev/gemma/terms.
    force
        Fetch it again even if it is there.
    """
    from tslib import models

    print(models.fetch(name, accept_terms=accept_gemma_terms, force=force))


@command
def tune(config: OmitArgPrefixes[TuneConfig], store: Path = Path("runs"), force: bool = False) -> None:
    """Tune one soft prompt and print a short table. After Ctrl-C the same command goes on from there.

    Example: python -m tslib tune --task gsm-symbolic --regularizer tsloss --weight 1 --seed 0

    Parameters
    ----------
    config
        The run.
    store
        Folder of records; a run that is there is shown, not run again.
    force
        Run it again all the same.
    """
    from tslib.records import RunStore
    from tslib.report import run_table

    records = RunStore(store)
    record = None if force else records.done(config)
    if record is None:
        record = records.run(config, anew=force)
    else:
        print("this run was made before and is only shown; --force makes it again")
    print(run_table(record))
    print(f"record: {records.path(config)}")
    if record.status == "interrupted":
        raise KeyboardInterrupt


@command
def evaluate(
    config: OmitArgPrefixes[EvalConfig], run: Positional[str] = "", store: Path = Path("runs"), force: bool = False
) -> None:
    """Score a tuned prompt, or the model as it is, on rows it was not tuned on: accuracy, interval, answer loss.

    Example: python -m tslib evaluate 0123456789ab --split heldout --limit 100

    Parameters
    ----------
    config
        The evaluation.
    run
        Folder of a run's record, or the hash at its end; model, task, shots, context and dtype are then the run's.
        Without it the model is evaluated as it is: --task bbh/navigate --scoring likelihood, say.
    store
        Folder of records; evaluations are kept in its folder evaluations; one that is there is shown, not made again.
    force
        Make it again all the same.
    """
    from tslib.evaluation import EvaluationStore, of_run
    from tslib.records import RunStore
    from tslib.report_tasks import evaluation_table

    name = run or config.run
    record = RunStore(store).find(name) if name else None
    if record is not None:
        config = of_run(config, record)
    evaluations = EvaluationStore(store / "evaluations")
    print(evaluation_table(evaluations.get_or_run(config, record, force=force)))
    print(f"evaluation: {evaluations.path(config)}")


@command
def tasks(count: bool = False) -> None:
    """List the benchmarks: what each is, its licence, whether its rows are here, and how to get them.

    Example: TSLIB_DATA_DIR=rows python -m tslib tasks --count

    Parameters
    ----------
    count
        Read the rows that are here, and say how many are used and why others are not.
    """
    from tslib import catalogue

    print(catalogue.plain(catalogue.readings() if count else catalogue.tasks()))


@command
def models() -> None:
    """List the named models: parameters, licence, whether each is here, and how to get it.

    Example: python -m tslib models
    """
    from tslib import catalogue

    print(catalogue.plain(catalogue.models()))


@command
def experiment(name: Positional[str], store: Path | None = None) -> None:
    """Do the runs of one of the book's experiments that are missing.

    Example: TSLIB_DATA_DIR=rows python -m tslib experiment convergence

    Parameters
    ----------
    name
        learning-rate, convergence, tour or untuned.
    store
        Folder of records; by default the committed ones, data/results.
    """
    from tqdm import tqdm

    from tslib.evaluation import EvaluationStore
    from tslib.experiments import EVALUATIONS, EXPERIMENTS
    from tslib.records import COMMITTED, RunStore

    known = list(dict.fromkeys([*EXPERIMENTS, *EVALUATIONS]))
    if name not in known:
        raise InputError(f"unknown experiment {name!r}; known: {', '.join(known)}")
    records = RunStore(COMMITTED if store is None else store)
    evaluations = EvaluationStore(records.root / "evaluations")
    for config in tqdm(EXPERIMENTS.get(name, list)(), desc=name, unit="run"):
        records.get_or_run(config)
    for asked in tqdm(EVALUATIONS.get(name, list)(), desc=f"{name}, held out", unit="evaluation"):
        evaluations.get_or_run(asked, records.find(asked.run) if asked.run else None)


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
def adapter(record: Positional[Path], folder: Positional[Path], step: int | None = None, push: str = "") -> None:
    """Write a run's prompt as a PEFT adapter, with a model card; upload it if asked to.

    Example: python -m tslib adapter runs/gsm-symbolic_smollm2-135m_tsloss_0123456789ab my-adapter

    Parameters
    ----------
    record
        Folder of the record.
    folder
        Where the adapter goes.
    step
        Checkpoint of the run; by default the last.
    push
        Where it is uploaded to on the Hugging Face hub, USER/NAME (private, if it is made); needs `hf auth login`.
    """
    from tslib.adapters import push_adapter, save_adapter
    from tslib.records import RunStore

    print(save_adapter(RunStore(record.parent).load(record), folder, step=step))
    if push:
        print(push_adapter(folder, push))


@command
def topology(
    source: Positional[str], metric: Literal["euclidean", "cosine"] = "euclidean", figure: Path | None = None
) -> None:
    """Print the topology of a soft prompt: a PEFT adapter (folder or hub id), or the last prompt of a record.

    Example: python -m tslib topology my-adapter --figure diagram.png

    Parameters
    ----------
    source
        Folder of an adapter or of a record, or an id on the Hugging Face hub.
    metric
        Distance of two virtual tokens.
    figure
        File for the persistence diagram.
    """
    from tslib import report_topology
    from tslib.adapters import cloud

    clouds = cloud(source).numpy()
    print(report_topology.describe(clouds, metric))
    if figure is not None:
        report_topology.draw(clouds, figure, metric)
        print(figure)


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


@command
def bench(file: Path | None = None, force: bool = False) -> None:
    """Measure what a step costs against PEFT's, and print what was asked and what was found. Half an hour.

    Example: python -m tslib bench --file runs/cost.json

    Parameters
    ----------
    file
        Where measurements are kept; parts that are there are not measured again. By default the committed one,
        data/results/cost.json.
    force
        Measure all of it again.
    """
    from tslib import bench, report_cost

    content = bench.run(bench.PATH if file is None else file, force=force)
    print(report_cost.requirements(content).to_string(index=False))


@command
def book(only: str = "", assemble: bool = False) -> None:
    """Run every notebook on the embedded model and build the book in _build/html.

    Example: python -m tslib book

    Parameters
    ----------
    only
        Only run this notebook, such as 03_convergence.
    assemble
        Only assemble the pages of notebooks that were run.
    """
    from tslib import book

    if assemble:
        print(book.assemble())
        return
    if not only:
        print(book.build())
        return
    found = {page.stem: page for page in book.pages()}
    if only not in found:
        raise InputError(f"no notebook {only!r}: give one of {', '.join(found)}")
    book.execute(found[only], book.EXECUTED / found[only].name)


@command
def readme() -> None:
    """Write what the committed records say into README.md and draw its figure.

    Example: python -m tslib readme
    """
    from tslib.book import write_readme

    print(write_readme())


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return the exit status: 0, 1 or 2 for an error told in one line, 130 after Ctrl-C."""
    parser_says = io.StringIO()
    try:
        with contextlib.redirect_stderr(parser_says):
            call = app.cli(prog="python -m tslib", args=arguments)
    except SystemExit as stop:
        return _rejected(stop, parser_says.getvalue()) if stop.code else 0
    except KeyboardInterrupt:  # checking a config imports torch, which takes a while
        return _interrupted()
    try:
        call()
    except TslibError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or 'a file'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return _interrupted()
    return 0


def _rejected(stop: SystemExit, said: str) -> int:
    """Tell in one line why the command line was rejected: the config's own words, or the parser's without its box."""
    error: BaseException | None = stop
    while error is not None:
        if isinstance(error, ValidationError):
            return _fail(explain(error), status=2)
        error = error.__cause__ or error.__context__
    plain = re.sub(r"\x1b\[[\d;]*m", "", said)  # a terminal gets colours
    lines = [line for line in (line.strip("│ ") for line in plain.splitlines()) if line]
    title = 1 if lines[:1] and lines[0].startswith("╭") else 2  # without box characters: a title over a rule
    body = itertools.takewhile(lambda line: line.strip("─-"), lines[title:])
    return _fail(f"{' '.join(body)} (see python -m tslib --help)", status=2)


def _interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return 130


def _fail(message: str, status: int = 1) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
