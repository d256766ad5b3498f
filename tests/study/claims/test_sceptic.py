"""The second part of the criteria, applied to records whose numbers are made by hand."""

import re
from pathlib import Path

import made_runs
import pytest
from made_runs import record

from tslib.config import TuneConfig
from tslib.stats import Interval
from tslib.study import plots
from tslib.study.claims.iterations import COMBINATIONS
from tslib.study.claims.sceptic import EXPERIMENTS, SCEPTIC, failures, found, judged
from tslib.study.report import sceptic as report

CLAIMS = Path(__file__).parents[3] / "book" / "claims.md"


@pytest.mark.parametrize(
    ("ends", "known", "said"),
    [
        ((0.90, 0.99), {}, "faster"),
        ((0.97, 0.99), {}, "faster"),
        ((1.01, 1.02), {}, "slower"),
        ((0.96, 1.04), {}, "no difference that matters"),
        ((0.95, 1.05), {}, "no difference that matters"),
        ((0.94, 1.02), {}, "undecided"),
        ((0.98, 1.06), {}, "undecided"),
        ((1.0, 1.0), {"observed": False}, "not observed"),
        ((0.5, 0.6), {"treated": False}, "not treated"),
    ],
)
def test_what_an_interval_means(ends, known, said):
    assert found(Interval(sum(ends) / 2, *ends), **known) == said


def test_mcnemars_test_counts_pairs_of_which_one_run_fails():
    """Five pairs in which only the run without fails, none the other way: p = 2 / 2^5."""
    ours, theirs = TuneConfig(regularizer="tsloss", weight=1.0), TuneConfig()
    kinds = [(100, None)] * 5 + [(100, 90)] * 3 + [(None, None)]
    both = [(record(ours, first), record(theirs, second)) for first, second in kinds]
    assert failures(both) == (0, 5, pytest.approx(2 / 32))
    assert failures([pair[::-1] for pair in both])[:2] == (5, 0)


def test_each_experiment_has_a_rule_in_the_criteria_that_looks_as_often():
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", CLAIMS.read_text().partition("## Second part")[2], re.M)
    rules = dict(rows)
    assert set(EXPERIMENTS) <= set(rules)
    words = {"two looks": 2, "seven looks": 7}
    for name, experiment in EXPERIMENTS.items():
        declared = [number for word, number in words.items() if word in rules[name]]
        assert declared in ([], [experiment.looks]), name


GRIDS = EXPERIMENTS["to 30 pairs, to 20 pairs"].grids
OLDER = [COMBINATIONS[model, "gsm8k", "one sample"] for model in ("smollm2-135m", "gemma3-270m")]


def made(config):
    """New pairs are a hundredth faster with TSLoss, older ones half as fast; both are more even with it."""
    ours, new = config.regularizer != "none", config.seed >= 10
    steps = {(False, False): 50, (False, True): 100, (True, False): 100, (True, True): 99}[ours, new]
    # What wobbles is the same on both sides of a pair, so that the ratios are exact.
    far = 1.5 if ours else 2.0 + 0.001 * config.seed
    return record(config, steps, 120, deaths=lambda step: [1.0, far if step else 2.0])


def test_older_pairs_are_judged_with_the_new_ones(tmp_path):
    for name in ("second", "first"):
        (tmp_path / name).mkdir()
    second = made_runs.evidence(tmp_path / "second", GRIDS, made, of=SCEPTIC)
    first = made_runs.evidence(tmp_path / "first", OLDER, made)
    rows = judged(second, first, EXPERIMENTS["to 30 pairs, to 20 pairs"])
    keys = rows[["model", "regularizer", "which", "pairs"]].to_numpy().tolist()
    assert keys == [
        [model, variant, which, pairs]
        for model, variants in (("smollm2-135m", ("tsloss", "tsloss-printed")), ("gemma3-270m", ("tsloss",)))
        for variant in variants
        for which, pairs in (("all pairs", 6), ("new pairs", 3))
    ]
    new = rows[rows["which"] == "new pairs"]
    assert new["ratio"].tolist() == pytest.approx([0.99] * 3)
    assert set(new["found"]) == {"faster"}
    every = rows[rows["which"] == "all pairs"]
    assert every["ratio"].tolist() == pytest.approx([(3 * 100 + 3 * 99) / (3 * 50 + 3 * 100)] * 3)
    assert set(every["found"]) == {"undecided"}
    said = report.read(rows)
    assert said.startswith("Undecided: TSLoss, SmolLM2-135M, 1.33 [")
    assert said.endswith("Ratios of 6 pairs.")
    figure = plots.forest(report.labelled(rows))
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels[-2:] == [
        "TSLoss, SmolLM2-135M (new pairs)",
        "TSLoss, SmolLM2-135M",
    ]
    table = report.table(rows, EXPERIMENTS["to 30 pairs, to 20 pairs"])
    assert table["found"].tolist() == rows["found"].tolist()
    assert table.columns[-2] == "ratio [97.5%]"


def test_rates_are_told_apart_and_l2_needs_no_even_cloud(tmp_path):
    """L2 leaves the deaths as they are and still counts; TSLoss that does so is not treated."""

    def plain(config):
        never = config.lr == 0.3 and config.regularizer == "none"
        return record(config, None if never else 100, 300 if never else 120, deaths=lambda step: [1.0, 2.0])

    second = made_runs.evidence(tmp_path, ["high rates"], plain, of=SCEPTIC)
    rates = EXPERIMENTS["high rates; unstable prefix tuning"]._replace(grids=("high rates",))
    rows = judged(second, second, rates)
    names = rows[["regularizer", "lr", "found"]].to_numpy().tolist()
    assert sorted(names) == [
        ["l2", 0.1, "no difference that matters"],
        ["l2", 0.3, "faster"],
        ["tsloss", 0.1, "not treated"],
        ["tsloss", 0.3, "not treated"],
    ]
    assert rows[rows["lr"] == 0.3][["only_ours", "only_theirs"]].to_numpy().tolist() == [[0, 3], [0, 3]]
    said = report.failing(rows, rates)
    assert "TSLoss, learning rate 0.3: none with it and 3 without it, p = 0.25." in said
    assert said.endswith("By the rule a p below 0.017 counts.")
    assert "λ" not in said, "each regulariser has one weight"


def test_what_is_missing_is_counted(tmp_path):
    second = made_runs.evidence(
        tmp_path, [grid for one in EXPERIMENTS.values() for grid in one.grids], none, of=SCEPTIC
    )
    rows = judged(second, second, EXPERIMENTS["stronger"])
    said = report.answer(rows, second, EXPERIMENTS["stronger"])
    assert said == "*The 24 runs of this experiment are still to be made.*"
    assert report.summary(second, second) == "**No reply can be judged yet: of ten experiments none is whole.**"


def none(config):
    return None
