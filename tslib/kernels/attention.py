"""Attention of rows in one sequence: a head that all share, and the rest of each.

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
from tslib.kernels.layout import Packing

__all__ = ["packed_attention"]

ATTENTION = "tslib-packed"
SHORT = 512
"""Keys up to which a CPU computes attention by plain products; beyond, torch's flash attention is faster."""
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
    packing: Packing,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Float[Tensor, "1 l h e"], None]:
    """Attention of a packed sequence, as transformers calls it.

    What else a model asks of attention (a soft cap, sinks, a bias by position) is not here: its rows are not packed.
    """
    if asked := sorted(name for name, value in others.items() if name not in HARMLESS and not _is_nothing(value)):
        raise InputError(f"packed attention has no {', '.join(asked)}, for which this model asks: pad its rows")
    attention = _Attention(query.shape[-1] ** -0.5 if scaling is None else scaling, sliding_window)
    if packing.past:
        queries, keys, values = (states.split(packing.lengths, 2) for states in (query, key, value))
        pasts = [past[module.layer_idx] for past in packing.past]
        rows = zip(queries, keys, values, pasts, strict=True)
        return torch.cat([attention.after_past(*row) for row in rows], 1), None
    # without rests all is head
    parts = [states.split([packing.head, *packing.lengths], 2) for states in (query, key, value)]
    head, *rests = map(list, zip(*parts, strict=True))
    first = 0
    if packing.before:  # they have no queries, but with some that are dropped all is as if they were tokens
        states_before = [states.to(key) for states in packing.before[module.layer_idx]]
        first = states_before[0].shape[2]
        nothing = query.new_zeros(*query.shape[:2], first, query.shape[3])
        head = [torch.cat(parts, 2) for parts in zip((nothing, *states_before), head, strict=True)]
    out = [attention.causal(*head)[:, first:]] if packing.head else []
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
        head: Sequence[Float[Tensor, "1 _ p e"]],
        query: Float[Tensor, "r h w e"],
        key: Float[Tensor, "r kv w e"],
        value: Float[Tensor, "r kv w e"],
    ) -> Float[Tensor, "r w h e"]:
        """Attention of rows to a head (query, key, value), and each to itself."""
        keys, values = (_behind(*states) for states in zip(head[1:], (key, value), strict=True))
        if self._is_short(keys):
            return self.by_products(query, keys, values)
        # as many queries as keys need no mask
        return self.causal(_behind(head[0], query), keys, values)[:, head[0].shape[2] :]

    def causal(
        self, query: Float[Tensor, "r h l e"], key: Float[Tensor, "r kv l e"], value: Float[Tensor, "r kv l e"]
    ) -> Float[Tensor, "r l h e"]:
        """Attention within rows."""
        if self._is_short(key):
            return self.by_products(query, key, value)
        length = key.shape[2]
        windowed = self.window is not None and self.window < length
        mask = self._allowed(length, length, key.device)[None, None] if windowed else None
        grouped = key.device.type != "cpu" and mask is None  # elsewhere torch is faster with the keys repeated
        if not grouped:
            key, value = (states.repeat_interleave(query.shape[1] // key.shape[1], 1) for states in (key, value))
        settings: Any = {"scale": self.scale, "is_causal": mask is None, "enable_gqa": grouped}
        return functional.scaled_dot_product_attention(query, key, value, mask, **settings).transpose(1, 2)

    def by_products(
        self, query: Float[Tensor, "r h q e"], key: Float[Tensor, "r kv k e"], value: Float[Tensor, "r kv k e"]
    ) -> Float[Tensor, "r q h e"]:
        """Attention by plain products."""
        width = query.shape[2]
        allowed = self._allowed(width, key.shape[2], query.device)
        return self._by_head(_Products.apply(self._grouped(query * self.scale, key), key, value, allowed), width)

    def after_past(
        self,
        query: Float[Tensor, "r h q e"],
        key: Float[Tensor, "r kv q e"],
        value: Float[Tensor, "r kv q e"],
        past: tuple[Float[Tensor, "r kv p e"], Float[Tensor, "r kv p e"]],
    ) -> Float[Tensor, "r q h e"]:
        """Attention within rows and to the states of a past, which take no gradient; it may be long."""
        keys, values = (torch.cat(parts, 2) for parts in zip(past, (key, value), strict=True))
        allowed = self._allowed(query.shape[2], keys.shape[2], query.device)
        grouped = self._grouped(query, key)
        mask = allowed.repeat(grouped.shape[2] // query.shape[2], 1)
        out = functional.scaled_dot_product_attention(grouped, keys, values, mask, scale=self.scale)
        return self._by_head(out, query.shape[2])

    @staticmethod
    def _grouped(query: Float[Tensor, "r h q e"], key: Float[Tensor, "r kv k e"]) -> Float[Tensor, "r kv _ e"]:
        """Put query heads that share a key head under one another, so that keys are not repeated."""
        grouped: Tensor = query.unflatten(1, (key.shape[1], -1)).flatten(2, 3)  # (r, kv, h / kv * q, e)
        return grouped

    @staticmethod
    def _by_head(out: Float[Tensor, "r kv _ e"], width: int) -> Float[Tensor, "r q h e"]:
        by_head: Tensor = out.unflatten(2, (-1, width)).flatten(1, 2).transpose(1, 2)
        return by_head

    def _allowed(self, queries: int, keys: int, device: torch.device) -> Bool[Tensor, "q k"]:
        """Which keys a query attends to: none after it, and of the others the last in the window."""
        distance = torch.arange(keys - queries, keys, device=device)[:, None] - torch.arange(keys, device=device)
        return distance >= 0 if self.window is None else (distance >= 0) & (distance < self.window)

    @staticmethod
    def _is_short(key: Tensor) -> bool:
        return key.device.type == "cpu" and key.shape[2] <= SHORT


def _pads(states: Tensor) -> bool:
    """Whether rests attend in one call, all as long as the longest: where calls cost more than arithmetic."""
    return states.device.type != "cpu"


def _behind(head: Float[Tensor, "1 _ p e"], own: Float[Tensor, "r _ w e"]) -> Float[Tensor, "r _ p+w e"]:
    return torch.cat([head.expand(len(own), -1, -1, -1), own], 2)


class _Products(torch.autograd.Function):
    """softmax(q kᵀ) v over the keys that are allowed, without the copies of all scores that autograd would make."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Float[Tensor, "r kv hq e"],
        key: Float[Tensor, "r kv k e"],
        value: Float[Tensor, "r kv k e"],
        allowed: Bool[Tensor, "q k"],
    ) -> Float[Tensor, "r kv hq e"]:
        scores = query @ key.mT
        scores.unflatten(2, (-1, len(allowed))).masked_fill_(~allowed, -torch.inf)
        weights = functional.softmax(scores, -1)  # inside, the kernel computes in float32
        ctx.save_for_backward(query, key, value, weights)
        return weights @ value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, weights = ctx.saved_tensors
        # where a key is not allowed its weight is zero, and with it the gradient of its score
        scores = torch._softmax_backward_data(gradient @ value.mT, weights, -1, weights.dtype)
        return scores @ key, scores.mT @ query, weights.mT @ gradient, None


AttentionInterface.register(ATTENTION, _attend)
