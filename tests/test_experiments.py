from itertools import product

import pandas as pd
import pytest

from tslib.config import PRESETS, TuneConfig
from tslib.encoding import encode
from tslib.errors import InputError
from tslib.experiments import EXPERIMENTS, METHODS, chosen_rate, convergence, learning_rate, paired
from tslib.records import COMMITTED, RunStore
from tslib.sweeps import Sweep
from tslib.tasks import load_task


def test_paired_makes_every_method_on_every_pair():
    configs = paired(["none", "l2"], sample_seeds=[4, 5], seeds=[0, 1, 2], task="gsm8k", n_tokens=7)
    made = [(c.sample_seed, c.seed, c.regularizer) for c in configs]
    assert made == list(product([4, 5], [0, 1, 2], ["none", "l2"])), "pair by pair"
    assert {(c.task, c.n_tokens) for c in configs} == {("gsm8k", 7)}


def test_paired_drops_the_weight_of_none():
    none, l2 = paired(["none", "l2"], sample_seeds=[0], seeds=[0], weight=0.25)
    assert none == TuneConfig(regularizer="none")
    assert l2.weight == 0.25


def test_no_run_is_done_twice():
    hashes = [config.hash for make in EXPERIMENTS.values() for config in make()]
    assert len(set(hashes)) == len(hashes)


def test_convergence_is_paired():
    configs = convergence()
    pairs = {(c.sample_seed, c.seed) for c in configs}
    assert pairs == set(product((0, 2, 3), (0, 1, 2)))
    for pair in pairs:
        assert [c.regularizer for c in configs if (c.sample_seed, c.seed) == pair] == list(METHODS)
    assert {c.lr for c in configs} == {PRESETS["tuned"]}
    assert {(c.model, c.task, c.weight, c.max_steps) for c in configs} == {("smollm2-135m", "gsm8k", 1.0, 300)}


def test_the_problems_of_convergence_are_the_first_whose_solution_is_short(gsm8k_rows, smollm2_135m):
    def length(seed):
        return len(encode(smollm2_135m.tokenizer, load_task("gsm8k", "train", 1, seed)[0]).target)

    short = [seed for seed in range(4) if length(seed) <= 128]
    assert short == sorted({config.sample_seed for config in convergence()}) == [0, 2, 3]


def test_learning_rate_is_of_cross_entropy_alone():
    configs = learning_rate()
    assert {c.regularizer for c in configs} == {"none"}
    rates = {c.lr for c in configs}
    assert PRESETS["tuned"] in rates
    for rate in rates:
        assert len({c.sample_seed for c in configs if c.lr == rate}) == 3, "each rate on the same three samples"


def test_the_learning_rate_is_not_chosen_on_the_samples_of_another_experiment(gsm8k_rows):
    def rows(configs):
        drawn = {(c.task, c.samples, c.sample_seed) for c in configs}
        return {example.id for task, samples, seed in drawn for example in load_task(task, "train", samples, seed)}

    others = [config for name, make in EXPERIMENTS.items() if name != "learning-rate" for config in make()]
    assert len(rows(learning_rate())) == 3
    assert rows(learning_rate()).isdisjoint(rows(others))


def runs_at(rates: dict[float, list[int | None]]) -> pd.DataFrame:
    rows = [
        {"lr": rate, "sample_seed": pair, "seed": pair, "iterations_to_correct": steps, "max_steps": 300, "status": "x"}
        for rate, found in rates.items()
        for pair, steps in enumerate(found)
    ]
    return pd.DataFrame(rows).astype({"iterations_to_correct": "Int64"})


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ({0.1: [50, 60], 0.01: [40, 50], 0.001: [90, 90]}, 0.01),
        ({0.1: [40, 51], 0.01: [41, 52], 0.001: [90, 90]}, 0.01),  # one iteration more, and smaller
        ({0.1: [40, 50], 0.01: [42, 51], 0.001: [90, 90]}, 0.1),
        ({0.1: [10, None], 0.01: [154, 154], 0.001: [None, None]}, 0.01),  # never right counts 300
    ],
)
def test_the_rule_that_chooses_a_learning_rate(rates, chosen):
    assert chosen_rate(runs_at(rates)) == chosen


def test_the_rule_wants_the_same_pairs_at_each_rate():
    with pytest.raises(InputError, match="the same pairs at each learning rate"):
        chosen_rate(runs_at({0.1: [50, 60], 0.01: [40]}))
    with pytest.raises(InputError, match="the same pairs at each learning rate"):
        chosen_rate(pd.concat([runs_at({0.1: [50]})] * 2))


def test_the_evidence_uses_the_rates_that_the_rule_chooses():
    """From the committed runs at six rates, on the same pairs, for each model and task of the sweep."""
    folder = COMMITTED.parent / "sweeps"
    rates = Sweep.load(folder / "learning_rate.yaml").configs
    evidence = Sweep.load(folder / "evidence.yaml")
    used = set()
    for grid, runs in zip(evidence.grids, evidence.runs, strict=True):
        if grid.name == "preset paper":
            assert {run.lr for run in runs} == {5e-5}
        elif not grid.name.startswith(("prompt scale", "own rates")):  # which are about rates
            used |= {(run.model, "gsm8k" if grid.name.startswith("kept back") else run.task, run.lr) for run in runs}
    assert len(used) == len({(model, task) for model, task, _ in used}) == 5
    for model, task, rate in used:
        asked = [run for run in rates if (run.model, run.task) == (model, task)]
        table = RunStore().table(asked)
        assert len(table) == len(asked) == 18
        assert chosen_rate(table) == rate, (model, task)
