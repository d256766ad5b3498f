"""What is given out of the committed runs: whole pairs, and a count of what is missing."""

import made_runs
import pytest
from made_runs import record

from tslib.claims.criteria import MULTI
from tslib.errors import InputError
from tslib.evidence import MAIN, Evidence, stacked
from tslib.stats import iteration_ratio

BASELINES = "baselines, gsm8k"


@pytest.fixture
def some(tmp_path, own_cache):
    """Two grids; the main one lacks a run of pair 1, the baselines all of pair 2."""

    def make(config):
        if (config.seed, config.regularizer) == (1, "tsloss") or (config.seed == 2 and config.regularizer == "l2"):
            return None
        return record(config, {"none": 100, "tsloss": 50}.get(config.regularizer, 200) + config.seed, last=40)

    return made_runs.evidence(tmp_path, [MAIN, BASELINES], make)


def test_only_whole_pairs(some):
    table = some.runs(MAIN)
    assert sorted(set(table["seed"])) == [0, 2]
    assert len(table) == 2 * 3
    assert some.missing(MAIN) == 3, "the two that are there without their pair count, too"
    assert iteration_ratio(table, "tsloss").value == pytest.approx((50 + 52) / (100 + 102))


def test_only_pairs_that_are_whole_in_all_grids(some):
    table = some.paired(MAIN, BASELINES)
    assert set(table["seed"]) == {0}
    without = {"l2", "pairwise", "random-direction", "none"}
    with_it = {"tsloss", "tsloss-printed", "tsloss-normalized", "tsloss-h0", "tsloss-h1"}
    assert set(table["regularizer"]) == without | with_it
    assert len(table) == 9


def test_runs_by_their_fields(some):
    assert set(some.runs(MAIN, regularizer="none")["regularizer"]) == {"none"}
    assert some.runs(MAIN, model="gemma3-270m").empty


def test_stacked_tables_say_whose_they_are(some):
    steps = some.steps(MAIN, regularizer="tsloss")
    assert set(steps["regularizer"]) == {"tsloss"}
    assert steps.groupby("run")["step"].max().tolist() == [40, 40]
    assert steps["penalty"].eq(0.1).all(), "the steps' own column of that name"
    assert some.topology(MAIN)["run"].nunique() == 6
    assert stacked([], "steps").empty


def test_progress(some):
    table = some.progress.set_index("grid")
    assert table.loc[MAIN, ["runs", "done", "missing"]].tolist() == [9, 8, 1]
    assert table.loc[BASELINES, ["runs", "done", "missing"]].tolist() == [18, 17, 1]


def test_an_unknown_grid(some):
    with pytest.raises(InputError, match="has no grid 'warp'; it has one sample, gsm8k, SmolLM2"):
        some.runs("warp")


def test_evaluations_are_those_that_the_sweep_asks_for(tmp_path, own_cache):
    made = made_runs.evidence(
        tmp_path, [MULTI[1]], lambda config: record(config, last=40), lambda config: (0.25, config.seed)
    )
    table = made.evaluations(*MULTI[1:])
    assert len(table) == 3 * made_runs.PAIRS
    assert table["answer_loss"].tolist() == table["seed"].tolist()
    assert made.evaluations(MULTI[1], regularizer="l2")["score"].tolist() == [0.25] * made_runs.PAIRS


def test_the_committed_evidence():
    """The main grid is whole, its runs all ended, and no grid is asked for that is not there."""
    evidence = Evidence()
    assert evidence.missing(MAIN) == 0
    assert set(evidence.runs(MAIN)["status"]) == {"finished"}
    assert len(evidence.runs(MAIN)) == 30
