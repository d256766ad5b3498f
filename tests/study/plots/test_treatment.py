"""Figures of what TSLoss does to a prompt, against tables whose content is known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_runs import bars, record

from tslib.config import TuneConfig
from tslib.study import plots, shapes
from tslib.study.plots import treatment as figures


@pytest.fixture
def followed():
    """Two weights, two pairs each, at three checkpoints: TSLoss divides the spread by four, and adds ten loops."""
    rows = []
    for weight in (0.1, 1.0):
        for pair in range(2):
            for step in (0, 20, 40):
                later = step > 0
                rows.append(
                    {"weight": weight, "pair": f"{weight} {pair}", "step": step, "correct": 30 + 10 * pair}
                    | {"spread_with": 0.05, "spread_alone": 0.2 if later else 0.05, "spread": np.log(0.25) * later}
                    | {"loops_with": 12.0 + pair, "loops_alone": 2.0, "loops": (10.0 + pair) * later}
                    | {"entropy_with": 3.0, "entropy_alone": 2.9, "entropy": 0.1}
                )
    return pd.DataFrame(rows)


def lines(ax):
    return {line.get_label(): list(line.get_ydata()) for line in ax.lines if not line.get_label().startswith("_")}


def test_with_and_without(followed):
    figure = plots.with_and_without({"Here": followed[followed["weight"] == 1], "There": followed})
    assert [ax.get_title() for ax in figure.axes[:2]] == ["Here\n(2 pairs)", "There\n(4 pairs)"]
    spread, _, loops = figure.axes[:3]
    drawn = lines(spread)
    assert drawn["cross-entropy alone"] == pytest.approx([0.05, 0.2, 0.2])
    assert drawn["TSLoss"] == pytest.approx([0.05] * 3)
    assert lines(loops)["TSLoss"] == pytest.approx([12.5] * 3)
    half = next(line for line in spread.lines if line.get_label().startswith("half"))
    assert list(half.get_xdata()) == [35, 35]


def test_changes_by_weight(followed):
    figure = plots.changes_by_weight(followed)
    spread, loops = figure.axes
    assert lines(spread) == {f"λ = {weight}": pytest.approx([1, 0.25, 0.25]) for weight in ("0.1", "1")}
    assert lines(loops)["λ = 1"] == pytest.approx([0, 10.5, 10.5])


def test_side_by_side():
    ours, theirs = record(TuneConfig(regularizer="tsloss")), record(TuneConfig())
    ours = dataclasses.replace(ours, diagrams=bars({40: [2.0, 3.0, np.inf]}))
    theirs = dataclasses.replace(theirs, diagrams=bars({40: [1.0, 9.0, np.inf]}))
    figure = plots.side_by_side(theirs, ours, 40)
    assert [ax.get_title() for ax in figure.axes] == ["cross-entropy alone", "with TSLoss"]
    assert [ax.get_xlim()[1] for ax in figure.axes] == pytest.approx([1.08 * 9] * 2), "one scale"
    assert [[bar.get_width() for bar in ax.patches[:2]] for ax in figure.axes] == [[1, 9], [2, 3]]


def test_even_clouds():
    figure = plots.even_clouds(
        shapes.by_noise([0.01, 0.1], range(2)), shapes.by_lengths([0.0, 0.2], range(2)), shapes.descents([0], 20)
    )
    assert [ax.get_xlabel() for ax in figure.axes[1:]] == [
        *("noise on a simplex of side 1", "how unequal the lengths are", "step with TSLoss alone")
    ]
    assert set(lines(figure.axes[3])) == set(shapes.STARTS)


def settings():
    columns = ["regularizer", "method", "pull", "ratio", "ratio_low", "ratio_high", "treated"]
    rows = [
        ("tsloss", "prompt-tuning", 0.02, 1.0, 0.9, 1.1, True),
        ("tsloss-printed", "prompt-tuning", 0.001, 1.0, 0.9, 1.1, False),
        ("tsloss-adaptive", "prompt-tuning", 1.0, 1.5, 1.2, 1.9, True),
        ("tsloss", "p-tuning", 36.0, 6.7, 6.0, 7.5, True),
        ("l2", "prompt-tuning", 0.2, 2.8, 2.5, 3.3, False),
        ("persistence", "prompt-tuning", 6.0, 2.4, 1.8, 3.4, False),
    ]
    return pd.DataFrame(rows, columns=columns, index=range(10, 16))


def test_ratio_against_pull():
    figure = plots.ratio_against_pull(settings(), {12: "adaptive weight", 13: "P-tuning"})
    (ax,) = figure.axes
    drawn = {tuple(point) for points in ax.collections[:] for point in np.asarray(points.get_offsets()) if len(point)}
    assert drawn >= {(row["pull"], row["ratio"]) for row in settings().to_dict("records")}
    assert {text.get_text(): text.xy for text in ax.texts} == {"adaptive weight": (1.0, 1.5), "P-tuning": (36.0, 6.7)}
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    figure.canvas.draw()
    assert {"0.1 %", "1 %", "100 %"} <= {label.get_text() for label in ax.get_xticklabels()}


def test_kinds():
    assert [figures.kind(row) for row in settings().to_dict("records")] == [
        *("TSLoss and its variants", "TSLoss and its variants", "TSLoss with adaptive weight"),
        *("TSLoss with another prompt method", "L2, pairwise, random direction", "exact homology and pushes"),
    ]
    assert figures.kind({"regularizer": "push-h0-up", "method": "prompt-tuning"}) == "exact homology and pushes"
