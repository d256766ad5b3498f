"""How often the intervals of the book contain what they should: simulated on the committed runs themselves.

A population is made of committed runs, so that what is true of it is known. Few runs are drawn from it again and again,
as few as a comparison has, and each time the interval is made as the book makes it.
``python -m tslib.study.claims.coverage`` measures it anew and writes ``data/results/coverage.json``.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from tqdm import tqdm

from tslib import stats
from tslib.records.record import COMMITTED
from tslib.runs.evaluations import EvaluationStore
from tslib.runs.sweeps import Sweep
from tslib.stats import Interval
from tslib.study import structure
from tslib.study.claims.criteria import MULTI, SINGLE
from tslib.study.claims.iterations import AGAIN, COMBINATIONS, VARIANTS
from tslib.study.evidence import UNTUNED, Evidence

__all__ = [
    "FILE",
    "NUMBERS",
    "Simulation",
    "covered",
    "curves",
    "load",
    "measure",
    "pairs",
    "per_run",
    "scores",
    "simulations",
]

FILE = COMMITTED / "coverage.json"
"""What was measured."""

NUMBERS = (3, 5, 10, 20, 30)
"""How many runs, or pairs, are drawn at once."""

CENSORED = {"none censored": 1.0, "one run in seven censored": 6 / 7, "three runs in ten censored": 0.7}
"""Where runs are cut off: the share of a population's runs that are correct by then."""


class Simulation(NamedTuple):
    """Draws from a population: how an interval is made of ``n`` of them, and what it should contain.

    Attributes
    ----------
    what
        What is estimated, of which population.
    interval
        How the interval is made.
    n
        How many are drawn.
    draw
        Makes the interval of one draw.
    truth
        The value in the population.
    """

    what: str
    interval: str
    n: int
    draw: Callable[[np.random.Generator], Interval]
    truth: float


def pairs(evidence: Evidence) -> Float[ndarray, "pairs 2"]:
    """Return the population of pairs: the logarithms of iterations with TSLoss and without, each less its grid's mean.

    Of the grids of ten pairs and more in which no run is censored. What is left is how runs and pairs scatter.
    """
    found = []
    for grid in (*COMBINATIONS.values(), AGAIN):
        table = evidence.runs(grid)
        for variant in [name for name in VARIANTS if name in set(table["regularizer"])]:
            sides = [stats.iterations(side) for side in stats.pair_up(table, variant)]
            if len(sides[0].steps) >= 10 and all(side.correct.all() for side in sides):
                logs = np.log(np.maximum(np.column_stack([side.steps for side in sides]), 1))
                found.append((logs - logs.mean(0)) * np.sqrt(len(logs) / (len(logs) - 1)))
    return np.concatenate(found)


def per_run(evidence: Evidence) -> Float[ndarray, "values"]:
    """Return the population of statistics of runs: how three quantities change in each, standardised in groups."""
    found = []
    for _, group in curves(evidence).groupby(list(structure.GROUPS)):
        for column in ("h1_count", "h0_mean_lifespan", "persistence_entropy"):
            values = structure.per_run(group, lambda curve, name=column: structure.relative(curve, name)).to_numpy()  # type: ignore[misc]
            if values.std():
                found.append((values - values.mean()) / values.std(ddof=1))
    return np.concatenate(found)


def curves(evidence: Evidence) -> pd.DataFrame:
    """Return the population of runs: the topology of those of cross-entropy alone that go on to the last step."""
    return evidence.topology(*SINGLE, *MULTI, regularizer="none")


def simulations(evidence: Evidence) -> Iterator[Simulation]:
    """Yield every simulation: ratios of iterations, statistics of runs and their differences, correlations, scores."""
    yield from _ratios(np.exp(pairs(evidence)))
    yield from _means(per_run(evidence))
    yield from _correlations(curves(evidence))
    yield from _scores(scores(evidence))


def _ratios(population: Float[ndarray, "pairs 2"]) -> Iterator[Simulation]:
    for name, correct in CENSORED.items():
        runs = np.minimum(population, np.quantile(population, correct))
        truth = float(np.divide(*runs.mean(0)))
        for n in NUMBERS:

            def draw(rng: np.random.Generator, n: int = n, runs: ndarray = runs) -> tuple[ndarray, ndarray]:
                ours, theirs = runs[rng.integers(len(runs), size=n)].T
                return ours, theirs

            def fieller(rng: np.random.Generator, draw: Callable[..., tuple[ndarray, ndarray]] = draw) -> Interval:
                return stats.ratio_of_means(*draw(rng))

            def bca(rng: np.random.Generator, draw: Callable[..., tuple[ndarray, ndarray]] = draw) -> Interval:
                return stats.bootstrap(_ratio, *draw(rng), paired=True, resamples=1999)

            def delta(rng: np.random.Generator, draw: Callable[..., tuple[ndarray, ndarray]] = draw) -> Interval:
                ours, theirs = draw(rng)
                log = np.log(_ratio(ours, theirs))
                found = stats.mean(log + ours / ours.mean() - theirs / theirs.mean())
                return Interval(*map(float, np.exp(found)))

            for kind, make in (("Fieller", fieller), ("t of the logarithm", delta), ("BCa bootstrap", bca)):
                yield Simulation(f"ratio of iterations, {name}", kind, n, make, truth)


ROWS = 100
"""Held-out rows of an evaluation."""
SLOW = ("BCa bootstrap", "BCa bootstrap of rows", "runs left out one by one")
"""Intervals that take long to make."""


def scores(evidence: Evidence) -> Float[ndarray, "rows"]:
    """Return the population of scores that are parts: F1 of the untuned model's replies to HotpotQA."""
    (asked,) = (one for one in Sweep.load(UNTUNED).as_they_are if one.task == "hotpotqa")
    store = EvaluationStore(evidence.store.root / "evaluations")
    return store.load(store.path(asked)).rows["score"].to_numpy(float)


def _scores(population: Float[ndarray, "rows"]) -> Iterator[Simulation]:
    def part(rng: np.random.Generator) -> Interval:
        return stats.mean_score(rng.choice(population, ROWS))

    def student(rng: np.random.Generator) -> Interval:
        return stats.mean(rng.choice(population, ROWS))

    truth = float(population.mean())
    yield Simulation("mean F1 of replies", "BCa bootstrap of rows", ROWS, part, truth)
    yield Simulation("mean F1 of replies", "t of rows", ROWS, student, truth)
    for share in (0.02, 0.25):

        def right(rng: np.random.Generator, share: float = share) -> Interval:
            return stats.mean_score((rng.random(ROWS) < share).astype(float))

        yield Simulation(f"share of right answers, {share:.0%}", "Wilson", ROWS, right, share)


def _ratio(ours: ndarray, theirs: ndarray, axis: int = -1) -> Any:
    return ours.mean(axis=axis) / theirs.mean(axis=axis)


def _means(population: Float[ndarray, "values"]) -> Iterator[Simulation]:
    truth = float(population.mean())
    for n in NUMBERS:

        def mean(rng: np.random.Generator, n: int = n, kind: stats.Kind = "t") -> Interval:
            return stats.mean(rng.choice(population, n), kind=kind)

        def bca(rng: np.random.Generator, n: int = n) -> Interval:
            return stats.mean(rng.choice(population, n), kind="bca")

        def difference(rng: np.random.Generator, n: int = n) -> Interval:
            return stats.difference(rng.choice(population, n), rng.choice(population, max(5, n // 2)))

        yield Simulation("mean of a statistic of runs", "t", n, mean, truth)
        yield Simulation("mean of a statistic of runs", "BCa bootstrap", n, bca, truth)
        yield Simulation("difference of two groups of runs", "Welch's t", n, difference, 0.0)


def _correlations(population: pd.DataFrame) -> Iterator[Simulation]:
    groups = [group for _, group in population.groupby(list(structure.GROUPS))]
    of_group = [[run for _, run in group.groupby("run")] for group in groups]
    pair = ("h0_mean_lifespan", "exact")
    for what, of in {
        "correlation within groups": structure.within,
        "correlation, group and step taken out": structure.beside,
    }.items():
        truth = of(population, *pair).value
        for n in (5, 10):

            def draw(rng: np.random.Generator, n: int = n, of: Callable[..., Interval] = of) -> Interval:
                chosen = [runs[i] for runs in of_group for i in rng.integers(len(runs), size=n)]
                return of(pd.concat([run.assign(run=str(i)) for i, run in enumerate(chosen)]), *pair)

            yield Simulation(what, "runs left out one by one", n, draw, truth)


def covered(simulation: Simulation, repetitions: int, seed: int = 0) -> float:
    """Return the share of draws whose interval contains the value in the population.

    Parameters
    ----------
    simulation
        What is drawn.
    repetitions
        How many draws.
    seed
        Of the draws.
    """
    rng = np.random.default_rng(seed)
    found = [simulation.draw(rng) for _ in range(repetitions)]
    return float(np.mean([one.low - 1e-12 <= simulation.truth <= one.high + 1e-12 for one in found]))


def measure(evidence: Evidence | None = None, repetitions: int = 4000) -> pd.DataFrame:
    """Return the coverage of each interval: ``what``, ``interval``, ``n``, ``covered``, ``repetitions``.

    Those that take long are drawn a tenth as often.
    """
    rows = []
    for simulation in tqdm(list(simulations(evidence or Evidence())), unit="simulation"):
        slow = simulation.interval in SLOW
        times = repetitions // 10 if slow else repetitions
        rows.append(
            {
                "what": simulation.what,
                "interval": simulation.interval,
                "n": simulation.n,
                "covered": covered(simulation, times),
                "repetitions": times,
            }
        )
    return pd.DataFrame(rows)


def load() -> pd.DataFrame:
    """Return what was measured (`measure`)."""
    return pd.DataFrame(json.loads(FILE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    found = measure().to_dict("records")
    lines = ",\n".join(json.dumps(row) for row in found)
    FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
