"""Persistent homology of clouds whose diagrams are known, and against a second implementation."""

import math
import re

import gudhi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tslib import persistence_diagrams, summarize
from tslib.errors import InputError
from tslib.topology.diagrams import diagram_distance, distance_matrix, lifespans, persistence_entropy


def circle(n):
    angles = 2 * np.pi * np.arange(n) / n
    return np.column_stack([np.cos(angles), np.sin(angles)])


def test_a_line_of_points_by_hand():
    """0, 1, 3 on a line: components merge at 1 and 2, one lives on; no loop."""
    h0, h1 = persistence_diagrams(np.array([[0.0], [1.0], [3.0]]))
    assert h0.tolist() == [[0, 1], [0, 2], [0, math.inf]]
    assert h1.shape == (0, 2)


def test_unit_square_has_one_loop_from_1_to_root_2():
    h0, h1 = persistence_diagrams(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    assert h0.tolist() == [[0, 1], [0, 1], [0, 1], [0, math.inf]]
    np.testing.assert_allclose(h1, [[1, math.sqrt(2)]], rtol=1e-6)


def test_circle_has_one_long_loop():
    """A regular n-gon: born when neighbours join, dead when three points cover it (an inscribed triangle)."""
    n = 30
    h0, h1 = persistence_diagrams(circle(n))
    side = 2 * math.sin(math.pi / n)
    np.testing.assert_allclose(h0[:-1, 1], side, rtol=1e-6)
    np.testing.assert_allclose(h1, [[side, math.sqrt(3)]], rtol=1e-6)


def test_dimensions_that_are_asked_for():
    """The corners of an octahedron: neighbours at √2, opposite ones at 2; in between it is a hollow sphere."""
    octahedron = np.vstack([np.eye(3), -np.eye(3)])
    assert [len(diagram) for diagram in persistence_diagrams(octahedron, maxdim=0)] == [6]
    assert len(persistence_diagrams(octahedron)) == 2
    h0, h1, h2 = persistence_diagrams(octahedron, maxdim=2)
    np.testing.assert_allclose(h0[:-1], [[0, math.sqrt(2)]] * 5, rtol=1e-6)
    assert h1.shape == (0, 2)
    np.testing.assert_allclose(h2, [[math.sqrt(2), 2]], rtol=1e-6)


def test_whatever_the_precision_numbers_are_of_64_bits():
    points = np.array([[0.0], [1.0], [3.0]], dtype=np.float32)
    assert distance_matrix(points).dtype == np.float64
    diagrams = persistence_diagrams(points)
    assert [diagram.dtype for diagram in diagrams] == [np.float64, np.float64]
    lengths = lifespans(diagrams[0].astype(np.float32))
    assert lengths.dtype == np.float64
    assert lengths.tolist() == [1, 2]


def test_two_clusters_are_one_long_bar():
    rng = np.random.default_rng(0)
    near = rng.uniform(-0.1, 0.1, size=(10, 5))
    h0 = persistence_diagrams(np.vstack([near, near + 10.0]))[0]
    deaths = np.sort(h0[:, 1])
    assert np.isinf(deaths[-1])
    assert deaths[-2] > 10
    assert deaths[-3] < 1


@settings(max_examples=25)
@given(
    n=st.integers(1, 25),
    d=st.sampled_from([1, 2, 5, 600]),
    seed=st.integers(0, 999),
    metric=st.sampled_from(["euclidean", "cosine"]),
)
def test_ripser_equals_gudhi(n, d, seed, metric):
    points = np.random.default_rng(seed).normal(size=(n, d))
    distances = distance_matrix(points, metric)
    tree = gudhi.RipsComplex(distance_matrix=distances).create_simplex_tree(max_dimension=2)
    tree.compute_persistence(persistence_dim_max=True)
    for dimension, ours in enumerate(persistence_diagrams(points, metric=metric)):
        theirs = tree.persistence_intervals_in_dimension(dimension).reshape(-1, 2)
        theirs = theirs[theirs[:, 1] - theirs[:, 0] > 1e-6]
        ours = ours[ours[:, 1] - ours[:, 0] > 1e-6]
        assert len(ours) == len(theirs)
        np.testing.assert_allclose(sorted(ours.tolist()), sorted(theirs.tolist()), rtol=1e-5, atol=1e-6)


@settings(max_examples=25)
@given(n=st.integers(2, 20), seed=st.integers(0, 999))
def test_h0_deaths_are_the_minimum_spanning_tree(n, seed):
    from scipy.sparse.csgraph import minimum_spanning_tree

    points = np.random.default_rng(seed).normal(size=(n, 8))
    edges = minimum_spanning_tree(distance_matrix(points)).data
    deaths = persistence_diagrams(points)[0][:, 1]
    np.testing.assert_allclose(np.sort(deaths[:-1]), np.sort(edges), rtol=1e-6)


def test_summary_by_hand():
    points = np.array([[0.0], [1.0], [3.0]])
    summary = summarize(persistence_diagrams(points), points)
    assert (summary.h0_count, summary.h1_count) == (3, 0)
    assert (summary.h0_mean_lifespan, summary.h0_max_lifespan) == (1.5, 2.0)
    assert (summary.h1_mean_lifespan, summary.h1_max_lifespan) == (0.0, 0.0)
    entropy = -(1 / 3 * math.log(1 / 3) + 2 / 3 * math.log(2 / 3))
    assert summary.persistence_entropy == pytest.approx(entropy, rel=1e-12)
    assert summary.h0_entropy == pytest.approx(entropy, rel=1e-12)
    assert summary.h1_entropy == 0
    assert (summary.mean_distance, summary.max_distance) == (2.0, 3.0)
    assert (summary.density, summary.h1_density) == (1.5, 0.0)


def test_summary_of_a_small_square_by_hand():
    """Side 1/4: three bars of H0 as long as the side, one loop from there to the diagonal; all lengths are below 1."""
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]) / 4
    side, diagonal = 0.25, 0.25 * math.sqrt(2)
    loop = diagonal - side
    summary = summarize(persistence_diagrams(square), square)
    mean = (4 * side + 2 * diagonal) / 6
    total = 3 * side + loop
    entropy = -3 * (side / total) * math.log(side / total) - loop / total * math.log(loop / total)
    assert summary._asdict() == pytest.approx(
        {
            **{"h0_count": 4, "h1_count": 1, "h0_mean_lifespan": side, "h0_max_lifespan": side},
            **{"h1_mean_lifespan": loop, "h1_max_lifespan": loop, "persistence_entropy": entropy},
            **{"h0_entropy": math.log(3), "h1_entropy": 0.0, "mean_distance": mean, "max_distance": diagonal},
            **{"density": 4 / mean, "h1_density": 1 / mean},
        },
        rel=1e-6,
    )


def test_summary_without_h1_and_of_one_point():
    h0_alone = summarize([np.array([[0, 0.25], [0, 0.25], [0, math.inf]])])
    assert (h0_alone.h1_count, h0_alone.h1_mean_lifespan, h0_alone.h1_max_lifespan, h0_alone.h1_entropy) == (0, 0, 0, 0)
    assert h0_alone.persistence_entropy == pytest.approx(math.log(2))
    single = summarize(persistence_diagrams(np.ones((1, 4))), np.ones((1, 4)))
    assert single == (1, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, math.inf, 0.0)


def test_summary_in_the_cosine_metric():
    """Two directions at a right angle, one of them with two lengths: distances 0, 1 and 1."""
    points = np.array([[3.0, 0.0], [5.0, 0.0], [0.0, 2.0]])
    summary = summarize(persistence_diagrams(points, metric="cosine"), points, metric="cosine")
    assert (summary.mean_distance, summary.max_distance, summary.density) == pytest.approx((2 / 3, 1, 4.5))


def test_entropy_is_over_h0_and_h1_together():
    diagrams = [np.array([[0, 1.0], [0, 1.0], [0, math.inf]]), np.array([[1.0, 3.0]])]
    summary = summarize(diagrams)
    assert summary.persistence_entropy == pytest.approx(-(2 * 0.25 * math.log(0.25) + 0.5 * math.log(0.5)))
    assert summary.h0_entropy == pytest.approx(math.log(2))
    assert summary.h1_mean_lifespan == 2
    assert summary.mean_distance is None


def test_entropy_agrees_with_persim():
    from persim.persistent_entropy import persistent_entropy

    diagrams = persistence_diagrams(np.random.default_rng(3).normal(size=(20, 3)))
    finite = np.vstack([diagram[np.isfinite(diagram[:, 1])] for diagram in diagrams])
    assert summarize(diagrams).persistence_entropy == pytest.approx(float(persistent_entropy(finite)[0]), rel=1e-9)


def test_bars_of_length_zero_do_no_harm():
    assert persistence_entropy(np.array([1.0, 0.0, 1.0])) == pytest.approx(math.log(2))
    assert persistence_entropy(np.array([])) == persistence_entropy(np.zeros(3)) == 0


def test_coincident_points():
    same = summarize(persistence_diagrams(np.ones((5, 4))), np.ones((5, 4)))
    assert (same.h0_count, same.mean_distance, same.density) == (1, 0, math.inf)


def test_distance_between_diagrams_by_hand():
    before, after = np.array([[0, 2.0], [0, math.inf]]), np.array([[0, 3.0], [0, math.inf]])
    assert diagram_distance(before, after, "bottleneck") == pytest.approx(1)
    assert diagram_distance(before, after, "wasserstein") == pytest.approx(1)
    assert diagram_distance(before, before) == pytest.approx(0, abs=1e-12)
    nothing = np.empty((0, 2))
    assert diagram_distance(nothing, nothing) == 0
    # a bar (0, 2) against nothing: its distance to the diagonal, 1 in the largest coordinate, √2 in the Euclidean
    assert diagram_distance(before, nothing, "bottleneck") == pytest.approx(1)
    assert diagram_distance(nothing, before, "wasserstein") == pytest.approx(math.sqrt(2))


def test_cosine_ignores_length():
    points = circle(12)
    stretched = points * np.arange(1, 13)[:, None]
    for ours, theirs in zip(
        persistence_diagrams(points, metric="cosine"),
        persistence_diagrams(stretched, metric="cosine"),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_bad_clouds_say_what_is_wrong():
    points = circle(4)
    points[2, 0] = math.nan
    with pytest.raises(InputError, match=r"row\(s\) \[2\]"):
        persistence_diagrams(points)
    points[2] = 0
    told = (
        "row(s) [2] are zero vectors, which have no direction: the cosine distance needs non-zero rows; "
        "use metric='euclidean' or drop them"
    )
    with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
        persistence_diagrams(points, metric="cosine")
    with pytest.raises(InputError, match="n, d >= 1"):
        persistence_diagrams(np.zeros((0, 2)))
    with pytest.raises(InputError, match="maxdim"):
        persistence_diagrams(circle(4), maxdim=-1)


@pytest.mark.usefixtures("without_type_checks")
def test_what_types_would_tell_is_said_without_them():
    with pytest.raises(InputError, match=r"^unknown metric 'manhattan'; known: euclidean, cosine$"):
        distance_matrix(circle(4), "manhattan")
    with pytest.raises(InputError, match=r"n, d >= 1; given \(3,\)$"):
        distance_matrix(np.ones(3))
    diagram = np.array([[0, 2.0]])
    with pytest.raises(InputError, match=r"^unknown distance 'hausdorff'; known: bottleneck, wasserstein$"):
        diagram_distance(diagram, diagram, "hausdorff")
