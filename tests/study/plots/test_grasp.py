"""Figures of prompts tied to places: what they show is what they were given."""

import numpy as np
import pandas as pd
import pytest

from tslib.study.places import Places
from tslib.study.plots import grasp
from tslib.study.report import grasp as report

PICTURE = np.full((32, 32, 3), 90, np.uint8)
WEIGHTS = {"Is there water in the picture?": np.array([0.75, 0.25, 0, 0]), "Is there a road?": np.array([0, 0, 0, 1.0])}


def test_a_block_says_its_weight_where_it_has_one():
    figure = grasp.choices(PICTURE, WEIGHTS)
    said = [[(text.get_text(), text.xy) for text in ax.texts] for ax in figure.axes]
    assert said == [[("0.75", (8, 8)), ("0.25", (24, 8))], [("1.00", (24, 24))]]
    veil = figure.axes[0].images[1].get_array()[..., 3]
    assert veil.ravel().tolist() == pytest.approx([0, 0.5, 0.75, 0.75]), "the more weight, the brighter"


def test_the_slider_has_a_frame_for_each_question():
    shown = grasp.questions(PICTURE, WEIGHTS)
    assert [frame.layout.title.text for frame in shown.figure.frames] == list(WEIGHTS)
    for frame, own in zip(shown.figure.frames, WEIGHTS.values(), strict=True):
        *blocks, said = frame.data
        veils = [float(block.fillcolor.removesuffix(")").split(",")[-1]) for block in blocks]
        assert veils == pytest.approx(0.75 * (1 - own), abs=1e-3), "the more weight, the brighter; the most of all is 1"
        assert list(said.text) == [f"{weight:.2f}" if weight else "0" for weight in own]
        assert [(block.x[0], block.y[0]) for block in blocks] == [(0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5)]
    assert shown.figure.layout.images[0].source.startswith("data:image/jpeg;base64,")
    assert "A slider through 2 questions" in shown.fragment()


def test_a_weight_that_is_rounded_above_the_most_of_all_is_as_bright_as_can_be():
    shown = grasp.questions(PICTURE, {"Is there a road?": np.array([0.123456, 0.123456, 0.753088, 0])})
    assert shown.figure.data[2].fillcolor == "rgba(0,0,0,0.000)"


def test_fused_prompts_of_one_block_and_of_four():
    for blocks in (1, 4):
        bank = np.eye(4)[:blocks]
        fused = np.array([bank[0], bank[-1], bank.mean(0)])
        course = pd.DataFrame({"step": [0, 6]})
        found = Places(np.eye(3), pd.DataFrame(), {0: fused, 6: fused}, {0: bank, 6: bank}, course)
        figure = grasp.fused_prompts(found)
        assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [blocks, 3]
        # of one block all fused prompts are one point, else three
        deaths = next(line for line in figure.axes[2].lines if line.get_label() == "H0")
        assert len(deaths.get_xdata()) == (3 if blocks > 1 else 1)


def test_the_course_of_a_gate():
    table = pd.DataFrame({"step": [0, 6], "right": [0.2, 0.9], "entropy": [1.0, 0.3], "spread": [0.5, 1.0]})
    figure = grasp.course(table.assign(gradient=[0.1, 0.2]))
    assert [list(line.get_ydata()) for ax in figure.axes for line in ax.lines] == [
        [0.2, 0.9],
        [1, 0.3],
        [0.5, 1],
        [0.1, 0.2],
    ]
    assert report.read_course(table.assign(gradient=[0.1, 0.2])).endswith("gate's scores from 0.1 to 0.2.")
    assert len(grasp.course(table.assign(gradient=np.nan)).axes) == 2
    assert report.read_course(table.assign(gradient=np.nan)).endswith("this gate has no scores to learn.")


def test_differences_are_in_points():
    rows = pd.DataFrame([("one", 0.1, 0.05, 0.2), ("two", 0.0, -0.1, 0.1)], columns=["label", "value", "low", "high"])
    ax = grasp.differences(rows).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["two", "one"]
    assert list(ax.containers[0].lines[0].get_xdata()) == pytest.approx([0, 10])


def test_words_for_what_a_gate_takes():
    chosen = pd.DataFrame({"right": [1.0, 0.4], "support": [3, 2], "entropy": [0.5, 0.3]})
    said = report.read_choices(chosen, list(WEIGHTS))
    assert said == (
        "For 2 questions about this picture the gate takes 2.5 blocks on average, with 40 % of the entropy of equal "
        "weights."
    )
    asked = ["Is there water?", "Is there water in the upper left quarter of the picture?"]
    assert report.read_choices(chosen, asked).endswith("Of the weight 40 % lies in the quarter that a question names.")
