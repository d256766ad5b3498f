"""What a regulariser did to a cloud, on records whose bars are made by hand."""

import dataclasses
import math

import made_runs
import numpy as np
import pandas as pd
import pytest
from made_runs import bars, record

from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.study.evidence import MAIN, Evidence
from tslib.study.treatment import (
    FIELDS,
    MORE_EVEN,
    alone,
    clouds,
    effect,
    followed,
    gradients,
    pairs,
    spread,
    treatment,
)

OURS = TuneConfig(regularizer="tsloss", weight=1.0)
THEIRS = TuneConfig()


def made(config, correct, steps, deaths=(1.0, 3.0), loops=0):
    """A record with checkpoints at some steps, each with the same bars."""
    found = record(config, correct, last=max(steps), h1_count=loops, grad_norm_reg=lambda step: step / 100)
    one = found.topology.iloc[:1]
    topology = pd.concat([one.assign(step=step) for step in steps], ignore_index=True)
    return dataclasses.replace(found, topology=topology, diagrams=bars({step: [*deaths, math.inf] for step in steps}))


def test_spread_is_the_standard_deviation_of_h0_deaths_over_their_mean():
    assert spread(bars({0: [1.0, 3.0, math.inf]})) == 0.5
    assert spread(bars({0: [2.0, 2.0, math.inf]})) == 0
    loops = pd.DataFrame({"step": [0], "dimension": [1], "birth": [5.0], "death": [9.0]})
    assert spread(pd.concat([bars({0: [1.0, 3.0]}), loops])) == 0.5, "H1 has no part in it"


@pytest.mark.parametrize("deaths", [[], [1.0, math.inf]])
def test_of_fewer_than_two_bars_there_is_no_spread(deaths):
    assert math.isnan(spread(bars({0: deaths})))


def test_of_layers_the_spread_is_the_mean():
    layers = [bars({0: [1.0, 3.0]}).assign(layer=0), bars({0: [10.0, 10.0]}).assign(layer=1)]
    assert spread(pd.concat(layers)) == 0.25


def test_clouds_have_the_numbers_of_the_topology_table():
    found = clouds(made(OURS, 40, [0, 20], loops=7))
    assert list(found.columns) == ["step", "spread", "loops", "entropy", "distance"]
    assert found.to_numpy().tolist() == [[0, 0.5, 7, 3, 1], [20, 0.5, 7, 3, 1]]


@pytest.mark.parametrize(
    ("ours", "theirs", "at"),
    [
        ((70, [0, 20, 40, 60, 70]), (90, [0, 20, 40, 60, 80, 90]), 60),  # no later than the first that is correct
        ((90, [0, 20, 40, 60, 80, 90]), (70, [0, 20, 40, 60, 70]), 60),
        ((60, [0, 20, 40, 60]), (90, [0, 20, 40, 60, 80, 90]), 60),  # which is on a checkpoint of the other
        ((30, [0, 20, 40, 60]), (50, [0, 20, 40, 60]), 20),  # runs that go on after it
        ((None, [0, 20, 40]), (30, [0, 20, 40]), 20),
        ((14, [0, 14]), (23, [0, 20, 23]), 0),
    ],
)
def test_both_are_read_at_the_last_checkpoint_that_they_share_until_one_is_correct(ours, theirs, at):
    found = effect(made(OURS, *ours), made(THEIRS, *theirs))
    assert found.step == at
    assert found.read == (at > 0)


def test_a_step_may_be_given():
    runs = made(OURS, 30, [0, 20, 40, 60]), made(THEIRS, 50, [0, 20, 40, 60])
    assert effect(*runs, step=60).step == 60
    assert effect(*runs, step=59).step == 40


def test_an_effect_is_what_differs():
    found = effect(made(OURS, 60, [0, 60], (9.0, 11.0), loops=5), made(THEIRS, 80, [0, 60], (5.0, 15.0), loops=2))
    assert (found.ours.spread, found.theirs.spread) == (0.1, 0.5)
    assert found.change.spread == pytest.approx(math.log(0.2))
    assert found.change[1:] == (3, 0, 0)
    assert found.pull == pytest.approx(np.median(np.arange(1, 61)) / 100), "until the run is correct"
    assert found.correct == 60
    assert not found.censored
    assert effect(made(OURS, None, [0, 60]), made(THEIRS, None, [0, 60])).censored
    assert not effect(made(OURS, None, [0, 60]), made(THEIRS, 40, [0, 60])).censored


def test_runs_whose_bars_are_of_another_distance_are_not_compared():
    cosine = dataclasses.replace(OURS, metric="cosine")
    assert alone(cosine) == alone(OURS) == THEIRS
    assert not effect(made(cosine, 60, [0, 60]), made(THEIRS, 60, [0, 60])).read


def test_without_a_checkpoint_in_common_there_is_nothing_to_compare():
    with pytest.raises(InputError, match="have no checkpoint in common"):
        effect(made(OURS, 60, [20, 60]), made(THEIRS, 60, [0, 40]))


def test_steps_after_the_run_was_correct_do_not_count():
    assert gradients(made(OURS, 3, [0, 20])).tolist() == pytest.approx([0.01, 0.02, 0.03])
    assert len(gradients(made(OURS, None, [0, 20]))) == 20


def test_what_belongs_to_the_regulariser_is_not_asked_of_the_run_without():
    ours = TuneConfig(regularizer="tsloss", weight=10, tau=0.1, alpha=1, lr=0.01, n_tokens=5, sample_seed=3, seed=4)
    assert alone(ours) == TuneConfig(lr=0.01, n_tokens=5, sample_seed=3, seed=4)


@pytest.fixture
def some(tmp_path):
    """TSLoss halves the spread, and the printed loss leaves it as it is; runs of the weight 10 are never correct."""

    def make(config):
        far = {"tsloss": 1.5}.get(config.regularizer, 2.0) + 0.001 * config.seed
        never = config.weight == 10 or config.task == "mmlu"
        last = 120 if config.stop_when_correct else 300
        return record(config, None if never else 100, last, deaths=lambda step: [1.0, far if step else 2.0])

    grids = [MAIN, "one sample to the end, gsm8k", "the weight, gsm8k", "preset paper", "one sample, mmlu, SmolLM2"]
    return made_runs.evidence(tmp_path, grids, make)


def test_treatment_has_a_row_a_setting(some):
    table = treatment(some, MAIN, "the weight, gsm8k", "one sample, mmlu, SmolLM2").set_index(
        ["grid", "regularizer", "weight"]
    )
    assert list(table.index) == [
        (MAIN, "tsloss", 1.0),
        (MAIN, "tsloss-printed", 1.0),
        *(("the weight, gsm8k", "tsloss", weight) for weight in (0.1, 0.5, 10.0)),
        ("one sample, mmlu, SmolLM2", "tsloss", 1.0),
        ("one sample, mmlu, SmolLM2", "tsloss-printed", 1.0),
    ]
    assert set(FIELDS) <= {*table.columns, *table.index.names}
    ours = table.loc[MAIN, "tsloss", 1.0]
    assert (ours["pairs"], ours["read"], ours["step"], ours["censored"]) == (3, 3, 100, 0)
    assert ours["spread_alone"] == pytest.approx(1 / 3, abs=0.001)  # deaths at 1 and 2: 0.5 / 1.5
    assert ours["spread_with"] == pytest.approx(0.2, abs=0.001)  # at 1 and 1.5: 0.25 / 1.25
    assert ours["spread"] == pytest.approx(math.log(0.6), abs=0.001)
    assert ours["spread_low"] < ours["spread"] < ours["spread_high"] < math.log(MORE_EVEN)
    assert (ours["pull"], ours["ratio"], ours["loops"]) == (pytest.approx(0.1), 1, 0)
    assert table["treated"].tolist() == [True, False, True, True, True, True, False]
    assert table["observed"].tolist() == [True] * 5 + [False] * 2


def test_a_run_of_cross_entropy_may_belong_to_another_grid(some):
    (_, both), *_ = pairs(some, "the weight, gsm8k")
    assert [(one.config.weight, other.config.regularizer) for one, other in both] == [(0.1, "none")] * 3
    assert all(one.config.seed == other.config.seed for one, other in both)
    assert both[0][1].config in some.configs("one sample to the end, gsm8k")


def test_without_the_runs_of_cross_entropy_a_setting_is_left_out(tmp_path):
    lonely = made_runs.evidence(tmp_path, ["the weight, gsm8k"], record)
    assert treatment(lonely, "the weight, gsm8k").empty


def test_pairs_that_end_before_the_first_checkpoint_are_counted_and_not_read(tmp_path):
    early = made_runs.evidence(tmp_path, [MAIN], lambda config: record(config, 15, 20, lambda step: [1.0, 2.0]))
    row = treatment(early, MAIN).iloc[0]
    assert row[["pairs", "correct", "read", "observed", "treated"]].tolist() == [3, 15, 0, True, False]
    assert row[["step", "spread", "spread_low", "loops", "loops_with"]].isna().all()


def test_what_is_committed():
    """The finding that the chapter is about: at the end of runs that go on, TSLoss leaves more loops in every pair."""
    evidence = Evidence()
    grids = ["one sample to the end, gsm8k", "ten samples, gsm8k"]
    more = [
        effect(*pair, step=300).change.loops
        for _, both in pairs(evidence, *grids)
        for pair in both
        if pair[0].config.regularizer == "tsloss"
    ]
    assert len(more) == 15
    assert min(more) > 0


def test_followed_has_both_sides_at_each_checkpoint(some):
    table = followed(some, "the weight, gsm8k", MAIN)
    assert table.groupby(["grid", "weight"])["pair"].nunique().to_dict() == {
        **{("the weight, gsm8k", weight): 3 for weight in (0.1, 0.5, 10.0)},
        (MAIN, 1.0): 3,
    }
    (one,) = table[(table["grid"] == MAIN) & (table["step"] == 20)].to_dict("records")[:1]
    assert one["spread"] == pytest.approx(math.log(one["spread_with"] / one["spread_alone"]))
    assert (one["loops"], one["loops_with"], one["correct"]) == (0, 10, 100)
    assert followed(some, MAIN, regularizer="l2").empty
