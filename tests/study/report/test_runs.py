"""What the book and the README say in words is what the records hold."""

from types import SimpleNamespace

import pandas as pd
import pytest
from made_tables import table

from tslib import stats
from tslib.study.report import runs as report


def test_method_table_words():
    words = report.method_table(stats.comparison(table([(100, 50), (120, None), (80, 38)])))
    assert words["method"].tolist() == ["cross-entropy alone", "TSLoss"]
    assert words["never correct"].tolist() == [0, 1]
    assert "diverged" not in words, "none did"
    assert words["mean"].tolist() == ["100.0", f"{(50 + 300 + 38) / 3:.1f}"]
    assert report.shortened(words.assign(diverged=[0, 1]))["diverged"].tolist() == [0, 1]


def test_a_median_that_was_not_reached_is_no_number_and_a_small_p_is_not_zero():
    """As of L2 on GSM8K, of whose runs nine of ten are censored at 300."""
    pairs = table([(step, None if seed else step) for seed, step in enumerate(range(80, 98, 2))])
    words = report.method_table(stats.comparison(pairs))
    assert words["median"].tolist() == ["88", "not reached"]
    assert words["p (signs flipped, Holm)"].tolist() == ["", "< 0.01"], "1 / 256"
    assert report.read_survival(pairs) == (
        "Half of the runs are correct by step 88 with cross-entropy alone, not within 300 with TSLoss; "
        "single runs of any method range from 80 to more than 300."
    )


def test_the_ends_of_curves_are_means_over_the_runs_of_a_method():
    rows = [("a", "none", 0, 9.0), ("a", "none", 5, 2.0), ("b", "none", 0, 9.0), ("b", "none", 3, 3.0)]
    curves = pd.DataFrame([*rows, ("c", "l2", 0, 9.0)], columns=["run", "regularizer", "step", "loops"])
    assert report.read_ends(curves, {"loops": "number of loops"}) == (
        "At the end, number of loops: 2.5 (cross-entropy alone), 9 (L2)."
    )


def test_readings():
    pairs = table([(100, 50), (120, None), (80, 80)])
    said = report.read_pairs(pairs)
    assert said.startswith("With TSLoss one of three pairs took fewer iterations, one more, one as many. Each line is")
    assert "TSLoss: 50, more than 300, 80" in report.read_losses(pairs)
    assert "100 with cross-entropy alone, 80 with TSLoss" in report.read_survival(pairs)


def test_reading_of_the_ratios_counts_the_intervals_that_hold_the_papers():
    rows = [
        ("none", None, None, None, None),
        ("l2", 0.6, 0.5, 0.7, "reproduced"),
        ("tsloss", 1.1, 0.9, 1.2, "undecided"),
    ]
    text = report.read_ratios(pd.DataFrame(rows, columns=["regularizer", "ratio", "low", "high", "verdict"]))
    assert text.startswith(
        "L2 is faster and TSLoss makes no clear difference: left of 1 a method needs fewer iterations."
    )
    assert "0.57 with Gemma-2B-IT, lies in one of two intervals." in text


def gradients(ratio, cosine):
    steps = pd.DataFrame({"grad_norm_reg": [ratio], "grad_norm_ce": [1.0], "grad_cosine": [cosine]})
    return SimpleNamespace(steps=steps)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("ratio", "cosine", "said"),
    [
        (
            0.02,
            0.0,
            "Hardly: in the median step the regulariser's gradient is 2.0% as long as the cross-entropy's, and at ",
        ),
        (
            0.1,
            0.5,
            "A little: in the median step the regulariser's gradient is 10.0% as long as the cross-entropy's, and ",
        ),
        (
            2.0,
            -0.5,
            "Clearly: in the median step the regulariser's gradient is 200.0% as long as the cross-entropy's, and",
        ),
    ],
)
def test_whether_a_regulariser_pulls(ratio, cosine, said):
    told = report.read_gradients([gradients(ratio, cosine)])
    assert told.startswith(said)
    way = {0.0: "at right angles to it", 0.5: "in the same direction", -0.5: "against it"}[cosine]
    assert told.endswith(f"and {way}: the cosine is {cosine:+.2f}.")


@pytest.mark.parametrize(
    ("pair", "favours"), [((100, 50), "TSLoss"), ((50, 100), "cross-entropy alone"), ((50, 50), "neither")]
)
def test_one_pair_means_nothing(pair, favours):
    committed = table([(100, 50), (120, None), (80, 80)])
    said = f"This pair favours {favours}. It means nothing: one of three committed pairs went this way."
    assert report.read_one(table([pair]), committed) == said
    assert report.read_one(table([pair, pair]), committed) == "", "of several"


def test_how_long_runs_took():
    runs = pd.DataFrame({"seconds": [600.0, 630.0]})
    assert report.read_time(runs) == "These 2 runs took 20 minutes in all, on the CPUs that made them."
