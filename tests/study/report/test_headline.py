"""The answer of the book: each of its cases reads well, and it is the same wherever it stands."""

from pathlib import Path

import pytest

from tslib.stats import Interval
from tslib.study.evidence import Evidence
from tslib.study.report import front, headline

ROOT = Path(__file__).resolve().parents[3]
BELOW, AROUND, ABOVE = Interval(0.5, 0.4, 0.6), Interval(1.0, 0.9, 1.1), Interval(2.0, 1.5, 2.5)
FEWER, SAME, MORE = Interval(-5, -6, -4), Interval(0, -1, 1), Interval(5, 4, 6)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (
            (BELOW, MORE, AROUND),
            "reshapes the cloud as designed, makes loops instead of removing them, and changes no speed that can be "
            "told from chance",
        ),
        ((BELOW, FEWER, BELOW), "reshapes the cloud as designed, removes loops, and speeds tuning up"),
        (
            (AROUND, SAME, ABOVE),
            "does not reshape the cloud as designed, neither makes nor removes loops, and slows tuning down",
        ),
    ],
)
def test_the_answer_follows_the_numbers(numbers, said):
    assert headline.answer(*numbers) == f"In our runs TSLoss {said}."


@pytest.fixture(scope="module")
def said():
    return headline.headline(Evidence())


def test_the_answer_of_the_committed_records(said):
    """The last two numbers were found by independent code, too: 14.6 [12.9, 16.3] and 0.996 [0.943, 1.050]."""
    assert said.startswith(
        "**In our runs TSLoss reshapes the cloud as designed, makes loops instead of removing them, and"
    )
    assert "At step 300 there are 14.56 [12.86, 16.26] loops more." in said
    assert "over all 60 pairs of 7 combinations of model, task and samples it is 1.00 [0.94, 1.05]" in said
    assert "scatter 0.2" in said


def test_every_page_has_the_same_answer(said):
    """The front page and chapter 3 take it from the same function, and nothing else says it."""
    assert "{include} executed/headline.md" in (ROOT / "book" / "introduction.md").read_text(encoding="utf-8")
    assert "report_front.answer(evidence)" in (ROOT / "tslib/study/book/build.py").read_text(encoding="utf-8")
    assert front.answer(Evidence()).startswith(said)
    assert "Markdown(headline(evidence))" in (ROOT / "notebooks" / "03_convergence.py").read_text(encoding="utf-8")
