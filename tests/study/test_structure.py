"""Statistics of curves, by hand on short curves and against a second way of computing them."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from tslib.errors import InputError
from tslib.stats import Interval
from tslib.study import structure


def curve(values, name="q", run="a", every=20):
    return pd.DataFrame({"run": run, "step": np.arange(len(values)) * every, name: np.asarray(values, dtype=float)})


def test_drift():
    assert structure.drift(curve([1, 2, 3, 4]), "q") == pytest.approx(1)
    assert structure.drift(curve([4, 3, 2, 1]), "q") == pytest.approx(-1)
    assert structure.drift(curve([5, 5, 5, 5]), "q") == 0, "a constant goes with nothing"


def test_last_third_over_the_first_checkpoint():
    assert structure.last_third(curve([9, 9, 9, 9, 2, 4]), "q") == 3
    assert structure.relative(curve([6, 9, 9, 9, 2, 4]), "q") == 0.5
    assert structure.relative(curve([0, 1, 0, 0, 0, 0]), "q") == 1, "0 of 0: as it was"
    assert structure.relative(curve([0, 1, 0, 0, 1, 1]), "q") == np.inf


def test_fall_until_a_step():
    assert structure.fall(curve([10, 8, 4]), "q", 20) == pytest.approx(0.2)
    assert structure.fall(curve([10, 8, 15]), "q", 40) == pytest.approx(-0.5)
    assert structure.fall(curve([10, 8]), "q", 40) == pytest.approx(0.2)  # diverged before
    assert structure.fall(curve([0, 0, 1]), "q", 40) == 0


def test_share_of_checkpoints_that_do_not_rise():
    assert structure.not_rising(curve([5, 5, 4, 6, 3]), "q") == 0.75


def test_slopes_before_and_after_a_step():
    """Before step 40: 2 and 4 in 20 steps; after: 1 and 0."""
    assert structure.slopes(curve([10, 8, 4, 5, 5]), "q", 40) == pytest.approx(0.5 / 3)
    assert structure.slopes(curve([1, 1, 1, 1]), "q", 20) == 1
    assert structure.slopes(curve([1, 1, 2, 3]), "q", 20) == np.inf


def test_a_run_that_is_too_short_is_left_out():
    curves = pd.concat([curve([1] * 6, run="long"), curve([1] * 5, run="short")])
    assert structure.per_run(curves, partial(structure.last_third, column="q")).to_dict() == {"long": 1}
    with pytest.raises(InputError, match="no run has 6 checkpoints: tune with stop_when_correct=False"):
        structure.per_run(curves[curves["run"] == "short"], partial(structure.last_third, column="q"))


def test_mann_whitney_of_thirds_that_do_not_overlap():
    u, p = structure.drift_test(curve([1, 2, 3, 7, 8, 9, 4, 5, 6]), "q")
    assert (u, p) == (0, pytest.approx(0.1))  # 2 of the 20 ways to choose three of six


def test_mann_whitney_of_halves():
    """Of 1, 2, 7 against 9, 4, 5 two of nine pairs fall; the checkpoint in the middle is in neither half."""
    u, p = structure.drift_test(curve([1, 2, 7, 99, 9, 4, 5]), "q", parts=2)
    assert (u, p) == (2, pytest.approx(0.4))  # 8 of the 20 ways have a U of at most 2, or of at least 7


def test_rho_with_the_half_of_the_run():
    """Against SciPy; what only rises has √3/2 where there are many checkpoints, and the middle one does not count."""
    values = [3.0, 1, 2, 2, 5, 4, 6]
    expected = scipy_stats.spearmanr([3, 1, 2, 5, 4, 6], [0, 0, 0, 1, 1, 1]).statistic
    assert structure.with_half(curve(values), "q") == pytest.approx(expected)
    assert structure.with_half(curve(np.arange(146)), "q") == pytest.approx(np.sqrt(3) / 2, abs=1e-4)
    assert structure.with_half(curve([7, 7, 7, 7]), "q") == 0


@pytest.fixture
def many():
    """Ten runs in which two columns follow the step and share some noise."""
    rng = np.random.default_rng(0)
    parts = []
    for run in range(10):
        step = np.arange(12) * 20
        shared = rng.normal(size=12)
        first, second = (step / 60 + shared + rng.normal(size=12) for _ in range(2))
        parts.append(pd.DataFrame({"run": run, "step": step, "first": first, "second": second}))
    return pd.concat(parts, ignore_index=True)


def test_correlation_is_spearmans(many):
    found = structure.correlation(many, "first", "second")
    assert found.value == pytest.approx(scipy_stats.spearmanr(many["first"], many["second"]).statistic)
    assert found.low < found.value < found.high


def test_partial_correlation_against_the_textbook(many):
    """From the three plain correlations."""
    xy, xz, yz = (
        scipy_stats.spearmanr(many[a], many[b]).statistic
        for a, b in (("first", "second"), ("first", "step"), ("second", "step"))
    )
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    found = structure.correlation(many, "first", "second", given="step")
    assert found.value == pytest.approx(expected)
    assert found.value < structure.correlation(many, "first", "second").value


def test_two_columns_that_share_nothing_but_the_step():
    curves = pd.concat([curve(np.arange(8), "first", run).assign(second=np.arange(8) ** 2) for run in "abc"])
    assert structure.correlation(curves, "first", "second").value == pytest.approx(1)
    assert structure.correlation(curves, "first", "second", given="step") == Interval(0, 0, 0)


def test_a_constant_column_goes_with_nothing():
    curves = pd.concat([curve(np.arange(8), "first", run).assign(second=1.0) for run in "abc"])
    assert structure.correlation(curves, "first", "second") == Interval(0, 0, 0)


def test_intervals_resample_runs_not_checkpoints(many):
    """Each run ten times over has no more to say than once."""
    again = pd.concat([many] * 10, ignore_index=True)
    once, ten = (structure.correlation(curves, "first", "second") for curves in (many, again))
    assert ten.high - ten.low == pytest.approx(once.high - once.low, rel=0.1)


def test_spearman_of_many_at_once():
    """Against SciPy, line by line, with ties; a constant line has 0."""
    first, second = np.random.default_rng(0).integers(0, 5, size=(2, 3, 4, 12)).astype(float)
    first[1, 2] = 7.0
    found = structure.spearman(first, second)
    assert found.shape == (3, 4)
    for place in np.ndindex(3, 4):
        expected = 0 if place == (1, 2) else scipy_stats.spearmanr(first[place], second[place]).statistic
        assert found[place] == pytest.approx(expected)


@pytest.fixture
def groups():
    """Two tasks of four runs each, three checkpoints: both columns rise with the step; tasks differ, the other way."""
    rng = np.random.default_rng(4)
    rows = [
        (f"{task}{run}", task, 1, step, step / 20 + 10 * task + rng.normal(), step / 20 - 10 * task + rng.normal())
        for task in (0, 1)
        for run in range(4)
        for step in (0, 20, 40)
    ]
    return pd.DataFrame(rows, columns=["run", "task", "samples", "step", "first", "second"])


def test_within_groups_by_hand(groups):
    """The mean of the two tasks' ρ, where all runs together have the opposite sign."""
    found = structure.within(groups, "first", "second")
    each = [scipy_stats.spearmanr(part["first"], part["second"]).statistic for _, part in groups.groupby("task")]
    assert found.value == pytest.approx(np.mean(each))
    assert found.low < found.value < found.high
    assert structure.correlation(groups, "first", "second").value < 0 < found.value
    assert structure.within(groups, "first", "second", groups=()) == structure.correlation(groups, "first", "second")


def test_what_is_left_beside_others_of_the_group_at_the_same_step(groups):
    """Ranks in each task and step, less their middle; neither what time does nor how tasks differ has a part in it."""
    found = structure.beside(groups, "first", "second")
    ranks = groups.groupby(["task", "step"])[["first", "second"]].rank() - 2.5
    expected = (ranks["first"] * ranks["second"]).sum() / (ranks**2).sum().mean()
    assert found.value == pytest.approx(expected)
    moved = groups.assign(first=np.exp(groups["first"] / 5) + groups["step"] + 100 * groups["task"])
    assert structure.beside(moved, "first", "second").value == pytest.approx(expected)


def test_runs_that_are_ranked_alike_at_each_step(groups):
    same = groups.assign(first=groups["run"].str[1:].astype(float), second=groups["run"].str[1:].astype(float) ** 3)
    assert structure.beside(same, "first", "second").value == pytest.approx(1)
    assert structure.beside(same.assign(second=1.0), "first", "second") == Interval(0, 0, 0)


def test_a_step_that_one_run_has_says_nothing(groups):
    alone = pd.concat([groups, groups.tail(1).assign(step=41, first=99.0, second=-99.0)], ignore_index=True)
    assert structure.beside(alone, "first", "second") == structure.beside(groups, "first", "second")


def test_mean_curve_over_the_runs_that_are_there():
    curves = pd.concat([curve([1, 2, 3], run="a"), curve([3, 6], run="b")])
    found = structure.mean_curve(curves, "q")
    assert found["step"].tolist() == [0, 20, 40]
    assert found["value"].tolist() == [2, 4, 3]
    assert found["runs"].tolist() == [2, 2, 1]
    assert np.isnan(found["low"].iloc[-1]), "one run has no interval"


def test_bins_by_hand_with_an_interval_over_runs():
    """Two runs, one wrong and one right throughout: their mean is known to ±12.706 · 0.5, and is no less than 0."""
    steps = np.tile(np.arange(10.0), 2)
    curves = pd.DataFrame({"run": ["a"] * 10 + ["b"] * 10, "feature": steps, "exact": [0.0] * 10 + [1.0] * 10})
    lower, upper = structure.in_bins(curves, "feature", "exact", bins=2).to_dict("records")
    assert lower == pytest.approx(
        {"centre": 2, "value": 0.5, "low": 0, "high": 0.5 + 12.7062 * 0.5, "checkpoints": 10, "runs": 2}
    )
    assert upper == lower | {"centre": 7}


def test_a_mean_in_a_bin_is_over_its_checkpoints():
    curves = pd.DataFrame({"run": list("aaabb"), "feature": range(5), "exact": [0.2, 0.2, 0.2, 0.7, np.nan]})
    (row,) = structure.in_bins(curves, "feature", "exact", bins=1).to_dict("records")
    assert row["value"] == pytest.approx((3 * 0.2 + 0.7) / 4)
    assert (row["checkpoints"], row["runs"]) == (4, 2)


def test_a_constant_feature_has_one_bin():
    curves = pd.DataFrame({"run": list("aabb"), "feature": 3.0, "exact": [0.0, 1.0, 0.5, 0.5]})
    (row,) = structure.in_bins(curves, "feature", "exact").to_dict("records")
    assert (row["centre"], row["value"], row["checkpoints"]) == (3, 0.5, 4)
