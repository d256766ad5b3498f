"""Sentences and tables on what TSLoss does to a prompt say what their rows hold, in every case."""

import numpy as np
import pandas as pd
import pytest
from made_runs import record

from tslib.config import TuneConfig
from tslib.study import shapes
from tslib.study.report import treatment as report


def row(**fields):
    """A row of ``treatment``: TSLoss with the defaults, which made H0 deaths half as uneven and runs no faster."""
    default = TuneConfig().as_dict() | {"lr": 0.03, "regularizer": "tsloss", "task": "gsm8k"}
    pairs = {"pairs": 5, "correct": 100.0, "read": 5, "step": 80.0}
    measured = {
        **{"spread": np.log(0.5), "spread_low": np.log(0.4), "spread_high": np.log(0.6)},
        **{"loops": 12.0, "loops_low": 10.0, "loops_high": 14.0},
        **{"pull": 0.02, "ratio": 1.0, "ratio_low": 0.9, "ratio_high": 1.1, "censored": 0},
    }
    return default | {"grid": "kept back, math"} | pairs | measured | {"observed": True, "treated": True} | fields


def table(*rows):
    return pd.DataFrame(rows)


def made(**columns):
    """What `followed` returns of two pairs at two steps."""
    about = {"grid": "g", "weight": [1.0] * 4, "pair": ["a", "a", "b", "b"], "step": [0, 300] * 2, "correct": 100}
    measured = {
        **{"spread_with": [0.02, 0.04] * 2, "spread_alone": [0.02, 0.16] * 2, "spread": [0, np.log(0.25)] * 2},
        **{"loops_with": [9, 15, 9, 17], "loops_alone": [9, 1, 9, 1], "loops": [0.0, 14, 0, 16]},
        **{"entropy_with": [2.9, 3.0] * 2, "entropy_alone": [2.9, 2.8] * 2, "entropy": [0, 0.2] * 2},
        **{"distance_with": [1.4, 1.38] * 2, "distance_alone": [1.4, 1.42] * 2},
    }
    return pd.DataFrame(about | measured | columns)


def test_loops():
    said = report.read_loops(made())
    assert said.startswith("By the last step a prompt has 15.0 [")
    assert "more in 2 of 2 pairs: on average 16.0, without it 1.0, at the start 9.0" in said
    assert "The spread of $H_0$ deaths is 0.25 [0.25, 0.25] of what it is without" in said
    assert said.endswith("ends above its start in 2 of 2 runs with TSLoss, and in none without it.")


def test_curves():
    assert report.read_curves({"Here": made(), "There": made(loops_with=2.0)}) == (
        "Here: the spread of $H_0$ deaths ends at 0.04 with TSLoss and at 0.16 without, the number of $H_1$ features "
        "at 16.0 and 1.0. There: the spread of $H_0$ deaths ends at 0.04 with TSLoss and at 0.16 without, the number "
        "of $H_1$ features at 2.0 and 1.0."
    )


def test_angles():
    assert "is 1.42 times their mean length without TSLoss, and 1.38 times with it" in report.read_angles(made())


def test_by_weight():
    steps = {"step": [0, 100, 200, 300] * 2, "weight": [0.1] * 4 + [10.0] * 4}
    rows = pd.DataFrame(steps | {"loops": [0.0, 2, 6, 8, 0, 9, 9, 10]})
    said = report.read_by_weight(rows)
    assert "at each of 2 weights TSLoss has added 8.0 to 10.0 $H_1$ features" in said
    assert "half of them are there by step 200 with λ = 0.1, 100 with λ = 10" in said


@pytest.mark.parametrize(
    ("loops", "said"),
    [
        ([], "and there is no loop"),
        ([(3.0, 3.5)], "and there is 1 loop, the longest 20.0% as long as the mean $H_0$ bar"),
        ([(3.0, 3.5), (3.0, 3.25)], "and there are 2 loops, the longest 20.0% as long as the mean $H_0$ bar"),
    ],
)
def test_bars(loops, said):
    ours, theirs = record(TuneConfig(), deaths=lambda step: [2.0, 3.0]), record(TuneConfig())
    for birth, death in loops:
        ours.diagrams.loc[len(ours.diagrams)] = (300, 1, birth, death)
    assert report.read_bars(theirs, ours, 300) == (
        "Without TSLoss the $H_0$ bars end between 1.0 and 1.0, and there is no loop; with it the $H_0$ bars end "
        f"between 2.0 and 3.0, {said}."
    )


def test_even_clouds():
    noise = pd.DataFrame({"noise": [0.001, 0.1] * 2, "loops": [8, 9, 10, 9], "longest": [0.00002, 0.002] * 2})
    lengths = pd.DataFrame({"lengths": [0.0, 0.2], "loops": [9.0, 0.0]})
    assert report.read_even(noise, lengths) == (
        "How many loops there are does not depend on the noise: 9.0 to 9.0 on average for noise from 0.001 to 0.1. "
        "Only their length does, the longest going from 0.000020 to 0.002 of the mean distance. It depends on tokens' "
        "lengths: 9.0 loops where they are about equal, 0.0 where they differ by 20%."
    )


def test_tsloss_alone():
    first, second = shapes.STARTS
    same = {"seed": 0, "loss": 0.0, "longest": 0.0, "distance": 0.7}
    rows = [
        {"start": start, "step": step, "spread": spread, "loops": loops, "distances": distances} | same
        for start, step, spread, loops, distances in (
            *((first, 0, 0.02, 8.0, 0.03), (first, 20, 0.001, 9.0, 1e-4), (first, 40, 0.0, 0.0, 2e-9)),
            *((second, 0, 0.2, 0.0, 0.2), (second, 20, 0.1, 9.0, 0.1), (second, 40, 0.04, 18.0, 0.03)),
        )
    ]
    assert report.read_alone(pd.DataFrame(rows)) == (
        "TSLoss alone, 40 steps of Adam: from clouds like an initial prompt it takes the number of loops from 8.0 to "
        "0.0, and the spread of $H_0$ deaths from 0.020 to 0.000; from clouds as wide and uneven as a tuned prompt it "
        "takes the number of loops from 0.0 to 18.0, and the spread of $H_0$ deaths from 0.200 to 0.040 (means over 1 "
        "draw). The mean distance of the former stays 1.00 times what it was: this is no collapse. At step 20 the "
        "standard deviation of its distances is 0.00010 of their mean, with 9.0 loops. At the end it is 2e-09, a "
        "regular simplex to single precision, which has none."
    )


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, ""),
        ({"weight": 10.0}, "λ = 10"),
        ({"method": "p-tuning", "lr": 0.003}, "P-tuning, learning rate 0.003"),
        ({"method": "prefix-tuning"}, "prefix tuning"),
        ({"init": "vocabulary", "n_tokens": 5}, "5 virtual tokens, vocabulary initialisation"),
    ],
)
def test_a_setting_is_named_by_what_differs(fields, name):
    assert report.setting(row(**fields)) == name


def test_words():
    one = row(read=0, step=np.nan, **dict.fromkeys(("spread", "spread_low", "spread_high"), np.nan), treated=False)
    never = row(observed=False, pull=36.0, weight=10.0, spread_low=np.nan, spread_high=np.nan, treated=False)
    rows = report.words(table(row(), one, never)).to_dict("records")
    assert rows[0] == {
        **{"runs": "kept back, MATH", "regulariser": "TSLoss", "pairs read": "5 of 5, step 80"},
        **{"H0 spread [95 %]": "0.50 [0.40, 0.60]", "more loops [95 %]": "12.0 [10.0, 14.0]", "pull": "2.00%"},
        **{"treated": "yes", "iterations [95 %]": "1.00 [0.90, 1.10]"},
    }
    assert (rows[1]["pairs read"], rows[1]["H0 spread [95 %]"], rows[1]["treated"]) == ("0 of 5", "", "not to be read")
    assert rows[2]["runs"] == "kept back, MATH (λ = 10)"
    assert (rows[2]["H0 spread [95 %]"], rows[2]["pull"], rows[2]["treated"]) == ("0.50", "3,600%", "not clearly")
    assert rows[2]["iterations [95 %]"] == "never correct"


EARLY = row(task="mmlu", correct=14.0, treated=False)
LATE = row(task="bbh", treated=False)


NONE = "of these none is clearly faster and none is clearly slower."


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row()], f"clearly made $H_0$ deaths more even by the time that a run was correct; {NONE}"),
        (
            [row(ratio_high=0.95), EARLY],
            "one is clearly faster and none is clearly slower. In 1 it had not clearly done so (MMLU): all within "
            "the warm-up of the learning rate, so that they say nothing of what it would do.",
        ),
        (
            [row(ratio_low=1.05), row(ratio_low=1.05), LATE],
            "and two are clearly slower. In 1 it had not clearly done so (BIG-Bench Hard).",
        ),
        (
            [EARLY, LATE],
            f"{NONE} In 2 it had not clearly done so (MMLU, BIG-Bench Hard): 1 of them within the warm-up of "
            "the learning rate.",
        ),
        ([row(), row(observed=False)], "In 1 no run is ever correct, so that nothing is seen of the iterations."),
    ],
)
def test_treated(rows, said):
    found = report.read_treated(table(*rows))
    assert found.startswith(f"In {sum(one['treated'] and one['observed'] for one in rows)} of {len(rows)} comparison")
    assert found.endswith(said)


def test_pull():
    rows = table(
        row(ratio_high=0.95),
        row(weight=10.0, pull=0.08),
        row(regularizer="tsloss-adaptive", pull=1.0, ratio=1.6, ratio_low=1.3, ratio_high=1.9, pairs=10),
        row(regularizer="l2", pull=0.2, ratio_low=2.0),
        row(observed=False),
        row(pairs=3, ratio=0.4, ratio_low=0.3, ratio_high=0.5),
    )
    assert report.read_pull(rows) == (
        "Where it pulls harder, tuning is nowhere clearly faster: of 2 settings with a gradient of at least 5% of "
        "cross-entropy's none is clearly faster and one is clearly slower. λ = 10: 1.00 [0.90, 1.10]. Adaptive weight: "
        "1.60 [1.30, 1.90]. TSLoss and its variants have 4 settings in all, of 3 to 10 pairs; two are clearly faster "
        "and one is clearly slower. By chance 0.2 of them would seem to be. Not drawn: 1 setting in which no run is "
        "ever correct, and 1 setting of fewer than 5 pairs."
    )
    assert "tuning is faster in part" in report.read_pull(table(row(pull=0.5, ratio_high=0.9)))
    assert report.read_pull(table(row())).startswith("TSLoss and its variants have 1 setting in all")
    assert report.named(report.drawn(rows)) == {1: "λ = 10", 2: "adaptive weight"}


def test_without_runs_nothing_is_said():
    nothing = pd.DataFrame()
    for said in (report.read_loops, report.read_by_weight, report.read_angles, report.read_treated, report.read_pull):
        assert said(nothing) == report.NOTHING
    assert report.finding("The cloud.", nothing) == report.NOTHING
    assert report.words(nothing).empty


def test_the_bound_is_said():
    assert (
        "lies below 0.9: $H_0$ deaths are more even than without the regulariser, by 10% at least"
        in report.read_bound()
    )
