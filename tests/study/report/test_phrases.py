"""Pieces of sentences in each of their cases."""

import pytest

from tslib.study.report import phrases


@pytest.mark.parametrize(("parts", "said"), [("a", "a"), ("ab", "a and b"), ("abc", "a, b and c")])
def test_listed(parts, said):
    assert phrases.listed(parts) == said


@pytest.mark.parametrize(("number", "said"), [(0, "none"), (1, "one"), (12, "twelve"), (13, "13")])
def test_few(number, said):
    assert phrases.few(number) == said


@pytest.mark.parametrize(("number", "said"), [(0, "0 pairs"), (1, "1 pair"), (10, "10 pairs")])
def test_plural(number, said):
    assert phrases.plural(number, "pair") == said


@pytest.mark.parametrize(
    ("number", "total", "said"),
    [
        (0, 5, "none of 5 runs is"),
        (1, 5, "1 of 5 runs is"),
        (2, 5, "2 of 5 runs are"),
        (5, 5, "all 5 runs are"),
        (0, 1, "no run is"),
        (1, 1, "the one run is"),
    ],
)
def test_how_many_are(number, total, said):
    assert phrases.of_all(number, total, "run") == said


@pytest.mark.parametrize(
    ("number", "total", "said"),
    [(0, 4, "none of four"), (2, 4, "two of four"), (4, 4, "all four"), (1, 1, "one of one")],
)
def test_share(number, total, said):
    assert phrases.share(number, total) == said


@pytest.mark.parametrize(
    ("below", "above", "total", "said"),
    [
        (0, 0, 1, "The interval includes 1"),
        (0, 0, 8, "All 8 intervals include 1"),
        (1, 0, 8, "Of 8 intervals 1 lies below 1; the others include 1"),
        (0, 2, 8, "Of 8 intervals 2 lie above 1; the others include 1"),
        (1, 2, 8, "Of 8 intervals 1 lies below 1 and 2 lie above 1; the others include 1"),
        (8, 0, 8, "All 8 intervals lie below 1"),
        (0, 1, 1, "The interval lies above 1"),
        (1, 1, 2, "Of 2 intervals 1 lies below 1 and 1 lies above 1"),
        (7, 0, 8, "Of 8 intervals 7 lie below 1; the other includes 1"),
    ],
)
def test_sides_of_1(below, above, total, said):
    assert phrases.sides(below, above, total) == said
