"""Which rows of a prompt of PEFT's its model sees together: each such set is a cloud, and nothing else is.

=============================  ========================================================================================
kind                           clouds
=============================  ========================================================================================
PROMPT_TUNING, P_TUNING, CPT   one of n rows, among the embedded tokens; of an encoder-decoder the encoder's, whatever
                               further rows there are: PEFT makes n for the decoder, too, and never uses them
MULTITASK_PROMPT_TUNING        one a task, the shared rows times the task's own factors; of an encoder-decoder with rows
                               for both, one a task and side
PREFIX_TUNING, CARTRIDGE       one a layer, of keys and values; an encoder-decoder has them in its decoder
=============================  ========================================================================================

PEFT gives layer i of a decoder that has an encoder, where it makes prefixes for both, those that are laid out for layer
2i modulo the number of layers: of an even number, half the layers' prefixes are used twice and the others never.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tslib.errors import InputError

__all__ = ["KINDS", "Clouds", "seen"]

KEY, COLUMNS, ROWS = "prompt_embeddings", "prefix_task_cols", "prefix_task_rows"
LAYERED = ("PREFIX_TUNING", "CARTRIDGE")
ENCODED = ("P_TUNING", "CPT", *LAYERED)
"""Kinds whose rows come out of a module, until they are loaded for inference."""
KINDS = ("PROMPT_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING", "CPT", *LAYERED)
PAIR = "SEQ_2_SEQ_LM"
"""The task for which PEFT takes a model for an encoder and a decoder."""


class Clouds(NamedTuple):
    """Point clouds of a soft prompt.

    Attributes
    ----------
    values
        (n, d) where there is one, (clouds, n, d) where there are several.
    names
        What each is of, such as ``task 0``; empty for a single cloud, and for one a layer.
    """

    values: Float[Tensor, "*clouds n d"]
    names: tuple[str, ...] = ()


def tensors(kind: str) -> tuple[str, ...]:
    """Return the names of the tensors that an adapter of a kind is read from.

    Raises
    ------
    InputError
        If it has no virtual tokens.
    """
    if kind not in KINDS:
        raise InputError(f"it is of kind {kind}: only {', '.join(KINDS)} have clouds of virtual tokens")
    return (KEY, COLUMNS, ROWS) if kind == "MULTITASK_PROMPT_TUNING" else (KEY,)


def seen(said: Mapping[str, Any], values: Mapping[str, Tensor], depth: int | None = None) -> Clouds:
    """Return the clouds that a model sees, differentiable in the values.

    Parameters
    ----------
    said
        What the adapter's config says, by the names of ``adapter_config.json``.
    values
        The tensors of an adapter as PEFT saves them, by name: ``prompt_embeddings`` has all rows.
    depth
        Layers of the decoder that has them; by default as many as the adapter has prefixes for.

    Raises
    ------
    InputError
        If the adapter has rows for submodules that PEFT never gives them to.
    ValueError
        If the tensors do not have the shapes that the config says.
    """
    kind, task, n = said["peft_type"], said.get("task_type"), said["num_virtual_tokens"]
    sides = said.get("num_transformer_submodules") or (2 if task == PAIR else 1)
    if sides > (2 if task == PAIR else 1):
        raise InputError(
            f"it has virtual tokens for {sides} submodules and the task {task}: PEFT gives them to one, or with the "
            f"task {PAIR} to two"
        )
    flat = values[KEY]
    if kind in LAYERED:
        layers = said["num_layers"]
        _fits(KEY, flat, (n, 2 * layers * said["token_dim"]))
        order = [sides * layer % layers for layer in range(layers)][:depth]
        clouds = flat.view(n, layers, -1).transpose(0, 1)
        names = [f"decoder layer {layer}" for layer in range(len(order))] if task == PAIR else []
        return Clouds(clouds if order == list(range(layers)) else clouds[order], tuple(names))
    _fits(KEY, flat, (n * sides, said.get("token_dim") or flat.shape[-1]))
    if kind != "MULTITASK_PROMPT_TUNING":
        return Clouds(flat if sides == 1 else flat[:n])
    tasks, ranks, width = said["num_tasks"], said["num_ranks"], flat.shape[1]
    _fits(COLUMNS, values[COLUMNS], (tasks, n * sides, ranks))
    _fits(ROWS, values[ROWS], (tasks, ranks, width))
    prompts = flat * torch.matmul(values[COLUMNS], values[ROWS])  # (tasks, n * sides, width)
    ends = [""] if sides == 1 else [", encoder", ", decoder"]
    names = [f"task {number}{end}" for number in range(tasks) for end in ends]
    return Clouds(prompts[0]) if len(names) == 1 else Clouds(prompts.reshape(-1, n, width), tuple(names))


def _fits(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if not tensor.numel() or tuple(tensor.shape) != shape:
        raise ValueError(f"the config says shape {shape}, {name} has {tuple(tensor.shape)}")
