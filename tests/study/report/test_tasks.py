"""What the chapter on benchmarks and models says is what the evaluations and records hold."""

import dataclasses

import pandas as pd
import prose
import pytest
from made_tables import FITS

from tslib.config import EvalConfig
from tslib.runs.evaluation import Evaluation, EvaluationStore
from tslib.runs.store import RunStore
from tslib.runs.sweeps import Sweep
from tslib.study import plots
from tslib.study.evidence import SWEEPS
from tslib.study.experiments import prompts_held_out
from tslib.study.report import tasks as report


def evaluation(score: float, low: float, high: float, loss: float = 1.0, **fields) -> Evaluation:
    results = {"score": score, "low": low, "high": high, "answer_loss": loss, "rows": 50, "cut": 3, "unfinished": 7}
    return Evaluation(EvalConfig(**fields), results | {"seconds": 12.3}, {}, pd.DataFrame())


def table(*evaluations: Evaluation) -> pd.DataFrame:
    return pd.DataFrame([one.summary() for one in evaluations])


def test_evaluation_table():
    lines = report.evaluation_table(evaluation(0.25, 0.15, 0.38, task="two-hop", shots=2)).splitlines()
    assert dict(line.split("  ", 1) for line in lines).keys() >= {"F1", "rows", "scoring"}
    said = {name.strip(): value.strip() for name, value in (line.split("  ", 1) for line in lines)}
    assert said["F1"] == "0.250 [0.150, 0.380] (95 % interval)"
    assert said["rows"] == "50 of heldout, seed 0, 2 shots"
    assert said["prompts without their middle"] == "3"
    assert said["replies cut off"] == "7"


def test_untuned_table_and_what_it_says_of_the_makers():
    rows = table(
        evaluation(0.30, 0.20, 0.40, task="mmlu", scoring="likelihood"),
        evaluation(0.10, 0.06, 0.18, task="bbh"),
        evaluation(0.02, 0.01, 0.07, task="gsm8k"),
        evaluation(0.02, 0.01, 0.07, task="gsm8k", shots=5),
    )
    shown = report.untuned_table(rows)
    assert shown["task"].tolist() == ["GSM8K", "GSM8K", "BIG-Bench Hard", "MMLU"]
    assert shown["makers report"].tolist() == ["", "0.014 (5-shot)", "0.282 (3-shot)", "0.293 (cloze)"]
    assert shown["score [95 %]"].tolist()[2] == "0.100 [0.060, 0.180]"
    text = report.read_untuned(rows)
    assert "On MMLU, without shots, scored by likelihood, the makers' 0.293 lies in our interval, 0.300 [0.200" in text
    assert "On BIG-Bench Hard, without shots, scored by generation, the makers' 0.282 lies outside of our" in text
    assert prose.crammed(text) == []
    assert text.count("the makers'") == 3
    assert text.endswith("So few rows leave intervals 6 to 20 points wide.")


def test_before_and_after(two_steps):
    before, after = (evaluation(s, s - 0.1, s + 0.1, loss, task="two-hop") for s, loss in ((0.2, 2.5), (0.4, 1.25)))
    assert report.read_before_and_after(before, after, two_steps) == (
        "On 50 held-out rows the F1 is 0.200 [0.100, 0.300] without a prompt and 0.400 [0.300, 0.500] with the prompt "
        "of 2 steps on 1 rows; the answer loss goes from 2.50 to 1.25."
    )


def test_tour_table(two_steps):
    scored = evaluation(0.5, 0.4, 0.6, task="gsm-symbolic", run=two_steps.config.hash)
    other = dataclasses.replace(two_steps, config=dataclasses.replace(two_steps.config, seed=9, max_context=512))
    shown = report.tour_table([two_steps, other], table(scored))
    assert shown["score [95 %]"].tolist() == ["0.500 [0.400, 0.600]", ""]
    first, last = two_steps.steps["cross_entropy"]
    assert shown["cross-entropy, first and last step"].tolist() == [f"{first:.3f}, {last:.3f}"] * 2
    assert shown["steps"].tolist() == [2, 2]
    assert shown["context"].tolist() == ["the model's", 512]


def test_read_memory():
    assert report.read_memory(FITS) == (
        "With 16 GiB one row can be tuned, in float32, small up to 2048 positions (of the lengths computed). The most, "
        "50 GiB, is for large in float32 at 256 positions."
    )


def test_replies_and_the_answers_taken_from_them():
    found = report.extracted({"multiple-choice": ["(B) < (C)"], "gsm-symbolic": ["no number", r"\$1,234.50"]})
    assert found.to_dict("split")["data"] == [
        ["multiple-choice", "<code>&#x27;(B) &lt; (C)&#x27;</code>", "<code>&#x27;B&#x27;</code>"],
        ["GSM-Symbolic", "<code>&#x27;no number&#x27;</code>", "none"],
        ["GSM-Symbolic", "<code>&#x27;\\\\$1,234.50&#x27;</code>", "<code>&#x27;1234.50&#x27;</code>"],
    ]


def test_lengths_and_their_figure():
    tokens = {"short": [10, 30, 20], "long": [1000, 3000, 9000]}
    assert report.read_lengths(tokens) == (
        "The shortest prompts are those of short, with a median of 20 tokens. The longest are those of long, with a "
        "median of 3000 and at most 9000."
    )
    (axes,) = plots.lengths(tokens, 8192).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["long", "short"]
    assert axes.get_xscale() == "log"
    assert [list(line.get_xdata()) for line in axes.lines][-1] == [8192, 8192]


def test_figure_of_scores():
    few, likely = {"task": "bbh", "shots": 3}, {"task": "mmlu", "scoring": "likelihood"}
    rows = table(evaluation(0.3, 0.2, 0.4, **few), evaluation(0.1, 0, 0.2, **likely))
    (axes,) = plots.scores(rows).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["MMLU, likelihood", "BIG-Bench Hard, 3 shots"]
    assert [float(box.lines[0].get_xdata()[0]) for box in axes.containers] == [0.1, 0.3]


def test_memory_figure():
    figure = plots.memory(FITS)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["large, 256", "small, 2048", "small, 256"]
    assert [bar.get_x() for bar in axes.patches] == [0.0] * 3 + [1.0] * 3 + [2.0] * 3


@pytest.mark.parametrize(("name", "number"), [("untuned", 8), ("tour", 12)])
def test_the_committed_evaluations_are_there(name, number):
    store = EvaluationStore()
    sweep = Sweep.load(SWEEPS / f"{name}.yaml")
    configs = [*sweep.as_they_are, *prompts_held_out(sweep)]
    assert len(configs) == number
    missing = [config for config in configs if not store.path(config).is_file()]
    assert not missing
    for config in configs:
        kept = store.load(store.path(config))
        assert kept.config == config
        assert kept.results["rows"] == len(kept.rows) <= config.limit
        assert kept.results["score"] == pytest.approx(kept.rows["score"].mean(), abs=1e-5)
        assert kept.results["answer_loss"] == pytest.approx(kept.rows["answer_loss"].mean(), abs=1e-4)
        assert set(kept.rows.columns) <= {"id", "score", "answer_loss", "tokens"}, "no text of any row"


def test_the_runs_of_the_tour_are_there():
    store = RunStore()
    records = [store.get(config) for config in Sweep.load(SWEEPS / "tour.yaml").configs]
    assert all(record and record.status == "finished" and len(record.rows) == 10 for record in records)
    assert {(r.config.task, r.config.model) for r in records} == {
        (task, model)
        for task in ("gsm8k", "math", "bbh", "mmlu", "hotpotqa", "longbench")
        for model in ("smollm2-135m", "gemma3-270m")
    }
