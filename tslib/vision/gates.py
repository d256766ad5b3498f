"""What the gate of a tuned prompt does: interventions on what it sees, and measures of what it chooses.

An intervention changes what the gate alone goes by, or where its choice goes. The model still has the true picture and
the true question, so a prompt whose places matter answers worse, and one that is the same everywhere does not care.
"""

import random
from collections.abc import Sequence
from typing import Literal, TypeVar

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torch.special import entr

from tslib.errors import InputError
from tslib.prompts.encoding import Encoded
from tslib.prompts.soft_prompt import SoftPrompt
from tslib.vision.grasp import GraspPrompt, gate, known_blocks
from tslib.vision.sight import Pair

__all__ = ["MEASURES", "Intervention", "chosen", "gradient_of_scores", "intervene", "spread", "watched"]

Intervention = Literal["none", "question", "picture", "blocks"]
"""Nothing; another question or another picture for the gate; the gate's weights on other blocks."""

Item = TypeVar("Item", str, int)

MEASURES = ("right", "support", "entropy")
"""Columns of `chosen`."""


def intervene(prompt: SoftPrompt | None, name: Intervention, seed: int = 0) -> None:
    """Change what the gate of a prompt goes by, from now on.

    Parameters
    ----------
    prompt
        Of GRASP.
    name
        ``question``: the gate has another question that is asked about some picture, with the true picture;
        ``picture``: another picture, with the true question; ``blocks``: the weights go to other blocks, the same for
        all pictures and questions, none to its own.
    seed
        Which question, picture or order.

    Raises
    ------
    InputError
        If the prompt has no gate, or there is no other question, picture or block.
    """
    if name == "none":
        return
    if not isinstance(prompt, GraspPrompt):
        raise InputError(f"intervention={name} is on the gate of a run with method=grasp: give one")
    before, known = prompt.weights, list(prompt.sight.pairs)
    if name == "blocks":
        order = torch.tensor(_other(list(range(prompt.config.blocks)), seed, name))
        prompt.weights = lambda pairs: before(pairs)[:, order]  # type: ignore[method-assign]
        return
    of_pairs = [getattr(pair, name) for pair in known]
    all_of_them = sorted(set(of_pairs))
    instead = dict(zip(all_of_them, _other(all_of_them, seed, name), strict=True))

    def swapped(pair: Pair) -> Pair:
        return Pair(**{"picture": pair.picture, "question": pair.question} | {name: instead[getattr(pair, name)]})

    prompt.weights = lambda pairs: before([swapped(pair) for pair in pairs])  # type: ignore[method-assign]


def _other(items: Sequence[Item], seed: int, name: str) -> list[Item]:
    """The items in another order, a cycle through all of them at random: none stays where it is."""
    if len(items) < 2:
        raise InputError(
            f"intervention={name} needs another {name.rstrip('s')} to put in its place: there is one alone"
        )
    draw = random.Random(seed).random
    keys = [draw() for _ in items]
    cycle = sorted(range(len(items)), key=keys.__getitem__)
    after = dict(zip(cycle, cycle[1:] + cycle[:1], strict=True))
    return [items[after[index]] for index in range(len(items))]


@torch.no_grad()
def chosen(prompt: GraspPrompt, pairs: Sequence[Pair]) -> pd.DataFrame:
    """Measure what a gate chooses, one row a pair of picture and question.

    Returns
    -------
    DataFrame
        ``right``, the weight on the blocks that the question is about, so 1 where it names none; ``support``, how many
        blocks have a weight; ``entropy`` of the weights as a share of that of equal ones (of one block 0).
    """
    weights = prompt.weights(pairs).double().cpu()
    blocks = weights.shape[1]
    named = torch.stack([known_blocks(pair.question, blocks) > 0 for pair in pairs])
    most = torch.log(torch.tensor(float(blocks))) if blocks > 1 else 1.0
    columns = ((weights * named).sum(-1), (weights > 0).sum(-1), entr(weights).sum(-1) / most)
    return pd.DataFrame({name: column.numpy() for name, column in zip(MEASURES, columns, strict=True)})


def watched(prompt: SoftPrompt | None, rows: Sequence[Encoded], name: Intervention, seed: int) -> pd.DataFrame:
    """Change what a prompt's gate goes by (`intervene`), and measure what it then chooses; without a gate nothing.

    Parameters
    ----------
    prompt, name, seed
        Of `intervene`; None: there is no prompt.
    rows
        With pictures, as a sight has put them.
    """
    intervene(prompt, name, seed)
    if not isinstance(prompt, GraspPrompt):
        return pd.DataFrame(index=range(len(rows)))
    pairs = list(prompt.sight.pairs)
    return chosen(prompt, [pairs[number] for number in prompt.sight.pairs_of(rows)])


def spread(bank: Float[Tensor, "n m d"]) -> float:
    """How far apart blocks' prompts are: mean distance from one another over mean length; of one block 0."""
    points = bank.flatten(1).double()
    if len(points) < 2:
        return 0.0
    return float(torch.pdist(points).mean() / points.norm(dim=-1).mean())


def gradient_of_scores(
    prompt: GraspPrompt, pairs: Sequence[Pair], gradient: Float[Tensor, "u m d"]
) -> Float[Tensor, "u n"]:
    """Return the gradient that a gate's scores have, from that of what is fused.

    With softmax it is w_i (g · P_i - Σ_j w_j g · P_j): it vanishes where all blocks have the same prompt.

    Parameters
    ----------
    prompt
        Of GRASP, with a gate that has scores.
    pairs
        Pictures and questions.
    gradient
        Of a loss to the fused prompt of each pair.
    """
    scores = prompt.scores(pairs).detach().requires_grad_()
    weights = gate(prompt.config.gate, scores)
    fused = (weights @ prompt.bank.detach().flatten(1)).view_as(gradient)
    (found,) = torch.autograd.grad((fused * gradient).sum(), scores)
    return found
