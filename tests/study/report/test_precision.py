"""What rounding does to a pair, beside what TSLoss does."""

from dataclasses import replace

import made_runs
import prose
import pytest

from tslib.study.evidence import MAIN, Evidence
from tslib.study.report import precision as report

ITERATIONS = {
    (MAIN, "none"): (100, 100, 100),
    (MAIN, "tsloss"): (25, 50, 100),
    (report.AGAIN, "none"): (100, 50, 100),
    (report.AGAIN, "tsloss"): (50, 100, 100),
    (report.BFLOAT16, "none"): (200, 50, 200),
    (report.BFLOAT16, "tsloss"): (25, 50, None),
    (report.BASELINES, "random-direction"): (100, 100, 300),
}
MACHINES = {MAIN: "a", report.AGAIN: "b", report.BFLOAT16: "b", report.BASELINES: "a"}


def grid_of(config) -> str:
    if not config.stop_when_correct:
        return report.AGAIN
    if config.dtype == "bfloat16":
        return report.BFLOAT16
    return MAIN if config.regularizer in ("none", "tsloss", "tsloss-printed") else report.BASELINES


def evidence(folder, changed=()) -> Evidence:
    table = ITERATIONS | dict(changed)

    def make(config):
        grid = grid_of(config)
        iterations = table.get((grid, config.regularizer), (90,) * 3)[config.seed]
        loss = 2 if grid == MAIN else 2 * (1 + 1e-6 * config.seed)
        return replace(
            made_runs.record(config, iterations, cross_entropy=loss), environment={"machine": MACHINES[grid]}
        )

    return made_runs.evidence(folder, report.GRIDS, make)


def test_factors_are_geometric_means_in_either_direction(tmp_path):
    table = report.factors(evidence(tmp_path))
    assert table["factor"].to_dict() == {
        "rounding, made again, cross-entropy alone": pytest.approx(2 ** (1 / 3)),  # 1, 2 and 1
        "rounding, made again, with TSLoss": pytest.approx(4 ** (1 / 3)),  # 2, 2 and 1
        "rounding, bfloat16, cross-entropy alone": pytest.approx(2),  # 2, 2 and 2, though once it is half
        "rounding, bfloat16, with TSLoss": pytest.approx(3 ** (1 / 3)),  # 1, 1 and 300 for the censored one over 100
        "TSLoss": pytest.approx(2),  # 4, 2 and 1
        "TSLoss, made again": pytest.approx(4 ** (1 / 3)),  # 2, 2 and 1
        "TSLoss, in bfloat16": pytest.approx(12 ** (1 / 3)),  # 8, 1 and 300 over 200
        "a random direction": pytest.approx(3 ** (1 / 3)),  # 1, 1 and 3
    }
    assert table["censored"].to_list() == [0, 0, 0, 1, 0, 0, 1, 0]
    assert (table["diverged"] == 0).all()
    assert (table["pairs"] == made_runs.PAIRS).all()
    assert (table[["low", "factor", "high"]].diff(axis=1).iloc[:, 1:] > -1e-12).all(axis=None)


def test_words(tmp_path):
    found = evidence(tmp_path)
    assert report.words(report.factors(found)).iloc[2].to_dict() == {
        **{"what changes": "rounding, bfloat16, cross-entropy alone", "pairs": 3, "censored": 0, "diverged": 0},
        "factor [95 %]": "2.00 [2.00, 2.00]",
    }
    said = report.read_factors(found)
    assert said.startswith(
        "TSLoss changes runs by no more than rounding can. Over 3 pairs it changes them by a factor of 2.00 ["
    )
    assert " by a factor of 2.00 [" in said
    assert "], up or down; rounding alone by 1.26 to 2.00. One pair" in said


def test_words_where_tsloss_does_more_than_rounding(tmp_path):
    same = {key: (200, 210, 220) if key[1] == "none" else (20, 21, 22) for key in ITERATIONS}
    said = report.read_factors(evidence(tmp_path, same))
    assert said.startswith("TSLoss changes runs by more than rounding does. Over 3 pairs it changes")
    assert "up or down; rounding alone by 1.00 to 1.00. One pair" in said
    assert "Rounding moves single runs less than TSLoss does" in report.read_twice(evidence(tmp_path, same))


def test_the_same_runs_twice(tmp_path):
    said = report.read_twice(evidence(tmp_path))
    assert said.startswith(
        "Rounding moves single runs as much as TSLoss does. The three pairs of SmolLM2-135M on GSM8K were made again "
        "on another processor, b after a. The ratio is 1.00 ["
    )
    assert " It was 0.58 [" in said  # 250 steps over 250, where it was 175 over 300
    assert prose.crammed(said) == []
    assert "differ by 2e-06 of their size at most" in said


def test_the_same_runs_twice_on_one_processor(tmp_path, monkeypatch):
    monkeypatch.setitem(MACHINES, report.AGAIN, "a")
    assert "of SmolLM2-135M on GSM8K were made again on the same processor, a." in report.read_twice(evidence(tmp_path))


def test_how_often_an_audit_would_find_other_iterations(tmp_path):
    """Here (100, 50), (25, 50), (50, 100) and 80 of 100, the last within a fifth; and one that is right but once."""
    changed = {(report.AGAIN, "none"): (80, 50, None)}
    said = report.read_audits(evidence(tmp_path, changed))
    assert said.startswith("Of 6 runs that were made twice 4 differ in their iterations by more than the 20% that")


def test_nothing_is_said_while_runs_are_missing(tmp_path):
    nothing = made_runs.evidence(tmp_path, report.GRIDS, lambda config: None)
    assert report.words(report.factors(nothing)).empty
    assert report.read_factors(nothing) == ""
    assert report.read_twice(nothing) == ""
    assert report.read_audits(nothing) == ""
