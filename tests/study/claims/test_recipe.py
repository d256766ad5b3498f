"""The search for a recipe, on records whose numbers are made by hand, and the lengths that are committed."""

import made_runs
import numpy as np
import prose
import pytest
from made_runs import record

from tslib.config import TuneConfig
from tslib.runs.sweeps import Sweep
from tslib.stats import ratio_of_means
from tslib.study import plots
from tslib.study.claims.recipe import FACTORS, RECIPE, TRIALS, lengths, measured_lengths, searched, varied
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
