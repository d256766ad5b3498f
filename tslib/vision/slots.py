"""A prompt that stands in slots of the rows, since it is another one for each picture and question."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tslib.config import TuneConfig
from tslib.prompts.encoding import Encoded
from tslib.prompts.initial import INITIALIZERS
from tslib.prompts.methods import Trained
from tslib.prompts.soft_prompt import SoftPrompt
from tslib.vision.sight import Sight, sight_of

__all__ = ["SlotPrompt", "even"]


class SlotPrompt(SoftPrompt, ABC):
    """What prompts of pictures and questions share. Among a row's ids its tokens have slots (see `tslib.vision.sight`).

    So to the loop it is a prompt without positions of its own.

    Parameters
    ----------
    values
        (N · m, d) the cloud of a run.
    config
        The run.
    sight
        What the model sees.
    beside
        What is trained beside the cloud, by name; by default drawn from the run's seed (`drawn`).
    """

    def __init__(
        self,
        values: Float[Tensor, "k d"],
        config: TuneConfig,
        sight: Sight,
        beside: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__(values)
        self.config, self.sight = config, sight
        generator = torch.Generator().manual_seed(config.seed)  # on the CPU: the same numbers on every device
        for name, value in self.drawn(generator).items():
            self.register_parameter(name, nn.Parameter(value if beside is None else beside[name].clone()))
        sight.fuse = self.fuse

    @abstractmethod
    def drawn(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw what is trained beside the cloud.

        Adam moves each number of a matrix by the rate, whatever the matrix's width; so a matrix whose output is divided
        by its width, with numbers that are larger by as much, moves what it says by the rate, too (Yang et al., 2022,
        arXiv:2203.03466). Otherwise one step of a rate that suits a prompt is fifty times the scores of a gate.
        """

    @abstractmethod
    def fuse(self, pairs: Sequence[int]) -> Float[Tensor, "u m d"]:
        """Return the prompts of pairs, by their numbers."""

    @property
    def n_tokens(self) -> int:
        """None: its tokens stand in slots of the rows."""
        return 0

    def forward(self) -> Float[Tensor, "0 d"]:
        """Return nothing: all that enters the model stands in slots."""
        return self.weight.new_zeros(0, self.weight.shape[1])

    @staticmethod
    def blocks_of(config: TuneConfig) -> int:
        """Blocks of a picture that have prompts of their own."""
        return 1

    @property
    def bank(self) -> Float[Tensor, "n m d"]:
        """The prompts of the blocks."""
        bank: Tensor = self.weight.unflatten(0, (self.blocks_of(self.config), -1))
        return bank

    def cloud(self, rows: Sequence[Encoded]) -> Float[Tensor, "*batch k d"]:
        """What a regulariser acts on: the bank as one cloud, each block's prompt, or what is fused for some rows."""
        if self.config.regularized == "fused":
            return self.fuse(sorted(set(self.sight.pairs_of(rows))))
        return self.bank if self.config.regularized == "regions" else self.weight

    @classmethod
    def start(cls, config: TuneConfig, model: Any, tokenizer: Any) -> Trained:
        """Begin a run: the cloud starts as a prompt of as many tokens would."""
        embed = model.get_input_embeddings()
        longer = replace(config, n_tokens=cls.blocks_of(config) * config.n_tokens)
        prompt = cls.resume(config, model, INITIALIZERS[config.init](longer, embed, tokenizer, 1.0))
        return Trained(prompt, prompt.named_parameters())

    @classmethod
    def resume(
        cls, config: TuneConfig, model: Any, values: Float[Tensor, "k d"], beside: Mapping[str, Tensor] | None = None
    ) -> "SlotPrompt":
        """Put a run's cloud, and what was trained beside it, to work on what a model sees."""
        return cls(values, config, sight_of(model), beside).to(model.get_input_embeddings().weight.device)


def even(values: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    """Divide by the root mean square: what a picture's tokens and hidden states measure differs by orders."""
    return values / values.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-12)
