"""The answer of the book is the same wherever it stands, and is that of the committed records."""

from pathlib import Path

import numpy as np
import pytest

from tslib.study import claims
from tslib.study.claims.iterations import COMBINATIONS
from tslib.study.evidence import Evidence
from tslib.study.report import front, headline

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def said():
    return front.answer(Evidence())


def test_the_answer_of_the_committed_records(said):
    """The number of the second was found by independent code, too: 14.6 [12.9, 16.3]."""
    speed, cloud, helps = said.strip().split("\n\n")
    assert speed.startswith("**We found no gain in speed from TSLoss.**")
    assert "Over 30 pairs that last until TSLoss has acted, in four settings, the ratio is 0.97 [0.91, 1.04]." in speed
    assert "Over all 60 it is 1.00 [0.94, 1.05]." in speed
    assert cloud.startswith("**TSLoss spaces tokens evenly, as designed, and makes loops instead of removing them.**")
    assert "At step 300 a prompt has 14.6 [12.9, 16.3] loops more than one without." in cloud
    assert "between neighbouring tokens is 0.2" in cloud
    assert helps.startswith("**Starting from words instead of noise halves the steps on GSM8K.**")


def test_the_mean_of_pairs_is_that_of_the_committed_iterations():
    """Counted from the tables of runs alone; over all 60 pairs independent code has 0.996 [0.943, 1.050]."""
    evidence = Evidence()
    logs = {}
    for place, grid in COMBINATIONS.items():
        runs = evidence.runs(grid)
        counts = runs["iterations_to_correct"].fillna(runs["max_steps"])
        sides = [
            counts[runs["regularizer"] == name].set_axis(runs[runs["regularizer"] == name]["seed"])
            for name in ("tsloss", "none")
        ]
        logs[place] = np.log(sides[0] / sides[1]).to_numpy()
    acted = [("smollm2-135m", "gsm8k", "one sample"), ("gemma3-270m", "gsm8k", "one sample")]
    acted += [("smollm2-135m", "longbench", "one sample"), ("smollm2-135m", "mmlu", "ten samples")]
    never = ("smollm2-135m", "gsm8k", "ten samples")
    for treated, places in ((True, acted), (False, set(logs) - {never})):
        every = np.concatenate([logs[place] for place in places])
        found, pairs, combinations = claims.geometric(evidence, treated=treated)
        assert (pairs, combinations) == (len(every), len(places))
        assert found.value == pytest.approx(np.exp(every.mean()))
    assert found == pytest.approx((0.996, 0.943, 1.050), abs=5e-4)


def test_every_page_has_the_same_answer(said):
    """The front page and the chapters take it from the same functions, and nothing else says it."""
    assert "{include} executed/headline.md" in (ROOT / "book" / "introduction.md").read_text(encoding="utf-8")
    assert "front.answer(evidence)" in (ROOT / "tslib/study/book/build.py").read_text(encoding="utf-8")
    assert said.startswith(headline.speed(Evidence()))
    assert "Markdown(speed(evidence))" in (ROOT / "notebooks" / "03_convergence.py").read_text(encoding="utf-8")
    assert "headline.short(" in (ROOT / "notebooks" / "11_what_tsloss_does.py").read_text(encoding="utf-8")
