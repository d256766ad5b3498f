"""The search for a recipe, on records whose numbers are made by hand, and the lengths that are committed."""

import json

import made_runs
import numpy as np
import prose
import pytest
import yaml
from made_runs import record

from tslib.config import TuneConfig
from tslib.runs.sweeps import Sweep
from tslib.stats import ratio_of_means
from tslib.study import plots
from tslib.study.claims import recipe as claims
from tslib.study.claims.recipe import (
    ELSEWHERE,
    FACTORS,
    JUDGED,
    ON_TOP,
    RECIPE,
    TOGETHER,
    TRIALS,
    lengths,
    measured_lengths,
    searched,
    varied,
)
from tslib.study.report import recipe as report

PAIRS = (400, 401, 402)


def made(config):
    """Fifty tokens need a third of the steps, the trials' setting a half, sums of embeddings are never right."""
    steps = {True: 100, False: 50}[not varied(config)] + config.seed % 100
    steps = 30 if config.n_tokens == 50 else steps
    return record(config, None if config.init == "superposition" else steps, 120)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    return searched(made_runs.evidence(folder, [FACTORS], made, of=RECIPE), FACTORS)


def test_what_differs_from_tuned():
    assert varied(TuneConfig(preset="tuned", seed=7, task="gsm8k", answer_every=0)) == {}
    assert varied(TuneConfig(lr=0.03, n_tokens=50)) == {"n_tokens": 50}
    assert varied(TuneConfig(**TRIALS)) == TRIALS


def test_settings_by_hand(settings):
    assert len(settings) == 18
    tuned = next(one for one in settings if one.tuned)
    assert tuned.iterations == pytest.approx((100 * 101 * 102) ** (1 / 3))
    assert tuned.ratio == (1, 1, 1)
    fifty = next(one for one in settings if one.config.n_tokens == 50)
    assert fifty.ratio == pytest.approx(ratio_of_means(np.array([30.0, 30, 30]), np.array([100.0, 101, 102])))
    sizes = [sum(lengths()["smollm2-135m", "gsm8k", pair]) for pair in PAIRS]
    assert fifty.work == pytest.approx(np.prod([30.0 * (50 + size) for size in sizes]) ** (1 / 3))
    sums = next(one for one in settings if one.config.init == "superposition")
    assert (sums.censored, sums.iterations) == (3, pytest.approx(300))
    assert [one.work for one in settings] == sorted(one.work for one in settings)
    assert settings[0] is fifty


def test_nothing_is_said_of_a_grid_that_is_not_whole(tmp_path):
    some = made_runs.evidence(tmp_path, [FACTORS], lambda c: None if c.placement == "suffix" else made(c), of=RECIPE)
    assert searched(some, FACTORS) == []


def test_words(settings):
    names = report.table(settings)["what is otherwise"].tolist()
    assert len(set(names)) == 18
    expected = (
        *("The preset tuned", "As in the trials", "Rate 0.1", "Rate 0.4", "Rate 0.8", "Gaussian noise of 0.02"),
        *("Gaussian like the embeddings", "Warm-up for a tenth of the steps", "β₂ = 0.98", "Weight decay 0.01"),
        *("Constant rate", "Gradients cut to 1", "5 virtual tokens", "50 virtual tokens", "100 virtual tokens"),
        *("Prompt behind the question", "Sums of embeddings and rate 0.02"),
        "Rate 0.01 and a network beside the prompt",
    )
    assert sorted(names) == sorted(expected)
    said = report.read(settings)
    assert said == (
        "**The best setting saves 70% of the steps: what the trials spoke for, with 50 virtual tokens.** On 3 problems "
        "the preset tuned needs 101 steps, the setting of the trials 51, and 30 with this one change."
    )
    assert prose.faults(said) == []
    trial = next(one for one in settings if varied(one.config) == TRIALS)
    first = [trial, *(one for one in settings if one is not trial)]
    assert report.read(first).startswith("**The best setting saves 50% of the steps: what the trials spoke for.** On 3")
    best = [one for one in settings if one.tuned] + [one for one in settings if not one.tuned]
    assert report.read(best).startswith("**No other setting takes less work than the preset tuned.** On 3 problems")
    figure = plots.forest(report.labelled(settings))
    assert len(figure.axes[0].get_yticklabels()) == 17


@pytest.mark.usefixtures("gsm8k_rows")
def test_committed_lengths_come_again():
    """Counted anew, where the rows are."""
    again = measured_lengths(Sweep.load(RECIPE))
    found = {(row["model"], row["task"], row["sample_seed"]): (row["question"], row["target"]) for row in again}
    assert found == lengths()


def test_live_runs_in_words():
    runs = {"tuned": record(TuneConfig(max_steps=25), None, 25), "fast": record(TuneConfig(max_steps=25), 1, 1)}
    assert report.read_runs(runs).startswith(
        "On this problem tuned did not get there in 25 iterations and fast needed 1 iteration. One problem"
    )


FIFTY, SUFFIX = TRIALS | {"n_tokens": 50}, TRIALS | {"n_tokens": 50, "placement": "suffix"}

LONG = {"placement": "suffix", "max_context": 1024}


@pytest.fixture
def stages(tmp_path, monkeypatch):
    """Evidence of a sweep with the later stages, whose runs need as many steps as a function says."""
    content = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    pairs, common = (
        [[400 + k, 400 + k] for k in range(3)],
        {"device": "cpu", "answer_every": 0, "model": "smollm2-135m"},
    )
    rate = {"lr": 0.03}

    def grid(name, task, *arms, model="smollm2-135m"):
        fields = common | {"task": task, "model": model}
        return {"name": name, "priority": 2, "fields": fields, "arms": list(arms), "pairs": pairs}

    grids = [
        grid(TOGETHER, "gsm8k", FIFTY, TRIALS | {"schedule": "constant"}),
        grid(ELSEWHERE, "mmlu", rate, FIFTY, TRIALS | {"schedule": "constant"}),
        grid(JUDGED[0], "math", rate, FIFTY, SUFFIX),
        grid(JUDGED[3], "longbench/2wikimqa", rate | LONG, SUFFIX | LONG),
        grid(ON_TOP.grids[0], "gsm8k", FIFTY, FIFTY | {"regularizer": "tsloss", "weight": 1.0}),
    ]
    content["grids"] = [one for one in content["grids"] if one["name"] == FACTORS] + grids
    of = tmp_path / "recipe.yaml"
    of.write_text(json.dumps(content), encoding="utf-8")
    known = lengths() | {("smollm2-135m", "mmlu", 400 + k): (50, 2) for k in range(3)}
    names = ("model", "task", "sample_seed", "question", "target")
    rows = [dict(zip(names, (*key, *size), strict=True)) for key, size in known.items()]
    (tmp_path / "lengths.json").write_text(json.dumps(rows), encoding="utf-8")
    monkeypatch.setattr(claims, "LENGTHS", tmp_path / "lengths.json")

    def made_of(steps):
        names = [FACTORS, *(one["name"] for one in grids)]

        def make(config):
            done = steps(config)
            return done if done is None else record(config, *((done, done + 1) if done < 300 else (None, 300)))

        return made_runs.evidence(tmp_path, names, make, of=of)

    return made_of


def steps(config):
    """Fifty tokens need 20 steps, other settings 40 and tuned 100, some more where seeds are larger."""
    of_setting = {50: 20}.get(config.n_tokens, 40) if "init" in varied(config) else 100
    return of_setting + config.seed % 100


def test_the_choice_by_hand(stages):
    found = stages(steps)
    assert varied(claims.chosen(found).config) == FIFTY
    assert report.read_chosen(found).startswith(
        "**The recipe is the trials' setting with 50 virtual tokens.** On three problems of GSM8K it needs 21 steps;"
    )
    assert prose.faults(report.read_chosen(found)) == []


def test_who_is_slower_on_mmlu_is_not_chosen(stages):
    def slower(config):
        return 200 if config.task == "mmlu" and config.n_tokens == 50 else steps(config)

    assert varied(claims.chosen(stages(slower)).config) == TRIALS | {"schedule": "constant"}


def test_none_is_chosen_of_settings_that_are_all_slower_on_mmlu(stages):
    found = stages(
        lambda config: 200 + config.seed % 100 if config.task == "mmlu" and varied(config) else steps(config)
    )
    assert claims.chosen(found) is None
    assert report.read_chosen(found) == ""


def test_nothing_is_chosen_before_the_last_run(stages):
    found = stages(lambda config: None if config.task == "mmlu" and config.seed == 402 else steps(config))
    assert claims.chosen(found) is None


def test_nothing_is_chosen_or_judged_before_it_is_declared(tmp_path):
    found = made_runs.evidence(tmp_path, [FACTORS], made, of=RECIPE)
    assert claims.chosen(found) is None
    assert claims.judged(found).empty
    assert report.read_judged(claims.judged(found)) == ""


def test_judged_by_hand(stages):
    def never(config):
        return 300 if config.task == "math" and not varied(config) and config.seed == 400 else steps(config)

    rows = claims.judged(stages(never))
    assert rows[["grid", "placement", "decides", "met"]].to_numpy().tolist() == [
        [JUDGED[0], "prefix", True, False],  # of three pairs, one of them far out
        [JUDGED[0], "suffix", False, False],
        [JUDGED[3], "suffix", True, True],
    ]
    assert rows["tuned"].tolist() == pytest.approx([(300 + 101 + 102) / 3] * 2 + [101])
    assert rows["recipe"].tolist() == pytest.approx([21, 21, 21])
    assert rows["ratio"].tolist() == pytest.approx([63 / 503] * 2 + [21 / 101])
    assert rows["censored_tuned"].tolist() == [1, 1, 0]
    last = ratio_of_means(np.array([20.0, 21, 22]), np.array([100.0, 101, 102]))
    assert rows[["ratio", "low", "high"]].iloc[2].tolist() == pytest.approx(list(last))
    said = report.read_judged(rows)
    assert said == (
        "**The recipe takes less than half of the steps on one of the two tasks that no choice saw.** Ratios go from "
        "0.13 to 0.21; not below one half: MATH. The aim was four of five."
    )
    assert prose.faults(said) == []
    table = report.table_judged(rows)
    assert table["below 0.5"].tolist() == ["no", "stands beside", "yes"]
    assert len(plots.forest(report.labelled_judged(rows), against="the preset tuned").axes[0].get_yticklabels()) == 3
    missed = report.read_judged(rows.assign(met=False, ratio=0.6))
    assert missed.endswith("to 0.60; not below one half: MATH and LongBench. The aim was four of five.")


def test_a_regulariser_on_top_by_hand(stages):
    """It halves the recipe's steps, but does nothing to the cloud."""

    def halved(config):
        done = steps(config)
        return done // 2 if config.regularizer == "tsloss" else done

    rows = claims.on_top(stages(halved))
    assert rows[["pairs", "which", "censored"]].to_numpy().tolist() == [[3, "all pairs", 0]]
    both = ratio_of_means(np.array([10.0, 10, 11]), np.array([20.0, 21, 22]))
    assert rows[["ratio", "ratio_low", "ratio_high"]].iloc[0].tolist() == pytest.approx(list(both))
    assert rows["found"].tolist() == ["not treated"], "the made clouds are the same with and without it"


def test_nothing_is_on_top_before_it_is_declared(tmp_path):
    assert claims.on_top(made_runs.evidence(tmp_path, [FACTORS], made, of=RECIPE)).empty
