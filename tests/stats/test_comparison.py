"""Iterations, pairs of runs, ratios with their intervals, methods compared: by hand and against statsmodels."""

import gc
import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from tslib import stats
from tslib.errors import InputError
from tslib.stats import (
    Iterations,
    Ratio,
    comparison,
    iteration_ratio,
    iterations,
    pair_up,
    restricted_mean,
    survival_curve,
    verdict,
)


def runs(*steps: int, correct: tuple[int, ...] | None = None) -> Iterations:
    """Iterations; all correct unless ``correct`` says which are, by 1 and 0."""
    return Iterations(np.array(steps, float), np.ones(len(steps), bool) if correct is None else np.array(correct, bool))


def table(*, max_steps: int = 300, **methods: list[int | None]) -> pd.DataFrame:
    """A table as of ``RunStore.table``: for each method its iterations on the samples 0, 1, ... (None: censored)."""
    rows = [
        {
            "model": "m",
            "task": "t",
            "samples": 1,
            "sample_seed": number,
            "seed": 0,
            "regularizer": method.replace("_", "-"),
            "lr": 1e-3,
            "max_steps": max_steps,
            "status": "finished",
            "iterations_to_correct": steps,
            "iterations_to_answer": None if steps is None else steps // 2,
        }
        for method, all_steps in methods.items()
        for number, steps in enumerate(all_steps)
    ]
    return pd.DataFrame(rows).astype({"iterations_to_correct": "Int64", "iterations_to_answer": "Int64"})


# iterations


def test_iterations_are_censored_at_max_steps():
    taken = iterations(table(none=[120, None, 0]))
    assert taken.steps.tolist() == [120.0, 300.0, 0.0]
    assert taken.correct.tolist() == [True, False, True]


def test_iterations_of_the_other_criterion():
    taken = iterations(table(none=[120, None]), "answer")
    assert taken.steps.tolist() == [60.0, 300.0]
    assert taken.correct.tolist() == [True, False]


def test_a_run_that_is_correct_at_the_last_step_is_not_censored():
    assert iterations(table(none=[300])).correct.tolist() == [True]


def test_an_interrupted_run_is_not_taken_for_one_that_needs_max_steps():
    runs = table(none=[100, None, None])
    runs.loc[1, "status"] = "interrupted"
    with pytest.raises(InputError, match=r"1 run\(s\) were interrupted: the same command goes on from there \(python"):
        iterations(runs)


def test_a_diverged_run_is_censored_at_max_steps():
    runs = table(none=[None])
    runs["status"] = "diverged"
    assert iterations(runs).steps.tolist() == [300.0]


def test_iterations_of_no_runs():
    with pytest.raises(InputError, match="the table has no runs"):
        iterations(table(none=[1]).iloc[:0])


# curves and means


def test_kaplan_meier_by_hand():
    """Of 5 runs one is correct at 10 (4/5 are left), then one of 3 still watched at 30, then one of 2 at 40."""
    curve = survival_curve(runs(10, 20, 30, 40, 50, correct=(1, 0, 1, 1, 0)))
    share = curve.drop_duplicates("step").set_index("step")["share"]
    assert share.index.tolist() == [0, 10, 20, 30, 40, 50]
    np.testing.assert_allclose(share, [1, 4 / 5, 4 / 5, 8 / 15, 4 / 15, 4 / 15])
    assert curve.iloc[-1].tolist() == [50, pytest.approx(4 / 15)]


def test_kaplan_meier_against_statsmodels():
    rng = np.random.default_rng(3)
    steps, correct = rng.integers(1, 40, 60), rng.random(60) < 0.7
    reference = SurvfuncRight(steps, correct)
    curve = survival_curve(Iterations(steps.astype(float), correct))
    at_events = [curve[curve["step"] <= time]["share"].iloc[-1] for time in reference.surv_times]
    np.testing.assert_allclose(at_events, reference.surv_prob)


def test_kaplan_meier_where_no_run_was_correct():
    curve = survival_curve(runs(300, 300, correct=(0, 0)))
    assert curve["share"].unique().tolist() == [1.0]
    assert curve["step"].max() == 300


def area(curve: pd.DataFrame, horizon: float) -> float:
    """The area under a right-continuous step function up to the horizon."""
    steps = np.clip([*curve["step"], horizon], 0, horizon)
    return float((np.diff(steps) * curve["share"]).sum())


@pytest.mark.parametrize(
    ("group", "horizon"),
    [
        (runs(100, 200, 300, 300, correct=(1, 1, 0, 0)), 300.0),
        (runs(100, 200, 300, 300, correct=(1, 1, 0, 0)), 150.0),
        (runs(5, 5, 80, 120), 120.0),
        (runs(5, 5, 80, 120), 500.0),
        (runs(0, 10, 10, correct=(1, 1, 0)), 10.0),
        (runs(300, 300, correct=(0, 0)), 300.0),
    ],
)
def test_restricted_mean_is_the_area_under_the_curve(group, horizon):
    assert restricted_mean(group, horizon) == pytest.approx(area(survival_curve(group), horizon))


def test_restricted_mean_by_hand():
    group = runs(100, 200, 300, 300, correct=(1, 1, 0, 0))
    assert restricted_mean(group, 300.0) == 100 * 1 + 100 * 3 / 4 + 100 * 1 / 2 == 225
    assert restricted_mean(group, 150.0) == 100 * 1 + 50 * 3 / 4 == 137.5


@pytest.mark.parametrize(
    ("group", "half"),
    [
        (runs(10, 20, 60), 20),
        (runs(10, 20, 40, 300, correct=(1, 1, 1, 0)), 30),
        (runs(10, 20, 300, 300, correct=(1, 1, 0, 0)), math.inf),
        (runs(10, 300, 300, correct=(1, 0, 0)), math.inf),
    ],
)
def test_median_is_not_reached_where_half_of_the_runs_are_censored(group, half):
    assert stats.median(group) == half


def test_restricted_mean_of_a_run_that_was_censored_too_early():
    with pytest.raises(InputError, match=r"1 run\(s\) were censored before step 300, the first at 250"):
        restricted_mean(runs(100, 250, 300, correct=(1, 0, 0)), 300.0)


# pairs


def test_pairs_are_matched_whatever_the_order():
    runs = table(none=[100, 200, 300], tsloss=[10, 20, 30])
    ours, theirs = pair_up(runs.sample(frac=1, random_state=1), "tsloss")
    assert ours["iterations_to_correct"].tolist() == [10, 20, 30]
    assert theirs["iterations_to_correct"].tolist() == [100, 200, 300]
    assert ours["sample_seed"].tolist() == theirs["sample_seed"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            table(none=[1, 2], tsloss=[1, 2]).drop(index=3),
            r"1 pair\(s\) lack 'tsloss' or 'none', the first is \('m', 't'",
        ),
        (table(none=[1, 2], tsloss=[1, 2]).drop(index=0), r"1 pair\(s\) lack 'tsloss' or 'none'"),
        (table(none=[1, 2], l2=[1, 2]), r"no runs of 'tsloss'; the table has l2, none"),
        (table(tsloss=[1, 2]), r"no runs of 'none'; the table has tsloss"),
        (
            pd.concat([table(none=[1], tsloss=[1]), table(tsloss=[2])]),
            r"several runs of 'tsloss' for .*: select one setting",
        ),
        (
            pd.concat([table(none=[1]), table(tsloss=[1]).assign(lr=1e-2)]),
            r"'tsloss' was run with lr 0.01, 'none' with 0.001: select one setting",
        ),
        (
            pd.concat([table(none=[1]), table(tsloss=[1], max_steps=500)]),
            r"'tsloss' was run with max_steps 500, 'none' with 300: select one setting",
        ),
        (
            pd.concat([table(none=[1]).assign(check_every=1), table(tsloss=[1]).assign(check_every=5)]),
            r"'tsloss' was run with check_every 5, 'none' with 1: select one setting",
        ),
    ],
)
def test_runs_that_are_no_pairs(broken, message):
    with pytest.raises(InputError, match=message):
        pair_up(broken, "tsloss")


# ratio and verdict


def test_ratio_by_hand():
    ratio = iteration_ratio(table(none=[100, 200, 300], tsloss=[50, 150, 100]), "tsloss")
    assert ratio.value == 300 / 600
    assert (ratio.pairs, ratio.censored, ratio.confidence) == (3, 0, 0.95)
    assert ratio.low < ratio.value < ratio.high


def test_ratio_of_the_other_criterion():
    runs = table(none=[100, 200], tsloss=[50, 250])
    runs["iterations_to_answer"] = pd.array([10, 30, 20, 60], "Int64")
    assert iteration_ratio(runs, "tsloss", criterion="answer").value == 80 / 40


def test_ratio_counts_max_steps_for_censored_runs():
    ratio = iteration_ratio(table(none=[None, 200, None, 100], tsloss=[150, None, None, 100]), "tsloss")
    assert ratio.value == (150 + 300 + 300 + 100) / (300 + 200 + 300 + 100)
    assert (ratio.pairs, ratio.censored) == (4, 3)


def test_interval_is_of_pairs():
    """Samples differ ten times more than the methods do, which would hide the ratio if pairs were torn apart."""
    ratio = iteration_ratio(table(none=[20, 100, 300, 60, 200, 140], tsloss=[16, 81, 238, 49, 161, 111]), "tsloss")
    assert 0.78 < ratio.low < ratio.value < ratio.high < 0.84


def test_interval_is_the_same_each_time():
    runs = table(none=[100, 200, 300, 150], tsloss=[50, 150, 100, 160])
    assert iteration_ratio(runs, "tsloss") == iteration_ratio(runs, "tsloss")


@pytest.mark.parametrize("method", [[50, 100, 150], [100, 200, 300], [200, 400, 600]])
def test_interval_where_every_pair_has_the_same_ratio(method):
    ratio = iteration_ratio(table(none=[100, 200, 300], tsloss=method, max_steps=900), "tsloss")
    assert ratio.low == ratio.value == ratio.high == method[0] / 100


def test_interval_of_one_pair_is_unknown():
    ratio = iteration_ratio(table(none=[100], tsloss=[50]), "tsloss")
    assert ratio.value == 0.5
    assert math.isnan(ratio.low)
    assert math.isnan(ratio.high)
    assert verdict(ratio) == "undecided"


def test_ratio_with_a_run_that_is_correct_at_step_0():
    ratio = iteration_ratio(table(none=[0, 100, 100, 90, 120], tsloss=[0, 50, 90, 70, 80]), "tsloss")
    assert ratio.value == 290 / 410
    assert ratio.low < ratio.value < ratio.high


@pytest.mark.parametrize(("method", "value"), [([0, 0], 1), ([1, 2], math.inf)])
def test_ratio_to_a_baseline_that_needs_no_iterations(method, value):
    ratio = iteration_ratio(table(none=[0, 0], tsloss=method), "tsloss")
    assert ratio.low == ratio.value == ratio.high == value


def test_pairs_whose_iterations_are_not_known():
    ratio = iteration_ratio(table(none=[None, None, 100], tsloss=[None, 90, 100]), "tsloss")
    assert (ratio.censored, ratio.unseen, ratio.observed) == (2, 1, True)
    assert not iteration_ratio(table(none=[None, None], tsloss=[None, None]), "tsloss").observed


def test_the_interval_that_the_first_rules_name():
    """That of the bootstrap lies inside the other, as it does for few pairs."""
    runs_of = table(none=[100, 200, 300, 150], tsloss=[50, 150, 100, 160])
    narrow, wide = (iteration_ratio(runs_of, "tsloss", kind=kind) for kind in ("bca", "t"))
    assert narrow.value == wide.value
    assert wide.low < narrow.low < narrow.high < wide.high


def test_log_ratios_of_pairs_by_hand():
    """A censored run counts with its 300 steps, one that is right at step 0 with one step."""
    found = stats.log_ratios(table(none=[100, 300, 0], tsloss=[50, None, 4]), "tsloss")
    assert found.tolist() == pytest.approx(np.log([0.5, 1, 4]))
    assert found.index.tolist() == [(0, 0), (1, 0), (2, 0)]


def test_ratio_in_words():
    assert str(Ratio(0.512, 0.4, 0.7049, 0.95, 9, 0, 0, 0.5)) == "0.51 [0.40, 0.70]"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.5, 0.99, "reproduced"),
        (1.01, 1.5, "contradicted"),
        (0.9, 1.1, "undecided"),
        (0.5, 1.0, "undecided"),
        (1.0, 1.5, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_verdict(low, high, expected):
    assert verdict(Ratio(1.0, low, high, 0.95, 9, 0, 0, 0.5)) == expected


# comparison


FASTER = [20, 25, 30, 35, 40, 45]
BASE = [60, 70, 80, 90, 100, 110]
SLOWER = [85, 120, 140, 160, 180, None]


def test_comparison():
    result = comparison(table(l2=SLOWER, none=BASE, tsloss=FASTER)).set_index("regularizer")
    assert result.index.tolist() == ["none", "l2", "tsloss"], "the baseline first, then as they come"
    assert result["runs"].tolist() == [6, 6, 6]
    assert result["censored"].tolist() == [0, 1, 0]
    assert result["median"].tolist() == [85, 150, 32.5]
    assert result["restricted_mean"].tolist() == pytest.approx([85, 985 / 6, 32.5])
    assert result.loc["tsloss", "ratio"] == pytest.approx(195 / 510)
    assert result.loc["l2", "ratio"] == pytest.approx(985 / 510)
    assert result.loc[["tsloss", "l2"], "verdict"].tolist() == ["reproduced", "contradicted"]
    assert result.loc["none", ["ratio", "low", "high", "verdict", "p", "p_holm"]].isna().all()


def test_holm_by_hand():
    """Of the 64 ways to flip the signs of six differences 2 are as far from 0 as where all have one sign."""
    result = comparison(table(none=BASE, tsloss=FASTER, l2=SLOWER)).set_index("regularizer")
    assert result.loc[["tsloss", "l2"], "p"].tolist() == pytest.approx([2 / 64, 2 / 64])
    assert result.loc[["tsloss", "l2"], "p_holm"].tolist() == pytest.approx([4 / 64, 4 / 64])
    mixed = comparison(table(none=BASE, tsloss=FASTER, l2=[61, 69, 80, 90, 100, 110])).set_index("regularizer")
    assert mixed.loc[["tsloss", "l2"], "p_holm"].tolist() == pytest.approx([4 / 64, 1])


def test_holm_leaves_the_search_for_garbage_as_it_was():
    frozen = gc.get_freeze_count() > 0
    assert stats.holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert (gc.get_freeze_count() > 0) == frozen


def test_holm_of_one_method_corrects_nothing():
    result = comparison(table(none=BASE, tsloss=FASTER))
    assert result.loc[1, "p_holm"] == result.loc[1, "p"]


def test_comparison_by_the_answer():
    result = comparison(table(none=[100, 200, None], tsloss=[50, 80, 100]), criterion="answer")
    assert result["restricted_mean"].tolist() == pytest.approx([450 / 3, 115 / 3])
    assert result["censored"].tolist() == [1, 0]


def test_comparison_where_no_run_was_correct():
    result = comparison(table(none=[None, None], tsloss=[None, None]))
    assert result["censored"].tolist() == [2, 2]
    assert result.loc[1, ["ratio", "low", "high", "verdict", "p_holm"]].tolist() == [1, 1, 1, "undecided", 1]


def test_comparison_without_its_baseline():
    with pytest.raises(InputError, match="no runs of 'none'; the table has tsloss"):
        comparison(table(tsloss=[1, 2]))


def test_pairs_may_both_lack_a_setting_but_not_one_of_them():
    runs_of = table(none=[10, 20], tsloss=[5, 10]).assign(max_context=None, shots=0)
    assert iteration_ratio(runs_of, "tsloss").value == pytest.approx(0.5)
    runs_of.loc[runs_of["regularizer"] == "tsloss", "max_context"] = 512
    with pytest.raises(InputError, match="'tsloss' was run with max_context 512"):
        iteration_ratio(runs_of, "tsloss")


def test_mean_iterations_counts_max_steps_for_censored_runs():
    assert stats.mean_iterations(table(none=[100, None], max_steps=300)) == 200


def test_runs_that_diverged_are_counted_among_those_never_correct():
    runs_ = table(none=[100, None, None]).assign(status=["finished", "finished", "diverged"])
    assert stats.ended(runs_) == {"censored": 2, "diverged": 1}
    assert comparison(runs_).loc[0, ["censored", "diverged"]].tolist() == [2, 1]
