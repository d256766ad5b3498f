"""The command line: ``python -m tslib COMMAND``. What goes wrong is told in one line."""

import contextlib
import functools
import io
import itertools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import tyro
from pydantic import ValidationError
from tyro.conf import OmitArgPrefixes, Positional

from tslib.config import EvalConfig, TuneConfig, explain
from tslib.errors import InputError, TslibError

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
    """Tune one soft prompt and print a short table. Ctrl-C keeps what was measured until then.

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
    from tslib.tuning import tune as run

    records = RunStore(store)
    record = None if force else records.get(config)
    if record is None or record.status == "interrupted":
        records.check_writable()
        record = run(config)
        records.save(record)
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
def book() -> None:
    """Run every notebook on the embedded model and build the book in _build/html.

    Example: python -m tslib book
    """
    from tslib.book import build

    print(build())


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
