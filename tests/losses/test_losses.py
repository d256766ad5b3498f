"""TSLoss against an independent reference, by hand, and by its symmetries."""

import itertools
import math
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tslib import TSLoss
from tslib.errors import InputError
from tslib.losses import distances
from tslib.losses.baselines import L2Penalty, OrthogonalityPenalty, PairwisePenalty
from tslib.losses.descent import descend
from tslib.losses.persistence import Push
from tslib.losses.registry import REGULARIZERS, make_regularizer

VARIANTS = [
    {},
    {"include_self": True},
    {"normalize": True},
    {"tau": 0.1, "alpha": 20.0},
    {"tau": 5.0, "alpha": 0.5, "beta_h0": 0.3, "beta_h1": 2.0, "lambda_repel": 0.7, "lambda_attract": 3.0},
]
REFERENCE_NAMES = {"include_self": "self_pairs", "lambda_repel": "repel", "lambda_attract": "attract"}
SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)


def expected(points, variant):
    return reference.tsloss(points.numpy(), **{REFERENCE_NAMES.get(k, k): v for k, v in variant.items()})


def cloud(n, d, scale=1.0, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(n, d, generator=generator, dtype=torch.float64)).to(dtype)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize(
    ("n", "d", "scale"),
    [
        *[(1, 3, 1), (2, 1, 1), (3, 2, 1), (20, 576, 0.02), (20, 2048, 0.02), (20, 2048, 1), (200, 8, 1)],
        *[(20, 16, 1e-6), (20, 16, 1e6), (5, 2, 1e-7), (20, 1, 30)],  # tiny, huge, and spread over many τ
    ],
)
def test_agrees_with_the_equations(n, d, scale, dtype, tolerance, variant):
    points = cloud(n, d, scale, dtype=dtype)
    ours = TSLoss(**variant)
    want = expected(points, variant)
    terms = ours.terms(points)
    for name in ("h0", "delta", "zeta"):
        assert float(terms[name]) == pytest.approx(float(want[name]), rel=tolerance, abs=1e-38), name
    # D is good to some d * eps, the weights exp(αD) to αD times that, and a hinge is a difference of distances
    rounding = (d + 10) * np.finfo(float).eps * float(want["zeta"])
    for name in ("repel", "attract"):
        value = float(want[name])
        rel = max(tolerance, variant.get("alpha", 10.0) * rounding)
        of_reference = 8 * value**0.5 * float(np.finfo(np.longdouble).eps * want["zeta"])  # it subtracts ζ from D
        assert float(terms[name]) == pytest.approx(value, rel=rel, abs=max(1e-38, rounding**2, of_reference)), name
    if n > 1:
        np.testing.assert_allclose(
            terms["soft_nearest"].double(), want["soft"].astype(float), rtol=tolerance, atol=1e-12
        )
    assert float(ours(points)) == pytest.approx(float(want["loss"]), rel=tolerance, abs=1e-38)


def plain(points, *, tau=1.0, alpha=10.0, include_self=False, normalize=False, **weights):
    """The equations as they stand, (n, d) to a scalar, for autograd; D has gradient 0 where tokens coincide."""
    squared = (points[:, None] - points[None]).square().sum(-1)
    apart = squared > 0
    distances = torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)
    others = ~torch.eye(len(points), dtype=torch.bool)
    if normalize:
        distances = distances / distances[others].detach().mean()
    pairs = distances if include_self else distances[others].reshape(len(points), -1)
    h0 = (-tau * torch.logsumexp(-pairs / tau, 1)).var(correction=0)
    flat = pairs.flatten()
    delta = (torch.softmax(-alpha * flat, 0) * flat).sum()
    zeta = (torch.softmax(alpha * flat, 0) * flat).sum()
    repel, attract = (delta - flat).clamp_min(0).square().mean(), (flat - zeta).clamp_min(0).square().mean()
    h1 = weights.get("lambda_repel", 1.0) * repel + weights.get("lambda_attract", 1.0) * attract
    return weights.get("beta_h0", 1.0) * h0 + weights.get("beta_h1", 1.0) * h1


def clusters():
    """Ten groups of five tokens, their spread 1e-4 of the distance between groups, the first two tokens the same."""
    points = cloud(10, 16).repeat(5, 1) + cloud(50, 16, 1e-4, seed=1)
    points[1] = points[0]
    return points


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("block", [distances.BLOCK, 300], ids=["one block", "blocks of rows"])
@pytest.mark.parametrize("points", [cloud(50, 16), cloud(50, 16, 0.02) + 100, clusters()], ids=["one", "far", "groups"])
def test_value_and_gradient_of_the_plain_formula(points, block, variant, monkeypatch):
    monkeypatch.setattr(distances, "BLOCK", block)
    batch = torch.stack([points, 2 * points, points.flip(-1) ** 2]).requires_grad_()
    ours, want = TSLoss(**variant)(batch), sum(plain(part, **variant) for part in batch) / 3
    assert ours.item() == pytest.approx(want.item(), rel=1e-9)
    of_ours, again, of_plain = (torch.autograd.grad(value, batch, retain_graph=True)[0] for value in (ours, ours, want))
    torch.testing.assert_close(of_ours, of_plain, rtol=1e-7, atol=1e-9 * float(of_plain.abs().max()))
    assert torch.equal(of_ours, again)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_blocks_of_rows_give_each_term_and_its_gradient(variant, monkeypatch):
    points = cloud(12, 4).expand(2, 12, 4).clone().requires_grad_()
    whole = TSLoss(**variant).terms(points)
    monkeypatch.setattr(distances, "BLOCK", 70)
    for name, term in TSLoss(**variant).terms(points).items():
        torch.testing.assert_close(term, whole[name], rtol=1e-11, atol=1e-14)
        of_blocks, of_whole = (
            torch.autograd.grad(value.sum(), points, retain_graph=True)[0] for value in (term, whole[name])
        )
        torch.testing.assert_close(of_blocks, of_whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_few_pairs_are_taken_one_by_one(monkeypatch, shift):
    """Those of the same group, wherever the cloud lies: of eight groups with 5 tokens, one with 6 and one with 4."""
    seen, differences = [], distances._differences

    def counted(points, pairs):
        seen.append(len(pairs[0]))
        return differences(points, pairs)

    monkeypatch.setattr(distances, "_differences", counted)
    where = shift * torch.arange(16)
    distances.pairwise_distances(cloud(50, 16) + where)
    distances.pairwise_distances(clusters() + where)
    assert seen == [0, 8 * 10 + 15 + 6]


@pytest.mark.parametrize(("block", "sizes"), [(5, [1] * 20), (40, [4] * 5), (70, [7, 7, 6]), (1000, [20])])
def test_differences_come_in_blocks(monkeypatch, block, sizes):
    """Of ten numbers each; two prompts of five tokens have twenty pairs."""
    monkeypatch.setattr(distances, "BLOCK", block)
    points = cloud(10, 10).reshape(2, 5, 10)
    pairs = torch.ones(2, 5, 5).triu(1).nonzero(as_tuple=True)
    found = list(distances._differences(points, pairs))
    assert [tuple(difference.shape) for _, _, difference in found] == [(size, 10) for size in sizes]
    first, second = (torch.cat([points[block[side]] for block in found]) for side in (0, 1))
    assert torch.equal(first, points[:, [0, 0, 0, 0, 1, 1, 1, 2, 2, 3]].flatten(0, 1))
    assert torch.equal(second, points[:, [1, 2, 3, 4, 2, 3, 4, 3, 4, 4]].flatten(0, 1))
    assert torch.equal(torch.cat([difference for _, _, difference in found]), first - second)


@pytest.mark.parametrize(
    ("block", "shape", "blocks"),
    [
        (48, (6, 8), [(6, 8)]),
        (24, (6, 8), [(3, 8), (3, 8)]),
        (33, (6, 8), [(4, 8), (2, 8)]),
        (48, (2, 6, 8), [(2, 3, 8), (2, 3, 8)]),  # every prompt of a batch is in a block
        (5, (3, 8), [(1, 8), (1, 8), (1, 8)]),  # one row at least
        (5, (1, 1), [(1, 1)]),
    ],
)
def test_a_block_has_as_many_rows_as_fit(monkeypatch, block, shape, blocks):
    seen = []

    def row_sums(pairs):
        seen.append(tuple(pairs.shape))
        return pairs.sum(-1)

    monkeypatch.setattr(distances, "BLOCK", block)
    pairs = torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape)
    assert torch.equal(distances.by_rows(row_sums, pairs), pairs.sum(-1))
    assert seen == blocks


PEAK = """
import torch
from tslib import TSLoss

def status(field):
    with open("/proc/self/status") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))

loss = TSLoss()
loss(torch.randn(4, 3, requires_grad=True)).backward()  # what torch loads at its first use is not the loss's
prompt = torch.randn(4096, 2048, requires_grad=True)
before = status("VmRSS")
loss(prompt).backward()
print(status("VmHWM") - before, bool(prompt.grad.isfinite().all()))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of a process from /proc")
def test_4096_tokens_take_less_than_a_gigabyte():
    """D is 134 MB, P in float64 and its gradient 67 MB each; freed blocks go back: the peak is what was held."""
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PEAK],
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    peak, finite = done.stdout.split()
    assert 134e6 < int(peak) < 1e9
    assert finite == "True"


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_large_and_long(variant):
    points = cloud(200, 2048, 0.02, dtype=torch.float32)
    assert float(TSLoss(**variant)(points)) == pytest.approx(float(expected(points, variant)["loss"]), rel=1e-4)


def test_a_cloud_far_from_the_origin_keeps_its_digits():
    points = cloud(20, 64)
    assert float(TSLoss()(points + 1e5)) == pytest.approx(float(TSLoss()(points)), rel=1e-8)


def test_square_by_hand():
    """Each corner of the unit square has two neighbours at 1 and one at √2."""
    terms = TSLoss(tau=1.0, alpha=10.0).terms(SQUARE)
    r = math.sqrt(2)
    soft = -math.log(2 * math.exp(-1) + math.exp(-r))
    low = (2 * math.exp(-10), math.exp(-10 * r))
    delta = (low[0] + low[1] * r) / sum(low)
    high = (2 * math.exp(10), math.exp(10 * r))
    zeta = (high[0] + high[1] * r) / sum(high)
    assert terms["soft_nearest"].tolist() == pytest.approx([soft] * 4, rel=1e-12)
    assert float(terms["h0"]) == pytest.approx(0, abs=1e-30)
    assert float(terms["delta"]) == pytest.approx(delta, rel=1e-12)
    assert float(terms["zeta"]) == pytest.approx(zeta, rel=1e-12)
    assert float(terms["repel"]) == pytest.approx((delta - 1) ** 2 * 2 / 3, rel=1e-10)
    assert float(terms["attract"]) == pytest.approx((r - zeta) ** 2 / 3, rel=1e-10)


def test_printed_soft_nearest_is_never_positive():
    """Eq. 1 sums over j = i too, where D_ii = 0, so that s_i <= 0 for every cloud."""
    for scale in (1e-3, 1, 1e3):
        assert (TSLoss(include_self=True).terms(cloud(20, 64, scale))["soft_nearest"] <= 0).all()
    assert (TSLoss().terms(cloud(20, 64, 10.0))["soft_nearest"] > 0).all()


@pytest.mark.parametrize("variant", [{}, {"include_self": True}, {"tau": 10.0, "alpha": 3.0}], ids=str)
def test_scale_goes_to_zero_quadratically(variant):
    """Where all D << τ and 1/α every term is quadratic in D, down to the smallest clouds."""
    points = cloud(8, 3)
    ratio = float(TSLoss(**variant)(1e-12 * points)) / float(TSLoss(**variant)(1e-7 * points))
    assert ratio == pytest.approx(1e-10, rel=1e-5)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if not v.get("normalize")], ids=str)
def test_gradient(variant):
    points = cloud(6, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(TSLoss(**variant), points)
    assert torch.autograd.gradcheck(TSLoss(**variant), cloud(4, 3, seed=2).expand(2, 4, 3).clone().requires_grad_())


def test_normalized_gradient_holds_the_mean_distance_fixed():
    points = cloud(6, 3).requires_grad_()
    mean = torch.nn.functional.pdist(points.detach()).mean()
    (gradient,) = torch.autograd.grad(TSLoss(normalize=True)(points), points)
    (fixed,) = torch.autograd.grad(TSLoss()(points / mean), points)
    torch.testing.assert_close(gradient, fixed, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", [L2Penalty(0.7), PairwisePenalty(0.7), OrthogonalityPenalty(0.7)], ids=repr)
def test_gradient_of_the_baselines(loss):
    assert torch.autograd.gradcheck(loss, cloud(5, 3).requires_grad_())


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_one_token_is_exactly_zero(variant, dtype):
    token = torch.ones(1, 7, dtype=dtype, requires_grad=True)
    loss = TSLoss(**variant)(token)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(token.grad, torch.zeros_like(token))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("together", [2, 5])
def test_coincident_tokens(variant, together):
    points = cloud(5, 4)
    points[:together] = points[0]
    assert float(TSLoss(**variant)(points)) == pytest.approx(float(expected(points, variant)["loss"]), rel=1e-10)
    points.requires_grad_()
    TSLoss(**variant)(points).backward()
    assert points.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_prompts_are_computed_in_float32_at_least(dtype):
    points = cloud(20, 576, 0.02, dtype=dtype)
    loss = TSLoss()(points)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(TSLoss()(points.double())), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_terms_are_of_float32_at_least(dtype):
    expected = {torch.promote_types(dtype, torch.float32)}
    assert {term.dtype for term in TSLoss().terms(cloud(5, 3, dtype=dtype)).values()} == expected


def test_leading_dimensions_are_averaged():
    stack = torch.stack([cloud(5, 3, seed=seed) for seed in range(4)]).unflatten(0, (2, 2))
    each = [TSLoss(3.0)(part) for part in stack.flatten(0, 1)]
    assert float(TSLoss(3.0)(stack)) == pytest.approx(float(sum(each)) / 4, rel=1e-12)
    assert TSLoss().terms(stack)["h0"].shape == (2, 2)
    assert TSLoss().terms(stack)["soft_nearest"].shape == (2, 2, 5)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_each_prompt_of_a_batch_is_on_its_own(n, variant):
    """However far apart their scales are; of a single token every term is 0."""
    each = [cloud(n, 3, scale, seed) for seed, scale in enumerate([1, 1e3, 1e-3, 1, 30, 1])]
    terms = TSLoss(**variant).terms(torch.stack(each).unflatten(0, (2, 3)))
    assert set(terms) == {"h0", "repel", "attract", "delta", "zeta", "soft_nearest"}
    alone = [TSLoss(**variant).terms(points) for points in each]
    for name, term in terms.items():
        assert term.shape == ((2, 3, n) if name == "soft_nearest" else (2, 3))
        want = torch.stack([own[name] for own in alone])
        torch.testing.assert_close(term.flatten(0, 1), want, rtol=1e-9, atol=1e-15)
        if n == 1:
            assert not term.any()


def test_weight_is_a_factor():
    points = cloud(5, 3)
    assert float(TSLoss(0.25)(points)) == pytest.approx(0.25 * float(TSLoss()(points)), rel=1e-12)
    assert float(TSLoss(0.0)(points)) == 0


clouds = st.tuples(st.integers(2, 12), st.integers(1, 6), st.integers(0, 10_000), st.sampled_from([0.01, 1.0, 50.0]))


@settings(max_examples=40)
@given(shape=clouds, variant=st.sampled_from(VARIANTS))
def test_symmetries(shape, variant):
    n, d, seed, scale = shape
    points = cloud(n, d, scale, seed)
    loss = TSLoss(**variant)
    want = float(loss(points))
    generator = torch.Generator().manual_seed(seed)
    rotation = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]
    shift = scale * torch.randn(d, generator=generator, dtype=torch.float64)
    assert float(loss(points[torch.randperm(n, generator=generator)])) == pytest.approx(want, rel=1e-9, abs=1e-18)
    assert float(loss(points @ rotation)) == pytest.approx(want, rel=1e-6, abs=1e-18)
    assert float(loss(points + shift)) == pytest.approx(want, rel=1e-6, abs=1e-18)


@settings(max_examples=25)
@given(shape=clouds, factor=st.floats(1e-3, 1e3), include_self=st.booleans())
def test_normalized_is_invariant_under_scaling(shape, factor, include_self):
    n, d, seed, scale = shape
    points = cloud(n, d, scale, seed)
    loss = TSLoss(normalize=True, include_self=include_self)
    assert float(loss(factor * points)) == pytest.approx(float(loss(points)), rel=1e-6, abs=1e-18)


def test_l2_by_hand():
    assert float(L2Penalty(2.0)(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))) == 2 * (25 + 1) / 2


def test_orthogonality_by_hand():
    points = torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    # the products are 4, 2, 2 and 2; short of the identity 3, 2, 2 and 1
    assert float(OrthogonalityPenalty(2.0)(points)) == pytest.approx(2 * (9 + 4 + 4 + 1) / 4)
    assert float(OrthogonalityPenalty()(torch.eye(4)[:3])) == 0
    turned, _ = torch.linalg.qr(cloud(3, 3))
    loss = OrthogonalityPenalty()
    assert float(loss(points @ turned)) == pytest.approx(float(loss(points)))
    several = torch.stack([points, 3 * points])
    assert float(loss(several)) == pytest.approx(float((loss(points) + loss(3 * points)) / 2))
    assert make_regularizer("orthogonality", 0.5)(points) == pytest.approx(float(loss(points)) / 2)


def test_pairwise_by_hand():
    points = cloud(6, 3)
    pairs = [float((a - b).square().sum()) for a, b in itertools.permutations(points, 2)]
    assert float(PairwisePenalty(2.0)(points)) == pytest.approx(2 * sum(pairs) / len(pairs), rel=1e-12)
    assert float(PairwisePenalty()(points[:1])) == 0


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_baselines_of_several_prompts(metric):
    """Each prompt's is its own, pair by pair; a loss is their mean, in float32 at least."""

    def distance(a, b):
        return float((a - b).norm() if metric == "euclidean" else 1 - a @ b / a.norm() / b.norm())

    several = torch.stack([cloud(5, 3, seed=seed) for seed in range(6)]).unflatten(0, (2, 3))
    by_hand = {
        "l2": lambda points: sum(float(point @ point) for point in points) / 5,
        "pairwise": lambda points: sum(distance(a, b) ** 2 for a, b in itertools.permutations(points, 2)) / 20,
    }
    for loss, (name, rule) in zip((L2Penalty, partial(PairwisePenalty, metric=metric)), by_hand.items(), strict=True):
        want = torch.tensor([[rule(points) for points in row] for row in several], dtype=torch.float64)
        torch.testing.assert_close(loss().terms(several)[name], want, rtol=1e-9, atol=0)
        assert float(loss()(several)) == pytest.approx(float(want.mean()), rel=1e-9)
        assert float(loss(3.0)(several)) == pytest.approx(3 * float(want.mean()), rel=1e-9)
        for dtype in (torch.bfloat16, torch.float32):
            assert loss().terms(several.to(dtype))[name].dtype == torch.float32


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize(("n", "d"), [(2, 3), (6, 3), (20, 576)])
def test_cosine_agrees_with_the_equations(n, d, variant):
    """1 - cos(x_i, x_j) for D; the tokens' lengths have no part in it, and the gradient is at a right angle to them."""
    points = cloud(n, d)
    given = {REFERENCE_NAMES.get(k, k): v for k, v in variant.items()}
    want = reference.tsloss(points.numpy(), **given, cosine=True)
    ours = TSLoss(**variant, metric="cosine")
    for name in ("h0", "repel", "attract", "delta", "zeta"):
        value = float(want[name])
        assert float(ours.terms(points)[name]) == pytest.approx(value, rel=1e-8, abs=1e-18), name
    lengths = 1 + torch.arange(n, dtype=torch.float64)[:, None]
    leaf = (lengths * points).requires_grad_()
    loss = ours(leaf)
    assert float(loss.detach()) == pytest.approx(float(want["loss"]), rel=1e-8, abs=1e-18)
    (gradient,) = torch.autograd.grad(loss, leaf)
    assert (gradient * points).sum(-1).abs().max() < 1e-10 * max(float(gradient.norm()), 1e-12)


@pytest.mark.parametrize("loss", [TSLoss(metric="cosine"), PairwisePenalty(0.7, metric="cosine")], ids=repr)
def test_gradient_of_cosine(loss):
    assert torch.autograd.gradcheck(loss, cloud(5, 3).requires_grad_())
    same = torch.ones(3, 4, requires_grad=True)  # one direction: all distances are 0
    loss(same).backward()
    assert same.grad.isfinite().all()


def test_pairwise_cosine_by_hand():
    """At right angles all distances are 1; of two opposite directions it is 2."""
    assert float(PairwisePenalty(3.0, metric="cosine")(torch.eye(4))) == pytest.approx(3)
    assert float(PairwisePenalty(metric="cosine")(torch.tensor([[1.0, 0.0], [-5.0, 0.0]]))) == pytest.approx(4)


@pytest.mark.parametrize("loss", [TSLoss(metric="cosine"), PairwisePenalty(metric="cosine")], ids=repr)
def test_a_zero_vector_has_no_cosine(loss):
    points = cloud(5, 3)
    points[[1, 4]] = 0
    told = (
        "token(s) [1, 4] (counted from 0) are zero vectors, which have no direction: the cosine distance needs "
        "non-zero tokens; use metric='euclidean'"
    )
    for prompt in (points, torch.stack([cloud(5, 3, seed=1), points])):
        with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
            loss(prompt)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("loss", [TSLoss(), L2Penalty(), PairwisePenalty()], ids=lambda loss: type(loss).__name__)
def test_not_finite_names_the_token(loss, bad):
    points = cloud(5, 3)
    points[3, 1] = bad
    with pytest.raises(ValueError, match=r"token\(s\) \[3\]"):
        loss(points)


def test_not_finite_in_several_prompts_names_the_tokens():
    several = torch.stack([cloud(4, 2, seed=seed) for seed in range(3)])
    several[0, 1, 0] = several[2, 3, 1] = several[2, 1, 1] = math.nan
    told = (
        "the soft prompt holds NaN or infinity in token(s) [1, 3] (counted from 0) of 4; "
        "training has diverged: lower the learning rate or the regulariser's weight"
    )
    with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
        TSLoss()(several)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3), (2, 3, 0)])
def test_empty_prompt(shape):
    with pytest.raises(InputError, match="n, d >= 1"):
        TSLoss()(torch.zeros(shape))


def test_a_batch_of_no_prompts():
    for regularizer in (TSLoss(), L2Penalty(), PairwisePenalty()):
        with pytest.raises(InputError, match=r"^a batch has at least one soft prompt; given shape \(0, 3, 4\)$"):
            regularizer(torch.zeros(0, 3, 4))


@pytest.mark.usefixtures("without_type_checks")
def test_what_types_would_tell_is_said_without_them():
    with pytest.raises(InputError, match=r"n, d >= 1; given \(3,\)$"):
        TSLoss()(torch.zeros(3))
    with pytest.raises(InputError, match=r"^a soft prompt is a tensor of floats; given torch.int64$"):
        TSLoss()(torch.zeros(3, 2, dtype=torch.int64))
    with pytest.raises(InputError, match=r"^unknown metric 'manhattan'; known: euclidean, cosine$"):
        TSLoss(metric="manhattan")(cloud(3, 2))


@pytest.mark.parametrize("setting", ["tau", "alpha"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_impossible_settings(setting, value):
    with pytest.raises(InputError, match=f"{setting} must be above 0"):
        TSLoss(**{setting: value})


def test_registry():
    points = cloud(5, 3)
    assert make_regularizer("none") is None
    assert float(make_regularizer("tsloss-printed", 0.5, tau=2.0)(points)) == pytest.approx(
        0.5 * float(expected(points, {"include_self": True, "tau": 2.0})["loss"]), rel=1e-10
    )
    assert float(make_regularizer("tsloss-normalized")(points)) == float(TSLoss(normalize=True)(points))
    assert float(make_regularizer("l2", 2.0, tau=1.0)(points)) == float(L2Penalty(2.0)(points))
    for name in set(REGULARIZERS) - {"none"}:
        assert all(isinstance(value, torch.Tensor) for value in make_regularizer(name).terms(points).values())
    with pytest.raises(InputError, match=r"^unknown regularizer 'topology'; known: none, tsloss, tsloss-printed, "):
        make_regularizer("topology")


def test_registry_makes_what_other_modules_have():
    push = make_regularizer("push-h0-down", 3.0, metric="cosine")
    assert isinstance(push, Push)
    assert (push.weight, push.quantity, push.sign, push.metric) == (3.0, "h0", -1, "cosine")


def test_settings_can_be_read():
    loss = TSLoss(0.5, tau=2.0, alpha=3.0, beta_h0=4.0, beta_h1=5.0, lambda_repel=6.0, lambda_attract=7.0)
    assert repr(loss) == (
        "TSLoss(weight=0.5, tau=2.0, alpha=3.0, beta_h0=4.0, beta_h1=5.0, lambda_repel=6.0, lambda_attract=7.0, "
        "include_self=False, normalize=False, metric=euclidean)"
    )


def test_descent_of_a_loss_with_a_known_minimum():
    """The L2 penalty's is at 0; the path begins where it was told to, and its steps are two per cent of σ."""
    points = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    path = descend(points, L2Penalty(), 200)
    assert path.shape == (201, 5, 3)
    assert torch.equal(path[0], points)
    assert (path[1] - path[0]).abs() == pytest.approx(0.02 * float(points.std()), rel=1e-3)
    assert float(path[-1].norm()) < 0.05 * float(points.norm())
