"""The answer of the book is the same wherever it stands, and is that of the committed records."""

from pathlib import Path

import pytest

from tslib.study.evidence import Evidence
from tslib.study.report import front, headline

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def said():
    return front.answer(Evidence())


def test_the_answer_of_the_committed_records(said):
    """Numbers of the first two were found by independent code, too: 14.6 [12.9, 16.3] and 0.996 [0.943, 1.050]."""
    speed, cloud, helps = said.strip().split("\n\n")
    assert speed.startswith("**We found no gain in speed from TSLoss.**")
    assert (
        "Over 60 pairs of runs, on seven combinations of model, task and samples, the ratio is 1.00 [0.94, 1.05]"
        in speed
    )
    assert cloud.startswith("**TSLoss spaces tokens evenly, as designed, and makes loops instead of removing them.**")
    assert "At step 300 a prompt has 14.6 [12.9, 16.3] loops more than without it." in cloud
    assert "neighbouring tokens differ 0.2" in cloud
    assert helps.startswith("**Starting from words instead of noise halves the steps.**")


def test_every_page_has_the_same_answer(said):
    """The front page and the chapters take it from the same functions, and nothing else says it."""
    assert "{include} executed/headline.md" in (ROOT / "book" / "introduction.md").read_text(encoding="utf-8")
    assert "front.answer(evidence)" in (ROOT / "tslib/study/book/build.py").read_text(encoding="utf-8")
    assert said.startswith(headline.speed(Evidence()))
    assert "Markdown(speed(evidence))" in (ROOT / "notebooks" / "03_convergence.py").read_text(encoding="utf-8")
    assert "headline.short(" in (ROOT / "notebooks" / "11_what_tsloss_does.py").read_text(encoding="utf-8")
