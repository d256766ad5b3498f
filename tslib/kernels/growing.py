"""Keys and values of rows that grow by a token at a time: what all share once, what is a row's own in place."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from tslib.kernels.layout import Packing

__all__ = ["Growing"]

FEW = 64
"""Positions of a shared head up to which each row has its own copy: attention to both at once is then quicker."""


class _Pass(NamedTuple):
    rows: Int[Tensor, "r"]
    places: Int[Tensor, "r"]  # where each row's new states go
    bias: Float[Tensor, "r 1 1 k"] | None  # -∞ for keys that are behind a row or before its window; None: for none


class Growing:
    """States of packed rows in every layer, for decoding.

    The first pass through the model reads what is there, as its packing says, and leaves its states here. Every later
    pass has one position a row, in the order of the rows; its keys and values are written behind the row's own.

    Parameters
    ----------
    packing
        Of the first pass.
    rooms
        For each row the positions that may come.
    """

    def __init__(self, packing: Packing, rooms: Sequence[int]) -> None:
        self.packing = packing
        before = packing.before[0][0].shape[2] if packing.before else 0
        self.head = packing.head + before
        self.shared = self.head if len(packing.lengths) > 1 and self.head > FEW else 0
        rests = list(packing.lengths) or [0]  # a row alone is all head
        self.lengths = [self.head - self.shared + rest for rest in rests]  # of what is a row's own
        self.width = max(length + room for length, room in zip(self.lengths, rooms, strict=True))
        self.layers: dict[int, list[tuple[Tensor, Tensor]]] = {}  # of keys, then of values: the head's, the rows' own
        self.known: dict[tuple[int | None, torch.device], _Pass] = {}  # of this pass

    def to(self, _device: torch.device | str) -> "Growing":
        """Stay the same, which transformers asks for: states are where their layer is."""
        return self

    @property
    def positions(self) -> Int[Tensor, "r"]:
        """Where the next token of each row stands."""
        return torch.tensor([self.shared + length for length in self.lengths])

    def begin(self, layer: int, key: Float[Tensor, "1 kv l e"], value: Float[Tensor, "1 kv l e"]) -> None:
        """Keep what a layer made of the first pass."""
        self.layers[layer] = []
        for index, states in enumerate((key, value)):
            head, *rests = states[0].split([self.packing.head, *self.packing.lengths], 1)
            if self.packing.before:
                head = torch.cat([self.packing.before[layer][index][0].to(head), head], 1)
            # zeros, since a weight of zero times whatever lies in memory may be no number
            own = states.new_zeros(len(self.lengths), len(head), self.width, head.shape[2])
            copied = self.head - self.shared
            own[:, :, :copied] = head[:, :copied]
            for row, rest in enumerate(rests):
                own[row, :, copied : copied + rest.shape[1]] = rest
            self.layers[layer].append((head[:, : self.shared].contiguous(), own))

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "1 h r e"],
        key: Float[Tensor, "1 kv r e"],
        value: Float[Tensor, "1 kv r e"],
        scale: float,
        window: int | None,
    ) -> Float[Tensor, "1 r h e"]:
        """Attention of one new position a row to the head, to its row's own and to itself."""
        now = self._now(window, key)
        rows, width = len(self.lengths), max(self.lengths) + 1
        for (_, own), states in zip(self.layers[layer], (key, value), strict=True):
            own[now.rows, :, now.places] = states[0].transpose(0, 1)
        (head_keys, keys), (head_values, values) = ((head, own[:rows, :, :width]) for head, own in self.layers[layer])
        grouped = query[0].transpose(0, 1).unflatten(1, (keys.shape[1], -1))  # (r, kv, g, e)
        if not self.shared:
            out: Tensor = functional.scaled_dot_product_attention(grouped, keys, values, now.bias, scale=scale)
            return out.flatten(1, 2).unsqueeze(0)
        to_head = (grouped.transpose(0, 1).flatten(1, 2) @ head_keys.mT).unflatten(1, (rows, -1)).transpose(0, 1)
        scores = torch.cat([to_head, grouped @ keys.mT], -1) * scale  # (r, kv, g, p + w)
        if now.bias is not None:
            scores += now.bias
        of_head, of_own = functional.softmax(scores, -1).split([self.shared, width], -1)
        from_head = of_head.transpose(0, 1).flatten(1, 2) @ head_values
        out = from_head.unflatten(1, (rows, -1)).transpose(0, 1) + of_own @ values
        return out.flatten(1, 2).unsqueeze(0)

    def _now(self, window: int | None, states: Tensor) -> _Pass:
        """What layers on one device have in common in this pass."""
        device = states.device
        if (window, device) not in self.known:
            distance = self.positions[:, None] - torch.arange(self.shared + max(self.lengths) + 1)
            hidden = distance < 0 if window is None else (distance < 0) | (distance >= window)
            bias = states.new_zeros(hidden.shape).masked_fill(hidden.to(device), -torch.inf)[:, None, None]
            rows, places = (torch.tensor(own, device=device) for own in (range(len(self.lengths)), self.lengths))
            self.known[window, device] = _Pass(rows, places, bias if hidden.any() else None)
        return self.known[window, device]

    def grow(self) -> None:
        """Count the positions of a pass as the rows' own."""
        self.lengths = [length + 1 for length in self.lengths]
        self.known.clear()

    def leave(self, row: int) -> None:
        """Drop a row: the last one takes its place."""
        last = len(self.lengths) - 1
        if row < last:
            for own in (own for layer in self.layers.values() for _, own in layer):
                own[row, :, : self.lengths[last]] = own[last, :, : self.lengths[last]]
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        self.known.clear()
