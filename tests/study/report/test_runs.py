"""What the book and the README say in words is what the records hold."""

import pandas as pd
from made_tables import table

from tslib import stats
from tslib.study.report import runs as report


def test_method_table_words():
    words = report.method_table(stats.comparison(table([(100, 50), (120, None), (80, 38)])))
    assert words["method"].tolist() == ["cross-entropy alone", "TSLoss"]
    assert words["censored"].tolist() == [0, 1]
    assert words["restricted mean"].tolist() == ["100.0", f"{(50 + 300 + 38) / 3:.1f}"]
    assert words["interval"].tolist() == ["", "contains 1"]


def test_a_median_that_was_not_reached_is_no_number_and_a_small_p_is_not_zero():
    """As of L2 on GSM8K, of whose runs nine of ten are censored at 300."""
    pairs = table([(step, None if seed else step) for seed, step in enumerate(range(80, 98, 2))])
    words = report.method_table(stats.comparison(pairs))
    assert words["median"].tolist() == ["88", "not reached"]
    assert words["p (signs flipped, Holm)"].tolist() == ["", "< 0.01"], "1 / 256"
    assert report.read_survival(pairs) == (
        "Half of the runs are correct by step 88 (cross-entropy alone), not within 300 (TSLoss); "
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
    assert "needed fewer iterations in 1, more in 1 and as many in 1 of 3 pairs" in report.read_pairs(pairs)
    assert "TSLoss: 50, more than 300, 80" in report.read_losses(pairs)
    assert "100 (cross-entropy alone), 80 (TSLoss)" in report.read_survival(pairs)


def test_reading_of_the_ratios_counts_the_intervals_that_hold_the_papers():
    rows = [
        ("none", None, None, None, None),
        ("l2", 0.6, 0.5, 0.7, "reproduced"),
        ("tsloss", 1.1, 0.9, 1.2, "undecided"),
    ]
    text = report.read_ratios(pd.DataFrame(rows, columns=["regularizer", "ratio", "low", "high", "verdict"]))
    assert "that of L2 lies below 1 and that of TSLoss contains 1" in text
    assert "0.57 with Gemma-2B-IT, lies in 1 of the 2 intervals" in text
