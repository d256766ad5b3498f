"""The records as a script for the page "Explore the records", small enough for a phone and without a network.

A page that is opened from a folder may load scripts, but not data. So all runs are columns of one script, texts by
their place in a list, curves thinned and rounded: what a figure on a screen can show.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from tslib.config import TuneConfig
from tslib.errors import ResourceError
from tslib.records.files import read_document, read_table, unreadable
from tslib.records.record import row_of
from tslib.runs.store import RunStore
from tslib.study.evidence import MAIN, Evidence
from tslib.study.names import METHOD_NAMES, method_name, model_name, setting_name, task_name

__all__ = ["STEPS", "script", "write"]

STEPS = 60
"""Steps of a curve that are kept at most, beside the last."""
DIGITS = 4
"""Significant digits of numbers."""
CURVES = {"h0": "h0_mean_lifespan", "h1": "h1_count", "entropy": "persistence_entropy"}
"""Columns of a topology table, by what the script calls them."""

_WORDS = {
    "task": "task",
    "model": "model",
    "regularizer": "regulariser",
    "method": "prompt method",
    "samples": "problems at once",
    "sample_seed": "draw of problems",
    "seed": "seed of the prompt",
    "shots": "examples in the question",
    "batch_size": "problems a step",
    "max_context": "longest question",
    "max_steps": "steps at most",
    "check_every": "steps between two checks",
    "answer_every": "steps between two replies",
    "stop_when_correct": "stops when correct",
    "device": "device asked for",
}
"""Names of fields of `TuneConfig` beside those of `setting_name`."""
_NAMES = {"task": task_name, "model": model_name, "regularizer": method_name}
_VALUES = {"sqrt_d": "√d", "prompt-tuning": "prompt tuning", "prefix-tuning": "prefix tuning", "p-tuning": "P-tuning"}
_ELSEWHERE = ("task", "model", "regularizer", "sample_seed", "seed", "max_steps", "device")
"""What has a column of its own in the table, stands with the iterations, or changes nothing."""
_SENTENCES: dict[str, Callable[[Any], str]] = {
    "method": lambda value: _words("method", value),
    "samples": lambda value: f"{value} problems at once",
    "stop_when_correct": lambda value: "" if value else "goes on when correct",
    "answer_every": lambda value: f"a reply every {value} steps" if value else "",
    "check_every": lambda value: f"a check every {value} steps",
    "max_context": lambda value: f"questions of {value} tokens at most",
    "batch_size": lambda value: f"{value} problems a step",
    "shots": lambda value: f"{value} examples in the question",
}
"""How a setting is said where its name and value are not enough."""
_RESULTS = {
    "iterations": "iterations_to_correct",
    "answer": "iterations_to_answer",
    "loss": "final_cross_entropy",
    "steps": "steps_done",
    "seconds": "seconds",
}


def thinned(length: int, most: int = STEPS) -> list[int]:
    """Return which of the rows of a curve are kept: every k-th and the last.

    Examples
    --------
    >>> thinned(7, most=3)
    [0, 3, 6]
    >>> thinned(8, most=3)
    [0, 3, 6, 7]
    """
    every = max(1, -(-length // most))
    kept = list(range(0, length, every))
    return kept if not length or kept[-1] == length - 1 else [*kept, length - 1]


def coded(values: Iterable[Any]) -> dict[str, list[Any]]:
    """Return texts or numbers as the list of those that there are, and the place of each in it.

    Examples
    --------
    >>> coded(["b", "a", "b"])
    {'of': ['b', 'a'], 'at': [0, 1, 0]}
    """
    places: dict[Any, int] = {}
    at = [places.setdefault(value, len(places)) for value in values]
    return {"of": list(places), "at": at}


def _number(value: Any) -> float | int | None:
    """Return a number with the digits that are kept; None where it is none."""
    if value is None or not np.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def _words(field: str, value: Any) -> str:
    """Return the value of a field as a person would say it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "not set"
    if field in _NAMES:
        return _NAMES[field](str(value))
    return f"{value:g}" if isinstance(value, float) else _VALUES.get(str(value), str(value))


def changed(config: TuneConfig) -> str:
    """Say which settings of a run are not the default, but for those that have a column of their own.

    Examples
    --------
    >>> changed(TuneConfig(regularizer="tsloss", weight=10.0, n_tokens=50, seed=3, answer_every=0))
    '50 virtual tokens, λ = 10'
    """
    default, said = TuneConfig(answer_every=0), []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in _ELSEWHERE and value != getattr(default, field.name):
            plain = setting_name(field.name, value).replace("sqrt_d", "√d")
            said.append(_SENTENCES[field.name](value) if field.name in _SENTENCES else plain)
    return ", ".join(filter(None, said)).replace("_", " ")


def _curves(steps: pd.DataFrame, topology: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a run's curves: steps and losses, checkpoints and their topology."""
    loss = steps.iloc[thinned(len(steps))]
    shown = topology.iloc[thinned(len(topology))]
    found = {"step": loss["step"].tolist(), "loss": loss["cross_entropy"].map(_number).tolist()}
    found["at"] = shown["step"].tolist()
    return found | {name: shown[column].astype(float).map(_number).tolist() for name, column in CURVES.items()}


class _Run(NamedTuple):
    """What the script holds of a run."""

    config: TuneConfig
    content: dict[str, Any]
    curves: dict[str, list[Any]]


def _read(path: Path) -> _Run:
    try:
        content = read_document(path)
        steps, topology = (read_table(path / f"{name}.parquet", content["files"]) for name in ("steps", "topology"))
        return _Run(TuneConfig(**content["config"]), content, _curves(steps, topology))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise unreadable(path, error) from error


def _in_order(runs: list[_Run]) -> list[_Run]:
    """Put runs of the same task and model together, most runs first, and those of a pair below each other."""
    size = Counter((run.config.task, run.config.model) for run in runs)
    methods = list(METHOD_NAMES)

    def key(run: _Run) -> tuple[Any, ...]:
        one = run.config
        method = methods.index(one.regularizer) if one.regularizer in methods else len(methods)
        of = (one.task, one.model)
        return (-size[of], of, one.samples, changed(one), one.max_steps, one.sample_seed, one.seed, method, one.hash)

    return sorted(runs, key=key)


def script(store: RunStore, example: Sequence[TuneConfig] = (), *, progress: bool = False) -> str:
    """Return all records of a store as the script that the page loads.

    Parameters
    ----------
    store
        The records.
    example
        Two runs that the page offers to begin with.
    progress
        Show a bar.

    Returns
    -------
    str
        ``RECORDS = {...}`` with ``columns`` of the table, ``fields`` (settings in which any two runs differ, in words),
        ``curves``, and ``example``.

    Raises
    ------
    ResourceError
        If there are no records, or one is damaged.
    """
    paths = store.folders()
    if not paths:
        raise ResourceError(f"no records in {store.root}: the page that shows them needs those of a checkout")
    runs = _in_order([_read(path) for path in tqdm(paths, "records", unit="record", disable=not progress)])
    data = {
        "columns": _columns(store, runs),
        "fields": _fields(runs),
        "curves": [run.curves for run in runs],
        "example": [config.hash for config in example],
    }
    return f"RECORDS = {json.dumps(data, ensure_ascii=False, separators=(',', ':'), allow_nan=False)};\n"


def _columns(store: RunStore, runs: list[_Run]) -> dict[str, Any]:
    """Return the columns of the table, and what is said of a run below its curves."""
    configs, made = [run.config for run in runs], [run.content["environment"] for run in runs]
    rows = [row_of(run.content) for run in runs]
    words = {
        name: coded(_words(name, getattr(one, name)) for one in configs) for name in ("task", "model", "regularizer")
    }
    return {
        "hash": [one.hash for one in configs],
        "folder": coded(store.path(one).name.removesuffix(f"_{one.hash}") for one in configs),
        **words,
        "settings": coded(map(changed, configs)),
        "pair": coded(f"{one.sample_seed}/{one.seed}" for one in configs),
        "most": [one.max_steps for one in configs],
        "status": coded(row["status"] for row in rows),
        **{short: [_number(row[name]) for row in rows] for short, name in _RESULTS.items()},
        "machine": coded(one.get("machine", "not said") for one in made),
        "threads": [one.get("threads") for one in made],
    }


def _fields(runs: list[_Run]) -> dict[str, dict[str, list[Any]]]:
    """Return in words each setting that any two runs differ in, by its name."""
    found = {}
    for field in dataclasses.fields(TuneConfig):
        said = [_words(field.name, getattr(run.config, field.name)) for run in runs]
        if len(set(said)) > 1:
            found[(_WORDS.get(field.name) or setting_name(field.name)).replace("_", " ")] = coded(said)
    return found


def write(path: Path, evidence: Evidence, *, progress: bool = True) -> None:
    """Write the script of all records in a store; its example is the first pair of the paper's own example."""
    first, *rest = evidence.asked(MAIN)
    other = next(config for config in rest if (config.sample_seed, config.seed) == (first.sample_seed, first.seed))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script(evidence.store, (first, other), progress=progress), encoding="utf-8")
