"""Rows in one sequence, without padding, behind what they have in common.

All rows of a batch begin with the same soft prompt, and most with the same words (a template, solved examples). In a
causal model the states of this common head are the same in each row, so it goes through the model once:

    head | rest of row 1 | rest of row 2 | …

Each rest attends to the head and to itself: the attention over a shared prefix of Hydragen (Juravsky et al., 2024,
arXiv:2402.05099), here with a gradient.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface

from tslib.errors import InputError
from tslib.prompts.encoding import Encoded
from tslib.prompts.soft_prompt import States

__all__ = ["Packed", "Packing", "States", "pack", "packed_attention"]

ATTENTION = "tslib-packed"
SHORT = 512
"""Keys up to which a CPU computes attention by plain products; beyond, torch's flash attention is faster."""
HARMLESS = ("position_ids", "cache_position", "use_cache", "is_causal")
"""What transformers says to attention besides, and what changes nothing here."""


@dataclass(frozen=True)
class Packing:
    """Which positions of a packed sequence are whose.

    Attributes
    ----------
    head
        Positions at the beginning that all rows share.
    lengths
        Positions of each row's rest; none where there is one row, which is all head.
    places
        (r, w) where the rests are, padded on the right with places of no meaning.
    real
        (s,) which of the r · w places have one.
    past
        For each row the states before it, if they are there already.
    before
        States before the head, those of a prefix in every layer.
    """

    head: int
    lengths: tuple[int, ...]
    places: Int[Tensor, "r w"]
    real: Int[Tensor, "s"]
    past: tuple[States, ...] = ()
    before: States = ()

    @classmethod
    def of(cls, head: int, lengths: Sequence[int], past: Sequence[States] = (), before: States = ()) -> "Packing":
        """Lay out rests of these lengths behind a head."""
        width = max(lengths, default=0)
        starts = [head + sum(lengths[:row]) for row in range(len(lengths))]
        places = [
            [start + (step if step < length else 0) for step in range(width)]
            for start, length in zip(starts, lengths, strict=True)
        ]
        real = [row * width + step for row, length in enumerate(lengths) for step in range(length)]
        table = _indices(places).view(len(lengths), width)
        return cls(head, tuple(lengths), table, _indices(real), tuple(past), before)

    def to(self, device: torch.device | str) -> "Packing":
        """Put the tensors on a device, which transformers asks for; states of the past are where their layer is."""
        return replace(self, places=self.places.to(device), real=self.real.to(device))

    def rests(self, states: Float[Tensor, "1 h l e"]) -> Float[Tensor, "r h w e"]:
        """States of the rests, padded on the right: what is causal needs no mask for that."""
        found = states[0].index_select(1, self.places.flatten())  # (h, r * w, e)
        return found.view(len(found), *self.places.shape, -1).transpose(0, 1)


@dataclass(frozen=True)
class Packed:
    """A batch as one sequence of l positions.

    Attributes
    ----------
    ids
        (i,) token ids, without the virtual ones.
    order
        (l,) what stands at each position: below n a virtual token, from n on one of `ids`.
    positions
        (l,) position of each in its own row.
    predicting
        (t,) the positions whose states predict the targets.
    targets
        (t,) ids of all rows' targets, one row after the other.
    packing
        Whose positions are whose.
    """

    ids: Int[Tensor, "i"]
    order: Int[Tensor, "l"]
    positions: Int[Tensor, "l"]
    predicting: Int[Tensor, "t"]
    targets: Int[Tensor, "t"]
    packing: Packing


def pack(
    rows: Sequence[Encoded],
    n_tokens: int,
    placement: Literal["prefix", "suffix"] = "prefix",
    past: Sequence[States] = (),
    before: States = (),
    *,
    device: torch.device | str = "cpu",
) -> Packed:
    """Lay out soft prompt, question and target of several rows as one sequence.

    The last token of a target predicts nothing and is left out.

    Parameters
    ----------
    rows
        Encoded examples, with a target each.
    n_tokens
        Virtual tokens per row.
    placement
        Where they go.
    past
        With ``suffix``: the states of each row's question, which is left out then.
    before
        States before all rows, those of a prefix in every layer.
    device
        Where the tensors go.
    """
    virtual = list(range(n_tokens))
    ids: list[int] = []

    def places(tokens: Sequence[int]) -> list[int]:
        ids.extend(tokens)
        return list(range(n_tokens + len(ids) - len(tokens), n_tokens + len(ids)))

    shared = 0 if past else len(rows[0].question) if len(rows) == 1 else _shared([row.question for row in rows])
    order = virtual if placement == "prefix" else []
    order = order + places(rows[0].question[:shared])
    head = len(order)
    positions, lengths = list(range(head)), []
    predicting: list[int] = []
    for row in rows:
        rest = [] if past else places(row.question[shared:])
        rest += [] if placement == "prefix" else virtual
        rest += places(row.target[:-1])
        start = len(row.question) if past else head
        order, positions = order + rest, positions + list(range(start, start + len(rest)))
        predicting += range(len(order) - len(row.target), len(order))
        lengths.append(len(rest))
    if not past and len(rows) == 1:
        head, lengths = len(order), []
    packing = Packing.of(head, lengths, past, before)
    if before:
        positions = [before[0][0].shape[2] + position for position in positions]
    targets = [token for row in rows for token in row.target]
    given = {"ids": ids, "order": order, "positions": positions, "predicting": predicting, "targets": targets}
    return Packed(**{name: _indices(values).to(device) for name, values in given.items()}, packing=packing.to(device))


def _indices(values: Sequence[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.long)


def _shared(sequences: Sequence[Sequence[int]]) -> int:
    """Tokens with which all begin, short of a last one, whose state predicts the first token of a target."""
    begins = [sequence[:-1] for sequence in sequences]
    return sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, zip(*begins, strict=False)))


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
