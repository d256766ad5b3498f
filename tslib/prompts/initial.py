"""How a prompt among the embedded tokens begins, and what becomes of it where it enters the model."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tslib.config import TuneConfig

__all__ = ["INITIALIZERS", "TOKENS", "as_embedded", "encoding_of", "entering", "scale_of"]


def scale_of(config: TuneConfig, values: Float[Tensor, "n d"]) -> float:
    """Return the factor between a prompt and what enters the model."""
    return values.shape[1] ** 0.5 if config.prompt_scale == "sqrt_d" else 1.0


def encoding_of(config: TuneConfig, values: Float[Tensor, "n d"]) -> Float[Tensor, "n d"] | None:
    """Return what is added to a prompt where it enters the model: sin and cos of position / 10000^(2i/d), or nothing.

    Even columns are sines, odd ones cosines (Vaswani et al., 2017, arXiv:1706.03762, § 3.5).
    """
    if config.position_encoding == "none":
        return None
    n, d = values.shape
    column = torch.arange(d)
    angle = torch.arange(n)[:, None] / 10000 ** (2 * (column // 2) / d)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos())


def entering(values: Float[Tensor, "n d"], scale: float, encoding: Float[Tensor, "n d"] | None) -> Float[Tensor, "n d"]:
    """Return what of a prompt enters the model."""
    return values * scale if encoding is None else values * scale + encoding


def _gaussian(config: TuneConfig, embed: nn.Embedding, _tokenizer: Any, _scale: float) -> Float[Tensor, "n d"]:
    """N(0, 0.02² I), as in the paper."""
    generator = torch.Generator().manual_seed(config.seed)  # on the CPU: the same numbers on every device
    return 0.02 * torch.randn(config.n_tokens, embed.weight.shape[1], generator=generator)


def _vocabulary_tokens(config: TuneConfig, tokenizer: Any) -> Int[Tensor, "n"]:
    """N tokens drawn from the vocabulary."""
    generator = torch.Generator().manual_seed(config.seed)
    return torch.randperm(len(tokenizer), generator=generator)[: config.n_tokens]


def _text_tokens(config: TuneConfig, tokenizer: Any) -> Int[Tensor, "n"]:
    """Tokens of a text, repeated or cut to n."""
    ids = tokenizer(config.init_text, add_special_tokens=False)["input_ids"]
    return torch.tensor((ids * config.n_tokens)[: config.n_tokens])


TOKENS: dict[str, Callable[[TuneConfig, Any], Int[Tensor, "n"]]] = {
    "vocabulary": _vocabulary_tokens,
    "text": _text_tokens,
}
"""Tokens that a prompt starts as, by the name that a config gives them (Lester et al., 2021)."""


def as_embedded(embed: nn.Embedding, ids: Int[Tensor, "n"], scale: float) -> Float[Tensor, "n d"]:
    """Return P such that scale * P is what the model's own embedding gives for these tokens.

    The module is called, not its matrix read: Gemma's embedding multiplies by √d.
    """
    with torch.no_grad():
        embedded: Tensor = embed(ids.to(embed.weight.device))
    return embedded.float() / scale


def _of_tokens(name: str) -> Callable[..., Float[Tensor, "n d"]]:
    return lambda config, embed, tokenizer, scale: as_embedded(embed, TOKENS[name](config, tokenizer), scale)


INITIALIZERS: dict[str, Callable[..., Float[Tensor, "n d"]]] = {
    "gaussian": _gaussian,
    **{name: _of_tokens(name) for name in TOKENS},
}
"""Initial prompts among the embedded tokens, by the name that a config gives them."""
