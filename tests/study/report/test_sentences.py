"""Sentences on intervals, each in its cases: what is said is what the rows hold, and it is a sentence."""

from types import SimpleNamespace

import made_tables
import pandas as pd
import prose
import pytest

from tslib.study import claims
from tslib.study.report import evidence as report_evidence
from tslib.study.report import precision as report_precision
from tslib.study.report import settings as report_settings

pytestmark = pytest.mark.usefixtures("without_type_checks")  # stand-ins take the place of records

BELOW, AROUND, ABOVE, QUARTER, NEVER = (0.9, 0.85, 0.95), (1.0, 0.9, 1.1), (1.2, 1.1, 1.3), (0.9, 0.7, 1.1), (1, 1, 1)


@pytest.fixture
def ratios(monkeypatch):
    """Make the ratios of the records these intervals, one task each."""

    def make(*intervals):
        rows = [
            {"task": task, "value": value, "low": low, "high": high, "pairs": 5, "observed": low != high}
            for task, (value, low, high) in zip(("math", "bbh", "mmlu", "gsm8k"), intervals, strict=False)
        ]
        monkeypatch.setattr(claims, "ratios", lambda *given, **named: pd.DataFrame(rows))

    return make


def compared(**intervals):
    """A comparison of methods with cross-entropy alone."""
    names = {"tsloss": "tsloss", "printed": "tsloss-printed", "l2": "l2", "random": "random-direction"}
    rows = [
        {"regularizer": names[name], "ratio": ratio, "low": low, "high": high, "runs": 5, "p_holm": 0.5}
        for name, (ratio, low, high) in intervals.items()
    ]
    return pd.DataFrame([{"regularizer": "none", "runs": 5}, *rows])


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        (
            [AROUND, AROUND],
            "In none of two comparisons is TSLoss clearly faster or slower. None reaches a gain of a qu",
        ),
        (
            [QUARTER, AROUND],
            "In none of two comparisons is TSLoss clearly faster or slower. One interval reaches a gain",
        ),
        (
            [BELOW, AROUND, ABOVE],
            "Of three comparisons TSLoss is clearly faster in one and clearly slower in one. None",
        ),
        (
            [QUARTER, QUARTER, QUARTER],
            "In none of three comparisons is TSLoss clearly faster or slower. Three intervals",
        ),
        (
            [AROUND, NEVER],
            "TSLoss is neither faster nor slower. None reaches a gain of a quarter. In one row no run is",
        ),
        ([NEVER, NEVER], "In two rows no run is correct within its steps, so that a ratio of 1 says nothing. The"),
    ],
)
def test_all_combinations(ratios, intervals, said):
    ratios(*intervals)
    told = report_evidence.read_table3(None)
    assert told.startswith(said)
    assert told.endswith("The paper's 18 ratios lie between 0.50 and 1.00, with no interval given.")


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        (
            [AROUND, AROUND],
            "makes no clear difference on MATH and BIG-Bench Hard. On MATH the ratio is 1.00 [0.90, 1.1",
        ),
        (
            [BELOW, BELOW],
            "is faster on MATH and BIG-Bench Hard. On MATH the ratio is 0.90 [0.85, 0.95]. On BIG-Bench H",
        ),
        (
            [ABOVE, AROUND],
            "is slower on MATH and makes no clear difference on BIG-Bench Hard. On MATH the ratio is 1.2",
        ),
        ([ABOVE], "is slower on MATH. On MATH the ratio is 1.20 [1.10, 1.30]. Each is of 5 pairs."),
    ],
)
def test_tasks_that_nothing_was_chosen_on(ratios, intervals, said):
    ratios(*intervals)
    told = report_evidence.read_kept_back(None)
    assert told.startswith(f"Where nothing was chosen, TSLoss {said}")
    assert prose.crammed(told) == []


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        (
            {"tsloss": AROUND, "l2": AROUND},
            "No method makes a clear difference. That is on 5 pairs, with intervals unc",
        ),
        ({"tsloss": AROUND, "l2": ABOVE}, "L2 slows tuning down, 1.2-fold. That"),
        (
            {"l2": ABOVE, "random": (2.44, 2, 3)},
            "L2 and random direction slow tuning down, 1.2-fold and 2.4-fold. That",
        ),
        ({"tsloss": BELOW, "l2": AROUND}, "TSLoss saves 10% of the steps, and nothing without topology does. That"),
        (
            {"tsloss": BELOW, "printed": BELOW, "l2": ABOVE},
            "TSLoss and TSLoss as printed save 10% and 10% of the steps, and nothing without topology does; L2 slows",
        ),
        (
            {"tsloss": BELOW, "random": BELOW},
            "Random direction saves 10% of the steps without any topology, as much as TSLoss. That is on",
        ),
        ({"tsloss": AROUND, "l2": BELOW}, "L2 saves 10% of the steps without any topology, more than TSLoss. That"),
        (
            {"tsloss": (0.5, 0.4, 0.6), "l2": BELOW},
            "L2 saves 10% of the steps without any topology, less than TSLoss. T",
        ),
        (
            {"l2": BELOW},
            "L2 saves 10% of the steps without any topology. That is on 5 pairs, with intervals uncorrected",
        ),
    ],
)
def test_baselines(intervals, said):
    told = report_evidence.read_baselines(compared(**intervals))
    assert told.startswith(said)
    assert told.endswith("The smallest p of flipped signs after Holm's correction is 0.5.")


def by_rate(*sides):
    named = {"model": "Gemma-3-270M", "method": "prompt tuning", "learning rate": "0.01", "factor": "1"}
    return pd.DataFrame([named | {"ratio [95 %]": "R", "pairs": 5, "interval": side} for side in sides])


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        (["contains 1"], "TSLoss is neither clearly faster nor clearly slower. Each is of 5 pairs."),
        (
            ["contains 1"] * 4,
            "In none of four cases is TSLoss clearly faster or slower. Each is of 5 pairs. By chance 0.2 of "
            "them would seem to be.",
        ),
        (
            ["contains 1", "contains 1", "lies below 1"],
            "TSLoss is clearly faster in one of three cases and clearly slower in none. Gemma-3-270M at 0.01, factor "
            "1: R.",
        ),
        (
            ["lies above 1", "lies above 1"],
            "TSLoss is clearly faster in none of two cases and clearly slower in two. Gemma-3-270M at 0.01, factor 1: "
            "R. Gemma-3-270M at 0.01",
        ),
    ],
)
def test_rates(sides, said):
    assert report_evidence.read_by_rate(by_rate(*sides)).startswith(said)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([(100, 80), (100, 81), (100, 79)], "held on three new pairs: 0.80 [0."),
        ([(80, 100), (81, 100), (79, 100)], "became a loss on three new pairs: 1.25 [1."),
        ([(80, 100), (100, 80), (90, 90)], "did not hold on three new pairs: 1.00 [0."),
    ],
)
def test_a_gain_that_was_tried_again(pairs, said):
    runs = made_tables.table(pairs)
    again = SimpleNamespace(missing=lambda *grids: 0, runs=lambda *grids: runs)
    assert report_settings.read_again(again).startswith(f"A gain once seen with vocabulary initialisation {said}")


def factors(ours, *rounding):
    rows = {f"rounding, {i}": dict(zip(("factor", "low", "high"), of, strict=True)) for i, of in enumerate(rounding)}
    rows["TSLoss"] = dict(zip(("factor", "low", "high"), ours, strict=True))
    return pd.DataFrame.from_dict(rows, orient="index").assign(pairs=10)


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        ((1.2, 1.1, 1.3), "by no more than rounding can. Over 10 pairs it changes them by a factor of 1.20 [1.10, "),
        ((2.0, 1.8, 2.2), "by more than rounding does. Over 10 pairs it changes them by a factor of 2.00 [1.80, "),
        ((1.02, 1.0, 1.04), "by less than rounding does. Over 10 pairs it changes them by a factor of 1.02 [1.00,"),
    ],
)
def test_tsloss_beside_rounding(monkeypatch, ours, said):
    table = factors(ours, (1.2, 1.1, 1.3), (1.3, 1.2, 1.5))
    monkeypatch.setattr(report_precision, "factors", lambda evidence: table)
    told = report_precision.read_factors(None)
    assert told.startswith(f"TSLoss changes runs {said}")
    assert "up or down; rounding alone by 1.20 to 1.30. One pair of runs says nothing" in told
    assert told.startswith(report_precision.beside_rounding(table))
