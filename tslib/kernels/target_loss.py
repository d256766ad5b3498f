"""The loss of target tokens, with the output layer frozen: its logits are never there all at once."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tslib.kernels.linears import linear

__all__ = ["CHUNK", "TargetLoss", "target_loss"]

CHUNK = 2**24
"""Logits that are there at once, at most: 64 MiB in float32."""
IN_CACHE = 2**18
"""Logits that a CPU goes over several times before the next, at most: 1 MiB in float32."""


class TargetLoss(NamedTuple):
    """What the target tokens of some rows say.

    Attributes
    ----------
    total
        Sum of their cross-entropies, in nats.
    matches
        Whether the most probable token is the target.
    """

    total: Float[Tensor, ""]
    matches: Bool[Tensor, "t"]


def target_loss(
    hidden: Float[Tensor, "t d"], head: nn.Linear, targets: Int[Tensor, "t"], *, chunk: int = CHUNK
) -> TargetLoss:
    """Cross-entropy of target tokens from the states that predict them, without all logits in memory.

    The output layer is frozen, so the gradient with respect to the states can be had as soon as the logits are there:
    both are computed for a few positions at a time, and only the gradient, as large as the states, is kept.

    Parameters
    ----------
    hidden
        States that enter the output layer, one for each target.
    head
        The frozen output layer.
    targets
        Token ids.
    chunk
        Logits at once, at most (of one position at least).
    """
    total, matches = _TargetLoss.apply(hidden, head.weight, head.bias, targets, chunk)
    return TargetLoss(total, matches)


class _TargetLoss(torch.autograd.Function):
    """Sum of cross-entropies; its gradient is (softmax(z) - onehot) W, with z the logits."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, chunk: int
    ) -> tuple[Tensor, Tensor]:
        at_once = IN_CACHE if hidden.device.type == "cpu" else chunk

        def few(states: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # logits go when it returns
            logits = linear(states, weight, bias)  # (c, vocabulary)
            parts = [fewer(*part) for part in zip(logits.split(in_cache), ids[:, None].split(in_cache), strict=True)]
            losses, found = (torch.cat(part) for part in zip(*parts, strict=True))
            return losses.sum(), found, logits @ weight if ctx.needs_input_grad[0] else states

        def fewer(logits: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:  # leaves their gradient in their place
            exact = logits.float()  # in float32 it is `logits` itself, and so is `excess`
            normalizers = exact.logsumexp(-1, keepdim=True)
            at_target = exact.gather(-1, ids)
            found = exact.argmax(-1, keepdim=True) == ids
            if ctx.needs_input_grad[0]:
                excess = exact.sub_(normalizers).exp_().scatter_add_(-1, ids, -torch.ones_like(at_target))
                logits.copy_(excess)
            return normalizers - at_target, found[:, 0]

        size, in_cache = (max(1, logits // len(weight)) for logits in (chunk, at_once))
        parts = [few(*part) for part in zip(hidden.split(size), targets.split(size), strict=True)]
        totals, matches, gradients = zip(*parts, strict=True)
        ctx.gradient = torch.cat(gradients)
        found = torch.cat(matches)
        ctx.mark_non_differentiable(found)
        return torch.stack(totals).sum(), found

    @staticmethod
    def backward(ctx: Any, total: Tensor, _matches: Iterable[Any]) -> tuple[Tensor, None, None, None, None]:
        return ctx.gradient * total.to(ctx.gradient.dtype), None, None, None, None
