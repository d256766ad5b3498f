"""What is trained: the soft prompt P, how it starts, and where it stands between question and answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tslib.config import TuneConfig
from tslib.encoding import Encoded

IGNORE = -100
"""Target id of a position that is padding, left out of the cross-entropy."""


class SoftPrompt(nn.Module):
    """n virtual tokens: a float32 matrix P of shape (n, d), the only thing that is trained.

    Parameters
    ----------
    values
        Initial P, shape (n, d).
    placement
        ``prefix``: prompt, question, answer; ``suffix``: question, prompt, answer.
    scale
        Factor between P and what enters the model: 1, or √d to act as Gemma did under transformers 4.
    """

    def __init__(
        self,
        values: Float[Tensor, "n d"],
        placement: Literal["prefix", "suffix"] = "prefix",
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(values.detach().to(torch.float32, copy=True))  # training writes into it
        self.placement, self.scale = placement, scale

    def forward(self) -> Float[Tensor, "n d"]:
        """Return what enters the model."""
        return self.weight * self.scale

    def insert(self, embeddings: Float[Tensor, "b l d"], slots: Bool[Tensor, "b l"]) -> Float[Tensor, "b l d"]:
        """Put the prompt into its slots (n positions in each row) among the embedded tokens."""
        virtual = self().to(embeddings.dtype).repeat(len(embeddings), 1)  # (b * n, d)
        return embeddings.masked_scatter(slots.unsqueeze(-1), virtual)

    @classmethod
    def from_config(cls, config: TuneConfig, model: Any, tokenizer: Any) -> "SoftPrompt":
        """Start a prompt as the config says; the same seed gives the same prompt on every device."""
        embed = model.get_input_embeddings()
        values = INITIALIZERS[config.init](config, embed, tokenizer, _scale(config, embed))
        return cls.resume(config, model, values)

    @classmethod
    def resume(cls, config: TuneConfig, model: Any, values: Float[Tensor, "n d"]) -> "SoftPrompt":
        """Put the values of a run's prompt to work as its config says."""
        embed = model.get_input_embeddings()
        return cls(values, config.placement, _scale(config, embed)).to(embed.weight.device)


def _scale(config: TuneConfig, embed: nn.Embedding) -> float:
    return embed.weight.shape[1] ** 0.5 if config.prompt_scale == "sqrt_d" else 1.0


def _gaussian(config: TuneConfig, embed: nn.Embedding, _tokenizer: Any, _scale: float) -> Float[Tensor, "n d"]:
    """N(0, 0.02² I), as in the paper."""
    generator = torch.Generator().manual_seed(config.seed)  # on the CPU: the same numbers on every device
    return 0.02 * torch.randn(config.n_tokens, embed.weight.shape[1], generator=generator)


def _vocabulary(config: TuneConfig, embed: nn.Embedding, tokenizer: Any, scale: float) -> Float[Tensor, "n d"]:
    """Embeddings of n tokens drawn from the vocabulary (Lester et al., 2021)."""
    generator = torch.Generator().manual_seed(config.seed)
    ids = torch.randperm(len(tokenizer), generator=generator)[: config.n_tokens]
    return _as_embedded(embed, ids, scale)


def _text(config: TuneConfig, embed: nn.Embedding, tokenizer: Any, scale: float) -> Float[Tensor, "n d"]:
    """Embeddings of a text, repeated or cut to n tokens."""
    ids = tokenizer(config.init_text, add_special_tokens=False)["input_ids"]
    repeated = (ids * config.n_tokens)[: config.n_tokens]
    return _as_embedded(embed, torch.tensor(repeated), scale)


def _as_embedded(embed: nn.Embedding, ids: Int[Tensor, "n"], scale: float) -> Float[Tensor, "n d"]:
    """Return P such that scale * P is what the model's own embedding gives for these tokens.

    The module is called, not its matrix read: Gemma's embedding multiplies by √d.
    """
    with torch.no_grad():
        embedded: Tensor = embed(ids.to(embed.weight.device))
    return embedded.float() / scale


INITIALIZERS: dict[str, Callable[..., Float[Tensor, "n d"]]] = {
    "gaussian": _gaussian,
    "vocabulary": _vocabulary,
    "text": _text,
}
"""Initial prompts by the name a config gives them."""


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
    if prompt is None:
        batch = collate(rows, 0, device=embed.weight.device)
        return batch, embed(batch.ids)
    batch = collate(rows, len(prompt.weight), prompt.placement, device=embed.weight.device)
    return batch, prompt.insert(embed(batch.ids), batch.slots)


def _pad_left(rows: list[Tensor], value: int) -> Tensor:
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value, padding_side="left")
