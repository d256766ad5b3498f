"""The committed runs of ``data/sweeps/evidence.yaml``, grid by grid: what tables, figures and verdicts are made of.

Only whole grids are given out: who looks at some of the runs of a comparison, and may stop there, finds what he hopes
for. What is missing is counted, so that each table can say so.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd

from tslib.config import TuneConfig
from tslib.errors import InputError, ResourceError
from tslib.records.record import COMMITTED, RunRecord
from tslib.runs.evaluations import Evaluation, EvaluationStore, of_config
from tslib.runs.store import RunStore
from tslib.runs.sweeps import Sweep, status
from tslib.stats import PAIR

__all__ = ["LEARNING_RATES", "MAIN", "SWEEP", "UNTUNED", "Evidence", "stacked"]

SWEEPS = COMMITTED.parent / "sweeps"
"""The files that declare the runs of the study."""

SWEEP = SWEEPS / "evidence.yaml"
"""The sweep file of the book's runs."""

LEARNING_RATES = SWEEPS / "learning_rate.yaml"
"""The sweep that learning rates were chosen from."""

UNTUNED = SWEEPS / "untuned.yaml"
"""The sweep of models as they are."""

MAIN = "one sample, gsm8k, SmolLM2"
"""The grid of the paper's own example: one problem of GSM8K, with the embedded model."""

OF_RUN = [*PAIR, "regularizer", "weight"]
"""Fields of ``TuneConfig`` that the rows of a run's tables carry in `Evidence.steps` and `Evidence.topology`."""


class Evidence:
    """The runs of a sweep that are in a store.

    For instance::

        evidence = Evidence()
        stats.comparison(evidence.runs("one sample, gsm8k, SmolLM2"))

    Parameters
    ----------
    sweep
        A sweep file.
    store
        Where its records are; by default those that are committed.

    Raises
    ------
    ResourceError
        If there are no committed records, since the library was installed without them.
    """

    def __init__(self, sweep: Path | str = SWEEP, store: RunStore | None = None) -> None:
        if store is None and not COMMITTED.is_dir():
            raise ResourceError(
                f"there is no {COMMITTED}: the book's runs come with a checkout of the project, not with the installed "
                "package; work in the folder of a checkout, whose tslib is then the one that is found"
            )
        self.sweep = Sweep.load(sweep)
        self.store = store or RunStore()
        self._records: dict[str, RunRecord] = {}

    @cached_property
    def progress(self) -> pd.DataFrame:
        """One line a grid: its runs, how many are done and missing, censored and diverged."""
        return status(self.sweep, self.store)

    def asked(self, *grids: str) -> list[TuneConfig]:
        """Return the runs that some grids ask for, each once.

        Raises
        ------
        InputError
            If the sweep has no grid of a name.
        """
        known = {grid.name: configs for grid, configs in zip(self.sweep.grids, self.sweep.runs, strict=True)}
        if unknown := [name for name in grids if name not in known]:
            raise InputError(f"{self.sweep.path} has no grid {unknown[0]!r}; it has {', '.join(known)}")
        return list(dict.fromkeys(config for name in grids for config in known[name]))

    @cached_property
    def _done(self) -> dict[TuneConfig, str]:
        """How each run that is done ended, ``finished`` or ``diverged``."""
        outcomes = {config: self.store.outcome(config) for config in self.sweep.configs}
        return {config: outcome["status"] for config, outcome in outcomes.items() if outcome is not None}

    def missing(self, *grids: str) -> int:
        """Return how many of the runs that some grids ask for are not done."""
        return sum(config not in self._done for config in self.asked(*grids))

    def not_evaluated(self, *grids: str) -> int:
        """Return how many of the runs that some grids ask for are not done, or not evaluated as the sweep asks.

        One that diverged has no prompt to evaluate, so that nothing of it is missing.
        """
        ended = [(config, self._done.get(config)) for config in self.asked(*grids)]
        return sum(
            end is None or (end == "finished" and not all(path.is_file() for path in self._evaluations(config)))
            for config, end in ended
        )

    def diverged(self, *grids: str) -> list[str]:
        """Return the hashes of those runs of some grids that diverged, and so have no prompt at the end."""
        return [config.hash for config in self.asked(*grids) if self._done.get(config) == "diverged"]

    def configs(self, *grids: str) -> list[TuneConfig]:
        """Return the runs of those of some grids that are whole: of which no run is missing."""
        return self.asked(*(name for name in grids if not self.missing(name)))

    def runs(self, *grids: str, **fields: object) -> pd.DataFrame:
        """Return one row a run (``RunStore.table``), of whole grids only.

        Parameters
        ----------
        *grids
            Names of grids.
        **fields
            Values of ``TuneConfig``'s fields that the runs have.
        """
        return self.store.table(self._selected(grids, fields))

    def paired(self, *grids: str, **fields: object) -> pd.DataFrame:
        """Return the runs of some grids on the (sample, seed) pairs that all have; none unless all grids are whole."""
        of_grid = [self._selected([name], fields) for name in grids]
        pairs = set.intersection(*({(run.sample_seed, run.seed) for run in runs} for runs in of_grid))
        configs = [run for runs in of_grid for run in runs if (run.sample_seed, run.seed) in pairs]
        return self.store.table(dict.fromkeys(configs))

    def records(self, *grids: str, **fields: object) -> list[RunRecord]:
        """Return the records of those runs."""
        return [self.record(config) for config in self._selected(grids, fields)]

    def steps(self, *grids: str, **fields: object) -> pd.DataFrame:
        """Return the steps tables of those runs (`stacked`)."""
        return stacked(self.records(*grids, **fields), "steps")

    def topology(self, *grids: str, **fields: object) -> pd.DataFrame:
        """Return the topology tables of those runs (`stacked`)."""
        return stacked(self.records(*grids, **fields), "topology")

    def evaluations(self, *grids: str, **fields: object) -> pd.DataFrame:
        """Return one row a run that was evaluated on held-out rows.

        Returns
        -------
        DataFrame
            ``run``, `OF_RUN`, ``score``, ``answer_loss`` (nats per token), ``rows``.
        """
        measured = ("score", "answer_loss", "rows")
        rows = []
        for config in self._selected(grids, fields):
            for path in filter(Path.is_file, self._evaluations(config)):
                found = self._evaluation_store.load(path).summary()
                rows.append(_of(config) | {name: found[name] for name in measured})
        return pd.DataFrame(rows, columns=["run", *OF_RUN, *measured])

    def evaluated(self, config: TuneConfig) -> "list[Evaluation]":
        """Return those evaluations that the sweep asks of a run, and that are there."""
        return [self._evaluation_store.load(path) for path in self._evaluations(config) if path.is_file()]

    def untuned(self, task: str, model: str = "smollm2-135m") -> float | None:
        """Return the held-out score of a model as it is, scored by its replies, without examples; None if not there.

        It is of the same rows as that of the tuned prompts: the sweep declares it, or `UNTUNED`.
        """
        for asked in (*self.sweep.as_they_are, *Sweep.load(UNTUNED).as_they_are):
            if (asked.task, asked.model, asked.shots, asked.scoring) == (task, model, 0, "generate"):
                path = self._evaluation_store.path(asked)
                return float(self._evaluation_store.load(path).summary()["score"]) if path.is_file() else None
        return None

    @cached_property
    def _evaluation_store(self) -> EvaluationStore:
        return EvaluationStore(self.store.root / "evaluations")

    def _evaluations(self, config: TuneConfig) -> list[Path]:
        """Files of the evaluations that the sweep asks of a run, whether or not they are there."""
        return [self._evaluation_store.path(of_config(asked, config)) for asked in self.sweep.evaluations(config)]

    def _selected(self, grids: Sequence[str], fields: dict[str, object]) -> list[TuneConfig]:
        return [
            config
            for config in self.configs(*grids)
            if all(getattr(config, name) == value for name, value in fields.items())
        ]

    def record(self, config: TuneConfig) -> RunRecord:
        """Return the record of a run that is done.

        Raises
        ------
        ResourceError
            If it is not.
        """
        if config.hash not in self._records:
            record = self.store.get(config)
            if record is None:
                raise ResourceError(f"the run {config.hash} is not in {self.store.root}: make it first")
            self._records[config.hash] = record
        return self._records[config.hash]


def stacked(records: Sequence[RunRecord], table: Literal["steps", "topology"]) -> pd.DataFrame:
    """Return a table of several runs below each other, with ``run``, a hash, and the fields `OF_RUN`.

    The steps' own column ``regularizer``, a loss, is called ``penalty`` here.
    """
    tables = [
        getattr(record, table).rename(columns={"regularizer": "penalty"}).assign(**_of(record.config))
        for record in records
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["run", *OF_RUN, "step"])


def _of(config: TuneConfig) -> dict[str, object]:
    return {"run": config.hash} | {name: getattr(config, name) for name in OF_RUN}
