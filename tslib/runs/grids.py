"""What a sweep file declares: grids of runs, and evaluations of models as they are."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from tslib.config import STRICT, EvalConfig, TuneConfig, explain
from tslib.errors import InputError, ResourceError

__all__ = ["Grid", "Job", "Sweep", "Untuned"]

Job: TypeAlias = TuneConfig | EvalConfig
"""What is done as one: a run with its evaluations, or an evaluation of a model as it is."""
C = TypeVar("C", TuneConfig, EvalConfig)

LARGEST = 2**20
"""Bytes of a sweep file at most."""
MOST = 100_000
"""Runs of a grid at most."""
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

    def combinations(self, fields: dict[str, Any], times: int = 1) -> list[dict[str, Any]]:
        """Return fields in every combination, which is tried so many times."""
        axes = {name: value if isinstance(value, list) else [value] for name, value in fields.items()}
        count = math.prod(map(len, axes.values())) * times
        if count == 0:
            raise InputError(f"grid {self.name!r}: a list of values is empty")
        if count > MOST:
            raise InputError(f"grid {self.name!r} has {count} runs: give at most {MOST}")
        return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]

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
    arms: list[dict[str, Any]] | None = None
    """What is compared where it is more than one list of values: further fields, combined arm by arm; an arm's
    fields go before those that all have."""
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
        arms = [{}] if self.arms is None else self.arms
        given = set(self.fields).union(*arms)
        if self.pairs is not None and (twice := {"seed", "sample_seed"} & given):
            raise InputError(f"grid {self.name!r}: {sorted(twice)} are given as pairs already")
        made = [fields for arm in arms for fields in self.combinations(self.fields | arm, len(pairs))]
        if len(made) * len(pairs) > MOST:
            raise InputError(f"grid {self.name!r} has {len(made) * len(pairs)} runs: give at most {MOST}")
        if not made or not pairs:
            raise InputError(f"grid {self.name!r}: a list of values is empty")
        return [self._run(fields | pair) for pair in pairs for fields in made]

    def _run(self, fields: dict[str, Any]) -> TuneConfig:
        if fields.get("regularizer", "none") == "none":  # it is one run, whatever weight the others have
            fields = {name: value for name, value in fields.items() if name not in ONLY_REGULARIZED}
        return self.checked(TuneConfig, fields)

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
        return [self.checked(EvalConfig, fields) for fields in self.combinations(self.fields)]


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
