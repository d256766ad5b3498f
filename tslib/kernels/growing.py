"""Keys and values of rows that grow by a token at a time: what all share once, what is a row's own in place."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from tslib.kernels.layout import Packing

__all__ = ["Growing"]


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
        self.lengths = list(packing.lengths) or [0]  # of what is a row's own; a row alone is all head
        self.width = max(length + room for length, room in zip(self.lengths, rooms, strict=True))
        self.layers: dict[int, list[tuple[Tensor, Tensor]]] = {}  # of keys, then of values: the head's, the rows' own
        self.known: dict[tuple[int | None, torch.device], tuple[Tensor, Tensor]] = {}  # of this pass, see `_places`

    def to(self, _device: torch.device | str) -> "Growing":
        """Stay the same, which transformers asks for: states are where their layer is."""
        return self

    @property
    def head(self) -> int:
        """Positions before the rows' own."""
        before = self.packing.before
        return self.packing.head + (before[0][0].shape[2] if before else 0)

    @property
    def positions(self) -> Int[Tensor, "r"]:
        """Where the next token of each row stands."""
        return torch.tensor([self.head + length for length in self.lengths])

    def begin(self, layer: int, key: Float[Tensor, "1 kv l e"], value: Float[Tensor, "1 kv l e"]) -> None:
        """Keep what a layer made of the first pass."""
        self.layers[layer] = []
        for index, states in enumerate((key, value)):
            head, *rests = states[0].split([self.packing.head, *self.packing.lengths], 1)
            if self.packing.before:
                head = torch.cat([self.packing.before[layer][index][0].to(head), head], 1)
            # zeros, since a weight of zero times whatever lies in memory may be no number
            own = states.new_zeros(len(self.lengths), len(head), self.width, head.shape[2])
            for row, rest in enumerate(rests):
                own[row, :, : rest.shape[1]] = rest
            self.layers[layer].append((head.contiguous(), own))

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "1 h r e"],
        key: Float[Tensor, "1 kv r e"],
        value: Float[Tensor, "1 kv r e"],
        window: int | None,
    ) -> Float[Tensor, "1 r h e"]:
        """Attention of one new position a row to the head, to its row's own and to itself; the query is scaled."""
        rows, width = len(self.lengths), max(self.lengths) + 1
        places, hidden = self._places(window, key.device)
        for (_, own), states in zip(self.layers[layer], (key, value), strict=True):
            own[torch.arange(rows, device=key.device), :, places] = states[0].transpose(0, 1)
        (head_keys, keys), (head_values, values) = ((head, own[:rows, :, :width]) for head, own in self.layers[layer])
        grouped = query[0].unflatten(0, (len(head_keys), -1))  # (kv, g, r, e)
        to_head = (grouped.flatten(1, 2) @ head_keys.mT).unflatten(1, grouped.shape[1:3]).movedim(2, 0)
        scores = torch.cat([to_head, grouped.movedim(2, 0) @ keys.mT], -1)  # (r, kv, g, p + w)
        scores.masked_fill_(hidden[:, None, None], -torch.inf)
        of_head, of_own = functional.softmax(scores, -1).split([head_keys.shape[1], width], -1)
        from_head = (of_head.movedim(0, 2).flatten(1, 2) @ head_values).view_as(grouped).movedim(2, 0)
        out: Tensor = from_head + of_own @ values  # (r, kv, g, e)
        return out.flatten(1, 2).unsqueeze(0)

    def _places(self, window: int | None, device: torch.device) -> tuple[Int[Tensor, "r"], Bool[Tensor, "r k"]]:
        """Where each row's new states go, and which keys are behind them or before their window; for all layers."""
        if (window, device) not in self.known:
            distance = self.positions[:, None] - torch.arange(self.head + max(self.lengths) + 1)
            hidden = distance < 0 if window is None else (distance < 0) | (distance >= window)
            self.known[window, device] = torch.tensor(self.lengths, device=device), hidden.to(device)
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
