"""Models, benchmarks, and single runs."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from tslib.commands.registry import command, say
from tslib.config import EvalConfig, TuneConfig
from tslib.errors import InputError
from tslib.presets import settings_of


@command
def fetch(
    name: Annotated[Positional[str], arg(metavar="[NAME]")] = "smollm2-135m",
    accept_gemma_terms: bool = False,
    force: bool = False,
) -> None:
    """Fetch a model, or an encoder of pictures, into the cache, unless it is there.

    Parameters
    ----------
    name
        smollm2-135m, gemma3-270m, a model of the paper (gemma-2b-it, ...), any id on the Hugging Face hub; or an
        encoder of pictures, vit-s14 or aerial-resnet18.
    accept_gemma_terms
        You have read and accept the terms at https://ai.google.dev/gemma/terms.
    force
        Fetch it again even if it is there.

    Examples
    --------
    python -m tslib fetch
    python -m tslib fetch gemma3-270m --accept-gemma-terms
    python -m tslib fetch vit-s14
    """
    from tslib.models import loading as models

    if name not in models.MODELS:
        from tslib.vision.encoders import ENCODERS, fetch_encoder

        if name in ENCODERS:
            print(fetch_encoder(name, force=force))
            return
    print(models.fetch(name, accept_terms=accept_gemma_terms, force=force))


@command
def tune(config: OmitArgPrefixes[TuneConfig], store: Path = Path("runs"), force: bool = False) -> None:
    """Tune one soft prompt and print a short table. After Ctrl-C the same command goes on from there.

    Parameters
    ----------
    config
        The run.
    store
        Folder of records; a run that is there is shown, not run again.
    force
        Run it again all the same.

    Examples
    --------
    python -m tslib tune --regularizer tsloss --max-steps 20
    python -m tslib tune --task bbh-symbolic --samples 10 --method prefix-tuning --lr 0.01
    python -m tslib tune --placement suffix --dtype auto --store my-runs
    python -m tslib tune --task aerial-scenes --method grasp --samples 16 --max-steps 20
    """
    from tslib.kernels.precision import advice
    from tslib.runs.store import RunStore
    from tslib.study.report.runs import run_table

    records = RunStore(store)
    record = None if force else records.done(config)
    if record is None:
        say(advice(config.dtype, config.device))
        record = records.run(config, anew=force)
    else:
        print("this run was made before and is only shown; --force makes it again")
    print(run_table(record))
    print(f"record: {records.path(config)}")
    if record.status == "interrupted":
        raise KeyboardInterrupt


def with_preset(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of `tune` with what preset or method set before them, so that what is given goes before it.

    The parser fills in all fields, and a config made of them cannot know which were given.

    Examples
    --------
    >>> with_preset(["tune", "--preset", "fast", "--init", "text"])[:4]
    ['tune', '--init', 'vocabulary', '--warmup-steps']
    """
    command, *given = arguments
    named: dict[str, str] = {}
    for one, after in zip(given, [*given[1:], ""], strict=True):
        if flag := re.match(r"--(preset|method)(=|$)", one):
            named[flag[1]] = one.partition("=")[2] or after
    settings = settings_of(named.get("preset"), named.get("method"))
    flags = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    return [command, *flags, *given]


@command
def evaluate(
    config: OmitArgPrefixes[EvalConfig],
    run: Annotated[Positional[str], arg(metavar="[RUN]")] = "",
    store: Path = Path("runs"),
    force: bool = False,
) -> None:
    """Score a tuned prompt, or the model as it is, on rows it was not tuned on: accuracy, interval, answer loss.

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

    Examples
    --------
    python -m tslib tune --regularizer tsloss --max-steps 20
    python -m tslib evaluate ae59cc905580 --limit 20
    python -m tslib evaluate --task multiple-choice --scoring likelihood --limit 20
    """
    from tslib.runs.evaluations import EvaluationStore, of_run
    from tslib.runs.store import RunStore
    from tslib.study.report.tasks import evaluation_table

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

    Parameters
    ----------
    count
        Read the rows that are here, and say how many are used and why others are not.

    Examples
    --------
    python -m tslib tasks
    python -m tslib tasks --count
    """
    from tslib.study.report import catalogue

    print(catalogue.plain(catalogue.readings() if count else catalogue.tasks()))


@command
def models() -> None:
    """List the named models and encoders of pictures: parameters, licence, whether each is here, how to get it.

    Examples
    --------
    python -m tslib models
    """
    from tslib.study.report import catalogue

    print(catalogue.plain(catalogue.models()))
    print()
    print(catalogue.plain(catalogue.encoders()))


@command
def experiment(name: Annotated[Positional[str], arg(metavar="NAME")], store: Path | None = None) -> None:
    """Do what is missing of data/sweeps/NAME.yaml: an older name of python -m tslib sweep.

    Parameters
    ----------
    name
        A sweep of the project, such as tour or untuned.
    store
        Folder of records; by default the committed ones, data/results.

    Examples
    --------
    python -m tslib experiment untuned --store runs
    """
    from tslib.commands.sweeps import sweep
    from tslib.records.record import COMMITTED
    from tslib.study.evidence import SWEEPS

    files = {path.stem: path for path in sorted(SWEEPS.glob("*.yaml"))}
    if name not in files:
        raise InputError(f"unknown experiment {name!r}; known: {', '.join(files)}")
    folder = COMMITTED if store is None else store
    print(f"experiment is an older name of: python -m tslib sweep {files[name]} --store {folder}")
    sweep(files[name], folder)
