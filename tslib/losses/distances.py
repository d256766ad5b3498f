"""Pairwise distances of virtual tokens, differentiable, exact in high dimension, and in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from tslib.errors import InputError
from tslib.topology.diagrams import Metric

__all__ = ["by_rows", "checked", "off_diagonal", "pairwise_distances"]

BLOCK = 2**18
"""Numbers in one temporary where a computation goes in blocks: 2 MiB in float64, however long the prompt."""


def checked(prompt: Tensor) -> Tensor:
    """Return the prompt in the precision of the computation: float64, or float32 where a device has no float64.

    The variance of s_i and the hinges subtract numbers that nearly agree (in high dimension all distances do), so
    single precision would lose the digits that matter; with n of the order of 20 the cost is nothing.

    Raises
    ------
    InputError
        If it is not of shape (..., n, d), is empty, holds no floats, or holds NaN or infinity.
    """
    if prompt.ndim < 2 or prompt.shape[-2] == 0 or prompt.shape[-1] == 0:
        raise InputError(f"a soft prompt has shape (..., n, d) with n, d >= 1; given {tuple(prompt.shape)}")
    if not prompt.numel():
        raise InputError(f"a batch has at least one soft prompt; given shape {tuple(prompt.shape)}")
    if not prompt.is_floating_point():
        raise InputError(f"a soft prompt is a tensor of floats; given {prompt.dtype}")
    if not (finite := prompt.isfinite().all(-1)).all():
        tokens = sorted(set((~finite).nonzero()[:, -1].tolist()))
        raise InputError(
            f"the soft prompt holds NaN or infinity in token(s) {tokens} (counted from 0) of {prompt.shape[-2]}; "
            "training has diverged: lower the learning rate or the regulariser's weight"
        )
    return prompt.to(torch.float32 if prompt.device.type == "mps" else torch.float64)


class _Distances(torch.autograd.Function):
    """D from the inner products of the centred tokens, which is a matrix product.

    ||x||² + ||y||² - 2 x·y loses digits where D² is small next to the squared norms, and centring leaves few such
    pairs. These are computed from x - y, forward and backward, which is exact wherever the cloud lies.
    """

    @staticmethod
    def forward(ctx: Any, points: Tensor) -> Tensor:
        centred = points - points.mean(-2, keepdim=True)
        norms = centred.square().sum(-1)
        norms = norms.unsqueeze(-1) + norms.unsqueeze(-2)  # (*batch, n, n)
        squared = (centred @ centred.mT).mul_(-2).add_(norms)
        close = (squared < norms.mul_(0.01)).triu_(1).nonzero(as_tuple=True)  # (*batch, i, j) with i < j
        for i, j, difference in _differences(points, close):
            squared[*i, j[-1]] = squared[*j, i[-1]] = difference.square().sum(-1)
        squared.diagonal(dim1=-2, dim2=-1).zero_()
        distances = squared.sqrt_()
        ctx.save_for_backward(points, distances, *close)
        return distances

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Return Σ_j W_ij (x_i - x_j) with W = (G + Gᵀ) / D, and W_ij = 0 where two tokens coincide."""
        points, distances, *close = ctx.saved_tensors
        weights = (grad + grad.mT).div_(distances).masked_fill_(distances == 0, 0)
        result = torch.zeros_like(points)
        for i, j, difference in _differences(points, close):
            difference *= weights[*i, j[-1]].unsqueeze(-1)
            weights[*i, j[-1]] = weights[*j, i[-1]] = 0
            result.index_put_(i, difference, accumulate=True).index_put_(j, -difference, accumulate=True)
        centred = points - points.mean(-2, keepdim=True)
        return result.addcmul_(weights.sum(-1, keepdim=True), centred).sub_(weights @ centred)


def _differences(
    points: Tensor, pairs: Sequence[Tensor]
) -> Iterator[tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]]:
    """Yield the indices ``(*batch, i)`` and ``(*batch, j)`` of a block of pairs, and x_i - x_j, shape (block, d)."""
    size = max(1, BLOCK // points.shape[-1])
    for start in range(0, len(pairs[0]), size):
        *batch, i, j = (index[start : start + size] for index in pairs)
        first, second = (*batch, i), (*batch, j)
        yield first, second, points[first] - points[second]


def pairwise_distances(
    points: Float[Tensor, "*batch n d"], metric: Metric = "euclidean"
) -> Float[Tensor, "*batch n n"]:
    """Distances D_ij = ||x_i - x_j||, or 1 - cos(x_i, x_j), half the squared distance of the two unit vectors.

    The gradient is 0 where two tokens coincide.

    Raises
    ------
    InputError
        If the metric is unknown, or it is cosine and a token is zero, which has no direction.
    """
    if metric not in ("euclidean", "cosine"):
        raise InputError(f"unknown metric {metric!r}; known: euclidean, cosine")
    if metric == "cosine":
        points = _directions(points)
    distances: Tensor = _Distances.apply(points)
    return distances if metric == "euclidean" else distances.square() / 2


def _directions(points: Float[Tensor, "*batch n d"]) -> Float[Tensor, "*batch n d"]:
    norms = points.norm(dim=-1, keepdim=True)
    if (zero := (norms.squeeze(-1) == 0).nonzero()).numel():
        raise InputError(
            f"token(s) {sorted(set(zero[:, -1].tolist()))} (counted from 0) are zero vectors, which have no direction: "
            "the cosine distance needs non-zero tokens; use metric='euclidean'"
        )
    directions: Tensor = points / norms
    return directions


def off_diagonal(matrix: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch n m"]:
    """Drop the diagonal: row i keeps its m = n - 1 entries with j != i, in order."""
    *batch, n, _ = matrix.shape
    after_first = matrix.flatten(-2)[..., 1:]  # in rows of n + 1 numbers, the last of each is on the diagonal
    return after_first.view(*batch, n - 1, n + 1)[..., :-1].reshape(*batch, n, n - 1)


class _ByRows(torch.autograd.Function):
    """``by_rows`` for more than one block: the temporaries of a block are made anew in the backward pass."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensor], rows: int, pairs: Tensor, *arguments: Tensor) -> Tensor:
        ctx.function, ctx.rows = function, rows
        ctx.save_for_backward(pairs, *arguments)
        return torch.cat([function(block, *arguments) for block in pairs.split(rows, -2)], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pairs, *arguments = ctx.saved_tensors
        of_pairs, *of_arguments = (torch.zeros_like(tensor) for tensor in ctx.saved_tensors)
        blocks = (pairs.split(ctx.rows, -2), of_pairs.split(ctx.rows, -2), grad.split(ctx.rows, -1))
        for block, of_block, of_result in zip(*blocks, strict=True):
            inputs = [tensor.detach().requires_grad_() for tensor in (block, *arguments)]
            with torch.enable_grad():
                result = ctx.function(*inputs)
            gradients = torch.autograd.grad(result, inputs, of_result)
            for total, gradient in zip((of_block, *of_arguments), gradients, strict=True):
                total += gradient
        return None, None, of_pairs, *of_arguments


def by_rows(function: Callable[..., Tensor], pairs: Float[Tensor, "*batch n m"], *arguments: Tensor) -> Tensor:
    """Apply a function that reduces rows, ``(*batch, rows, m)`` to (..., rows), to blocks of rows; return (..., n).

    Of the n² pairs only D is kept for the backward pass, however many temporaries the function has.
    """
    n = pairs.shape[-2]
    rows = max(1, BLOCK * n // max(1, pairs.numel()))
    if rows >= n:
        return function(pairs, *arguments)
    result: Tensor = _ByRows.apply(function, rows, pairs, *arguments)
    return result
