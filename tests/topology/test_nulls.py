"""The random twin of a run: steps of the same length, in directions that have nothing to do with the run's."""

import pytest
import torch

from tslib.topology.nulls import random_walk


def prompts(steps=6, n=5, d=40):
    generator = torch.Generator().manual_seed(0)
    walk = torch.randn(steps, n, d, generator=generator).cumsum(0)
    return {20 * step: points for step, points in enumerate(walk)}


def test_steps_are_as_long_token_by_token():
    own = prompts()
    twin = random_walk(own, seed=1)
    assert list(twin) == list(own)
    assert torch.equal(twin[0], own[0])
    for before, after in zip(list(own)[:-1], list(own)[1:], strict=True):
        lengths = [(walk[after] - walk[before]).norm(dim=-1) for walk in (own, twin)]
        torch.testing.assert_close(lengths[1], lengths[0], rtol=1e-5, atol=1e-5)


def test_a_token_that_stays_stays():
    still = torch.ones(3, 4)
    twin = random_walk({0: still, 5: still, 10: still}, seed=0)
    assert all(torch.equal(points, still) for points in twin.values())


def test_directions_are_new_at_each_step_and_by_the_seed():
    own = prompts()
    first, again, other = (random_walk(own, seed) for seed in (1, 1, 2))
    assert all(torch.equal(first[step], again[step]) for step in own)
    assert not torch.equal(first[20], other[20])
    moves = [first[after] - first[before] for before, after in ((0, 20), (20, 40))]
    own_moves = [own[20] - own[0], own[40] - own[20]]
    for one, two in (moves, (moves[0], own_moves[0])):
        cosines = torch.nn.functional.cosine_similarity(one, two, dim=-1)
        assert cosines.abs().max() < 0.6  # 40 dimensions: 0.16 is usual


def test_directions_are_uniform():
    """The mean of many unit steps is near 0, in each coordinate within five standard errors."""
    n, d = 20_000, 3
    start = torch.zeros(n, d)
    end = start.clone()
    end[:, 0] = 1
    moves = random_walk({0: start, 1: end}, seed=3)[1]
    assert moves.norm(dim=-1).mean() == pytest.approx(1, abs=1e-5)
    assert moves.mean(0).abs().max() < 5 * (1 / 3 / n) ** 0.5
    assert moves.square().mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.02)


def test_layers_walk_each_by_itself():
    own = {0: torch.zeros(2, 3, 8), 1: torch.ones(2, 3, 8)}
    twin = random_walk(own, seed=0)[1]
    torch.testing.assert_close(twin.norm(dim=-1), torch.full((2, 3), 8**0.5))
    assert not torch.equal(twin[0], twin[1])
