"""Coverage: what is committed is what a simulation gives again, and intervals of 95 % cover about that often."""

import numpy as np
import pytest

from tslib import stats
from tslib.study.claims import coverage
from tslib.study.evidence import Evidence
from tslib.study.report import coverage as report_coverage


@pytest.fixture(scope="module")
def evidence():
    return Evidence()


@pytest.fixture(scope="module")
def simulations(evidence):
    return {(one.what, one.interval, one.n): one for one in coverage.simulations(evidence)}


COMMITTED = coverage.load().set_index(["what", "interval", "n"])["covered"]
RATIOS = [
    (f"ratio of iterations, {name}", "Fieller", n)
    for name in ("none censored", "one run in seven censored")
    for n in (3, 5, 10, 30)
]
MEANS = [("mean of a statistic of runs", "t", n) for n in (5, 10, 30)] + [
    ("difference of two groups of runs", "Welch's t", n) for n in (5, 10, 30)
]


@pytest.mark.parametrize("key", RATIOS + MEANS)
def test_intervals_of_the_book_cover_and_the_committed_shares_come_again(simulations, key):
    share = coverage.covered(simulations[key], 4000)
    assert share == pytest.approx(COMMITTED[key], abs=0.003), "but for an end that other rounding moves"
    assert 0.93 <= share <= 0.97


@pytest.mark.parametrize("key", [key for key in COMMITTED.index if key[1] == "runs left out one by one"])
def test_correlations_cover(simulations, key):
    """Of four hundred draws, the first twenty come again."""
    assert 0.93 <= COMMITTED[key] <= 0.97
    assert coverage.covered(simulations[key], 20) >= 0.8


def test_the_bootstrap_of_few_pairs_does_not_cover(simulations):
    key = ("ratio of iterations, none censored", "BCa bootstrap", 5)
    share = coverage.covered(simulations[key], 400)
    assert share == pytest.approx(COMMITTED[key], abs=0.01)
    assert share < 0.85


def test_the_population_is_what_is_left_of_whole_grids(evidence):
    """Of nine comparisons of ten pairs, each side with the mean 0: the ratio of its population is close to 1."""
    pairs = coverage.pairs(evidence)
    assert pairs.shape == (90, 2)
    np.testing.assert_allclose(pairs.mean(0), 0, atol=1e-12)
    assert 0.9 < np.divide(*np.exp(pairs).mean(0)) < 1.1


def test_a_share_by_hand():
    """An interval that is right in every other draw covers a half."""
    turns = iter(range(100))

    def draw(rng):
        return stats.Interval(0, -1, 1) if next(turns) % 2 else stats.Interval(5, 4, 6)

    assert coverage.covered(coverage.Simulation("what", "kind", 5, draw, 0.0), 100) == 0.5


def test_what_is_said_of_it():
    found = coverage.load()
    assert report_coverage.read(found).startswith("**The usual bootstrap intervals of few runs are too narrow.** Inter")
    table = report_coverage.table(found)
    assert table.columns.tolist() == ["what", "interval", "n = 3", "n = 5", "n = 10", "n = 20", "n = 30", "n = 100"]
    assert table.iloc[0].tolist()[:2] == ["ratio of iterations, none censored", "Fieller"]
    worse = found.assign(covered=0.5)
    assert "Outside of the band: ratio of iterations, none censored, n = 3: 50.0%; " in report_coverage.caption(worse)
    better = found.assign(covered=0.95)
    assert "None of the book's intervals is outside of it." in report_coverage.caption(better)
