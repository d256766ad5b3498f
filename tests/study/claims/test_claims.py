"""Verdicts: runs with chosen numbers get the verdict that the criteria name, and the page is what is applied."""

import re
from dataclasses import replace

import made_runs
import numpy as np
import pandas as pd
import pytest
from made_runs import record

from tslib.errors import ResourceError
from tslib.runs.store import RunStore
from tslib.study import claims
from tslib.study.claims.criteria import MULTI, SINGLE
from tslib.study.claims.iterations import COMBINATIONS
from tslib.study.evidence import Evidence

STRUCTURE = [*SINGLE, *MULTI]
PAIRWISE = ["ten samples, pairwise, gsm8k", "ten samples, pairwise, mmlu"]
WEIGHTS = [SINGLE[0], "the weight, gsm8k"]


def falls(start, end):
    """From one value to another, evenly over 300 steps."""
    return lambda step: start + (end - start) * step / 300


@pytest.fixture
def verdict(tmp_path, own_cache):
    """The finding on a claim of runs that a function makes."""

    def find(claim, grids, make, score=None):
        return claims.JUDGES[claim](made_runs.evidence(tmp_path, grids, make, score))

    return find


def test_the_page_has_the_criteria_that_are_applied():
    found = claims.criteria()
    assert list(found) == list(claims.JUDGES) == [f"C{i}" for i in range(1, 16)]
    assert found["C4"].says == "$H_0$ features become longer"
    assert found["C4"].contradicted == "an interval below 1"


def test_a_page_without_fifteen_criteria(tmp_path):
    page = tmp_path / "claims.md"
    with pytest.raises(ResourceError, match="cannot read the criteria"):
        claims.criteria(page)
    page.write_text("| C1 | a claim | if | if not | – |\n")
    with pytest.raises(ResourceError, match="has 1 criteria that can be read, not fifteen"):
        claims.criteria(page)


def test_without_runs_there_is_no_verdict(tmp_path):
    findings = claims.judge(Evidence(store=RunStore(tmp_path)))
    assert {name for name, finding in findings.items() if finding.verdict is not None} == set()
    assert findings["C2"].missing == 25  # of cross-entropy alone: 10 + 5 of one sample, 5 + 5 of ten
    assert "25 are missing" in findings["C2"].said


@pytest.mark.parametrize(
    ("claim", "columns", "expected"),
    [
        ("C1", {}, "reproduced"),
        ("C1", {"h0_count": falls(20, 19)}, "contradicted"),
        ("C2", {"h1_count": falls(10, 0)}, "reproduced"),
        ("C2", {"h1_count": falls(10, 20)}, "contradicted"),
        ("C2", {"h1_count": falls(10, 8)}, "contradicted"),  # falls, and most of it stays
        ("C2", {"h1_count": falls(10, 4)}, "undecided"),
        ("C4", {"h0_mean_lifespan": falls(1, 2)}, "reproduced"),
        ("C4", {"h0_mean_lifespan": falls(2, 1)}, "contradicted"),
        ("C5", {"persistence_entropy": lambda step: 3 - np.minimum(step, 60) / 200}, "reproduced"),
        ("C5", {"persistence_entropy": falls(3, 4)}, "contradicted"),
        ("C5", {"persistence_entropy": falls(3, 2)}, "undecided"),  # falls to the end
        ("C6", {"h1_density": falls(10, 0), "density": 20}, "reproduced"),
        ("C6", {"h1_density": falls(10, 20)}, "contradicted"),
        ("C6", {"h1_density": falls(10, 8), "density": falls(20, 2)}, "contradicted"),
        ("C6", {"h1_density": falls(10, 7), "density": 20}, "undecided"),
    ],
)
def test_structure(verdict, claim, columns, expected):
    assert verdict(claim, STRUCTURE, lambda config: record(config, **columns)).verdict == expected


def test_loops_that_fall_as_for_noise(verdict):
    both = {"h1_count": falls(10, 0), "null_h1_count": falls(10, 0)}
    assert "So it does for noise." in verdict("C2", STRUCTURE, lambda config: record(config, **both)).said


def test_loops_that_fall_as_for_no_noise(verdict):
    ours = {"h1_count": falls(10, 0), "null_h1_count": 10}
    assert "noise." not in verdict("C2", STRUCTURE, lambda config: record(config, **ours)).said


@pytest.mark.parametrize(
    ("one", "ten", "expected"),
    [
        (falls(10, 5), falls(10, 0), "undecided"),  # faster, and as steadily
        (lambda step: 10 - step / 60 + (step % 40) / 10, falls(10, 0), "reproduced"),
        (falls(10, 0), lambda step: 10 - step / 60 + (step % 40) / 10, "contradicted"),
    ],
)
def test_faster_with_ten_samples(verdict, one, ten, expected):
    def make(config):
        return record(config, h1_count=one if config.samples == 1 else ten)

    assert verdict("C3", STRUCTURE, make).verdict == expected


def wave(step):
    """Between -1 and 1, with no trend."""
    return np.sin(step)


@pytest.mark.parametrize(
    ("lifespan", "accuracy", "expected", "only"),
    [
        (lambda step: step + 60 * wave(step), lambda step: step + 60 * wave(step), "reproduced", False),
        (falls(1, 2), falls(0, 1), "undecided", True),  # both drift, and share nothing else
        (falls(2, 1), falls(0, 1), "contradicted", False),
        (lambda step: step + 60 * wave(step), lambda step: step - 60 * wave(step), "contradicted", False),
    ],
)
def test_lifespan_and_accuracy(verdict, lifespan, accuracy, expected, only):
    found = verdict("C7", STRUCTURE, lambda config: record(config, h0_mean_lifespan=lifespan, exact=accuracy))
    assert found.verdict == expected
    assert ("drift only" in found.said) == only


def test_token_accuracy_is_told_beside_and_decides_nothing(verdict):
    """The exact samples go against the lifespan; the tokens go with it, and given the step with nothing."""

    def make(config):
        return record(config, h0_mean_lifespan=falls(1, 2), exact=falls(1, 0), token_accuracy=falls(0, 1))

    found = verdict("C7", STRUCTURE, make)
    assert found.verdict == "contradicted"
    assert (
        "token by token, which does not decide here, it is 1.00 [1.00, 1.00]. Given the step that is 0.00" in found.said
    )


def test_thirds_that_do_not_overlap_are_told_run_by_run(verdict):
    """The largest U of a run of sixteen checkpoints is 5 · 5, of one of thirteen 4 · 4."""

    def make(config):
        last = 240 if config.task == "mmlu" else 300
        return record(config, last=last, h0_mean_lifespan=falls(2, 1), exact=falls(0, 1))

    assert "In 12 of 12 runs the first and the last third do not overlap" in verdict("C7", STRUCTURE, make).said


@pytest.mark.parametrize(
    ("h1_lifespan", "loops", "expected"),
    [
        (0.01, falls(10, 0), "reproduced"),
        (0.01, falls(0, 10), "contradicted"),
        (falls(0, 1), falls(10, 0), "undecided"),
    ],
)
def test_other_features(verdict, h1_lifespan, loops, expected):
    columns = {"persistence_entropy": falls(3, 2), "h1_count": loops, "h1_mean_lifespan": h1_lifespan}
    assert verdict("C8", STRUCTURE, lambda config: record(config, **columns)).verdict == expected


def by_method(**steps):
    """Make runs whose iterations are those of their regulariser, a little apart from pair to pair."""

    def make(config):
        return record(config, steps[config.regularizer.replace("-", "_")] + config.seed, last=40)

    return make


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ({"none": 100, "tsloss": 60, "tsloss_printed": 120, "l2": 100}, "reproduced"),
        ({"none": 100, "tsloss": 130, "tsloss_printed": 140, "l2": 100}, "contradicted"),
        ({"none": 100, "tsloss": 100, "tsloss_printed": 100, "l2": 100}, "contradicted"),  # a quarter is ruled out
    ],
)
def test_fewer_iterations_everywhere(verdict, steps, expected):
    found = verdict("C9", [*COMBINATIONS.values()], by_method(**steps))
    assert found.verdict == expected
    assert found.missing == 0


def test_where_no_run_is_correct_the_ratio_is_told_to_be_of_censoring(verdict):
    def make(config):
        steps = None if (config.task, config.samples) == ("gsm8k", 10) else 100
        return record(config, steps, last=40)

    said = verdict("C9", [*COMBINATIONS.values()], make).said
    assert (
        "above 0.75 in 8. In 1 of them no run is correct within its steps: that ratio is 1 by censoring alone." in said
    )


def test_fewer_iterations_with_wide_intervals(verdict):
    def make(config):
        swing = 60 * (-1) ** config.seed if config.regularizer != "none" else 0
        return record(config, 100 + swing + config.seed, last=40)

    assert verdict("C9", [*COMBINATIONS.values()], make).verdict == "undecided"


@pytest.mark.parametrize(("last", "expected"), [(20, None), (19, "contradicted")])
def test_a_count_that_stays_is_decided_by_every_run(verdict, last, expected):
    """One that changes somewhere is decided at once."""

    def make(config):
        return record(config, h0_count=falls(20, last)) if config.task == "mmlu" else None

    found = verdict("C1", STRUCTURE, make)
    assert found.verdict == expected
    assert found.missing > 0


def test_features_that_are_fewer_at_the_start_are_told_with_how_the_runs_begin(verdict):
    def make(config):
        text = config.init == "text"
        return record(config, h0_count=lambda step: np.where(text & (step == 0), config.n_tokens - 9, config.n_tokens))

    grids = ["sensitivity, init", "sensitivity, defaults"]
    found = verdict("C1", grids, make)
    assert found.verdict == "contradicted"
    assert "at some checkpoint in 6 of 18 runs" in found.said
    assert "These runs have text initialisation, and differ up to step 0: tokens that coincide" in found.said


def test_one_combination_does_not_contradict_before_its_runs_are_made(verdict):
    def make(config):
        if (config.task, config.samples) != ("mmlu", 1) or (config.seed, config.regularizer) == (2, "tsloss"):
            return None
        return by_method(none=100, tsloss=150, tsloss_printed=150)(config)

    found = verdict("C9", [*COMBINATIONS.values()], make)
    assert found.verdict is None


@pytest.mark.parametrize(("with_it", "expected"), [(150, "contradicted"), (50, None)])
def test_one_combination_may_contradict_alone(verdict, with_it, expected):
    """The others are missing, and could not change it; but they could change that it is faster everywhere."""

    def make(config):
        if (config.model, config.task, config.samples) != ("smollm2-135m", "mmlu", 1):
            return None
        return by_method(none=100, tsloss=with_it, tsloss_printed=with_it)(config)

    found = verdict("C9", [*COMBINATIONS.values()], make)
    assert found.verdict == expected
    assert found.missing > 0


@pytest.mark.parametrize(("small", "large", "expected"), [(50, 100, "reproduced"), (100, 50, "contradicted")])
def test_largest_gain(verdict, small, large, expected):
    def make(config):
        gain = small if config.model == "smollm2-135m" else large
        return by_method(none=100, tsloss=gain, tsloss_printed=100)(config)

    grids = [
        name for (_, task, setting), name in COMBINATIONS.items() if task in ("gsm8k", "mmlu") and "one" in setting
    ]
    assert verdict("C10", grids, make).verdict == expected


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ({0: 154, 0.1: 130, 0.5: 112, 1: 88, 10: None}, "reproduced"),  # the paper's own
        ({0: 154, 0.1: 130, 0.5: 112, 1: 88, 10: 60}, "contradicted"),
        ({0: 88, 0.1: 112, 0.5: 130, 1: 154, 10: None}, "contradicted"),
        ({0: 100, 0.1: 100, 0.5: 100, 1: 100, 10: None}, "undecided"),
    ],
)
def test_the_weight(verdict, steps, expected):
    def make(config):
        count = steps[0 if config.regularizer == "none" else config.weight]
        return record(config, None if count is None else count + config.seed, last=40)

    assert verdict("C11", WEIGHTS, make).verdict == expected


@pytest.mark.parametrize(
    ("at_100", "swing", "expected"), [(0.01, 0.5, "reproduced"), (0.9, 0.5, "contradicted"), (0.01, 0.0, "undecided")]
)
def test_the_loss_near_zero(verdict, at_100, swing, expected):
    def make(config):
        waves = swing if config.regularizer != "none" and config.weight == 10 else 0.0

        def loss(step):
            return np.interp(step, [1, 100, 300], [1, at_100, at_100]) * (1 + waves * (step % 2))

        return record(config, 90, last=120, cross_entropy=loss, regularizer=0)

    assert verdict("C12", WEIGHTS, make).verdict == expected


def test_the_loss_is_followed_in_the_order_of_the_steps(tmp_path, own_cache, monkeypatch):
    """Whatever the order of the runs: each loss falls without a rise."""

    def make(config):
        return record(config, 90, last=120, cross_entropy=lambda step: 1 / step, regularizer=0)

    found = made_runs.evidence(tmp_path, WEIGHTS, make)
    steps = found.steps(*WEIGHTS)
    backwards = pd.concat([run for _, run in list(steps.groupby("run", sort=False))[::-1]], ignore_index=True)
    monkeypatch.setattr(found, "steps", lambda *grids: backwards)
    said = claims.JUDGES["C12"](found).said
    assert "rises by more than a tenth: 0.00 [0.00, 0.00] more" in said
    assert "100% at λ = 0, 100% at λ = 0.1, 100% at λ = 0.5, 100% at λ = 1, 100% at λ = 10" in said


@pytest.mark.parametrize(
    ("sign", "shift", "expected"), [(1, -0.2, "reproduced"), (-1, -0.2, "contradicted"), (1, 0.2, "contradicted")]
)
def test_stable_and_compact(verdict, sign, shift, expected):
    """The first half by the sign of the loss's relation to distances, the second by what TSLoss does to them."""

    def apart(config):
        of_method = {"none": 0.0, "tsloss": shift, "l2": 0.05}[config.regularizer]
        return 1 + of_method + 0.01 * config.seed

    def make(config):
        return record(config, h0_wasserstein=apart(config), h1_wasserstein=0, mean_distance=apart(config))

    found = verdict("C13", STRUCTURE, make, lambda config: (0.5, 2 + sign * apart(config)))
    assert found.verdict == expected


def test_what_goes_together_between_methods_only_is_told_apart(verdict):
    """The method with the largest distances has the largest losses, and among its runs it is the other way."""
    of_method = {"none": 0.0, "tsloss": -0.2, "l2": 0.2}

    def make(config):
        return record(config, mean_distance=1 + of_method[config.regularizer] + 0.01 * config.seed)

    said = verdict(
        "C13", STRUCTURE, make, lambda config: (0.5, 2 + of_method[config.regularizer] - 0.01 * config.seed)
    ).said
    pooled, within = said.split("Among the runs of one method, which does not decide here, of the:")
    assert re.search(r"pairwise distance over the norm 0\.\d+ \[0\.\d+, 0\.\d+\]", pooled)
    assert re.search(r"pairwise distance over the norm -1\.00 \[-1\.00, -0\.\d+\]", within.partition("Second half")[0])


@pytest.mark.parametrize(("gain", "expected"), [(0.2, "reproduced"), (-0.2, "contradicted"), (0.0, "undecided")])
def test_held_out_accuracy(verdict, gain, expected):
    def score(config):
        return 0.4 + 0.01 * config.seed + (gain if config.regularizer == "tsloss" else 0), 1.0

    assert verdict("C14", [*MULTI, *PAIRWISE], record, score).verdict == expected


def test_held_out_accuracy_wants_every_evaluation(verdict):
    found = verdict("C14", [*MULTI, *PAIRWISE], record)
    assert found.verdict is None
    assert found.missing == 2 * 4 * made_runs.PAIRS


@pytest.mark.parametrize(("claim", "grids"), [("C13", STRUCTURE), ("C14", [*MULTI, *PAIRWISE])])
def test_a_run_that_is_missing_is_counted_once(verdict, claim, grids):
    """Neither again as one that is not evaluated, nor with the others of its grid, which are there."""

    def make(config):
        lacks = (config.task, config.samples, config.seed, config.regularizer) == ("mmlu", 10, 2, "l2")
        return None if lacks else record(config)

    found = verdict(claim, grids, make, lambda config: (0.5, 1.0))
    assert found.verdict is None
    assert found.missing == 1


@pytest.mark.parametrize(("claim", "grids"), [("C13", STRUCTURE), ("C14", [*MULTI, *PAIRWISE])])
def test_a_run_that_diverged_has_no_prompt_and_is_left_out_with_its_pair(verdict, claim, grids):
    def make(config):
        lost = (config.task, config.samples, config.seed, config.regularizer) == ("mmlu", 10, 2, "tsloss")
        if lost:  # what is left of it would not be a number
            return replace(record(config, None, mean_norm=0, mean_distance=0), status="diverged")
        return record(config)

    found = verdict(claim, grids, make, lambda config: (0.4 + 0.1 * config.seed, 1.0 + 0.1 * config.seed))
    assert (found.verdict, found.missing) == ("undecided", 0)
    assert found.said.endswith("Runs that diverged, left out with their pairs: 1.")


def test_other_models_factors_are_never_decided(verdict):
    found = verdict("C15", [*COMBINATIONS.values()], by_method(none=100, tsloss=45, tsloss_printed=20, l2=100))
    assert found.verdict == "undecided"
    said = re.search(r"Of our (\d+) ratios (\d+) have an interval that reaches 0.5, and (\d+) one", found.said)
    assert [int(group) for group in said.groups()] == [11, 11, 3], "eight of TSLoss, three as printed"
