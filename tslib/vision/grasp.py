"""Prompts tied to places of a picture, of which a question chooses: guided region-aware sparse prompting.

The idea is that of the abstract of arXiv:2601.17089: soft prompts associated with spatial blocks of a frozen grid of
visual tokens, and a sparse fusion, guided by the question, of these into one compact prompt. What the abstract leaves
open is settled here: v_i is the mean of the picture's tokens in block i, q the mean of the model's last hidden states
of the question alone, both divided by their root mean square::

    w = entmax_1.5((W_k (v_i + position_i)) · (W_q q) / √h),    p(x, q) = Σ_i w_i P_i

with the bank P of N blocks with m tokens each. The point cloud of a run is the bank, all N · m tokens of it. Entmax is
of Peters et al., 2019 (arXiv:1905.05702), sparsemax of Martins & Astudillo, 2016 (arXiv:1602.02068).
"""

import hashlib
import random
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from tslib.config import TuneConfig
from tslib.errors import needs
from tslib.prompts.methods import Trained
from tslib.vision.projector import SIDE
from tslib.vision.questions import quarter_of
from tslib.vision.sight import Pair
from tslib.vision.slots import SlotPrompt, even

__all__ = ["GraspPrompt", "block_positions", "gate", "known_blocks"]

TRAINED = ("entmax15", "softmax", "sparsemax", "top1", "random")
"""Gates that have weights of their own to train."""


def gate(name: str, scores: Float[Tensor, "u n"]) -> Float[Tensor, "u n"]:
    """Weights of blocks from their scores: not negative, and with the sum 1.

    ``top1`` gives the best block all the weight, and the gradient of softmax to the scores.

    Parameters
    ----------
    name
        ``entmax15`` or ``random`` (which permutes them later), ``sparsemax``, ``softmax`` or ``top1``.
    scores
        Scores of each pair's blocks.
    """
    if name in ("softmax", "top1"):
        soft = functional.softmax(scores, -1)
        if name == "softmax":
            return soft
        return functional.one_hot(scores.argmax(-1), scores.shape[-1]) + soft - soft.detach()
    needs("vision", "entmax")
    import entmax

    weights: Tensor = (entmax.sparsemax if name == "sparsemax" else entmax.entmax15)(scores, dim=-1)
    return weights


def block_positions(blocks: int, width: int) -> Float[Tensor, "n d"]:
    """Fixed sines and cosines of each block's row and, in the other half of the numbers, of its column."""
    side, half = round(blocks**0.5), width // 2
    rate = 10000 ** -(torch.arange((half + 1) // 2) / max(1, (half + 1) // 2))
    along = torch.arange(side)[:, None] * rate
    one = torch.cat([along.sin(), along.cos()], -1)[:, :half]  # (side, half)
    found = torch.cat([one[:, None].expand(side, side, half), one[None].expand(side, side, half)], -1).flatten(0, 1)
    return functional.pad(found, (0, width - 2 * half))


def known_blocks(question: str, blocks: int) -> Float[Tensor, "n"]:
    """Weights that a question itself gives: the same for all blocks of the quarter that it names, or for all."""
    side, quarter = round(blocks**0.5), quarter_of(question)
    weights = torch.ones(side, side)
    if quarter is not None and side > 1:
        weights.zero_()
        row, column = ("upper", "lower").index(quarter.split()[0]), ("left", "right").index(quarter.split()[1])
        half = side // 2
        weights[row * half : (row + 1) * half, column * half : (column + 1) * half] = 1
    return weights.flatten() / weights.sum()


class GraspPrompt(SlotPrompt):
    """A bank of prompts, one for each block of a picture, and the gate that fuses them for a picture and a question.

    Parameters
    ----------
    values
        (N · m, d) the bank, block by block.
    config
        The run.
    sight
        What the model sees.
    beside
        Values of the gate; by default drawn from the run's seed.
    """

    keys: Tensor
    queries: Tensor
    constant: Tensor

    @staticmethod
    def blocks_of(config: TuneConfig) -> int:
        """Blocks of a picture that have prompts of their own."""
        return config.blocks

    def drawn(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw keys and queries of the gate, N(0, 1 / d), each times its width, and the constant, N(0, 1)."""
        config, width = self.config, self.weight.shape[1]
        shapes = {"keys": (config.gate_width, width), "queries": (config.gate_width, width)}
        if config.gate_queries == "constant":
            shapes["constant"] = (1, width)
        return {
            name: (1.0 if name == "constant" else width**0.5) * torch.randn(shape, generator=generator)
            for name, shape in shapes.items()
            if config.gate in TRAINED
        }

    @classmethod
    def start(cls, config: TuneConfig, model: Any, tokenizer: Any) -> Trained:
        """Begin a run, if what its gate needs is here."""
        if config.gate in ("entmax15", "sparsemax", "random"):
            needs("vision", "entmax")
        return super().start(config, model, tokenizer)

    def fuse(self, pairs: Sequence[int]) -> Float[Tensor, "u m d"]:
        """Return the fused prompts of pairs, by their numbers."""
        known = list(self.sight.pairs)
        weights = self.weights([known[number] for number in pairs])
        fused: Tensor = (weights @ self.bank.flatten(1)).unflatten(1, self.bank.shape[1:])
        return fused

    def weights(self, pairs: Sequence[Pair]) -> Float[Tensor, "u n"]:
        """Return the weights of the blocks for questions about pictures."""
        name, blocks, weight = self.config.gate, self.config.blocks, self.weight
        if name == "uniform":
            return weight.new_full((len(pairs), blocks), 1 / blocks)
        if name == "known":
            return torch.stack([known_blocks(pair.question, blocks) for pair in pairs]).to(weight)
        found = gate(name, self.scores(pairs))
        if name != "random":
            return found
        return torch.stack([own[_order(pair, self.config)] for own, pair in zip(found, pairs, strict=True)])

    def scores(self, pairs: Sequence[Pair]) -> Float[Tensor, "u n"]:
        """Return how well the blocks suit the questions, before they are made weights."""
        sight, config = self.sight, self.config
        numbers = torch.tensor([sight.numbers[pair.picture] for pair in pairs], device=self.weight.device)
        side = round(config.blocks**0.5)
        tokens: Tensor = sight.pictures(numbers).detach().unflatten(1, (side, SIDE // side, side, SIDE // side))
        content = even(tokens.mean((2, 4)).flatten(1, 2))  # (u, N, d)
        places = block_positions(config.blocks, content.shape[-1]).to(self.weight)
        seen = {"content": content, "position": places.expand_as(content), "content+position": content + places}
        if config.gate_queries == "constant":
            asked = self.constant.expand(len(pairs), -1)
        else:
            asked = even(torch.stack([sight.question(pair.question) for pair in pairs]))
        keys, queries = (
            given @ matrix.T / matrix.shape[1]
            for given, matrix in ((seen[config.gate_keys], self.keys), (asked, self.queries))
        )
        found: Tensor = (keys * queries[:, None]).sum(-1) / config.gate_width**0.5
        return found


def _order(pair: Pair, config: TuneConfig) -> list[int]:
    """Order of the blocks that is random, and the same for a picture and a question throughout a run."""
    said = f"{config.seed} {hashlib.sha256(pair.picture.rpartition('/')[2].encode()).hexdigest()} {pair.question}"
    draw = random.Random(said).random
    keys = [draw() for _ in range(config.blocks)]
    return sorted(range(config.blocks), key=keys.__getitem__)
