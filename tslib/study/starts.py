"""Where prompts start, beside what a model embeds its vocabulary as."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from tslib.config import TuneConfig
from tslib.prompts.initial import as_embedded
from tslib.prompts.soft_prompt import SoftPrompt

__all__ = ["lengths_at_start"]

INITS = ("gaussian", "embedding-gaussian", "vocabulary", "text", "superposition")


def lengths_at_start(
    model: Any, tokenizer: Any, *, n_tokens: int = 20, seed: int = 0
) -> tuple[dict[str, Float[ndarray, "n"]], Float[ndarray, "v"]]:
    """Lengths of the virtual tokens of each start, and of PEFT's; and those of the vocabulary's embedded tokens.

    Parameters
    ----------
    model, tokenizer
        Of transformers.
    n_tokens, seed
        Of the prompts.

    Returns
    -------
    tuple
        By ``init`` (and ``peft``, whose default is N(0, I)) the lengths of n tokens; and those of the vocabulary.
    """
    embed = model.get_input_embeddings()
    found: dict[str, Tensor] = {
        init: SoftPrompt.from_config(TuneConfig(init=init, n_tokens=n_tokens, seed=seed), model, tokenizer).weight  # type: ignore[arg-type]
        for init in INITS
    }
    generator = torch.Generator().manual_seed(seed)
    found["peft"] = torch.randn(n_tokens, embed.weight.shape[1], generator=generator)
    with torch.no_grad():
        parts = torch.arange(min(len(tokenizer), len(embed.weight))).split(2**14)
        vocabulary = np.concatenate([as_embedded(embed, ids, 1.0).norm(dim=1).cpu().numpy() for ids in parts])
    return {name: values.detach().norm(dim=1).cpu().numpy() for name, values in found.items()}, vocabulary
