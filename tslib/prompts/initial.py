"""How a prompt among the embedded tokens begins, and what becomes of it where it enters the model."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tslib.config import TuneConfig

__all__ = [
    "INITIALIZERS",
    "TOKENS",
    "as_embedded",
    "encoding_of",
    "entering",
    "moments",
    "rate_unit",
    "scale_of",
    "superposition",
]


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


def moments(embed: nn.Embedding, tokenizer: Any) -> tuple[Float[Tensor, "d"], Float[Tensor, "d"]]:
    """Mean and standard deviation, in each coordinate, of what a model embeds the tokens of its vocabulary as."""
    total, squares = torch.zeros(2, embed.weight.shape[1], dtype=torch.float64)
    count = min(len(tokenizer), len(embed.weight))
    for ids in torch.arange(count).split(2**14):
        embedded = as_embedded(embed, ids, 1.0).double().cpu()
        total, squares = total + embedded.sum(0), squares + embedded.square().sum(0)
    mean = total / count
    return mean.float(), (squares / count - mean.square()).clamp_min(0).sqrt().float()


def rate_unit(config: TuneConfig, model: Any, tokenizer: Any) -> float:
    """Return the unit of the learning rate: 1, or the root mean square of the vocabulary's embeddings (``lr_unit``).

    It is that of a prompt which enters the model as the embeddings do, so the prompt's scale divides it.
    """
    if config.lr_unit == "one":
        return 1.0
    embed = model.get_input_embeddings()
    mean, spread = moments(embed, tokenizer)
    return float((mean.square() + spread.square()).mean().sqrt()) / scale_of(config, embed.weight)


def _embedding_gaussian(config: TuneConfig, embed: nn.Embedding, tokenizer: Any, scale: float) -> Float[Tensor, "n d"]:
    """Return a Gaussian that has the vocabulary's mean and spread in each coordinate."""
    generator = torch.Generator().manual_seed(config.seed)
    mean, spread = moments(embed, tokenizer)
    return (mean + spread * torch.randn(config.n_tokens, len(mean), generator=generator)) / scale


def superposition(
    config: TuneConfig, embed: nn.Embedding, tokenizer: Any
) -> tuple[Float[Tensor, "n m"], Float[Tensor, "m d"]]:
    """Weights W and embedded tokens E of which a prompt W E is made: W_ij ~ N(0, 1 / m), E of random tokens.

    So each virtual token begins with the spread of an embedding. Of SuperPos-Prompt (Sadraei Javaheri et al., 2024,
    arXiv:2406.05279), with a start of our own.
    """
    generator = torch.Generator().manual_seed(config.seed)
    ids = torch.randperm(len(tokenizer), generator=generator)[: config.superposed]
    tokens = as_embedded(embed, ids, scale_of(config, embed.weight))
    return (torch.randn(config.n_tokens, len(ids), generator=generator) / len(ids) ** 0.5).to(tokens.device), tokens


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
    "embedding-gaussian": _embedding_gaussian,
    "superposition": lambda config, embed, tokenizer, _: torch.mm(*superposition(config, embed, tokenizer)),
    **{name: _of_tokens(name) for name in TOKENS},
}
"""Initial prompts among the embedded tokens, by the name that a config gives them."""
