"""Clouds made by hand have the shapes that their chapter says."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from tslib.study import shapes
from tslib.topology.diagrams import persistence_diagrams


@pytest.mark.parametrize("seed", range(5))
def test_tokens_at_right_angles_have_no_loops_and_deaths_as_uneven_as_their_lengths(seed):
    """Their Rips complex is a cone over the shortest token at each scale: D² = r² + s²."""
    lengths = np.random.default_rng(seed).uniform(1, 2, 20)
    h0, h1 = persistence_diagrams(np.diag(lengths))
    assert len(h1) == 0
    shortest, *others = sorted(lengths)
    assert np.sort(h0[:-1, 1]) == pytest.approx(np.hypot(shortest, others), rel=1e-6)


def test_a_noisy_simplex_is_moved_by_its_noise():
    corners = np.eye(20, 576) / np.sqrt(2)
    assert pdist(shapes.noisy_simplex(0.0, 0)) == pytest.approx(1)
    assert np.linalg.norm(shapes.noisy_simplex(0.1, 0) - corners, axis=1).mean() == pytest.approx(0.1, rel=0.05)


def test_loops_are_as_many_whatever_the_noise_and_as_long_as_it_is_large():
    means = shapes.by_noise([1e-3, 1e-1], range(20)).groupby("noise")[["loops", "longest"]].mean()
    assert means["loops"].tolist() == pytest.approx([9, 9], abs=1)
    assert means["longest"].iloc[1] / means["longest"].iloc[0] == pytest.approx(100, rel=0.1)


def test_unequal_lengths_leave_no_loops():
    means = shapes.by_lengths([0.0, 0.2], range(10)).groupby("lengths")[["loops", "spread"]].mean()
    assert means["loops"].iloc[0] > 5
    assert means["loops"].iloc[1] < 1
    assert means["spread"].iloc[1] > 5 * means["spread"].iloc[0]


def test_the_shape_of_a_square():
    """Side 1: the three deaths are equal, the loop lasts from the sides to the diagonals, of which there are two."""
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    mean = (4 + 2 * np.sqrt(2)) / 6
    assert shapes.shape(square) == pytest.approx(
        {
            **{"spread": 0, "loops": 1, "longest": (np.sqrt(2) - 1) / mean, "distance": mean},
            "distances": np.std([1, 1, 1, 1, np.sqrt(2), np.sqrt(2)]) / mean,
        }
    )


def test_the_starts_are_as_they_are_called():
    assert shapes.initial(0).std() == pytest.approx(0.02, rel=0.02)
    tuned = [shapes.shape(shapes.uneven(seed)) for seed in range(10)]
    assert np.mean([one["spread"] for one in tuned]) == pytest.approx(0.17, abs=0.02)  # without TSLoss, on GSM8K
    assert np.mean([one["distance"] for one in tuned]) == pytest.approx(5.5, abs=0.3)


def test_tsloss_alone_makes_an_uneven_cloud_even_and_adds_loops():
    rows = shapes.descents([0], 60).set_index(["start", "step"])
    assert list(rows.index) == [(start, step) for start in shapes.STARTS for step in (0, 20, 40, 60)]
    for start in shapes.STARTS:
        of_start = rows.loc[start]
        assert (np.diff(of_start["loss"]) < 0).all()
        assert of_start["spread"].iloc[-1] < of_start["spread"].iloc[0] / 4
    uneven = rows.loc[list(shapes.STARTS)[1]]
    assert uneven["loops"].iloc[0] == 0
    assert uneven["loops"].iloc[-1] > 10
