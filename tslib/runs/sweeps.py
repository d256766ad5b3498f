"""Sweeps: a YAML file that declares grids of runs, what is missing of them, and doing it with Snakemake.

The engine, its rules for tables, notebooks and book, and its executors for clusters are Snakemake's (`Snakefile`).
Here is what a file means, what a store lacks, and the work of one of Snakemake's jobs: some runs that share a model.
"""

import dataclasses
import math
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import yaml
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass
from tqdm import tqdm

from tslib.config import STRICT, EvalConfig, TuneConfig, explain
from tslib.errors import InputError, ResourceError, TslibError
from tslib.runs.store import RunStore

__all__ = ["Grid", "Sweep", "estimate", "groups", "missing", "status", "work"]

LARGEST = 2**20
"""Bytes of a sweep file at most."""
MOST = 100_000
"""Runs of a sweep at most."""
SHARED = ("model", "dtype", "device")
"""What runs of one job have in common, so that the model is loaded once."""
ONLY_REGULARIZED = ("weight", "tau", "alpha", "beta_h0", "beta_h1", "lambda_repel", "lambda_attract")


@checked_dataclass(frozen=True, kw_only=True, config=STRICT)
class Grid:
    """Runs that differ in some fields, in every combination."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """What the runs are for, in few words."""
    priority: int = 1
    """Grids with a smaller number are done first."""
    fields: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of ``TuneConfig``; a list of values is gone through, the last field's fastest."""
    pairs: list[tuple[int, int]] | None = None
    """(sample_seed, seed) of the runs: all combinations of the fields on the first pair, then on the next, so that
    methods are always compared on the same pairs."""
    evaluate: dict[str, Any] | None = None
    """Fields of ``EvalConfig``: each run's last prompt is evaluated so, on rows it was not tuned on."""

    def configs(self) -> list[TuneConfig]:
        """Return the runs.

        Raises
        ------
        InputError
            If one is impossible, or there are too many; the message names grid and field.
        """
        axes = {name: value if isinstance(value, list) else [value] for name, value in self.fields.items()}
        pairs: list[dict[str, Any]] = [{}]
        if self.pairs is not None:
            pairs = [{"sample_seed": sample_seed, "seed": seed} for sample_seed, seed in self.pairs]
        count = math.prod(len(values) for values in (*axes.values(), pairs))
        if count == 0:
            raise InputError(f"grid {self.name!r}: a list of values is empty")
        if count > MOST:
            raise InputError(f"grid {self.name!r} has {count} runs: give at most {MOST}")
        if self.pairs is not None and (twice := {"seed", "sample_seed"} & set(axes)):
            raise InputError(f"grid {self.name!r}: {sorted(twice)} are given as pairs already")
        return [
            self._config(dict(zip(axes, values, strict=True)) | pair)
            for pair, values in product(pairs, product(*axes.values()))
        ]

    def _config(self, fields: dict[str, Any]) -> TuneConfig:
        if fields.get("regularizer", "none") == "none":  # one run, whatever weight the others have
            fields = {name: value for name, value in fields.items() if name not in ONLY_REGULARIZED}
        try:
            return TuneConfig(**fields)
        except ValidationError as error:
            raise InputError(f"grid {self.name!r}: {explain(error)}") from error
        except TypeError as error:  # a name that is not a string
            raise InputError(f"grid {self.name!r}: {error}") from error

    def evaluation(self) -> EvalConfig | None:
        """Return how its runs are evaluated."""
        if self.evaluate is None:
            return None
        try:
            return EvalConfig(**self.evaluate)
        except ValidationError as error:
            raise InputError(f"grid {self.name!r}, evaluate: {explain(error)}") from error


@dataclass(frozen=True)
class Sweep:
    """A sweep file: ``title`` and ``grids``.

    For instance::

        title: Does TSLoss help?
        grids:
          - name: one problem of GSM8K
            priority: 1
            fields: {task: gsm8k, regularizer: [none, tsloss], lr: 0.03}
            pairs: [[0, 0], [1, 1]]
    """

    path: Path
    title: str
    grids: tuple[Grid, ...]
    runs: tuple[tuple[TuneConfig, ...], ...] = field(repr=False)
    """The runs of each grid, each once."""

    @cached_property
    def configs(self) -> tuple[TuneConfig, ...]:
        """All runs, by priority, each once."""
        return tuple(dict.fromkeys(config for configs in self.runs for config in configs))

    @classmethod
    def load(cls, path: Path | str) -> "Sweep":
        """Read a sweep file.

        Raises
        ------
        InputError
            If it is not one; the message says what is wrong with which field.
        ResourceError
            If it cannot be read.
        """
        path = Path(path)
        try:
            content = _Loader.load_document(path)
            given = TypeAdapter(_File).validate_python(content)
        except OSError as error:
            raise ResourceError(f"cannot read the sweep {path} ({error.strerror}): name a YAML file") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise InputError(f"{path} is not a sweep: {where}: {first['msg']}") from error
        except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
            said = " ".join(str(error).split())[:500]
            raise InputError(f"{path} is not a sweep ({type(error).__name__}: {said})") from error
        grids = tuple(sorted(given.grids, key=lambda grid: grid.priority))
        try:
            for grid in grids:
                grid.evaluation()
            runs = tuple(tuple(dict.fromkeys(grid.configs())) for grid in grids)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        return cls(path, given.title, grids, runs)

    def evaluations(self, config: TuneConfig) -> list[EvalConfig]:
        """Return how a run is evaluated: as each of the grids that has it says."""
        found = [
            grid.evaluation()
            for grid, configs in zip(self.grids, self.runs, strict=True)
            if grid.evaluate is not None and config in configs
        ]
        return [evaluation for evaluation in found if evaluation is not None]


@checked_dataclass(frozen=True, kw_only=True, config=STRICT)
class _File:
    title: Annotated[str, Field(min_length=1, max_length=200)]
    grids: Annotated[list[Grid], Field(min_length=1, max_length=1000)]


class _Loader(yaml.SafeLoader):
    """YAML of plain values: no tags that make objects, no aliases that grow, no name twice."""

    @classmethod
    def load_document(cls, path: Path) -> Any:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes")
        return yaml.load(path.read_text(encoding="utf-8"), Loader=cls)  # a SafeLoader

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it has an alias (*name): write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := {str(name) for name in names if names.count(name) > 1}:
            raise ValueError(f"{', '.join(sorted(twice))} is given twice")
        return super().construct_mapping(node, deep)


def missing(sweep: Sweep, store: RunStore) -> list[TuneConfig]:
    """Return the runs that lack a good record or an evaluation, in the order they will be done in."""
    return [config for config in sweep.configs if not _is_done(sweep, store, config)]


def _is_done(sweep: Sweep, store: RunStore, config: TuneConfig) -> bool:
    outcome = store.outcome(config)
    if outcome is None:
        return False
    asked = sweep.evaluations(config) if outcome["status"] == "finished" else []
    if not asked:
        return True
    from tslib.runs.evaluation import EvaluationStore, of_config

    evaluations = EvaluationStore(store.root / "evaluations")
    return all(evaluations.has(of_config(one, config)) for one in asked)


def groups(configs: Iterable[TuneConfig], size: int) -> list[list[TuneConfig]]:
    """Divide runs into jobs of some runs that share a model; their order is kept as far as that allows."""
    found: list[list[TuneConfig]] = []
    filling: dict[tuple[Any, ...], list[TuneConfig]] = {}
    for config in configs:
        shared = tuple(getattr(config, name) for name in SHARED)
        job = filling.get(shared)
        if job is None or len(job) == size:
            job = filling[shared] = []
            found.append(job)
        job.append(config)
    return found


ALIKE: tuple[tuple[str, ...], ...] = (
    ("model", "task", "samples", "batch_size", "method", "placement", "n_tokens", "max_steps", "dtype"),
    ("model", "task", "samples", "dtype"),
    ("model",),
)
"""By which fields runs are taken for alike when their time is estimated, the closest kind first."""


def estimate(configs: Sequence[TuneConfig], done: pd.DataFrame) -> tuple[float, int]:
    """Return the seconds that runs will take, one after the other, and for how many of them there is no telling.

    A run is taken to last as long as the median of those in the table that are most alike.
    """
    known: list[dict[tuple[Any, ...], float]] = []
    for names in ALIKE:
        kinds: Any = done.groupby(list(names))["seconds"] if len(done) else []
        known.append({key if isinstance(key, tuple) else (key,): float(times.median()) for key, times in kinds})
    total, unknown = 0.0, 0
    for config in configs:
        keys = [tuple(getattr(config, name) for name in names) for names in ALIKE]
        found = next((medians[key] for medians, key in zip(known, keys, strict=True) if key in medians), None)
        total, unknown = total + (found or 0.0), unknown + (found is None)
    return total, unknown


def status(sweep: Sweep, store: RunStore) -> pd.DataFrame:
    """Return one line a grid: its runs, how many are done, under way, missing, censored and diverged."""
    lines = []
    for grid, configs in zip(sweep.grids, sweep.runs, strict=True):
        outcomes = [store.outcome(config) for config in configs]
        done = [outcome for outcome in outcomes if outcome is not None]
        lines.append(
            {
                "priority": grid.priority,
                "grid": grid.name,
                "runs": len(configs),
                "done": len(done),
                "begun": sum(
                    store.checkpoint_path(config).exists()
                    for config, outcome in zip(configs, outcomes, strict=True)
                    if outcome is None
                ),
                "missing": len(configs) - len(done),
                "censored": sum(o["status"] == "finished" and o["iterations_to_correct"] is None for o in done),
                "diverged": sum(o["status"] == "diverged" for o in done),
            }
        )
    return pd.DataFrame(lines)


def work(sweep: Sweep, store: RunStore, hashes: Sequence[str], *, progress: bool = True) -> list[str]:
    """Do some runs of a sweep, one after the other; one that fails does not keep the others from being done.

    Returns
    -------
    list of str
        What failed, in one line each.

    Raises
    ------
    KeyboardInterrupt
        If it was interrupted; the run under way is kept.
    """
    by_hash = {config.hash: config for config in sweep.configs}
    if unknown := [name for name in hashes if name not in by_hash]:
        raise InputError(f"{sweep.path} has no run {', '.join(unknown)}")
    failed = []
    for name in hashes:
        config = by_hash[name]
        try:
            record = store.get_or_run(config, progress=progress)
            _evaluate(sweep, store, record)
        except Exception as error:  # whatever it is, the other runs are not to blame
            if not isinstance(error, TslibError):
                traceback.print_exc()
            said = f"{'' if isinstance(error, TslibError) else type(error).__name__ + ': '}{error}"
            failed.append(f"{store.path(config).name}: {' '.join(said.split())}")
            tqdm.write(f"error: {failed[-1]}", file=sys.stderr)
    return failed


def _evaluate(sweep: Sweep, store: RunStore, record: Any) -> None:
    asked = sweep.evaluations(record.config)
    if asked and record.status == "finished":
        from tslib.runs.evaluation import EvaluationStore, of_run

        evaluations = EvaluationStore(store.root / "evaluations")
        for config in asked:
            evaluations.get_or_run(of_run(config, record), record)
