import dataclasses
from itertools import product

import pandas as pd
import pytest

from tslib.config import PRESETS, TuneConfig
from tslib.errors import InputError
from tslib.runs.store import RunStore
from tslib.runs.sweeps import Sweep
from tslib.study.evidence import SWEEPS
from tslib.study.experiments import chosen_rate, paired
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


def test_the_learning_rate_is_not_chosen_on_the_samples_of_the_evidence(gsm8k_rows):
    def rows(name):
        drawn = {(c.task, c.samples, c.sample_seed) for c in Sweep.load(SWEEPS / name).configs if c.task == "gsm8k"}
        single = [draw for draw in drawn if draw[1] == 1]  # two draws of ten may share a row with any other
        return {example.id for task, samples, seed in single for example in load_task(task, "train", samples, seed)}

    own_rates = rows("learning_rate.yaml")
    assert len(own_rates) == 3
    grids = Sweep.load(SWEEPS / "evidence.yaml")
    deciding = [
        config
        for grid, configs in zip(grids.grids, grids.runs, strict=True)
        if grid.name != "own rates, gsm8k"
        for config in configs
        if (config.task, config.samples) == ("gsm8k", 1)
    ]
    drawn = {config.sample_seed for config in deciding}
    assert own_rates.isdisjoint(load_task("gsm8k", "train", 1, seed)[0].id for seed in drawn)


def test_the_evidence_is_paired():
    """Each grid has the same (sample, seed) pairs for all its methods; no pair shares a sample seed or a seed."""
    evidence = Sweep.load(SWEEPS / "evidence.yaml")
    for grid, configs in zip(evidence.grids, evidence.runs, strict=True):
        by_method = {}
        for config in configs:
            setting = dataclasses.replace(config, sample_seed=0, seed=0)
            by_method.setdefault(setting, set()).add((config.sample_seed, config.seed))
        assert len({frozenset(pairs) for pairs in by_method.values()}) == 1, grid.name
        (pairs, *_) = by_method.values()
        assert len({sample for sample, _ in pairs}) == len({seed for _, seed in pairs}) == len(pairs), grid.name


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
    rates = Sweep.load(SWEEPS / "learning_rate.yaml").configs
    evidence = Sweep.load(SWEEPS / "evidence.yaml")
    used = set()
    for grid, runs in zip(evidence.grids, evidence.runs, strict=True):
        if grid.name == "preset paper":
            assert {run.lr for run in runs} == {5e-5}
        elif not grid.name.startswith(
            ("prompt scale", "own rates", "prefix tuning", "P-tuning")
        ):  # which are about rates
            borrowed = grid.name.startswith(("kept back", "long contexts"))
            used |= {(run.model, "gsm8k" if borrowed else run.task, run.lr) for run in runs}
    assert len(used) == len({(model, task) for model, task, _ in used}) == 5
    for model, task, rate in used:
        asked = [run for run in rates if (run.model, run.task) == (model, task)]
        table = RunStore().table(asked)
        assert len(table) == len(asked) == 18
        assert chosen_rate(table) == rate, (model, task)
    main = [run for run in rates if (run.model, run.task) == ("smollm2-135m", "gsm8k")]
    assert chosen_rate(RunStore().table(main)) == PRESETS["tuned"]


@pytest.mark.parametrize(
    ("sweep", "grids", "judged", "pulls", "weight"),
    [
        ("evidence", ("one sample, gsm8k, SmolLM2", "baselines, gsm8k"), "high rates", (0.025, 0.176), 0.14),
        ("sceptic", ("trials of L2's strength, prefix tuning",), "unstable prefix tuning", (0.66, 0.83), 0.8),
    ],
)
def test_l2_pulls_about_as_hard_as_tsloss(sweep, grids, judged, pulls, weight):
    """What the sweep says of its weights, from the committed runs: gradients until a run is correct, with λ = 1."""
    asked = Sweep.load(SWEEPS / f"{sweep}.yaml")
    runs = [run for grid, runs in zip(asked.grids, asked.runs, strict=True) if grid.name in grids for run in runs]
    shares = {}
    for record in map(RunStore().get, [run for run in runs if run.regularizer in ("tsloss", "l2")]):
        steps = record.steps[: record.iterations_to_correct]
        shares.setdefault(record.config.regularizer, []).append(
            (steps["grad_norm_reg"] / steps["grad_norm_ce"]).median()
        )
    tsloss, l2 = (pd.Series(shares[name]).median() for name in ("tsloss", "l2"))
    assert (tsloss, l2) == pytest.approx(pulls, rel=0.02)
    assert weight * l2 == pytest.approx(tsloss, rel=0.05)
    sceptic = Sweep.load(SWEEPS / "sceptic.yaml")
    ((_, declared),) = [pair for pair in zip(sceptic.grids, sceptic.runs, strict=True) if pair[0].name == judged]
    assert {run.weight for run in declared if run.regularizer == "l2"} == {weight}
