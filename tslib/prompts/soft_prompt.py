"""The soft prompt P: how it starts, and where it stands between question and answer, or in every layer before both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.kernels.layout import States
from tslib.prompts.encoding import Encoded
from tslib.prompts.initial import INITIALIZERS, as_embedded, encoding_of, entering, scale_of

IGNORE = -100
"""Target id of a position that is padding, left out of the cross-entropy."""


class SoftPrompt(nn.Module):
    """n virtual tokens: a float32 matrix P of shape (n, d) among the embedded tokens.

    Parameters
    ----------
    values
        Initial P, shape (n, d).
    placement
        ``prefix``: prompt, question, answer; ``suffix``: question, prompt, answer.
    scale
        Factor between P and what enters the model: 1, or √d to act as Gemma did under transformers 4.
    encoding
        Added to what enters the model, and not trained.
    """

    def __init__(
        self,
        values: Float[Tensor, "*layers n d"],
        placement: Literal["prefix", "suffix"] = "prefix",
        scale: float = 1.0,
        encoding: Float[Tensor, "n d"] | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(values.detach().to(torch.float32, copy=True))  # training writes into it
        self.placement, self.scale = placement, scale
        self.encoding: Tensor | None
        self.register_buffer("encoding", encoding, persistent=False)

    def forward(self) -> Float[Tensor, "n d"]:
        """Return what enters the model among the embedded tokens."""
        return entering(self.weight, self.scale, self.encoding)

    @property
    def n_tokens(self) -> int:
        """Virtual tokens."""
        return self.weight.shape[-2]

    @property
    def inside(self) -> int:
        """How many of them stand among the embedded tokens; the rest stands before, as states of every layer."""
        return self.n_tokens

    def states(self) -> States:
        """Keys and values before the first token, layer by layer; none here."""
        return []

    def cloud(self, _rows: Sequence[Encoded]) -> Float[Tensor, "*layers n d"]:
        """What a regulariser acts on at a step with some rows: the prompt itself."""
        return self.weight

    def insert(self, embeddings: Float[Tensor, "b l d"], slots: Bool[Tensor, "b l"]) -> Float[Tensor, "b l d"]:
        """Put the prompt into its slots (n positions in each row) among the embedded tokens."""
        virtual = self().to(embeddings.dtype).repeat(len(embeddings), 1)  # (b * n, d)
        return embeddings.masked_scatter(slots.unsqueeze(-1), virtual)

    @classmethod
    def of_tokens(
        cls, model: Any, tokens: Sequence[int], placement: Literal["prefix", "suffix"] = "prefix"
    ) -> "SoftPrompt":
        """Return what real tokens are once a model has embedded them."""
        embed = model.get_input_embeddings()
        values = as_embedded(embed, torch.tensor(list(tokens)), 1.0)
        return cls(values, placement).to(embed.weight.device)

    @classmethod
    def from_config(cls, config: TuneConfig, model: Any, tokenizer: Any) -> "SoftPrompt":
        """Start a prompt as the config says; the same seed gives the same prompt on every device."""
        embed = model.get_input_embeddings()
        values = INITIALIZERS[config.init](config, embed, tokenizer, scale_of(config, embed.weight))
        return cls.resume(config, model, values)

    @classmethod
    def resume(cls, config: TuneConfig, model: Any, values: Float[Tensor, "*layers n d"]) -> "SoftPrompt":
        """Put the values of a run's prompt to work as its config says."""
        embed = model.get_input_embeddings()
        if values.ndim == 3:
            prompt: SoftPrompt = StatePrompt(values, StateShape.of(model))
        else:
            prompt = cls(values, config.placement, scale_of(config, values), encoding_of(config, values))
        return prompt.to(embed.weight.device)


@dataclass(frozen=True)
class StateShape:
    """Keys and values that a position has in a model.

    Attributes
    ----------
    layers, heads, size
        Layers, key-value heads of each, and numbers of a key.
    width
        Size of an embedded token.
    """

    layers: int
    heads: int
    size: int
    width: int

    @classmethod
    def of(cls, model: Any) -> "StateShape":
        """Find out by looking at the states of one token.

        Raises
        ------
        InputError
            If the model's layers do not all keep keys and values of one shape.
        """
        layers, width = states_of(model, [0]), model.get_input_embeddings().weight.shape[1]
        shape = layers[0][0].shape  # (1, heads, 1, size)
        if any(part.shape != shape for pair in layers for part in pair):
            raise InputError("a prefix in every layer needs keys and values of one shape in all layers of the model")
        return cls(len(layers), shape[1], shape[3], width)

    @property
    def points(self) -> int:
        """Numbers of a virtual token in a layer: its key and its value, all heads."""
        return 2 * self.heads * self.size

    def clouds(self, states: States) -> Float[Tensor, "layers n w"]:
        """Return states as one cloud a layer: the point of a virtual token is its key followed by its value."""
        pairs = [torch.cat(pair) for pair in states]  # (2, heads, n, size)
        return torch.stack([pair.permute(2, 0, 1, 3).flatten(1) for pair in pairs])

    def from_flat(self, values: Float[Tensor, "n k"]) -> Float[Tensor, "layers n w"]:
        """Return PEFT's prefix, in which a virtual token has the keys and values of all layers in a row, as clouds."""
        return values.view(-1, self.layers, self.points).transpose(0, 1).contiguous()


class StatePrompt(SoftPrompt):
    """n virtual tokens in every layer: keys and values before the first token (prefix tuning, P-tuning v2).

    Parameters
    ----------
    values
        (layers, n, w) one point a layer and virtual token: its key and its value, all heads, w = 2 · heads · size.
    shape
        Of the model.
    """

    def __init__(self, values: Float[Tensor, "layers n w"], shape: StateShape) -> None:
        super().__init__(values)
        if (values.shape[0], values.shape[2]) != (shape.layers, shape.points):
            raise InputError(
                f"a prefix of shape {tuple(values.shape)} is for another model: this one has {shape.layers} layers, "
                f"with {shape.points} numbers of a key and a value"
            )
        self.shape = shape

    @classmethod
    def of_tokens(
        cls, model: Any, tokens: Sequence[int], _placement: Literal["prefix", "suffix"] = "prefix"
    ) -> "StatePrompt":
        """Return the states that real tokens leave in every layer of a model."""
        shape = StateShape.of(model)
        return cls(shape.clouds(states_of(model, tokens)), shape).to(model.get_input_embeddings().weight.device)

    def forward(self) -> Float[Tensor, "0 d"]:
        """Return nothing: no virtual token stands among the embedded tokens."""
        return self.weight.new_zeros(0, self.shape.width)

    @property
    def inside(self) -> int:
        """No virtual token stands among the embedded tokens."""
        return 0

    def states(self) -> States:
        """Keys and values of the virtual tokens, layer by layer, each of shape (1, heads, n, size)."""
        n = self.n_tokens
        pairs = self.weight.view(-1, n, 2, self.shape.heads, self.shape.size).permute(0, 2, 3, 1, 4)
        return [(pair[:1], pair[1:]) for pair in pairs]


@torch.no_grad()
def states_of(model: Any, tokens: Sequence[int]) -> States:
    """Keys and values of some tokens under a frozen model, layer by layer, of shape (1, heads, tokens, size)."""
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    ids = torch.tensor([list(tokens)], device=model.get_input_embeddings().weight.device)
    try:
        model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
        layers: list[Any] = cache.layers
        if not all(isinstance(part, Tensor) for layer in layers for part in (layer.keys, layer.values)):
            raise ValueError("a layer has none")
    except Exception as error:  # whatever the architecture's code raises
        raise InputError(
            f"{type(model).__name__} does not keep keys and values of each token in each layer "
            f"({type(error).__name__}): take a method whose prompt stands among the embedded tokens, prompt-tuning or "
            "p-tuning"
        ) from error
    # cloned, since the states of a sliding window are a view of all
    return [(layer.keys.clone(), layer.values.clone()) for layer in layers]


@dataclass(frozen=True)
class Batch:
    """Token rows padded on the left, so that all targets end together.

    Attributes
    ----------
    ids
        (b, l) token ids; at the slots of the prompt and in the padding they stand for nothing.
    slots
        (b, l) true where a virtual token goes.
    attention
        (b, l) 1 where there is a token or virtual token, 0 in the padding.
    targets
        (b, t) ids of the last t positions, -100 left of a shorter target.
    """

    ids: Int[Tensor, "b l"]
    slots: Bool[Tensor, "b l"]
    attention: Int[Tensor, "b l"]
    targets: Int[Tensor, "b t"]

    @property
    def positions(self) -> Int[Tensor, "b l"]:
        """Position of each token in its own row, whatever the padding before it."""
        return (self.attention.cumsum(-1) - 1).clamp_min(0)


def collate(
    rows: Sequence[Encoded],
    n_tokens: int,
    placement: Literal["prefix", "suffix"] = "prefix",
    *,
    device: torch.device | str = "cpu",
) -> Batch:
    """Lay out soft prompt, question and target of several rows.

    Parameters
    ----------
    rows
        Encoded examples; an empty ``target`` makes a batch to decode from.
    n_tokens
        Virtual tokens per row.
    placement
        Where they go.
    device
        Where the tensors go.
    """
    slots, ids = [], []
    for row in rows:
        parts = [[0] * n_tokens, row.question] if placement == "prefix" else [row.question, [0] * n_tokens]
        start = 0 if placement == "prefix" else len(row.question)
        ids.append(torch.tensor([*parts[0], *parts[1], *row.target]))
        slot = torch.zeros(len(ids[-1]), dtype=torch.bool)
        slot[start : start + n_tokens] = True
        slots.append(slot)
    return Batch(
        ids=_pad_left(ids, 0).to(device),
        slots=_pad_left(slots, 0).to(device),
        attention=_pad_left([torch.ones_like(row) for row in ids], 0).to(device),
        targets=_pad_left([torch.tensor(row.target, dtype=torch.long) for row in rows], IGNORE).to(device),
    )


def lay_out(rows: Sequence[Encoded], prompt: SoftPrompt | None, model: Any) -> tuple[Batch, Float[Tensor, "b l d"]]:
    """Rows as a batch on the model's device, and what enters the model: their embeddings, with the prompt in its slots.

    Parameters
    ----------
    rows
        As for `collate`.
    prompt
        Soft prompt, or None for rows without one.
    model
        A model of transformers.
    """
    embed = model.get_input_embeddings()
    if prompt is None or not prompt.inside:
        batch = collate(rows, 0, device=embed.weight.device)
        return batch, embed(batch.ids)
    batch = collate(rows, prompt.inside, prompt.placement, device=embed.weight.device)
    return batch, prompt.insert(embed(batch.ids), batch.slots)


def model_inputs(rows: Sequence[Encoded], prompt: SoftPrompt | None, model: Any) -> tuple[Batch, dict[str, Any]]:
    """Rows as a batch on the model's device, and the arguments that a model of transformers is called with.

    Parameters
    ----------
    rows, prompt, model
        As for `lay_out`.
    """
    batch, embeddings = lay_out(rows, prompt, model)
    given: dict[str, Any] = {
        "inputs_embeds": embeddings,
        "attention_mask": batch.attention,
        "position_ids": batch.positions,
    }
    states = [] if prompt is None else prompt.states()
    if states:
        before = states[0][0].shape[2]
        given["attention_mask"] = functional.pad(batch.attention, (before, 0), value=1)
        given["position_ids"] = batch.positions + before
        given["past_key_values"] = _cache(model, states, embeddings)
    return batch, given


def row_inputs(row: Encoded, prompt: SoftPrompt | None, model: Any) -> dict[str, Any]:
    """Return the arguments that a model is called with for one row, without a mask or positions, which it counts."""
    _, embeddings = lay_out([row], prompt, model)
    states = [] if prompt is None else prompt.states()
    given = {"inputs_embeds": embeddings}
    return given | {"past_key_values": _cache(model, states, embeddings)} if states else given


def _cache(model: Any, states: States, embeddings: Float[Tensor, "b l d"]) -> Any:
    """States as transformers' cache, for each row of a batch."""
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    for layer, pair in enumerate(states):
        keys, values = (part.to(embeddings.dtype).expand(len(embeddings), -1, -1, -1) for part in pair)
        cache.update(keys, values, layer)
    if hasattr(model, "hf_device_map"):  # divided over several devices: each layer's states belong beside it
        from peft.utils.integrations import map_cache_to_layer_device_map

        map_cache_to_layer_device_map(model, cache)
    return cache


def _pad_left(rows: list[Tensor], value: int) -> Tensor:
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value, padding_side="left")
