"""What the second part chooses before it judges, on records whose numbers are made by hand."""

import re

import made_runs
import pytest
from made_runs import record

from tslib.runs.evaluations import Evaluation
from tslib.study.claims import choices
from tslib.study.claims.sceptic import EXPERIMENTS, SCEPTIC
from tslib.study.evidence import Evidence
from tslib.study.report import choices as report

GRIDS = {
    choices.RATES: report.read_rates_again,
    choices.WEIGHTS: report.read_weights,
    choices.FLOOR: report.read_floors,
    choices.PUSHES: report.read_pushes,
}


@pytest.mark.parametrize("grid", GRIDS)
def test_of_a_grid_that_is_not_whole_nothing_is_said(grid, tmp_path):
    made = made_runs.evidence(
        tmp_path, [grid], lambda config: record(config) if config.seed % 2 else None, lambda _: (1, 1), SCEPTIC
    )
    assert re.fullmatch(r"\*(\d+ of the|The) \d+ runs of this experiment are still to be made\.\*", GRIDS[grid](made))


def test_every_grid_of_the_sweep_is_judged_or_chosen_from():
    judged = {grid for experiment in EXPERIMENTS.values() for grid in experiment.grids}
    trials = "trials of L2's strength, prefix tuning"
    assert {grid.name for grid in Evidence(SCEPTIC).sweep.grids} == judged | GRIDS.keys() | {trials}


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ({0.01: 90, 0.03: 60, 0.1: 61, 0.3: None}, "The rule chooses 0.03 again."),
        (
            {0.01: 90, 0.03: 60, 0.1: 40, 0.3: 41},
            "The rule chooses 0.1 in place of 0.03: the main comparison is to be made there, too.",
        ),
    ],
)
def test_the_rate_on_more_pairs(at, said, tmp_path):
    """A run that is never correct counts its 300 steps; of rates within one iteration the smaller is chosen."""
    made = made_runs.evidence(tmp_path, [choices.RATES], lambda config: record(config, at[config.lr]), of=SCEPTIC)
    means = [f"{300 if value is None else value} at {rate:g}" for rate, value in at.items()]
    assert report.read_rates_again(made) == (
        f"Mean iterations of cross-entropy alone are {', '.join(means[:3])} and {means[3]}, on 3 pairs each. {said}"
    )


def test_the_weight_with_the_smallest_mean_is_chosen(tmp_path):
    """TSLoss is fastest at 3, L2 as fast at 0.03 as at 0.1, and all others at their smallest weight."""
    fast = {("tsloss", 3.0), ("l2", 0.03), ("l2", 0.1)}

    def make(config):
        return record(config, 50 if (config.regularizer, config.weight) in fast else 100)

    made = made_runs.evidence(tmp_path, [choices.WEIGHTS], make, of=SCEPTIC)
    found = choices.weights(made)
    assert len(found) == 7 * 3
    chosen = found[found["chosen"]].set_index("regularizer")["weight"].to_dict()
    assert chosen == {
        **{"tsloss": 3.0, "tsloss-h0": 0.3, "tsloss-h1": 0.3, "random-direction-matched": 0.3},
        **{"l2": 0.03, "pairwise": 0.03, "persistence": 0.001},
    }
    assert report.read_weights(made).startswith("The weights that are judged on ten other pairs: 3 for TSLoss, ")
    cells = report.weight_table(found).set_index("method")["weights"]
    assert cells["TSLoss"] == "0.3: 100.0, 1: 100.0, 3: 50.0 ←"


def untuned(made, scores):
    """The model as it is, evaluated on the tasks of the sweep."""
    for asked in made.sweep.as_they_are:
        results = {"score": scores[asked.task], "low": 0.0, "high": 1.0, "answer_loss": 1.0, "rows": 100, "cut": 0}
        made._evaluation_store.save(Evaluation(asked, results, {}, made_runs.no_rows()))


TASKS = ["bbh/boolean_expressions", "bbh/navigate", "bbh/sports_understanding"]


@pytest.mark.parametrize(
    ("tuned", "said"),
    [
        ([0.9, 0.6, 0.5], "Tuning lifts accuracy above the floor on "),
        ([0.5, 0.6, 0.5], "On none of three tasks does tuning lift accuracy above the floor, so none is used."),
    ],
)
def test_a_task_is_used_if_tuning_beats_the_model_as_it_is_and_a_guess(tuned, said, tmp_path):
    """The floors are 0.5, a guess, where the model as it is has 0.4; and 0.7."""
    accuracy = dict(zip(TASKS, tuned, strict=True))
    made = made_runs.evidence(
        *(tmp_path, [choices.FLOOR], record),
        lambda config: (accuracy[config.task] + 0.001 * (config.seed % 10), 1.0),
        SCEPTIC,
    )
    assert report.read_floors(made) == "*The model as it is is still to be tested on these tasks.*"
    untuned(made, dict(zip(TASKS, [0.4, 0.7, 0.5005], strict=True)))
    found = choices.floors(made)
    assert found["floor"].tolist() == [0.5, 0.7, 0.5005]
    assert found["gain"].tolist() == pytest.approx(
        [one + 0.001 - of for one, of in zip(tuned, found["floor"], strict=True)]
    )
    assert found["used"].tolist() == [tuned[0] == 0.9, False, False]
    assert report.read_floors(made).startswith(said)
    assert report.floor_table(found)["pairs"].tolist() == [3, 3, 3]


def test_pushes_that_move_the_loss(tmp_path):
    """H1 up costs 0.2 on each pair, give or take; the others do nothing."""

    def score(config):
        moved = 0.2 + 0.01 * config.seed if config.regularizer == "push-h1-up" else 0.01 * (config.seed - 1)
        return 0.5, 1.0 + (moved if config.regularizer != "none" else 0.0)

    made = made_runs.evidence(tmp_path, [choices.PUSHES], record, score, SCEPTIC)
    found = choices.pushes(made).set_index("regularizer")
    assert found.loc["push-h1-up", "difference"] == pytest.approx(0.21)
    t = 0.21 / (0.01 / 3**0.5)
    assert found.loc["push-h1-up", "p"] == pytest.approx(2 * (0.5 - t / (2 * (t**2 + 2) ** 0.5)))  # Student's t, 2 df
    assert found.loc["push-h1-up", "p_holm"] == pytest.approx(4 * found.loc["push-h1-up", "p"])
    assert found.loc["push-h1-down", "difference"] == pytest.approx(0, abs=1e-12)
    assert report.read_pushes(made).endswith("raises it by 0.21.")
    assert len(report.push_table(choices.pushes(made))) == 4


def test_pushes_that_do_nothing(tmp_path):
    made = made_runs.evidence(tmp_path, [choices.PUSHES], record, lambda _: (0.5, 1.0), SCEPTIC)
    assert choices.pushes(made)["p_holm"].tolist() == [1.0] * 4
    assert report.read_pushes(made) == "In float32 none of four pushes moves held-out answer loss detectably."
