"""What is given out of the committed runs: whole pairs, and a count of what is missing."""

import dataclasses
import json
from pathlib import Path

import made_runs
import pytest
from made_runs import record

from tslib.errors import InputError, ResourceError
from tslib.stats import iteration_ratio
from tslib.study import evidence
from tslib.study.claims.criteria import MULTI
from tslib.study.evidence import MAIN, Evidence, stacked

RESULTS = Path(__file__).parents[2] / "data" / "results"
BASELINES = "baselines, gsm8k"


SHORT = "both readings, gsm8k"


@pytest.fixture
def some(tmp_path, own_cache):
    """Three grids, of which the baselines lack a run, and the main one has a pair more than its neighbour."""

    def make(config):
        if (config.seed, config.regularizer) == (2, "l2"):
            return None
        return record(config, {"none": 100, "tsloss": 50}.get(config.regularizer, 200) + config.seed, last=40)

    return made_runs.evidence(tmp_path, [MAIN, BASELINES, SHORT], make)


def test_a_grid_is_given_out_whole(some):
    table = some.runs(MAIN)
    assert len(table) == 3 * made_runs.PAIRS
    assert some.missing(MAIN) == 0
    assert iteration_ratio(table, "tsloss").value == pytest.approx((50 + 51 + 52) / (100 + 101 + 102))


def test_a_grid_that_lacks_a_run_is_not_given_out(some):
    assert some.missing(BASELINES) == 1
    assert some.runs(BASELINES).empty
    assert some.steps(BASELINES).empty
    assert len(some.runs(MAIN, BASELINES)) == 9, "of the other grid nothing is missing"
    assert some.paired(MAIN, BASELINES).empty


def test_a_run_that_was_interrupted_is_not_done(some):
    config = some.asked(MAIN)[0]
    some.store.save(dataclasses.replace(record(config, last=40), status="interrupted"))
    assert Evidence(some.sweep.path, some.store).missing(MAIN) == 1


def test_only_pairs_that_all_grids_have(some):
    fewer = next(grid for grid in some.sweep.grids if grid.name == SHORT)
    index = some.sweep.grids.index(fewer)
    runs = list(some.sweep.runs)
    runs[index] = tuple(config for config in runs[index] if config.seed < 2)
    cut = Evidence(some.sweep.path, some.store)
    cut.sweep = dataclasses.replace(some.sweep, runs=tuple(runs))
    assert set(cut.paired(MAIN, SHORT)["seed"]) == {0, 1}
    assert len(cut.paired(MAIN, SHORT)) == 2 * (3 + 2)


def test_runs_by_their_fields(some):
    assert set(some.runs(MAIN, regularizer="none")["regularizer"]) == {"none"}
    assert some.runs(MAIN, model="gemma3-270m").empty


def test_stacked_tables_say_whose_they_are(some):
    steps = some.steps(MAIN, regularizer="tsloss")
    assert set(steps["regularizer"]) == {"tsloss"}
    assert steps.groupby("run")["step"].max().tolist() == [40, 40, 40]
    assert steps["penalty"].eq(0.1).all(), "the steps' own column of that name"
    assert some.topology(MAIN)["run"].nunique() == 9
    assert stacked([], "steps").empty


def test_progress(some):
    table = some.progress.set_index("grid")
    assert table.loc[MAIN, ["runs", "done", "missing"]].tolist() == [9, 9, 0]
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


def test_a_library_that_was_installed_without_records(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "COMMITTED", tmp_path / "results")
    with pytest.raises(ResourceError, match=r"there is no .*results: the book's runs come with a checkout"):
        Evidence()


def test_the_committed_evidence():
    """The main grid is whole, its runs all ended, and no grid is asked for that is not there."""
    evidence = Evidence()
    assert evidence.missing(MAIN) == 0
    assert set(evidence.runs(MAIN)["status"]) == {"finished"}
    assert len(evidence.runs(MAIN)) == 30


def test_no_committed_run_was_broken_off():
    """A run that was interrupted has counted no iterations, and reads like one that never was right."""
    records = {path.parent.name: json.loads(path.read_text()) for path in RESULTS.glob("*/record.json")}
    assert len(records) > 800
    assert [name for name, record in records.items() if record["status"] == "interrupted"] == []
