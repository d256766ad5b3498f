"""Sentences on intervals, each in its cases: what is said is what the rows hold, and it is a sentence."""

from types import SimpleNamespace

import made_tables
import pandas as pd
import pytest

from tslib.stats import Interval
from tslib.study import claims
from tslib.study.report import evidence as report_evidence
from tslib.study.report import findings as report_findings
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


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        ([AROUND, AROUND], "Both intervals include 1; none reaches a gain of a quarter. The paper's 18 ratios"),
        ([QUARTER, AROUND], "Both intervals include 1; one reaches a gain of a quarter. The paper's"),
        (
            [BELOW, AROUND, ABOVE],
            "Of 3 intervals 1 lies below 1 and 1 lies above 1; the other includes 1; none reaches",
        ),
        ([BELOW, BELOW], "Both intervals lie below 1; none reaches a gain of a quarter."),
        ([QUARTER, QUARTER, QUARTER], "All 3 intervals include 1; three reach a gain of a quarter."),
        (
            [AROUND, NEVER],
            "The interval includes 1; none reaches a gain of a quarter. In one row no run is correct within",
        ),
        (
            [NEVER, NEVER],
            "In two rows no run is correct within its steps: a ratio of 1 says nothing there. The paper's",
        ),
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
            "makes no clear difference on MATH (1.00 [0.90, 1.10]) and BIG-Bench Hard (1.00 [0.90, 1.10])",
        ),
        ([BELOW, BELOW], "is faster on MATH (0.90 [0.85, 0.95]) and BIG-Bench Hard (0.90 [0.85, 0.95])"),
        (
            [ABOVE, AROUND],
            "is slower on MATH (1.20 [1.10, 1.30]) and makes no clear difference on BIG-Bench Hard (1.00 [",
        ),
        ([ABOVE], "is slower on MATH (1.20 [1.10, 1.30]): ratios of iterations, 5 pairs each."),
    ],
)
def test_tasks_that_nothing_was_chosen_on(ratios, intervals, said):
    ratios(*intervals)
    assert f"Where nothing was chosen, TSLoss {said}" in report_evidence.read_kept_back(None)


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
            {"tsloss": AROUND, "l2": AROUND},
            "Nothing helps. That is on 5 pairs, with intervals uncorrected for two methods",
        ),
        ({"tsloss": AROUND, "l2": ABOVE}, "Nothing helps; L2 (1.2-fold) slows tuning down. That"),
        (
            {"l2": ABOVE, "random": (2.44, 2, 3)},
            "Nothing helps; L2 (1.2-fold) and random direction (2.4-fold) slow tuning",
        ),
        ({"tsloss": BELOW, "l2": AROUND}, "TSLoss, off-diagonal (0.90) helps, and nothing without topology does. That"),
        (
            {"tsloss": BELOW, "printed": BELOW, "l2": ABOVE},
            "TSLoss, off-diagonal (0.90) and TSLoss, as printed (0.90) help, and nothing without topology does; L2 ",
        ),
        (
            {"tsloss": BELOW, "random": BELOW},
            "Without topology, random direction (0.90) helps as much as the best with it,",
        ),
        (
            {"tsloss": AROUND, "l2": BELOW},
            "Without topology, L2 (0.90) helps more than the best with it, TSLoss, off-dia",
        ),
        (
            {"tsloss": (0.5, 0.4, 0.6), "l2": BELOW},
            "Without topology, L2 (0.90) helps less than the best with it, TSLoss",
        ),
        (
            {"l2": BELOW},
            "Without topology, L2 (0.90) helps. That is on 5 pairs, with intervals uncorrected for one method;",
        ),
    ],
)
def test_baselines(intervals, said):
    told = report_evidence.read_baselines(compared(**intervals))
    assert told.startswith(said)
    assert told.endswith("the smallest p of flipped signs after Holm's correction is 0.5.")


def by_rate(*sides):
    named = {"model": "Gemma-3-270M", "method": "prompt-tuning", "learning rate": "0.01", "factor": "1"}
    return pd.DataFrame([named | {"ratio [95 %]": "R", "pairs": 5, "interval": side} for side in sides])


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        (["contains 1"], "The interval includes 1. Each is of 5 pairs."),
        (
            ["contains 1"] * 4,
            "All 4 intervals include 1. Each is of 5 pairs, and by chance alone 0.2 of them would not",
        ),
        (
            ["contains 1", "contains 1", "lies below 1"],
            "Of 3 intervals 1 lies below 1 (Gemma-3-270M, 0.01, factor 1: R); t",
        ),
        (
            ["lies above 1", "lies above 1"],
            "Both intervals lie above 1 (Gemma-3-270M, 0.01, factor 1: R; Gemma-3-270M",
        ),
    ],
)
def test_rates(sides, said):
    assert report_evidence.read_by_rate(by_rate(*sides)).startswith(said)


def value(setting, of, ratio, high=None):
    row = {"setting": setting, "value": of, "ratio": ratio, "low": ratio - 0.05, "high": high or ratio + 0.05}
    return row | {"pairs": 5, "iterations": 100 * ratio, "default": 100.0, "dtype": "bfloat16"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [value("init", "vocabulary", 0.51), value("n_tokens", 50, 0.8)],
            "Starting from the embeddings of random words instead of noise halved the iterations on GSM8K without "
            "TSLoss, 51 in place of 100: a ratio of 0.51 [0.46, 0.56] (5 pairs, the best of two values); frozen model "
            "in bfloat16.",
        ),
        (
            [value("init", "text", 0.7)],
            "Starting from the embeddings of a text instead of noise cut the iterations on GSM8K without TSLoss by "
            "30%, 70 in place of 100: a ratio of 0.70 [0.65, 0.75] (5 pairs, the only value tried); frozen model",
        ),
        (
            [value("n_tokens", 50, 0.8)],
            "50 virtual tokens in place of 20 virtual tokens cut the iterations on GSM8K without TSLoss by 20%, 80 in",
        ),
        (
            [value("n_tokens", 50, 0.9, high=1.1), value("init", "text", 0.95)],
            "No other prompt length or initialisation clearly helps without TSLoss: at best 50 virtual tokens in place "
            "of 20 virtual tokens, a ratio of 0.90 [0.85, 1.10] (5 pairs, the best of two values).",
        ),
    ],
)
def test_what_helps_without_tsloss(rows, said):
    assert report_settings.read_by_itself(pd.DataFrame(rows)).startswith(said)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([(100, 80), (100, 81), (100, 79)], "was tried again on three new pairs: it held, 0.80 [0."),
        ([(80, 100), (81, 100), (79, 100)], "was tried again on three new pairs: it became a loss, 1.25 [1."),
        ([(80, 100), (100, 80), (90, 90)], "was tried again on three new pairs: it did not hold, 1.00 [0."),
    ],
)
def test_a_gain_that_was_tried_again(pairs, said):
    runs = made_tables.table(pairs)
    again = SimpleNamespace(missing=lambda *grids: 0, runs=lambda *grids: runs)
    assert f"The gain once seen with vocabulary initialisation {said}" in report_settings.read_again(again)


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        (
            [AROUND] * 4,
            "We changed 2 settings to 4 other values, one at a time. None showed a gain and none showed a loss:",
        ),
        ([BELOW, AROUND], "One showed a gain (τ = 0.1) and none showed a loss: no more than chance would show (0.1)."),
        (
            [BELOW, ABOVE],
            "One showed a gain (τ = 0.1) and one showed a loss (5 virtual tokens): more than chance is likely",
        ),
        ([BELOW] * 4, "Four showed a gain and none showed a loss: more than chance is likely to show (0.2)."),
        (
            [AROUND],
            "We changed 1 setting to 1 other value, one at a time. None showed a gain and none showed a loss: no",
        ),
    ],
)
def test_settings_that_were_changed(intervals, said):
    values = [("tau", 0.1), ("n_tokens", 5), ("tau", 10.0), ("n_tokens", 50)]
    rows = [
        {"setting": setting, "value": of, "low": low, "high": high}
        for (setting, of), (_, low, high) in zip(values, intervals, strict=False)
    ]
    assert said in report_findings._seen(pd.DataFrame(rows))
    assert report_findings._seen(pd.DataFrame()) == "Of no setting of TSLoss are all runs made."


@pytest.mark.parametrize(
    ("gains", "missing", "diverged", "said"),
    [
        (
            {"push-h0-up": (0, -1, 1), "push-h0-down": (0, -1, 1)},
            20,
            0,
            "Unfinished: 25 of 45 runs are made. Neither longer H0 nor shorter H0 moved held-out accuracy detectably. "
            "Each interval stands for itself, uncorrected for two pushes.",
        ),
        (
            {"push-h0-up": (0, -1, 1), "push-h0-down": (0, -1, 1), "push-h1-up": (0, -1, 1)},
            0,
            1,
            "None of three pushes moved held-out accuracy detectably (longer H0, shorter H0, more H1). Each interval "
            "stands for itself, uncorrected for three pushes. 1 run diverged.",
        ),
        (
            {"push-h0-up": (0.1, 0.05, 0.15), "push-h0-down": (0, -1, 1), "push-h1-up": (0, -1, 1)},
            0,
            2,
            "Longer H0 (0.10 [0.05, 0.15]) moved held-out accuracy; shorter H0 or more H1 did not detectably. Each "
            "interval stands for itself, uncorrected for three pushes. 2 runs diverged.",
        ),
        (
            {"push-h0-up": (0.1, 0.05, 0.15), "push-h0-down": (-0.1, -0.15, -0.05)},
            0,
            0,
            "Longer H0 (0.10 [0.05, 0.15]) and shorter H0 (-0.10 [-0.15, -0.05]) moved held-out accuracy. Each",
        ),
        ({"push-h0-up": (0, -1, 1)}, 0, 0, "Longer H0 did not move held-out accuracy detectably."),
        ({}, 45, 0, "Unfinished: 0 of 45 runs are made. Nothing is decided about causes."),
    ],
)
def test_pushes(monkeypatch, gains, missing, diverged, said):
    monkeypatch.setattr(claims, "held_out_gain", lambda scores, of, column, name: Interval(*gains[name]))
    ends = pd.DataFrame(
        {"iterations_to_correct": [1] * 3, "status": ["diverged"] * diverged + ["finished"] * (3 - diverged)}
    )
    stub = SimpleNamespace(
        evaluations=lambda *grids: pd.DataFrame({"regularizer": ["none", *gains]}),
        missing=lambda *grids: missing if len(grids) > 1 else 0,
        asked=lambda *grids: [None] * 45,
        runs=lambda *grids: ends,
    )
    assert report_findings.causation(stub).startswith(said)


def factors(ours, *rounding):
    rows = {f"rounding, {i}": dict(zip(("factor", "low", "high"), of, strict=True)) for i, of in enumerate(rounding)}
    rows["TSLoss"] = dict(zip(("factor", "low", "high"), ours, strict=True))
    return pd.DataFrame.from_dict(rows, orient="index").assign(pairs=10)


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        (
            (1.2, 1.1, 1.3),
            "TSLoss changes the iterations of a run by no more than rounding can: by a factor of 1.20 [1.10, ",
        ),
        (
            (2.0, 1.8, 2.2),
            "TSLoss changes the iterations of a run by more than rounding does: by a factor of 2.00 [1.80, ",
        ),
        (
            (1.02, 1.0, 1.04),
            "TSLoss changes the iterations of a run by less than rounding does: by a factor of 1.02 [1.00,",
        ),
    ],
)
def test_tsloss_beside_rounding(monkeypatch, ours, said):
    table = factors(ours, (1.2, 1.1, 1.3), (1.3, 1.2, 1.5))
    monkeypatch.setattr(report_precision, "factors", lambda evidence: table)
    told = report_precision.read_factors(None)
    assert told.startswith(said)
    assert "(10 pairs), up or down, where rounding alone has 1.20 to 1.30. One pair of runs says nothing" in told
