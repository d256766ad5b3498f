"""Sweeps: a YAML file that declares grids of runs, what is missing of them, and doing it with Snakemake.

The engine, its rules for tables, notebooks and book, and its executors for clusters are Snakemake's (`Snakefile`).
Here is what a file means, what a store lacks, and the work of one of Snakemake's jobs: some runs that share a model.
"""

import dataclasses
import math
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import pandas as pd
import yaml
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass
from tqdm import tqdm

from tslib.config import STRICT, EvalConfig, TuneConfig, explain
from tslib.errors import InputError, ResourceError, TslibError
from tslib.runs.store import RunStore

if TYPE_CHECKING:  # it loads transformers, which a look at a sweep does without
    from tslib.runs.evaluation import EvaluationStore

__all__ = ["Grid", "Job", "Sweep", "Untuned", "estimate", "groups", "missing", "status", "work"]

Job: TypeAlias = TuneConfig | EvalConfig
"""What is done as one: a run with its evaluations, or an evaluation of the model as it is."""
C = TypeVar("C", TuneConfig, EvalConfig)

LARGEST = 2**20
"""Bytes of a sweep file at most."""
MOST = 100_000
"""Runs of a grid at most."""
SHARED = ("model", "dtype", "device")
"""What runs of one job have in common, so that the model is loaded once."""
ONLY_REGULARIZED = ("weight", "tau", "alpha", "beta_h0", "beta_h1", "lambda_repel", "lambda_attract")


@checked_dataclass(frozen=True, kw_only=True, config=STRICT)
class _Combinations:
    """A name, a priority, and fields in every combination."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """What they are for, in few words."""
    priority: int = 1
    """Those with a smaller number are done first."""
    fields: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of the config; a list of values is gone through, the last field's fastest."""

    def combinations(self, pairs: Sequence[dict[str, Any]] = ({},)) -> Iterator[dict[str, Any]]:
        """Yield the fields of each: all combinations with the first of the pairs, then with the next."""
        axes = {name: value if isinstance(value, list) else [value] for name, value in self.fields.items()}
        count = math.prod(len(values) for values in (*axes.values(), pairs))
        if count == 0:
            raise InputError(f"grid {self.name!r}: a list of values is empty")
        if count > MOST:
            raise InputError(f"grid {self.name!r} has {count} runs: give at most {MOST}")
        if twice := set(axes).intersection(*pairs):
            raise InputError(f"grid {self.name!r}: {sorted(twice)} are given as pairs already")
        for pair, values in product(pairs, product(*axes.values())):
            yield dict(zip(axes, values, strict=True)) | pair

    def checked(self, kind: type[C], fields: dict[str, Any], where: str = "") -> C:
        """Return a config of these fields, or say what is wrong with them and in which grid."""
        try:
            return kind(**fields)
        except ValidationError as error:
            raise InputError(f"grid {self.name!r}{where}: {explain(error)}") from error
        except TypeError as error:  # a name that is not a string
            raise InputError(f"grid {self.name!r}{where}: {error}") from error


@checked_dataclass(frozen=True, kw_only=True, config=STRICT)
class Grid(_Combinations):
    """Runs that differ in some fields of ``TuneConfig``, in every combination."""

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
        pairs: list[dict[str, Any]] = [{}]
        if self.pairs is not None:
            pairs = [{"sample_seed": sample_seed, "seed": seed} for sample_seed, seed in self.pairs]
        found = []
        for fields in self.combinations(pairs):
            # without a regulariser it is one run, whatever weight the others have
            dropped = ONLY_REGULARIZED if fields.get("regularizer", "none") == "none" else ()
            kept = {name: value for name, value in fields.items() if name not in dropped}
            found.append(self.checked(TuneConfig, kept))
        return found

    def evaluation(self) -> EvalConfig | None:
        """Return how its runs are evaluated."""
        return None if self.evaluate is None else self.checked(EvalConfig, self.evaluate, ", evaluate")


@checked_dataclass(frozen=True, kw_only=True, config=STRICT)
class Untuned(_Combinations):
    """Evaluations of models as they are, which differ in some fields of ``EvalConfig``, in every combination."""

    def configs(self) -> list[EvalConfig]:
        """Return the evaluations.

        Raises
        ------
        InputError
            As for ``Grid``, and if one names a run.
        """
        if "run" in self.fields:
            raise InputError(f"grid {self.name!r}: models as they are have no run: leave it out, or use evaluate")
        return [self.checked(EvalConfig, fields) for fields in self.combinations()]


@dataclass(frozen=True)
class Sweep:
    """A sweep file: ``title``, ``grids`` of runs, and ``untuned``: evaluations of models as they are.

    For instance::

        title: Does TSLoss help?
        grids:
          - name: one problem of GSM8K
            priority: 1
            fields: {task: gsm8k, regularizer: [none, tsloss], lr: 0.03}
            pairs: [[0, 0], [1, 1]]
        untuned:
          - name: without a prompt
            fields: {task: [gsm8k, mmlu], limit: 50}
    """

    path: Path
    title: str
    grids: tuple[Grid, ...]
    runs: tuple[tuple[TuneConfig, ...], ...] = field(repr=False)
    """The runs of each grid, each once."""
    untuned: tuple[Untuned, ...] = ()

    @cached_property
    def configs(self) -> tuple[TuneConfig, ...]:
        """All runs, by priority, each once."""
        return tuple(dict.fromkeys(config for configs in self.runs for config in configs))

    @cached_property
    def as_they_are(self) -> tuple[EvalConfig, ...]:
        """All evaluations of models as they are, by priority, each once."""
        return tuple(dict.fromkeys(config for one in self.untuned for config in one.configs()))

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """All runs and all evaluations of models as they are, by priority, each once."""
        parts: list[tuple[int, Sequence[Job]]] = [
            (grid.priority, runs) for grid, runs in zip(self.grids, self.runs, strict=True)
        ]
        parts += [(one.priority, one.configs()) for one in self.untuned]
        parts.sort(key=lambda part: part[0])
        return tuple(dict.fromkeys(job for _, jobs in parts for job in jobs))

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
        untuned = tuple(sorted(given.untuned, key=lambda one: one.priority))
        try:
            for grid in grids:
                grid.evaluation()
            for one in untuned:
                one.configs()
            runs = tuple(tuple(dict.fromkeys(grid.configs())) for grid in grids)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        if not grids and not untuned:
            raise InputError(f"{path} is not a sweep: it has neither grids nor untuned")
        return cls(path, given.title, grids, runs, untuned)

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
    grids: Annotated[list[Grid], Field(max_length=1000)] = dataclasses.field(default_factory=list)
    untuned: Annotated[list[Untuned], Field(max_length=1000)] = dataclasses.field(default_factory=list)


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


def missing(sweep: Sweep, store: RunStore) -> list[Job]:
    """Return the runs that lack a good record or an evaluation, and the evaluations that are not there.

    They are in the order that they will be done in.
    """
    return [job for job in sweep.jobs if not _is_done(sweep, store, job)]


def _is_done(sweep: Sweep, store: RunStore, job: Job) -> bool:
    if isinstance(job, EvalConfig):
        return _evaluations(store).has(job)
    outcome = store.outcome(job)
    if outcome is None:
        return False
    asked = sweep.evaluations(job) if outcome["status"] == "finished" else []
    if not asked:
        return True
    from tslib.runs.evaluation import of_config

    return all(_evaluations(store).has(of_config(one, job)) for one in asked)


def _evaluations(store: RunStore) -> "EvaluationStore":
    from tslib.runs.evaluation import EvaluationStore

    return EvaluationStore(store.root / "evaluations")


def groups(configs: Iterable[Job], size: int) -> list[list[Job]]:
    """Divide runs into jobs of some runs that share a model; their order is kept as far as that allows."""
    found: list[list[Job]] = []
    filling: dict[tuple[Any, ...], list[Job]] = {}
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
    """Return one line a grid: how many runs or evaluations, how many done, under way, missing, censored, diverged."""
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
    for one in sweep.untuned:
        asked = one.configs()
        there = sum(_evaluations(store).has(config) for config in asked)
        line = {"priority": one.priority, "grid": one.name, "runs": len(asked), "done": there, "begun": 0}
        lines.append(line | {"missing": len(asked) - there, "censored": 0, "diverged": 0})
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
    by_hash = {job.hash: job for job in sweep.jobs}
    if unknown := [name for name in hashes if name not in by_hash]:
        raise InputError(f"{sweep.path} has no run {', '.join(unknown)}")
    failed = []
    for name in hashes:
        job = by_hash[name]
        try:
            if isinstance(job, EvalConfig):
                _evaluations(store).get_or_run(job, progress=progress)
            else:
                _evaluate(sweep, store, store.get_or_run(job, progress=progress))
        except Exception as error:  # whatever it is, the other runs are not to blame
            if not isinstance(error, TslibError):
                traceback.print_exc()
            said = f"{'' if isinstance(error, TslibError) else type(error).__name__ + ': '}{error}"
            failed.append(f"{path_of(store, job).stem}: {' '.join(said.split())}")
            tqdm.write(f"error: {failed[-1]}", file=sys.stderr)
    return failed


def path_of(store: RunStore, job: Job) -> Path:
    """Return where a run's record, or an evaluation, is or goes."""
    return _evaluations(store).path(job) if isinstance(job, EvalConfig) else store.path(job)


def _evaluate(sweep: Sweep, store: RunStore, record: Any) -> None:
    asked = sweep.evaluations(record.config)
    if asked and record.status == "finished":
        from tslib.runs.evaluation import of_run

        for config in asked:
            _evaluations(store).get_or_run(of_run(config, record), record)
