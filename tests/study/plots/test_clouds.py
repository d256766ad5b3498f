"""What is drawn: bars and their ends, edges at a known scale, the way that arrows point."""

import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle
from matplotlib.quiver import Quiver

from tslib import persistence_diagrams, summarize
from tslib.study import plots

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


@pytest.fixture(autouse=True)
def _agg():
    backend = mpl.get_backend()
    plt.switch_backend("Agg")
    with mpl.rc_context():
        yield
    plt.close("all")
    plt.switch_backend(backend)


def parts(ax):
    """Balls, triangles and edges of a drawn complex."""
    balls, triangles, edges = ax.collections[:3]
    return len(balls.get_paths()), len(triangles.get_paths()), edges.get_segments()


@pytest.mark.parametrize(
    ("scale", "edges", "triangles"), [(0.99, 0, 0), (1.0, 4, 0), (1.41, 4, 0), (math.sqrt(2), 6, 4), (9.0, 6, 4)]
)
def test_complex_of_the_square(scale, edges, triangles):
    balls, filled, segments = parts(plots.rips_complex(SQUARE, scale))
    assert (balls, filled, len(segments)) == (4, triangles, edges)
    assert all(np.linalg.norm(a - b) <= scale * (1 + 1e-6) for a, b in segments)


def test_balls_of_half_the_scale_touch_where_points_are_joined():
    ax = plots.rips_complex(np.array([[0.0, 0.0], [2.0, 0.0]]), 2.0)
    left, right = (path.get_extents() for path in ax.collections[0].get_paths())
    assert left.x1 == pytest.approx(1)
    assert right.x0 == pytest.approx(1)


@pytest.mark.parametrize(("scale", "numbers"), [(0.0, [4, 0]), (0.99, [4, 0]), (1.0, [1, 1]), (1.5, [1, 0])])
def test_betti_numbers_of_the_square(scale, numbers):
    assert plots.betti_numbers(persistence_diagrams(SQUARE), scale) == numbers


def test_panels_say_what_is_alive():
    figure = plots.rips_complexes(SQUARE, [0.5, 1.2, 2.0, 3.0])
    figure.draw_without_rendering()
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:3] == [
        "ε = 0.50\n4 components, 0 loops",
        "ε = 1.20\n1 component, 1 loop",
        "ε = 2.00\n1 component, 0 loops",
    ]
    assert [len(parts(ax)[2]) for ax in figure.axes[:4]] == [0, 4, 6, 6]
    assert [ax.axison for ax in figure.axes] == [True] * 4 + [False] * 2


def drawn_bars(ax, colour):
    """(start, end) of the bars of one colour, from the bottom up."""
    bars = [p for p in ax.patches if isinstance(p, Rectangle) and to_hex(p.get_facecolor()) == colour]
    return [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in sorted(bars, key=Rectangle.get_y)]


def test_barcode_of_the_square():
    ax = plots.barcode(persistence_diagrams(SQUARE), scales=[1.2], unit="sides")
    end = ax.get_xlim()[1]
    assert drawn_bars(ax, plots.H0_COLOUR) == [(0, 1), (0, 1), (0, 1), (0, pytest.approx(end))]
    assert drawn_bars(ax, plots.H1_COLOUR) == [(1, pytest.approx(math.sqrt(2)))]
    assert end > math.sqrt(2)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["H0: 4", "H1: 1"]
    assert [to_hex(label.get_color()) for label in ax.get_yticklabels()] == [plots.H0_COLOUR, plots.H1_COLOUR]
    assert ax.get_xlabel() == "distance threshold ε (sides)"
    heads, line = ax.lines[0], ax.lines[-1]
    assert heads.get_xdata().tolist() == [end]
    assert list(line.get_xdata()) == [1.2, 1.2]


def test_barcode_sorts_by_length_and_bears_empty_diagrams():
    line = np.array([[0.0], [1.0], [3.0], [3.5]])
    ax = plots.barcode(persistence_diagrams(line))
    ends = [end for _, end in drawn_bars(ax, plots.H0_COLOUR)]
    assert ends[:3] == [0.5, 1, 2]
    assert drawn_bars(ax, plots.H1_COLOUR) == []
    assert ax.get_yticklabels()[1].get_text() == "H1: 0"
    ax.figure.draw_without_rendering()


def test_diagram_of_the_square():
    ax = plots.diagram(persistence_diagrams(SQUARE), scales=[1.2])
    by_label = {line.get_label(): line for line in ax.lines}
    assert by_label["H1"].get_xdata().tolist() == [1]
    assert by_label["H1"].get_ydata() == pytest.approx([math.sqrt(2)])
    deaths = by_label["H0"].get_ydata()
    assert sorted(deaths)[:3] == [1, 1, 1]
    assert math.sqrt(2) < max(deaths) < ax.get_ylim()[1]  # the bar that never dies, on its own line
    assert to_hex(by_label["H0"].get_color()) == plots.H0_COLOUR


def test_spanning_tree_crosses_the_gap_and_no_arrow_does():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [10.0, 0.0], [11.0, 0.0]])
    ax = plots.spanning_tree(points)
    tree, arrows = ax.collections[0], next(c for c in ax.collections if isinstance(c, Quiver))
    lengths = sorted(np.linalg.norm(a - b) for a, b in tree.get_segments())
    assert lengths == [1, 1, 9]
    assert arrows.U.tolist() == [1, -1, 1, -1]
    assert arrows.V.tolist() == [0, 0, 0, 0]


def test_histogram_has_each_pair_once():
    ax = plots.distance_histograms({"square": SQUARE, "pair": SQUARE[:2]})
    heights = [np.diff(polygon.get_xy()[:, 1]).clip(0).sum() for polygon in ax.patches]
    assert heights == pytest.approx([100, 100])  # separate spikes of 4/6 and 2/6, and one of 1
    assert ax.patches[0].get_xy()[:, 1].max() == pytest.approx(100 * 4 / 6)


def arrows(ax):
    quiver = next(c for c in ax.collections if isinstance(c, Quiver))
    return np.column_stack([quiver.U, quiver.V])


def test_arrows_point_against_the_gradient():
    ax = plots.gradient_arrows(SQUARE, np.array([[4.0, 0.0], [0.0, 2.0], [0.0, 0.0], [0.0, -1.0]]))
    np.testing.assert_allclose(arrows(ax), [[-0.3, 0], [0, -0.15], [0, 0], [0, 0.075]], atol=1e-12)


def test_no_gradient_no_arrow():
    assert not arrows(plots.gradient_arrows(SQUARE, np.zeros((4, 2)))).any()


def test_trajectories_go_from_start_to_end():
    path = np.stack([SQUARE, SQUARE + 1, SQUARE + 3])
    ways, start, end = plots.trajectories(path).collections[:3]
    assert len(ways.get_segments()) == 4
    assert ways.get_segments()[2].tolist() == [[1, 1], [2, 2], [4, 4]]
    assert start.get_offsets().tolist() == SQUARE.tolist()
    assert end.get_offsets().tolist() == (SQUARE + 3).tolist()


def test_distance_range():
    ax = plots.distance_range(np.array([0, 10]), np.array([[1.0, 2.0, 6.0], [2.0, 3.0, 4.0]]))
    assert ax.lines[0].get_ydata().tolist() == [3, 3]
    band = ax.collections[0].get_paths()[0].vertices
    assert {(x, y) for x, y in band.tolist()} == {(0, 1), (0, 6), (10, 2), (10, 4)}


def test_counts_and_loops_have_the_colours_of_their_dimension():
    steps = np.array([0, 1])
    summaries = [summarize(persistence_diagrams(points)) for points in (SQUARE, SQUARE[:2])]
    counts = plots.feature_counts(steps, summaries)
    assert [list(line.get_ydata()) for line in counts.lines] == [[4, 2], [1, 0]]
    assert [to_rgb(line.get_color()) for line in counts.lines] == [to_rgb(plots.H0_COLOUR), to_rgb(plots.H1_COLOUR)]
    loops = plots.longest_loops(steps, summaries)
    assert loops.lines[0].get_ydata() == pytest.approx([math.sqrt(2) - 1, 0], rel=1e-6)


def test_singular_values_count_from_one():
    line = plots.singular_values({"start": np.array([3.0, 2.0, 1.0])}).lines[0]
    assert line.get_xdata().tolist() == [1, 2, 3]
    assert line.get_ydata().tolist() == [3, 2, 1]


def test_thresholds_and_hinges_average_rows_of_one_dimension():
    names = ("min", "max", "delta", "zeta", "delta_printed", "zeta_printed")
    shares = ("repel", "attract", "repel_printed", "attract_printed")
    rows = [{"dimension": d} | dict.fromkeys((*names, *shares), value) for d, value in ((2, 0.2), (2, 0.4), (8, 1.0))]
    table = pd.DataFrame(rows)
    for line in plots.thresholds(table).lines:
        assert list(line.get_xdata()) == [2, 8]
        assert list(line.get_ydata()) == pytest.approx([0.3, 1])
    hinges = plots.active_hinges(table)
    assert [line.get_label() for line in hinges.lines] == [
        "repel, off-diagonal",
        "repel, as printed",
        "attract, off-diagonal",
        "attract, as printed",
    ]
    assert all(list(line.get_ydata()) == pytest.approx([30, 100]) for line in hinges.lines)


def test_style_keeps_figures_white_in_dark_themes():
    plots.style()
    assert mpl.rcParams["figure.facecolor"] == "white"
    assert plots.barcode(persistence_diagrams(SQUARE)).figure.get_figwidth() == 7
