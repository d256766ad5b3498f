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
