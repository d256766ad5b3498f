"""Exact homology as a regulariser, against finite differences, Ripser and hand-made clouds."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tslib.errors import InputError
from tslib.losses.persistence import PersistencePenalty, Push, bars
from tslib.losses.registry import REGULARIZERS, make_regularizer
from tslib.topology.diagrams import lifespans, persistence_diagrams, persistence_entropy

SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
PUSHES = [name for name in REGULARIZERS if name.startswith("push-")]


def cloud(seed: int, n: int = 12, d: int = 3) -> torch.Tensor:
    """Points without ties."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ring(seed: int) -> torch.Tensor:
    """Nine points about a circle: there is a loop, and no tie."""
    angles = torch.arange(9, dtype=torch.float64) * (2 * math.pi / 9)
    return torch.stack([angles.cos(), angles.sin()], 1) + 0.1 * cloud(seed, n=9, d=2)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 14), d=st.integers(1, 5))
def test_lifespans_are_those_of_ripser(seed, n, d):
    points = cloud(seed, n, d)
    for ours, diagram in zip(bars(points)[:2], persistence_diagrams(points.numpy()), strict=True):
        expected = sorted(lifespans(diagram))
        # a bar of single rounding errors is one to Ripser or to GUDHI alone
        assert sorted(length for length in ours.tolist() if length > 1e-6) == pytest.approx(
            [length for length in expected if length > 1e-6], abs=1e-6
        )


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 12), d=st.integers(2, 5))
def test_lifespans_in_the_cosine_metric_are_those_of_ripser(seed, n, d):
    points = cloud(seed, n, d)
    for ours, diagram in zip(
        bars(points, "cosine")[:2], persistence_diagrams(points.numpy(), metric="cosine"), strict=True
    ):
        assert sorted(length for length in ours.tolist() if length > 1e-6) == pytest.approx(
            [length for length in sorted(lifespans(diagram)) if length > 1e-6], abs=1e-6
        )


def test_square():
    found = bars(SQUARE)
    assert found.h0.tolist() == [1.0, 1.0, 1.0]
    assert found.h1.tolist() == pytest.approx([math.sqrt(2) - 1])
    assert float(found.scale) == pytest.approx((8 + 4 * math.sqrt(2)) / 12)
    assert float(bars(SQUARE / 10).scale) == pytest.approx(float(found.scale) / 10)
    assert float(bars(torch.ones(3, 2)).scale) == 1
    assert float(PersistencePenalty(2.0, beta_h1=10.0)(SQUARE)) == pytest.approx(2 * (3 + 10 * (math.sqrt(2) - 1)))
    target = PersistencePenalty(target_h0=0.5, target_h1=0.0)
    assert float(target(SQUARE)) == pytest.approx(3 * 0.25 + (math.sqrt(2) - 1) ** 2)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("name", ["persistence", *PUSHES])
@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_those_of_finite_differences(name, seed, metric):
    penalty = make_regularizer(name, 0.7, beta_h0=0.3, beta_h1=1.9, metric=metric)
    points = ring(seed)
    assert len(bars(points, metric).h1) > 0
    # the pushes divide by a mean distance that is held fixed
    scale = float(bars(points, metric).scale)

    def value(at: torch.Tensor) -> float:
        loss = float(penalty(at))
        found = bars(at, metric)
        if "h0" in name:
            return loss * float(found.scale) / scale
        if "h1" in name:
            lengths = found.h1 / (0.05 * scale)
            return -penalty.sign * 0.7 * float((1 - torch.exp(-lengths)).sum())
        return loss

    leaf = points.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(penalty(leaf), leaf)
    numeric = torch.zeros_like(points)
    for index in range(points.numel()):
        step = torch.zeros(points.numel(), dtype=torch.float64)
        step[index] = 1e-6
        step = step.view_as(points)
        numeric.view(-1)[index] = (value(points + step) - value(points - step)) / 2e-6
    torch.testing.assert_close(gradient, numeric, rtol=1e-5, atol=1e-7)
    assert gradient.norm() > 0


@pytest.mark.parametrize("name", ["persistence", *PUSHES])
@pytest.mark.parametrize(
    "points",
    [SQUARE, torch.zeros(5, 3), torch.eye(4), torch.ones(1, 3), torch.tensor([[0.0], [1.0]]), SQUARE[[0, 0, 1, 1, 2]]],
    ids=["square", "coincident", "simplex", "one", "two", "doubled"],
)
def test_ties_and_coincident_points_have_finite_gradients(name, points):
    leaf = points.clone().requires_grad_()
    loss = make_regularizer(name)(leaf)
    (gradient,) = torch.autograd.grad(loss, leaf)
    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_pushes_are_the_quantities_that_the_tables_have():
    points = cloud(0)
    diagrams = persistence_diagrams(points.numpy())
    lengths = [lifespans(diagram) for diagram in diagrams]
    mean = float(torch.pdist(points).mean())
    assert float(Push(quantity="h0", sign=-1)(points)) == pytest.approx(lengths[0].mean() / mean, rel=1e-5)
    together = torch.cat([torch.as_tensor(own) for own in lengths]).numpy()
    assert float(Push(3.0, quantity="entropy", sign=1)(points)) == pytest.approx(
        -3 * persistence_entropy(together), rel=1e-5
    )


def test_two_points_have_one_bar_as_long_as_their_distance():
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert float(PersistencePenalty()(points)) == 5
    assert float(Push(quantity="h0", sign=-1)(points)) == 1  # in mean distances
    right_angle = torch.tensor([[3.0, 0.0], [0.0, 5.0]])
    assert float(PersistencePenalty(metric="cosine")(right_angle)) == pytest.approx(1)


@pytest.mark.parametrize("name", PUSHES)
def test_a_push_goes_where_it_says(name):
    penalty = make_regularizer(name)
    quantity = f"push_{penalty.quantity}"
    leaf = ring(4).requires_grad_()
    before = float(penalty.terms(leaf)[quantity].detach())
    (gradient,) = torch.autograd.grad(penalty(leaf), leaf)
    after = float(penalty.terms(leaf.detach() - 1e-4 * gradient)[quantity])
    assert (after > before) == name.endswith("up")
    assert after != before


def test_leading_dimensions_are_averaged():
    several = torch.stack([cloud(0), cloud(1)])
    penalty = PersistencePenalty()
    assert float(penalty(several)) == pytest.approx(float(penalty(several[0]) + penalty(several[1])) / 2)
    assert penalty.terms(several)["h0_lifespans"].shape == (2,)
    assert penalty.terms(several)["h0_lifespans"].dtype == torch.float64
    assert penalty.terms(several.bfloat16())["h0_lifespans"].dtype == torch.float32


def test_wrong_use_is_named():
    with pytest.raises(InputError, match=r"unknown quantity 'h2'; known: h0, h1, entropy"):
        Push(quantity="h2", sign=1)
    with pytest.raises(InputError, match=r"sign is 1 \(up\) or -1 \(down\); given 0"):
        Push(quantity="h1", sign=0)
    with pytest.raises(InputError, match=r"token\(s\) \[1\]"):
        PersistencePenalty()(torch.tensor([[0.0], [math.nan]]))
    for shape in ((0, 3), (3, 0), (2, 0, 3)):
        with pytest.raises(InputError, match=r"n, d >= 1; given "):
            PersistencePenalty()(torch.zeros(shape))


@pytest.mark.usefixtures("without_type_checks")
def test_what_types_would_tell_is_said_without_them():
    with pytest.raises(InputError, match=r"n, d >= 1; given \(3,\)$"):
        PersistencePenalty()(torch.zeros(3))
