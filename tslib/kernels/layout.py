"""Which positions of a packed sequence are whose."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Packing", "States", "indices"]

States = Sequence[tuple[Float[Tensor, "1 _ _ _"], Float[Tensor, "1 _ _ _"]]]
"""Keys and values of positions before a row, layer by layer, of shape (1, key heads, positions, head size). A layer
with a sliding window may have the last positions only."""


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
        table = indices(places).view(len(lengths), width)
        return cls(head, tuple(lengths), table, indices(real), tuple(past), before)

    def to(self, device: torch.device | str) -> "Packing":
        """Put the tensors on a device, which transformers asks for; states of the past are where their layer is."""
        return replace(self, places=self.places.to(device), real=self.real.to(device))

    def rests(self, states: Float[Tensor, "1 h l e"]) -> Float[Tensor, "r h w e"]:
        """States of the rests, padded on the right: what is causal needs no mask for that."""
        found = states[0].index_select(1, self.places.flatten())  # (h, r * w, e)
        return found.view(len(found), *self.places.shape, -1).transpose(0, 1)


def indices(values: Sequence[Any]) -> Tensor:
    """Return whole numbers, or rows of them, as a tensor."""
    return torch.tensor(values, dtype=torch.long)
