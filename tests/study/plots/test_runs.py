"""Figures of runs show what the tables hold."""

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from made_tables import FITS, table

from tslib import stats
from tslib.study import plots
from tslib.study.names import METHOD_NAMES

mpl.use("Agg")


@pytest.fixture
def topology():
    steps = np.arange(0, 60, 20)
    columns = ["mean_lifespan", "entropy", "bottleneck", "wasserstein"]
    frame = {f"h{k}_{name}": np.linspace(k, k + 1, 3) for k in (0, 1) for name in columns}
    counts = {"h0_count": 20, "h1_count": [9, 5, 0], "h1_density": [3.0, 2.0, 0.0]}
    return pd.DataFrame({"step": steps, "persistence_entropy": 2.9, "density": 30.0} | counts | frame)


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def test_evolution(topology):
    counts, lifespans, entropy, density = plots.evolution(topology).axes
    assert lines(counts)["H1"].get_ydata().tolist() == [9, 5, 0]
    assert lines(counts)["H0"].get_ydata().tolist() == [20, 20, 20]
    assert lines(lifespans)["H1"].get_xdata().tolist() == [0, 20, 40]
    assert lines(entropy)["H0 and H1"].get_ydata().tolist() == [2.9] * 3
    assert lines(density)["H1"].get_ydata().tolist() == [3, 2, 0]
    assert all(ax.get_ylim()[0] == 0 for ax in (counts, lifespans, entropy, density))


def test_stability(topology):
    for ax, kind in zip(plots.stability(topology).axes, ("bottleneck", "wasserstein"), strict=True):
        assert lines(ax)["H1"].get_ydata().tolist() == topology[f"h1_{kind}"].tolist()


def test_bars_at():
    bars = pd.DataFrame(
        [(0, 0, 0.0, 1.0), (0, 0, 0.0, np.inf), (0, 1, 1.0, 1.5), (20, 0, 0.0, 2.0)],
        columns=["step", "dimension", "birth", "death"],
    )
    h0, h1 = plots.bars_at(bars, 0)
    assert h0.tolist() == [[0, 1], [0, np.inf]]
    assert h1.tolist() == [[1, 1.5]]
    assert plots.bars_at(bars, 20)[1].shape == (0, 2)


@pytest.mark.parametrize("deaths", [(1.0, 4.0), (4.0, 1.0)])
def test_first_and_last_barcode_have_one_scale(deaths):
    rows = [(step, 0, 0.0, death) for step, last in zip((0, 20), deaths, strict=True) for death in (last, np.inf)]
    axes = plots.first_and_last(pd.DataFrame(rows, columns=["step", "dimension", "birth", "death"])).axes
    assert [ax.get_title() for ax in axes[:2]] == ["step 0", "step 20"]
    assert axes[0].get_xlim() == axes[1].get_xlim()
    assert axes[0].get_xlim()[1] > 4


def test_survival_falls_at_the_iterations():
    ax = plots.survival(table([(100, 50), (120, None)])).axes[0]
    alone = lines(ax)["cross-entropy alone (n = 2)"]
    assert list(zip(alone.get_xdata(), alone.get_ydata(), strict=True))[:3] == [(0, 1), (100, 0.5), (120, 0)]
    assert min(lines(ax)["TSLoss (n = 2)"].get_ydata()) == 0.5  # one run is censored


def test_paired_iterations_marks_censored_runs_hollow():
    ax = plots.paired_iterations(table([(100, 50), (120, None)])).axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[100, 50], [120, 300]]
    white = [mpl.colors.to_hex(face) == "#ffffff" for face in ax.collections[1].get_facecolors()]
    assert white == [False, True]


def test_ratios_draws_each_interval():
    comparison = stats.comparison(table([(100, 50), (120, 66), (80, 38)]))
    ax = plots.ratios(comparison).axes[0]
    row = comparison.iloc[1]
    assert ax.containers[0].lines[0].get_xdata().tolist() == [row["ratio"]]
    spread = ax.containers[0].lines[2][0].get_segments()[0][:, 0]
    assert spread.tolist() == pytest.approx([row["low"], row["high"]])
    assert ax.get_yticklabels()[0].get_text() == "TSLoss"


SEVERAL = pd.DataFrame(
    [
        {"run": run, "regularizer": name, "task": name, "step": step, "h1_count": count + step, "token_accuracy": 0.5}
        for name in ("none", "tsloss", "l2")
        for run, count in ((f"{name}-1", 1.0), (f"{name}-2", 40.0))
        for step in (0, 20)
    ]
)
"""Topology of two runs a method."""


def laid_out(draw):
    """A figure with the layout that notebooks have, drawn: a warning that axes have no room is an error."""
    with mpl.rc_context():
        plots.style()
        figure = draw()
        figure.canvas.draw()
    return figure


def overlap(*boxes):
    return any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_data_sets_beside_and_below_each_other():
    """Six of them: their titles do not overlap, no interval is cut off, and all have one scale."""
    names = ["gsm8k", "mmlu", "hotpotqa-short", "longbench", "math", "bbh", "multiple-choice"]
    runs = {name: SEVERAL.assign(h1_count=SEVERAL["h1_count"] + at) for at, name in enumerate(names)}
    figure = laid_out(lambda: plots.bands(runs, {"h1_count": "number of loops"}))
    assert [ax.get_title() for ax in figure.axes] == [f"{name} (n = 6 runs)" for name in names]
    titles = [ax.title.get_window_extent() for ax in figure.axes]
    assert not overlap(*titles)
    assert len({round(box.y0) for box in titles}) == 3
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    for ax in figure.axes:
        (band,) = ax.collections
        assert ax.get_ylim()[0] == 0
        assert ax.get_ylim()[1] >= band.get_datalim(ax.transData).y1


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.bands({"two": SEVERAL}, {"h1_count": "loops"}),
        lambda: plots.by_method(SEVERAL, {"h1_count": "number of loops"}),
        lambda: plots.scatter_at(SEVERAL, ["h1_count"], 20),
        lambda: plots.memory(FITS),
    ],
    ids=["bands", "by method", "scatter", "memory"],
)
def test_a_legend_covers_nothing(draw):
    figure = laid_out(draw)
    (legend,) = figure.legends
    assert len(legend.get_texts()) >= 1
    for ax in figure.axes:
        assert not overlap(legend.get_window_extent(), ax.get_tightbbox())


@pytest.mark.parametrize("rows", [1, 2, 3, 20])
def test_the_legend_of_few_ratios_has_room_below_them(rows):
    made = {"setting": "tau", "value": range(rows), "ratio": 1.0, "low": 0.9, "high": 1.2}
    figure = laid_out(lambda: plots.settings(pd.DataFrame(made, index=range(rows))))
    (ax,) = figure.axes
    assert ax.get_legend().get_window_extent().y1 < ax.xaxis.label.get_window_extent().y0
    assert ax.get_window_extent().height > 0.25 * rows * figure.dpi


def test_every_method_keeps_its_colour():
    assert plots.method_colours(["tsloss"])["tsloss"] == plots.method_colours(["none", "tsloss"])["tsloss"]
    assert len(set(plots.method_colours(["none", "tsloss", "l2", "new"]).values())) == 4
    together = [name for name in METHOD_NAMES if not name.startswith("push-")]
    assert len(set(plots.method_colours(together).values())) == len(together)
