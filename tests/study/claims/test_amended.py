"""Verdicts by the amended rules, on made runs where they differ from the registered ones; and the page of both."""

import hashlib
import re

import made_runs
import numpy as np
import pytest
from made_runs import record

from tslib.errors import ResourceError
from tslib.runs.evaluation import Evaluation, EvaluationStore
from tslib.runs.sweeps import Sweep
from tslib.study import claims
from tslib.study.claims.criteria import MULTI, PAGE, SINGLE
from tslib.study.claims.iterations import COMBINATIONS
from tslib.study.evidence import UNTUNED

STRUCTURE = [*SINGLE, *MULTI]
EVERY = [*COMBINATIONS.values()]


def falls(start, end):
    """From one value to another, evenly over 300 steps."""
    return lambda step: start + (end - start) * step / 300


@pytest.fixture
def both(tmp_path, own_cache):
    """The findings on a claim of runs that a function makes, as registered and as amended."""

    def find(claim, grids, make, score=None):
        evidence = made_runs.evidence(tmp_path, grids, make, score)
        return claims.JUDGES[claim](evidence), claims.AMENDED[claim](evidence)

    return find


def test_the_registered_part_is_as_it_was_registered():
    """The text from its first heading to the second part is that of commit f0cb982, before the runs that decide."""
    part = re.search(
        r"^## What can be decided here.*?(?=^## Second part)", PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
    digest = hashlib.sha256(part.group().rstrip().encode()).hexdigest()
    assert digest == "e553083e3fce387f247de4ddc45643cd061872aa4739d8565e8df6817b687482"


def test_each_claim_is_judged_by_both_and_amendments_say_what_was_wrong():
    assert list(claims.AMENDED) == list(claims.JUDGES)
    amendments = claims.amendments()
    assert set(amendments) == set(claims.JUDGES) - {"C6", "C11", "C15"}
    assert "C6, C11 and C15 are judged by their registered rules" in PAGE.read_text(encoding="utf-8")
    assert amendments["C12"].wrong == "contradicted by λ = 0, which is cross-entropy alone"
    assert amendments["C12"].rule == "the registered rule for 0.1 ≤ λ ≤ 1"


def test_amendments_of_no_page(tmp_path):
    with pytest.raises(ResourceError, match="cannot read the criteria"):
        claims.amendments(tmp_path / "none.md")


def test_tokens_that_coincide_at_the_start_decide_nothing(both):
    def make(config):
        text = config.init == "text"
        return record(config, h0_count=lambda step: np.where(text & (step == 0), 11, config.n_tokens))

    registered, amended = both("C1", ["sensitivity, init", "sensitivity, defaults"], make)
    assert registered.verdict == "contradicted"
    assert (amended.verdict, amended.but) == ("reproduced", "by construction")
    assert "In 6 of 18 runs tokens coincide at the start; of the others 0 have" in amended.said


def test_a_count_that_changes_later_still_contradicts(both):
    _, amended = both("C1", STRUCTURE, lambda config: record(config, h0_count=falls(20, 19)))
    assert (amended.verdict, amended.but) == ("contradicted", "")


@pytest.mark.parametrize(
    ("claim", "ours", "twin", "expected"),
    [
        ("C2", {"h1_count": falls(10, 0)}, {"null_h1_count": falls(10, 0)}, "as for noise"),
        ("C2", {"h1_count": falls(10, 0)}, {"null_h1_count": falls(10, 20)}, "more than noise"),
        ("C4", {"h0_mean_lifespan": falls(1, 2)}, {"null_h0_mean_lifespan": falls(1, 3)}, "as for noise"),
        ("C4", {"h0_mean_lifespan": falls(1, 3)}, {"null_h0_mean_lifespan": falls(1, 2)}, "more than noise"),
        (
            "C5",
            {"persistence_entropy": lambda step: 3 - np.minimum(step, 60) / 200},
            {"null_persistence_entropy": lambda step: 3 - np.minimum(step, 60) / 100},
            "as for noise",
        ),
        (
            "C5",
            {"persistence_entropy": lambda step: 3 - np.minimum(step, 60) / 200},
            {"null_persistence_entropy": 3},
            "more than noise",
        ),
    ],
)
def test_each_run_is_held_against_its_own_twin(both, claim, ours, twin, expected):
    registered, amended = both(claim, STRUCTURE, lambda config: record(config, **ours, **twin))
    assert registered.verdict == amended.verdict == "reproduced"
    assert amended.but == expected


def test_what_is_not_reproduced_is_not_compared_with_noise(both):
    _, amended = both("C4", STRUCTURE, lambda config: record(config, h0_mean_lifespan=falls(2, 1)))
    assert (amended.verdict, amended.but) == ("contradicted", "")


def test_ten_samples_against_one_of_the_same_task(both):
    """On one task loops fall faster with ten, on the other as fast: no task may carry the other."""

    def make(config):
        ten = config.samples == 10 and config.task == "mmlu"
        return record(config, h1_count=falls(10 + config.seed, 0 if ten else 5))

    _, amended = both("C3", STRUCTURE, make)
    assert amended.verdict == "undecided"
    assert "* GSM8K, falls by step 100: 0.00 [" in amended.said


def offset(config):
    """Groups of runs lie far apart, in the order against that of their accuracies."""
    return {("gsm8k", 1): 0, ("gsm8k", 10): 1, ("mmlu", 1): 2, ("mmlu", 10): 3}[config.task, config.samples]


def test_groups_that_are_pooled_turn_a_correlation_round(both):
    """Simpson's paradox: in each group lifespan and accuracy rise together, and groups with more of one have less."""

    def make(config):
        return record(
            config,
            h0_mean_lifespan=falls(10 * offset(config), 10 * offset(config) + 3),
            exact=falls(0.7 - 0.2 * offset(config), 0.9 - 0.2 * offset(config)),
        )

    registered, amended = both("C7", STRUCTURE, make)
    assert registered.verdict == "contradicted"
    assert (amended.verdict, amended.but) == ("undecided", "drift only")
    assert "* the mean $H_0$ lifespan 1.00 [1.00, 1.00]\n" in amended.said


def test_a_relation_at_the_same_step_is_more_than_drift(both):
    """Of the runs of a group, those with longer lifespans are the more accurate, at every step."""

    def make(config):
        return record(
            config,
            h0_mean_lifespan=lambda step: step / 300 + 0.1 * config.seed,
            exact=lambda step: step / 600 + 0.1 * config.seed,
            null_h0_mean_lifespan=lambda step: step / 300 + 0.1 * ((config.seed * 2) % 3 + config.sample_seed * 0),
        )

    _, amended = both("C7", STRUCTURE, make)
    assert (amended.verdict, amended.but) == ("reproduced", "")


@pytest.mark.parametrize(
    ("loops", "expected"), [(falls(10, 0), ("undecided", "drift only")), (falls(0, 10), ("contradicted", ""))]
)
def test_other_features_within_groups(both, loops, expected):
    columns = {"persistence_entropy": falls(3, 2), "h1_count": loops}
    _, amended = both("C8", STRUCTURE, lambda config: record(config, **columns))
    assert (amended.verdict, amended.but) == expected


EVEN, UNEVEN = [1.0, 1.01, 1.02], [1.0, 1.4, 1.8]


def combination(*, untreated=(), unseen=(), **steps):
    """Make runs that TSLoss makes even, but for some tasks; of others none is correct."""

    def make(config):
        of_task = (config.task, config.samples)
        even = config.regularizer != "none" and of_task not in untreated
        jitter = 0.01 * config.seed
        count = None if of_task in unseen else steps[config.regularizer.replace("-", "_")] + config.seed
        return record(
            config, count, last=40, deaths=lambda step: [d + jitter * d**2 for d in (EVEN if even else UNEVEN)]
        )

    return make


@pytest.mark.parametrize(
    ("steps", "expected"), [((100, 60), "reproduced"), ((100, 130), "contradicted"), ((100, 100), "contradicted")]
)
def test_combinations_that_count(both, steps, expected):
    none, ours = steps
    _, amended = both("C9", EVERY, combination(none=none, tsloss=ours, tsloss_printed=ours, l2=none))
    assert amended.verdict == expected
    assert "All 8 count. Of the 8 that count" in amended.said


def test_what_is_not_observed_or_not_treated_does_not_count(both):
    """Of four tasks that count, none has an interval that rules a gain out or in; the others would."""
    make = combination(
        none=100,
        tsloss=100,
        tsloss_printed=100,
        l2=100,
        unseen=[("gsm8k", 10)],
        untreated=[("gsm8k", 1), ("mmlu", 1), ("mmlu", 10), ("hotpotqa-short", 1), ("longbench", 1)],
    )
    registered, amended = both("C9", EVERY, make)
    assert registered.verdict == "contradicted"
    assert amended.verdict == "undecided"
    assert "Of 8 combinations 1 has no correct run and in 7 TSLoss has not acted" in amended.said
    assert "that count" not in amended.said


def test_models_are_compared_where_both_are_treated(both):
    grids = [
        name for (_, task, setting), name in COMBINATIONS.items() if task in ("gsm8k", "mmlu") and "one" in setting
    ]

    def make(config):
        gain = 50 if (config.model == "smollm2-135m") == (config.task == "gsm8k") else 100
        return combination(none=100, tsloss=gain, tsloss_printed=100, untreated=[("mmlu", 1)])(config)

    registered, amended = both("C10", grids, make)
    assert registered.verdict == "undecided", "the tasks say the opposite of each other"
    assert amended.verdict == "reproduced"
    assert "Not judged, since one of them is not treated: MMLU." in amended.said


def test_cross_entropy_alone_is_no_weight_of_the_paper(both):
    def make(config):
        at_100 = 0.9 if config.regularizer == "none" else 0.01
        waves = 0.5 if config.regularizer != "none" and config.weight == 10 else 0.0

        def loss(step):
            return np.interp(step, [1, 100, 300], [1, at_100, at_100]) * (1 + waves * (step % 2))

        return record(config, 90, last=120, cross_entropy=loss, regularizer=0)

    registered, amended = both("C12", [SINGLE[0], "the weight, gsm8k"], make)
    assert registered.verdict == "contradicted"
    assert amended.verdict == "reproduced"


def test_methods_that_differ_in_both_are_not_pooled(both):
    """Between methods compact prompts have the larger loss; among the runs of one method it is the other way."""
    of_method = {"none": 0.0, "tsloss": -0.2, "l2": 0.2}

    def make(config):
        apart = 1 + of_method[config.regularizer] + 0.01 * config.seed
        return record(config, mean_distance=apart, h0_wasserstein=apart, h1_wasserstein=0)

    def score(config):
        return 0.5, 2 - 5 * of_method[config.regularizer] + 0.01 * config.seed

    registered, amended = both("C13", STRUCTURE, make, score)
    assert registered.verdict == "contradicted"
    assert amended.verdict == "reproduced"


@pytest.mark.parametrize(
    ("untuned", "gain", "expected"), [(0.1, 0.2, "reproduced"), (0.1, -0.2, "contradicted"), (0.7, 0.2, "undecided")]
)
def test_accuracy_above_its_floor(tmp_path, own_cache, untuned, gain, expected):
    def score(config):
        return 0.4 + 0.01 * config.seed + (gain if config.regularizer == "tsloss" else 0), 1.0

    grids = [*MULTI, "ten samples, pairwise, gsm8k", "ten samples, pairwise, mmlu"]
    evidence = made_runs.evidence(tmp_path, grids, record, score)
    assert claims.AMENDED["C14"](evidence).verdict is None, "how the model does untuned is not known"
    results = {"score": untuned, "low": 0.0, "high": 1.0, "answer_loss": 1.0, "rows": 100, "cut": 0}
    for asked in Sweep.load(UNTUNED).as_they_are:
        EvaluationStore(evidence.store.root / "evaluations").save(Evaluation(asked, results, {}, made_runs.no_rows()))
    found = claims.AMENDED["C14"](evidence)
    assert found.verdict == expected
    assert ("No task lies above its floor" in found.said) == (untuned == 0.7)
    assert "lower is better" in found.said
    above = claims.above_floor(evidence, evidence.evaluations(*MULTI))
    floors = {"gsm8k": untuned, "mmlu": max(untuned, 0.25)}
    assert {task: one.value for task, one in above.items()} == pytest.approx({t: 0.41 - f for t, f in floors.items()})


def test_guessing_is_a_floor(tmp_path, own_cache):
    """Below a quarter of MMLU's questions nothing was learnt, whatever the untuned model solves."""
    evidence = made_runs.evidence(tmp_path, MULTI, record)
    for asked in Sweep.load(UNTUNED).as_they_are:
        results = {"score": 0.1, "low": 0.0, "high": 1.0, "answer_loss": 1.0, "rows": 100, "cut": 0}
        EvaluationStore(evidence.store.root / "evaluations").save(Evaluation(asked, results, {}, made_runs.no_rows()))
    from tslib.study.claims.amended import floor

    assert floor(evidence, "mmlu") == 0.25
    assert floor(evidence, "gsm8k") == 0.1
