"""Figures and sentences of the chapter on meaning, against tables whose content is known."""

import numpy as np
import pandas as pd
import pytest

from tslib.study import plots
from tslib.study.report import meaning as report_meaning


@pytest.fixture
def drifting():
    """Two tokens at three checkpoints; the first goes to another word at the last."""
    return pd.DataFrame(
        {
            "step": [0, 0, 10, 10, 20, 20],
            "token": [0, 1] * 3,
            "id": [5, 7, 5, 7, 9, 7],
            "word": ["a", "b", "a", "b", "c", "b"],
            "distance": [1.0, 3.0, 2.0, 4.0, 5.0, 7.0],
            "changed": [False, False, False, False, True, False],
            "moved": [0.0, 0.0, 1.0, 1.0, 2.0, 4.0],
        }
    )


def test_the_sentence_counts_by_the_table(drifting):
    assert report_meaning.read_drift(drifting) == (
        "1 of 2 virtual tokens have another nearest word at the end than at the start; the median distance to it goes "
        "from 2.00 to 6.00, and a virtual token has moved by 3.00 (median)."
    )


def test_words_at_three_checkpoints(drifting):
    table = report_meaning.words(drifting, tokens=1)
    assert table.to_dict("records") == [
        {"virtual token": 0, "step 0": "a (1.00)", "step 10": "a (2.00)", "step 20": "c (5.00)"}
    ]


def test_the_sentence_on_the_manifold():
    first = {"nearest": 1.0, "residual": 0.5, "word_residual": 0.9, "norm": 0.2}
    said = report_meaning.read_manifold(first, first | {"nearest": 3.5, "residual": 0.75, "norm": 2.0})
    assert "the nearest word is 1.00 away at the start and 3.50 at the end" in said
    assert "50% (start) and 75% (end) lead out" in said
    assert "for a word it is 90%" in said
    assert "0.20 and 2.00 times" in said


def test_nearest_words_draws_medians_and_shares(drifting):
    distance, changed = plots.nearest_words(drifting).axes
    assert distance.lines[0].get_ydata().tolist() == [2, 3, 6]
    assert changed.lines[0].get_xydata().tolist() == [[10, 0], [20, 0.5]]


def test_paths_draws_a_line_a_token_and_says_the_variance():
    places = np.arange(12.0).reshape(3, 2, 2)
    figure = plots.paths({"PCA": (places, (0.5, 0.25)), "t-SNE": (places, None)})
    first, second = figure.axes
    (lines,) = [
        artist for artist in first.collections if hasattr(artist, "get_segments") and len(artist.get_segments())
    ]
    assert [segment.tolist() for segment in lines.get_segments()] == places.swapaxes(0, 1).tolist()
    assert first.get_xlabel() == "PCA, first axis: 50% of variance"
    assert second.get_ylabel() == "t-SNE, second axis"


def test_training_leaves_out_what_was_not_computed():
    table = pd.DataFrame({"step": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "ts/h0": [1.0, np.nan, 5.0]})
    loss, terms = plots.training(table, "loss", ["ts/h0"]).axes
    assert loss.lines[0].get_xydata().tolist() == [[1, 3], [2, 2], [3, 1]]
    assert terms.lines[0].get_xydata().tolist() == [[1, 1], [3, 5]]
