"""The decision about prompts tied to places, on scores made by hand."""

import json

import made_runs
import numpy as np
import pandas as pd
import pytest
from made_runs import record

from tslib.config import EvalConfig, TuneConfig
from tslib.runs.evaluation import Evaluation, EvaluationStore, of_config
from tslib.runs.store import RunStore
from tslib.runs.sweeps import Sweep
from tslib.stats import Interval
from tslib.study.claims import grasp
from tslib.study.claims.grasp import CONTRASTS, DECISION, GRASP, Contrast, answers, arms, contrasts, decided, gained
from tslib.study.evidence import Evidence
from tslib.study.report import grasp as report
from tslib.vision.gates import MEASURES

PICTURES = 40
GRIDS = [DECISION, *report.INTERVENTIONS]


def rows(config: TuneConfig, intervention: str) -> pd.DataFrame:
    """Two questions a picture. Ours is right in nine of ten pictures, others in fewer; of random blocks in none."""
    least = {"none": 4, "question": 20, "picture": 4, "blocks": 30}[intervention]
    least = {"softmax": 12, "random": 40}.get(config.gate, 16 if config.gate_queries == "constant" else least)
    gate = dict.fromkeys(MEASURES, 0.5)
    return pd.DataFrame(
        [
            {
                "id": f"aerial-scenes/test/{kind}/{number}.{n}",
                "score": float(number >= least + config.seed),
                "tokens": 0,
            }
            | {"answer_loss": 1.0}
            | gate
            for number in range(PICTURES)
            for n, kind in enumerate(("presence", "quarter"))
        ]
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Three seeds of the grids that decide, all evaluated."""
    folder = tmp_path_factory.mktemp("grasp")
    found = made_runs.evidence(folder, GRIDS, lambda config: record(config, None, 100), of=GRASP)
    kept = EvaluationStore(folder / "runs" / "evaluations")
    for config in found.sweep.configs:
        for asked in (of_config(one, config) for one in found.sweep.evaluations(config)):
            results = {"score": 0.5, "low": 0.0, "high": 1.0, "answer_loss": 1.0, "rows": 80, "cut": 0}
            kept.save(Evaluation(asked, results, {}, rows(config, asked.intervention)))
    return found


def test_the_sweep_is_what_the_rule_asks_for():
    sweep = Sweep.load(GRASP)
    runs = dict(zip((grid.name for grid in sweep.grids), sweep.runs, strict=True))
    assert set(arms(runs[DECISION])) == {"{}", *map(json.dumps, CONTRASTS.values())}
    ours = arms(runs[DECISION])["{}"]
    assert len(ours) == 5
    assert {(run.blocks, run.n_tokens, run.gate, run.gate_queries) for run in ours} == {(16, 4, "entmax15", "question")}
    for grid, what in report.INTERVENTIONS.items():
        assert list(runs[grid]) == ours, "the same runs, none of them made again"
        assert [one.intervention for one in sweep.evaluations(ours[0])].count(what) == 1
    assert {one.limit for one in sweep.as_they_are} == {1200}
    assert {one.gate_queries for one in runs["ablations"]} == {"question"}


def test_a_picture_is_known_by_its_question():
    assert grasp.picture_of("aerial-scenes/test/quarter/12.5") == "12"


def test_differences_over_pictures_by_hand():
    def scored(*values):
        return pd.DataFrame([{"picture": str(i), "score": value} for i, own in enumerate(values) for value in own])

    # two questions about the first picture count as much as one about the second; the third only ours has
    gain, p = gained(scored([1, 1], [1], [0]), scored([1, 0], [0]))
    assert gain.value == pytest.approx((0.5 + 1) / 2)
    assert p == pytest.approx(0.5), "of four ways to flip two signs two are as far apart"


def test_contrasts_by_hand(whole):
    found = {one.name: one for one in contrasts(whole)}
    assert set(found) == set(CONTRASTS)
    expected = {
        "sparse less dense": 8 / 40,
        "chosen less random blocks": 35 / 40,
        "a question less a constant": 12 / 40,
    }
    for name, gain in expected.items():
        one = found[name]
        assert one.gain.value == pytest.approx(gain)
        assert one.pictures == PICTURES
        assert one.gain.low < one.gain.value < one.gain.high
        assert one.p <= one.p_holm <= 3 * one.p
    seeds = found["chosen less random blocks"].seeds
    assert seeds.value == pytest.approx(np.mean([36, 35, 34]) / 40)
    assert report.contrast_table(list(found.values()))["points"][0].startswith("+20.0 [")
    assert list(report.labelled(list(found.values()))["value"]) == pytest.approx(list(expected.values()))


def test_nothing_is_decided_before_all_is_evaluated(whole, tmp_path):
    some = made_runs.evidence(tmp_path, GRIDS, lambda config: record(config, None, 100), of=GRASP)
    assert contrasts(some) == []
    assert report.finding(some, None).endswith("The 12 runs that decide about places are still to be made.")
    assert report.interventions(some).empty
    assert report.accuracy(some, DECISION).empty


def contrast(low: float, high: float, p_holm: float = 0.01) -> Contrast:
    return Contrast("c", Interval((low + high) / 2, low, high), p_holm / 3, p_holm, Interval(0, 0, 0), 500)


CLEAR, SMALL, WIDE, NONE = contrast(0.01, 0.2), contrast(-0.1, 0.01), contrast(-0.1, 0.2), contrast(0.01, 0.2, 0.06)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([CLEAR, CLEAR, CLEAR], "matters"),
        ([CLEAR, CLEAR, WIDE], "undecided"),
        ([CLEAR, CLEAR, NONE], "undecided"),
        ([CLEAR, WIDE, SMALL], "does not matter"),
    ],
)
def test_the_rule(found, expected):
    seeing = Interval(0.7, 0.6, 0.8)
    assert decided(found, seeing, is_open=True) == expected
    assert decided(found, seeing, is_open=False) == "nothing is decided"
    assert decided(found, Interval(0.55, 0.49, 0.6), is_open=True) == "nothing is decided"


def gate(difference: float, *, is_open: bool) -> dict:
    found = {"difference": difference, "low": difference - 0.03, "high": difference + 0.03, "pictures": 200}
    return {"gate": found | {"is_open": is_open}}


def test_the_finding_begins_with_whether_the_model_sees(whole):
    assert report.finding(whole, None).startswith("**Whether the frozen model can see is not measured yet.**")
    said = report.finding(whole, gate(0.2, is_open=True))
    assert said.startswith(
        "The frozen model sees: with its projector and no prompt it is right 20.0 points more often than a blind "
        "table, on presence and comparison (interval +17.0 to +23.0). Ten more were asked for. On 40"
    )
    assert "On 40 generated test scenes question-guided sparse fusion **matters**: in points, sparse less dense" in said
    assert "Ours is right in 87.5 %" in said
    closed = gate(-0.03, is_open=False)
    said = report.finding(whole, closed)
    assert said.startswith("**The frozen model does not see enough**: with its projector and no prompt it is right 3.0")
    assert "points less often than a blind table" in said
    assert "nothing is decided about question-guided sparse fusion" in said


def test_runs_that_are_missing_decide_nothing_where_the_model_does_not_see(tmp_path):
    nothing = Evidence(GRASP, RunStore(tmp_path))
    assert "20 runs that decide about places are still to be made" in report.finding(nothing, gate(0.2, is_open=True))
    said = report.finding(nothing, gate(0.03, is_open=False))
    assert "20 runs that compare places, and by the rule decide nothing, are still to be made" in said


def test_what_the_frozen_model_sees_by_kind():
    record = gate(0.2, is_open=True) | {"config": {"scenes": 1500, "steps": 40, "batch_size": 16}}
    record["gate"] |= {
        "rows": 900,
        "seen": {"presence": 0.756, "comparison": 0.7},
        "blind": {"presence": 0.5, "comparison": 0.61},
    }
    record["losses"] = [2.5, 1.5, *[1.0] * 36, 0.5, 0.3]
    assert report.read_seen(record) == (
        "The projector saw 1500 scenes in 40 steps of 16 rows. The loss of captions and answers fell from 2.00 to "
        "0.40. Of 900 questions about 200 other scenes this share is answered rightly:"
    )
    table = report.seen(record)
    assert table.to_numpy().tolist() == [["presence", "75.6 %", "50.0 %"], ["comparison", "70.0 %", "61.0 %"]]
    assert "nothing was measured" in report.read_seen(None)


def test_interventions_by_hand(whole):
    table = report.interventions(whole).set_index("gate")
    assert table["accuracy"].to_dict() == {
        "as it is": "87.5",
        "another question for the gate": "47.5",
        "another picture for the gate": "87.5",
        "weights on other blocks": "22.5",
    }
    assert table["points"]["another question for the gate"].startswith("-40.0 [")
    assert table["points"]["another picture for the gate"] == "+0.0 [+0.0, +0.0]"
    assert set(answers(whole, whole.configs(DECISION)[:1], intervention="blocks")["seed"]) == {0}
    assert answers(whole, whole.configs(DECISION)[:1], split="train").empty


def test_accuracies_with_the_blind_in_the_same_table(whole, monkeypatch):
    from tslib import tasks
    from tslib.tasks import Example

    # of what the blind learn all questions of presence were answered with yes; in the test half of them are no
    def example(split, kind, number, answer):
        return Example(f"aerial-scenes/{split}/{kind}/{number}", "Is there water?", answer, answer)

    made = {
        "train": [example("train", kind, "0.0", "yes") for kind in ("presence", "quarter")],
        "test": [
            example("test", kind, f"{number}.{n}", "yes" if number % 2 else "no")
            for number in range(PICTURES)
            for n, kind in enumerate(("presence", "quarter"))
        ],
    }
    monkeypatch.setattr(tasks, "load_task", lambda _, split="train": made[split])
    table = report.accuracy(whole, DECISION).set_index("trained")
    assert list(table.index[:2]) == ["blind: the commonest answer", "blind: a table of the questions"]
    assert set(table["oa"][:2]) == {"50.0"}
    assert table.loc["GRASP 16 × 4", ["presence", "quarter", "aa", "right"]].tolist() == [
        "87.5",
        "87.5",
        "87.5",
        "0.50",
    ]
    assert "GRASP 16 × 4, softmax weights" in table.index
    assert "GRASP 16 × 4, a constant asks" in table.index


def test_names_tell_all_arms_apart():
    sweep = Sweep.load(GRASP)
    runs = dict(zip((grid.name for grid in sweep.grids), sweep.runs, strict=True))
    grids = ("the decision", "baselines", "ablations", "regularisers", "the real sample")
    for configs in (runs[name] for name in grids):
        of_arms = [report.name(own[0]) for own in arms(configs).values()]
        several = len({config.task for config in configs})  # the folds are one arm each
        assert len(set(of_arms)) * several == len(of_arms)
    said = {report.name(config) for name in grids for config in runs[name]}
    assert {"static prompt, 64 tokens", "LoRA, rank 8", "GRASP 4 × 1", "GRASP 16 × 4, behind the picture"} <= said
    assert "GRASP 16 × 4, tsloss on the fused" in said


def test_stage0_is_read_where_it_is(tmp_path, monkeypatch):
    from tslib.vision import projector

    monkeypatch.setattr(projector, "COMMITTED", tmp_path)
    assert grasp.stage0() is None
    (tmp_path / "smollm2-135m_vit-s14.json").write_text(json.dumps(gate(0.2, is_open=True)))
    assert grasp.stage0()["gate"]["pictures"] == 200
    assert EvalConfig().intervention == "none"


def test_what_it_costs_by_hand():
    """The newest record that has both parts counts; medians, so that one slow step says nothing."""
    parts = {"places/steps": {"static": [2.0, 2.0, 9.0], "grasp": [2.2, 2.2, 2.1]}, "places/looking": 0.15}
    here = {"environment": {"machine": "a machine", "threads": 2}}
    found = [here | {"parts": {"places/steps": {}}}, here | {"parts": parts}]
    said = report.read_cost(found)
    assert said == (
        "A step takes 1.10 times as long as with a static prompt of as many tokens: as was asked, at most 1.2. To look "
        "at a thousand pictures takes 2.5 minutes, once: as was asked, at most 3. Measured on a machine with 2 threads."
    )
    slow = parts | {"places/steps": {"static": [2.0], "grasp": [3.0]}, "places/looking": 0.2}
    assert report.read_cost([here | {"parts": slow}]).count("more than was asked") == 2
    assert report.read_cost(found[:1]) == "What a step costs was not measured yet: `make bench` does that."
