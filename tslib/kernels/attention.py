"""Attention of rows in one sequence: a head that all share, and the rest of each.

What is attended to lies in one row::

    head | rest of row 1 | rest of row 2 | …

Each rest attends to the head and to itself: the attention over a shared prefix of Hydragen (Juravsky et al., 2024,
arXiv:2402.05099), here with a gradient.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface

from tslib.errors import InputError
from tslib.kernels.growing import Growing
from tslib.kernels.layout import Packing

__all__ = ["packed_attention"]

ATTENTION = "tslib-packed"
BLOCK = 64
"""Queries at once where attention is computed by plain products: on a CPU. 0: nowhere."""
SHORT = 512
"""Keys up to which their weights are kept for the way back. Beyond, a whole sequence goes to torch's flash attention,
which stays on one side of the diagonal, too, but has no windows and wants as many queries as keys."""
HARMLESS = ("position_ids", "cache_position", "use_cache", "is_causal")
"""What transformers says to attention besides, and what changes nothing here."""


@contextmanager
def packed_attention(model: Any) -> Iterator[None]:
    """Let a model of transformers attend as the ``packing`` that it is called with says."""
    before = model.config._attn_implementation
    model.set_attn_implementation(ATTENTION)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _attend(
    module: Any,
    query: Float[Tensor, "1 h l e"],
    key: Float[Tensor, "1 kv l e"],
    value: Float[Tensor, "1 kv l e"],
    attention_mask: None,
    *,
    packing: Packing | Growing,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Float[Tensor, "1 l h e"], None]:
    """Attention of a packed sequence, or of one new token a row, as transformers calls it.

    What else a model asks of attention (a soft cap, sinks, a bias by position) is not here: its rows are not packed.
    """
    if asked := sorted(name for name, value in others.items() if name not in HARMLESS and not _is_nothing(value)):
        raise InputError(f"packed attention has no {', '.join(asked)}, for which this model asks: pad its rows")
    attention = _Attention(query.shape[-1] ** -0.5 if scaling is None else scaling, sliding_window)
    if isinstance(packing, Growing):
        if module.layer_idx in packing.layers:
            return packing.attend(module.layer_idx, query, key, value, attention.scale, sliding_window), None
        packing.begin(module.layer_idx, key, value)
        packing = packing.packing
    if packing.past:
        queries, keys, values = (states.split(packing.lengths, 2) for states in (query, key, value))
        pasts = [past[module.layer_idx] for past in packing.past]
        rows = zip(queries, keys, values, pasts, strict=True)
        return torch.cat([attention.after_past(*row) for row in rows], 1), None
    # without rests all is head
    parts = [states.split([packing.head, *packing.lengths], 2) for states in (query, key, value)]
    (first, *head), *rests = zip(*parts, strict=True)
    if packing.before:
        states_before = (states.to(key) for states in packing.before[module.layer_idx])
        head = [torch.cat(pair, 2) for pair in zip(states_before, head, strict=True)]
    out = [attention.causal(first, *head)] if packing.head else []
    if not _pads(query):
        out += [attention.after(head, *rest) for rest in rests]
    elif rests:
        padded = [packing.rests(states) for states in (query, key, value)]  # (r, h, w, e)
        out.append(attention.after(head, *padded).flatten(0, 1).index_select(0, packing.real)[None])
    return torch.cat(out, 1), None


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, bool | int | float) and not value)


@dataclass(frozen=True)
class _Attention:
    """Causal attention of one layer, with the last query at the last key."""

    scale: float
    window: int | None  # positions that a query attends to at most, itself among them

    def after(
        self,
        head: Sequence[Float[Tensor, "1 kv p e"]],
        query: Float[Tensor, "r h w e"],
        key: Float[Tensor, "r kv w e"],
        value: Float[Tensor, "r kv w e"],
    ) -> Float[Tensor, "r w h e"]:
        """Attention of rows to a head (key, value), and each to itself."""
        return self.causal(query, *(_behind(*states) for states in zip(head, (key, value), strict=True)))

    def causal(
        self, query: Float[Tensor, "r h q e"], key: Float[Tensor, "r kv k e"], value: Float[Tensor, "r kv k e"]
    ) -> Float[Tensor, "r q h e"]:
        """Attention within rows."""
        length = key.shape[2]
        missing = length - query.shape[2]
        window = self.window if self.window is not None and self.window < length else None
        if _in_blocks(key) and (length <= SHORT or window is not None or missing):
            blocks: Tensor = _Blocks.apply(query * self.scale, key, value, window)
            return blocks
        mask = None if window is None else ~_hidden(length, length, window, key.device)[None, None]
        grouped = key.device.type != "cpu" and mask is None  # elsewhere torch is faster with the keys repeated
        if not grouped:
            key, value = (states.repeat_interleave(query.shape[1] // key.shape[1], 1) for states in (key, value))
        settings: Any = {"scale": self.scale, "is_causal": mask is None, "enable_gqa": grouped}
        whole = functional.pad(query, (0, 0, missing, 0))  # as many queries as keys need no mask
        out = functional.scaled_dot_product_attention(whole, key, value, mask, **settings)
        return out[:, :, missing:].transpose(1, 2)

    def after_past(
        self,
        query: Float[Tensor, "r h q e"],
        key: Float[Tensor, "r kv q e"],
        value: Float[Tensor, "r kv q e"],
        past: tuple[Float[Tensor, "r kv p e"], Float[Tensor, "r kv p e"]],
    ) -> Float[Tensor, "r q h e"]:
        """Attention within rows and to the states of a past, which take no gradient; it may be long."""
        keys, values = (torch.cat(parts, 2) for parts in zip(past, (key, value), strict=True))
        grouped = _grouped(query, key)
        mask = ~_hidden(query.shape[2], keys.shape[2], self.window, query.device).repeat(grouped.shape[2], 1)
        out = functional.scaled_dot_product_attention(grouped.flatten(2, 3), keys, values, mask, scale=self.scale)
        by_head: Tensor = out.view_as(grouped).flatten(1, 2).transpose(1, 2)
        return by_head


def _in_blocks(states: Tensor) -> bool:
    """Whether attention is computed in blocks, by plain products."""
    return states.device.type == "cpu" and BLOCK > 0


def _pads(states: Tensor) -> bool:
    """Whether rests attend in one call, all as long as the longest: where calls cost more than arithmetic."""
    return states.device.type != "cpu"


def _behind(head: Float[Tensor, "1 _ p e"], own: Float[Tensor, "r _ w e"]) -> Float[Tensor, "r _ p+w e"]:
    return torch.cat([head.expand(len(own), -1, -1, -1), own], 2)


class _Blocks(torch.autograd.Function):
    """softmax(q kᵀ) v, for a few queries at a time and the keys that one of them attends to: half of all products.

    Weights are kept for the way back where rows are short, else computed again; other copies of them, as autograd would
    make, there are none.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Float[Tensor, "r h q e"],
        key: Float[Tensor, "r kv k e"],
        value: Float[Tensor, "r kv k e"],
        window: int | None,
    ) -> Float[Tensor, "r q h e"]:
        keep = any(ctx.needs_input_grad) and key.shape[2] <= SHORT
        grouped, kept = _grouped(query, key), []
        out = query.new_empty(query.shape[0], query.shape[2], *grouped.shape[1:3], value.shape[3])
        for queries, keys in _blocks(query.shape[2], key.shape[2], window):
            weights = _weights(grouped[:, :, :, queries], key[:, :, keys], window)
            out[:, queries] = (weights @ value[:, :, keys]).unflatten(2, (out.shape[3], -1)).movedim(3, 1)
            kept += [weights] if keep else []
        ctx.save_for_backward(query, key, value, *kept)
        ctx.window = window
        return out.flatten(2, 3)

    @staticmethod
    def backward(ctx: Any, gradient: Float[Tensor, "r q h e"]) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, *kept = ctx.saved_tensors
        grouped, towards = _grouped(query, key), _grouped(gradient.transpose(1, 2), key)
        of_query = torch.empty_like(grouped)
        exact = torch.promote_types(key.dtype, torch.float32)
        of_key, of_value = (torch.zeros_like(states, dtype=exact) for states in (key, value))
        for queries, keys in _blocks(query.shape[2], key.shape[2], ctx.window):
            some, own = grouped[:, :, :, queries], towards[:, :, :, queries].flatten(2, 3)
            weights = kept.pop(0) if kept else _weights(some, key[:, :, keys], ctx.window)
            # where a key is not allowed its weight is zero, and with it the gradient of its score
            scores = torch._softmax_backward_data(own @ value[:, :, keys].mT, weights, -1, weights.dtype)
            of_query[:, :, :, queries] = (scores @ key[:, :, keys]).view_as(some)
            of_key[:, :, keys] += scores.mT @ some.flatten(2, 3)
            of_value[:, :, keys] += weights.mT @ own
        return of_query.flatten(1, 2), of_key.to(key), of_value.to(value), None


def _grouped(query: Float[Tensor, "r h q e"], key: Float[Tensor, "r kv k e"]) -> Float[Tensor, "r kv g q e"]:
    """Put query heads that share a key head together, so that keys are not repeated."""
    grouped: Tensor = query.unflatten(1, (key.shape[1], -1))
    return grouped


def _blocks(queries: int, keys: int, window: int | None) -> Iterator[tuple[slice, slice]]:
    """Yield blocks of queries, and of the keys that at least one of them attends to."""
    before = keys - queries
    for start in range(0, queries, BLOCK):
        end = min(start + BLOCK, queries)
        first = 0 if window is None else max(0, before + start - window + 1)
        yield slice(start, end), slice(first, before + end)


def _weights(
    query: Float[Tensor, "r kv g q e"], key: Float[Tensor, "r kv k e"], window: int | None
) -> Float[Tensor, "r kv gq k"]:
    """Weights of the keys, for queries at the last of them."""
    queries, keys = query.shape[3], key.shape[2]
    scores = query.flatten(2, 3) @ key.mT
    first = keys - queries if window is None else 0  # all attend to what is before the first of them
    hidden = _hidden(queries, keys - first, window, key.device)
    scores.unflatten(2, (-1, queries))[..., first:].masked_fill_(hidden, -torch.inf)
    return functional.softmax(scores, -1)  # inside, the kernel computes in float32


def _hidden(queries: int, keys: int, window: int | None, device: torch.device) -> Bool[Tensor, "q k"]:
    """Which keys a query does not attend to: those after it, and those before the last of its window."""
    pairs, before = torch.ones(queries, keys, dtype=torch.bool, device=device), keys - queries
    hidden = pairs.triu(before + 1)
    return hidden if window is None else hidden | pairs.tril(before - window)


AttentionInterface.register(ATTENTION, _attend)
