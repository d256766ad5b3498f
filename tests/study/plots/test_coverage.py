"""Figures of coverage: the pairs of a population, and intervals of many draws."""

import numpy as np

from tslib.stats import Interval
from tslib.study import plots


def test_pairs_stand_at_their_iterations():
    """Twice as long with TSLoss as without, half as long, and as long."""
    figure = plots.population(np.log([[2.0, 1.0], [0.5, 1.0], [1.5, 1.5]]))
    left, right = figure.axes
    np.testing.assert_allclose(left.collections[0].get_offsets(), [[1, 2], [1, 0.5], [1.5, 1.5]])
    assert sum(bar.get_height() for bar in right.patches) == 3


def test_intervals_that_miss_are_counted_and_told_apart():
    """Of four intervals one lies above the value and one below it; one that ends at it contains it."""
    drawn = [Interval(1, 0.8, 1.3), Interval(2, 1.5, 3), Interval(0.5, 0.4, 0.7), Interval(0.9, 0.6, 1)]
    figure = plots.many_intervals(drawn, 1.0)
    hit, missed = figure.axes[0].collections
    assert (hit.get_label(), missed.get_label()) == ("2 contain it", "2 miss it")
    assert [segment[0, 0] for segment in missed.get_segments()] == [1, 2]
    assert not np.array_equal(hit.get_color(), missed.get_color())
