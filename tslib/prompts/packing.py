"""Rows in one sequence, without padding, behind what they have in common.

All rows of a batch begin with the same soft prompt, and most with the same words (a template, solved examples). In a
causal model the states of this common head are the same in each row, so it goes through the model once::

    head | rest of row 1 | rest of row 2 | …

How the rests attend to the head and to themselves is in `tslib.kernels.attention`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from tslib.kernels.layout import Packing, States, indices
from tslib.prompts.encoding import Encoded

__all__ = ["Packed", "Packing", "pack"]


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
    return Packed(**{name: indices(values).to(device) for name, values in given.items()}, packing=packing.to(device))


def _shared(sequences: Sequence[Sequence[int]]) -> int:
    """Tokens with which all begin, short of a last one, whose state predicts the first token of a target."""
    begins = [sequence[:-1] for sequence in sequences]
    return sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, zip(*begins, strict=False)))
