"""Prompts tied to places of a picture, of which a question chooses: guided region-aware sparse prompting.

The idea is that of the abstract of arXiv:2601.17089: soft prompts associated with spatial blocks of a frozen grid of
visual tokens, and a sparse fusion, guided by the question, of these into one compact prompt. What the abstract leaves
open is settled here: v_i is the mean of the picture's tokens in block i, q the mean of the model's last hidden states
of the question alone, both divided by their root mean square, and

    w = entmax_1.5((W_k (v_i + position_i)) · (W_q q) / √h),    p(x, q) = Σ_i w_i P_i

with the bank P of N blocks with m tokens each. The point cloud of a run is the bank, all N · m tokens of it. Entmax is
of Peters et al., 2019 (arXiv:1905.05702), sparsemax of Martins & Astudillo, 2016 (arXiv:1602.02068).
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from tslib.config import TuneConfig
from tslib.errors import needs
from tslib.prompts.encoding import Encoded
from tslib.prompts.initial import INITIALIZERS
from tslib.prompts.methods import Trained
from tslib.prompts.soft_prompt import SoftPrompt
from tslib.vision.projector import SIDE
from tslib.vision.questions import quarter_of
from tslib.vision.sight import Pair, Sight, sight_of

__all__ = ["GraspPrompt", "block_positions", "gate", "known_blocks", "resume", "start"]

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


class GraspPrompt(SoftPrompt):
    """A bank of prompts, one for each block of a picture, and the gate that fuses them for a picture and a question.

    Among a row's ids its tokens have slots (see `tslib.vision.sight`), so to the loop it is a prompt without positions
    of its own.

    Parameters
    ----------
    values
        (N · m, d) the bank, block by block.
    config
        The run.
    sight
        What the model sees.
    beside
        Values of the gate; by default drawn from the run's seed, N(0, 1 / d).
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
        width = values.shape[1]
        generator = torch.Generator().manual_seed(config.seed)  # on the CPU: the same numbers on every device
        shapes = {"keys": (config.gate_width, width), "queries": (config.gate_width, width)}
        if config.gate_queries == "constant":
            shapes["constant"] = (1, width)
        for name, shape in shapes.items() if config.gate in TRAINED else ():
            drawn = (1.0 if name == "constant" else width**0.5) * torch.randn(shape, generator=generator)
            self.register_parameter(name, nn.Parameter(drawn if beside is None else beside[name].clone()))
        self.register_buffer("places", block_positions(config.blocks, width), persistent=False)
        sight.fuse = self.fuse

    @property
    def n_tokens(self) -> int:
        """None: its tokens stand in slots of the rows."""
        return 0

    def forward(self) -> Float[Tensor, "0 d"]:
        """Return nothing: all that enters the model stands in slots."""
        return self.weight.new_zeros(0, self.weight.shape[1])

    @property
    def bank(self) -> Float[Tensor, "n m d"]:
        """The prompts of the blocks."""
        bank: Tensor = self.weight.unflatten(0, (self.config.blocks, -1))
        return bank

    def beside(self) -> dict[str, Tensor]:
        """What is trained beside the bank: keys, queries and constant of the gate, where it has them."""
        return {name: value for name, value in self.named_parameters() if name != "weight"}

    def cloud(self, rows: Sequence[Encoded]) -> Float[Tensor, "*batch k d"]:
        """What a regulariser acts on: the bank as one cloud, each block's prompt, or the fused prompts of some rows."""
        if self.config.regularized == "fused":
            return self.fuse(sorted(set(self.sight.pairs_of(rows))))
        return self.bank if self.config.regularized == "regions" else self.weight

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
        content = _even(tokens.mean((2, 4)).flatten(1, 2))  # (u, N, d)
        places: Tensor = self.places  # type: ignore[assignment]
        seen = {"content": content, "position": places.expand_as(content), "content+position": content + places}
        if config.gate_queries == "constant":
            asked = self.constant.expand(len(pairs), -1)  # type: ignore[operator]
        else:
            asked = _even(torch.stack([sight.question(pair.question) for pair in pairs]))
        keys, queries = (
            given @ matrix.T / self.weight.shape[1]  # type: ignore[operator]
            for given, matrix in ((seen[config.gate_keys], self.keys), (asked, self.queries))
        )
        found: Tensor = (keys * queries[:, None]).sum(-1) / config.gate_width**0.5
        return found


def _even(values: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    """Divide by the root mean square: what a picture's tokens and hidden states measure differs by orders."""
    return values / values.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-12)


def _order(pair: Pair, config: TuneConfig) -> list[int]:
    """Order of the blocks that is random, and the same for a picture and a question throughout a run."""
    said = f"{config.seed} {hashlib.sha256(pair.picture.rpartition('/')[2].encode()).hexdigest()} {pair.question}"
    draw = random.Random(said).random
    keys = [draw() for _ in range(config.blocks)]
    return sorted(range(config.blocks), key=keys.__getitem__)


def start(config: TuneConfig, model: Any, tokenizer: Any) -> Trained:
    """Begin a run: the bank starts as a prompt of N · m tokens would."""
    if config.gate in ("entmax15", "sparsemax", "random"):
        needs("vision", "entmax")
    embed = model.get_input_embeddings()
    longer = replace(config, n_tokens=config.blocks * config.n_tokens)
    values = INITIALIZERS[config.init](longer, embed, tokenizer, 1.0)
    prompt = GraspPrompt(values, config, sight_of(model)).to(embed.weight.device)
    return Trained(prompt, prompt.named_parameters())


def resume(config: TuneConfig, model: Any, values: Float[Tensor, "k d"], beside: Mapping[str, Tensor]) -> GraspPrompt:
    """Put a run's bank and gate to work on what a model sees."""
    return GraspPrompt(values, config, sight_of(model), beside).to(model.get_input_embeddings().weight.device)
