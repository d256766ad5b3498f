"""Figures in words."""

import matplotlib.pyplot as plt
import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tslib.study import plots
from tslib.study.plots import describe


def test_each_panel_has_its_title_axes_and_series():
    figure, (left, right, hidden) = plt.subplots(1, 3)
    left.plot([1, 2], [3, 4], label="TSLoss")
    left.plot([1, 2], [4, 3], label="cross-entropy alone")
    left.set(xlabel="optimiser\nstep", ylabel="$L_{ce}$", title="Live")
    right.barh(["none", "tsloss"], [2, 3])
    right.set_xlabel("ratio")
    hidden.set_axis_off()
    figure.canvas.draw()
    assert describe(figure) == (
        "2 panels. (1) Live. Lines: L_{ce} against optimiser step; TSLoss; cross-entropy alone. "
        "(2) Bars: ratio, for none, tsloss."
    )


def test_points_are_points():
    figure, ax = plt.subplots()
    ax.scatter([1, 2], [3, 4])
    ax.set(xlabel="birth", ylabel="death")
    assert describe(figure) == "Points: death against birth."


def test_a_panel_that_shares_its_axes_has_their_names():
    """Only the outer panels have the names written on them."""
    figure, axes = plt.subplots(2, 2, sharex="col", sharey="row")
    for ax in axes.flat:
        ax.plot([1, 2], [3, 4])
    axes[0, 0].set_ylabel("density")
    axes[1, 0].set(xlabel="step", ylabel="count")
    axes[1, 1].set_xlabel("epoch")
    assert describe(figure) == (
        "4 panels. (1) Lines: density against step. (2) Lines: density against epoch. "
        "(3) Lines: count against step. (4) Lines: count against epoch."
    )


def test_outside_of_a_notebook_style_only_sets_the_look():
    plots.style()
    assert plt.rcParams["axes.spines.top"] is False


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:jupyter_client")
@pytest.mark.filterwarnings("ignore:.*:ResourceWarning")
def test_a_notebook_keeps_the_words_beside_the_picture(tmp_path, monkeypatch):
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    source = (
        "import matplotlib.pyplot as plt\nfrom tslib.study import plots\nplots.style()\n"
        "plt.plot([1, 2], [1, 2])\nplt.xlabel('step')\nplt.ylabel('loss')\nplt.show()"
    )
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(new_notebook(cells=[new_code_cell(source)], metadata=kernel), tmp_path / "a.ipynb")
    done = papermill.execute_notebook(tmp_path / "a.ipynb", tmp_path / "b.ipynb", progress_bar=False)
    (output,) = done.cells[0].outputs
    assert output.metadata["image/png"]["alt"] == "Lines: loss against step."
