"""What a change of precision does to a pair, beside what TSLoss does."""

from dataclasses import replace

import made_runs
import pytest

from tslib import report_precision as report
from tslib.evidence import Evidence

ITERATIONS = {
    ("none", "float32"): (100, 100, 100),
    ("none", "bfloat16"): (200, 50, 200),
    ("tsloss", "float32"): (25, 50, 100),
    ("tsloss", "bfloat16"): (25, 50, None),
    ("random-direction", "float32"): (100, 100, 300),
}


MACHINES = {"float32": "a", "bfloat16": "b"}


def evidence(folder, changed=()) -> Evidence:
    table = ITERATIONS | dict(changed)

    def make(config):
        iterations = table.get((config.regularizer, config.dtype), (90,) * 3)[config.seed]
        return replace(made_runs.record(config, iterations), environment={"machine": MACHINES[config.dtype]})

    return made_runs.evidence(folder, report.GRIDS, make)


def test_factors_are_geometric_means_in_either_direction(tmp_path):
    table = report.factors(evidence(tmp_path))
    assert table["factor"].to_dict() == {
        "rounding, cross-entropy alone": pytest.approx(2),  # 2, 2 and 2, though once it is half
        "rounding, with TSLoss": pytest.approx(3 ** (1 / 3)),  # 1, 1 and 300 for the censored one over 100
        "TSLoss, in float32": pytest.approx(2),  # 4, 2 and 1
        "TSLoss, in bfloat16": pytest.approx(12 ** (1 / 3)),  # 8, 1 and 300 over 200
        "a random direction, in float32": pytest.approx(3 ** (1 / 3)),  # 1, 1 and 3
    }
    assert table["censored"].to_list() == [0, 1, 0, 1, 0]
    assert (table["diverged"] == 0).all()
    assert (table["pairs"] == made_runs.PAIRS).all()
    assert (table[["low", "factor", "high"]].diff(axis=1).iloc[:, 1:] > -1e-12).all(axis=None)


def test_words(tmp_path):
    found = evidence(tmp_path)
    assert report.words(report.factors(found)).iloc[0].to_dict() == {
        **{"what changes": "rounding, cross-entropy alone", "pairs": 3, "censored": 0, "diverged": 0},
        "factor [95 %]": "2.00 [2.00, 2.00]",
    }
    said = report.read_factors(found)
    assert said.startswith("On 3 pairs rounding alone (float32 on a, bfloat16 on b) changes the iterations by a factor")
    assert "of 1.44 to 2.00, up or down; TSLoss changes them by 2.00 [" in said
    assert "], no more than rounding can. So two runs" in said


def test_words_where_tsloss_does_more_than_rounding(tmp_path):
    same = dict.fromkeys((("none", "float32"), ("none", "bfloat16")), (200, 210, 220))
    same |= dict.fromkeys((("tsloss", "float32"), ("tsloss", "bfloat16")), (20, 21, 22))
    said = report.read_factors(evidence(tmp_path, same))
    assert "by a factor of 1.00 to 1.00, up or down; TSLoss changes them by 10.00 [10.00, 10.00], more than" in said


def test_nothing_is_said_while_runs_are_missing(tmp_path):
    nothing = made_runs.evidence(tmp_path, report.GRIDS, lambda config: None)
    assert report.words(report.factors(nothing)).empty
    assert report.read_factors(nothing) == ""
