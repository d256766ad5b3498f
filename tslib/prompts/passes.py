"""What goes through the model at once, so that memory has a bound whatever the rows."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from tslib.prompts.encoding import Encoded

__all__ = ["LOGITS", "checkpointing", "in_passes"]

LOGITS = 2**28
"""Logits of one pass, at most: a gibibyte in float32. Of a large vocabulary that is few positions."""


def in_passes(rows: Sequence[Encoded], n_tokens: int, pass_tokens: int, most: int, vocabulary: int) -> list[list[int]]:
    """Divide rows into runs that go through the model at once.

    Parameters
    ----------
    rows
        The rows, in the order in which they are divided.
    n_tokens
        Virtual tokens of each.
    pass_tokens
        Positions of a run, all rows as long as its longest; a row alone may have more.
    most
        Rows of a run.
    vocabulary
        Logits of a position; those of a run's targets are at most `LOGITS`, unless it is a row alone.

    Returns
    -------
    list
        For each run the indices of its rows.
    """
    runs: list[list[int]] = []
    for index in range(len(rows)):
        together = [*runs[-1], index] if runs else [index]
        longest = n_tokens + max(len(rows[i].question) + len(rows[i].target) for i in together)
        logits = max(len(rows[i].target) + 1 for i in together) * vocabulary
        fits = longest * len(together) <= pass_tokens and logits * len(together) <= LOGITS
        if runs and len(together) <= most and fits:
            runs[-1] = together
        else:
            runs.append([index])
    return runs


@contextmanager
def checkpointing(
    model: Any, on: bool, again: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Keep only what enters each layer, and compute the rest again in the backward pass (gradient checkpointing).

    The gradient is the same; memory falls from all layers' activations to those of one, for a third more time. The
    model stays in evaluation mode: transformers' own switch would turn the dropout of some layers on.

    Parameters
    ----------
    model
        A model of transformers.
    on
        Whether to do so.
    again
        Makes the context in which layers are computed again.
    """
    layers: list[Any] = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    before = [vars(layer).get("forward") for layer in layers]  # one that is divided over devices has its own
    for layer in layers if on else []:
        layer.forward = partial(
            checkpoint, layer.forward, use_reentrant=False, context_fn=lambda: (nullcontext(), again())
        )
    try:
        yield
    finally:
        for layer, own in zip(layers if on else [], before, strict=False):
            if own is None:
                del layer.forward
            else:
                layer.forward = own
