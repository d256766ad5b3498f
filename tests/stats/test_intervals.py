"""Intervals of few runs: by hand, against scipy, and by their definitions."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tslib import stats
from tslib.errors import InputError


def test_a_mean_by_hand():
    """Of 1, 2, 3 the mean is 2, its standard error 1 / sqrt(3), and t with two degrees of freedom 4.302653."""
    half = 4.302653 / np.sqrt(3)
    assert stats.mean(np.array([1.0, 2, 3])) == pytest.approx((2, 2 - half, 2 + half), abs=1e-6)
    assert stats.mean(np.array([1.0, 2, 3]), confidence=0.9).high == pytest.approx(2 + 2.919986 / np.sqrt(3))


def test_a_difference_against_scipy():
    rng = np.random.default_rng(1)
    first, second = rng.normal(1, 1, 20), rng.normal(0, 3, 7)
    welch = scipy_stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert stats.difference(first, second) == pytest.approx((first.mean() - second.mean(), welch.low, welch.high))


def test_intervals_of_equal_values_and_of_one():
    assert stats.mean(np.full(5, 0.25)) == (0.25, 0.25, 0.25)
    assert np.isnan(stats.mean(np.ones(1))[1:]).all()
    assert stats.difference(np.full(3, 2.0), np.full(4, 1.0)) == (1, 1, 1)
    assert np.isnan(stats.difference(np.ones(1), np.ones(3))[1:]).all()
    assert str(stats.mean(np.full(5, -0.5))) == "-0.50 [-0.50, -0.50]"


@pytest.mark.parametrize("values", [np.empty(0), np.array([1.0, np.nan])])
def test_a_mean_of_what_is_no_number(values):
    with pytest.raises(InputError, match="expected numbers to take the mean of"):
        stats.mean(values)


@pytest.mark.parametrize("kind", ["mean", "difference"])
def test_the_intervals_that_the_first_rules_name_are_narrower(kind):
    groups = [np.array([1.0, 2, 4, 8, 9]), np.array([3.0, 1, 2, 2, 4])][: 1 if kind == "mean" else 2]
    wide, narrow = (getattr(stats, kind)(*groups, kind=of) for of in ("t", "bca"))
    assert wide.value == narrow.value
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_ends_of_fieller_s_interval_are_where_a_t_test_turns(confidence):
    """At either end, the t test of a - r b against 0 has a p-value of just the level."""
    rng = np.random.default_rng(2)
    theirs = rng.lognormal(4, 0.4, 9)
    ours = theirs * rng.lognormal(-0.2, 0.3, 9)
    found = stats.ratio_of_means(ours, theirs, confidence=confidence)
    assert found.value == pytest.approx(ours.sum() / theirs.sum())
    for end in (found.low, found.high):
        assert scipy_stats.ttest_1samp(ours - end * theirs, 0).pvalue == pytest.approx(1 - confidence)


def test_a_ratio_turned_over_has_the_interval_turned_over():
    ours, theirs = np.array([3.0, 5, 4, 8]), np.array([9.0, 7, 12, 16])
    one, other = stats.ratio_of_means(ours, theirs), stats.ratio_of_means(theirs, ours)
    assert one == pytest.approx((1 / other.value, 1 / other.high, 1 / other.low))


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([5, 10, 15], [10, 20, 30], (0.5, 0.5, 0.5)),
        ([300, 300], [300, 300], (1, 1, 1)),
        ([0, 0], [0, 0], (1, 1, 1)),
        ([0, 0], [3, 4], (0, 0, 0)),
        ([1, 4], [7, 0], (5 / 7, 0, np.inf)),  # of 7 and 0 the mean might be 0
        ([1, 2], [0, 0], (np.inf, np.inf, np.inf)),
    ],
)
def test_ratios_at_the_edges(ours, theirs, expected):
    assert stats.ratio_of_means(np.array(ours, float), np.array(theirs, float)) == pytest.approx(expected)


def test_signs_flipped_by_hand():
    """Differences 1, 2, 3: of the eight sums of ±1 ±2 ±3, 6 and -6 are as far from 0 as 6; four, as 4 = -1 + 2 + 3."""
    none = np.zeros(3)
    assert stats.sign_flip(np.array([1.0, 2, 3]), none) == 2 / 8
    assert stats.sign_flip(np.array([-1.0, 2, 3]), none) == 4 / 8
    assert stats.sign_flip(none, none) == 1


def test_signs_of_many_pairs_are_flipped_at_random():
    """Of 30 differences that are close to normal, p is close to that of the t test."""
    apart = np.random.default_rng(5).normal(0.3, 1, 30)
    assert stats.sign_flip(apart, np.zeros(30)) == pytest.approx(scipy_stats.ttest_1samp(apart, 0).pvalue, abs=0.02)


def correlation_of(first, second):
    return lambda runs: float(np.corrcoef(first[runs], second[runs])[0, 1])


def test_leaving_one_run_out_comes_close_to_fisher_s_interval_of_many_normal_ones():
    """There z has the variance 1 / (n - 3)."""
    rng = np.random.default_rng(3)
    first = rng.normal(size=400)
    second = 0.6 * first + 0.8 * rng.normal(size=400)
    found = stats.leaving_one_out(correlation_of(first, second), [0] * 400)
    expected = np.tanh(np.arctanh(found.value) + np.array([-1.96, 1.96]) / np.sqrt(397))
    assert (found.low, found.high) == pytest.approx(expected, abs=0.02)


def test_leaving_one_out_by_hand():
    """Left out, each of three runs gives z = 0, 1, 2: their variance 2/3 counts twice; t has two degrees of freedom."""
    rho = {(0, 1, 2): 0.5, (1, 2): np.tanh(0), (0, 2): np.tanh(1), (0, 1): np.tanh(2)}
    half = 4.302653 * np.sqrt(4 / 3)
    found = stats.leaving_one_out(lambda runs: rho[tuple(runs)], "aaa")
    assert found == pytest.approx((0.5, *np.tanh(np.arctanh(0.5) + np.array([-half, half]))), abs=1e-6)


def test_what_a_whole_group_does_widens_nothing():
    """Runs of a group agree, two groups do not: leaving out one of a group changes nothing."""
    groups = np.repeat([0, 1], 4)

    def mean_of_groups(runs):
        return float(np.mean([0.2 if group else 0.8 for group in np.unique(groups[runs])]))

    assert stats.leaving_one_out(mean_of_groups, groups.tolist()) == pytest.approx((0.5, 0.5, 0.5))


def test_runs_that_cannot_be_left_out():
    assert np.isnan(stats.leaving_one_out(lambda runs: 0.3, "aab")[1:]).all()


def test_a_perfect_correlation_has_an_interval():
    found = stats.leaving_one_out(lambda runs: 1.0, "aaa")
    assert found.value == 1
    assert found.low > 0.999


def test_a_mean_of_right_and_wrong_has_wilson_s_interval():
    interval = stats.mean_score(np.array([1.0, 0, 0, 0, 1, 0, 0, 0, 0, 0]))
    # Wilson (1927) for 2 of 10: the roots of |p - 0.2| = z sqrt(p (1 - p) / 10)
    z2 = 1.959963984540054**2
    low, high = np.roots([1 + z2 / 10, -(2 * 0.2 + z2 / 10), 0.2**2])[::-1]
    assert interval == pytest.approx((0.2, low, high), abs=1e-9)


def test_a_mean_of_parts_has_a_bootstrap_interval_and_of_few_one_of_t():
    scores = np.random.default_rng(1).beta(2, 5, size=400)
    interval = stats.mean_score(scores)
    half = 1.96 * scores.std(ddof=1) / 20  # the normal interval, which 400 scores come close to
    assert interval == pytest.approx((scores.mean(), scores.mean() - half, scores.mean() + half), abs=half / 10)
    assert stats.mean_score(scores[:19]) == stats.mean(scores[:19])


@pytest.mark.parametrize(("scores", "interval"), [([0.25] * 5, (0.25, 0.25, 0.25)), ([0.0] * 5, (0, 0, 0.4344825))])
def test_a_mean_of_equal_scores(scores, interval):
    assert stats.mean_score(np.array(scores)) == pytest.approx(interval, abs=1e-6)


@pytest.mark.parametrize("scores", [[], [0.5, 1.5], [-0.5]])
def test_scores_that_are_none(scores):
    with pytest.raises(InputError, match="expected scores from 0 to 1, found"):
        stats.mean_score(np.array(scores, dtype=float))


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((0.97, 0.91, 1.04), "0.97 [0.91, 1.04]"),
        ((0.0123, 0.0111, 0.0137), "0.012 [0.011, 0.014]"),
        ((0.01234, 0.01231, 0.01245), "0.0123 [0.0123, 0.0124]"),
        ((-0.001, -0.004, 0.002), "-0.001 [-0.004, 0.002]"),
        ((-0.001, -0.004, 0.012), "0.00 [0.00, 0.01]"),
        ((1.0, 1.0, 1.0), "1.00 [1.00, 1.00]"),
        ((1.0, 1.0 - 1e-9, 1.0), "1.00 [1.00, 1.00]"),
        ((float("nan"),) * 3, "nan [nan, nan]"),
    ],
)
def test_an_interval_has_the_digits_that_its_ends_need(interval, said):
    assert str(stats.Interval(*interval)) == said
