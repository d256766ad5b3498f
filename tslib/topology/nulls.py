"""What would happen to a cloud that moves at random: the null that a run's topology is held against.

At each checkpoint the twin of a prompt takes steps as long as the prompt's own, token by token, in random directions.
What its homology does through training is what any movement of that size does, whatever was learnt.
"""

import hashlib
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["FIELDS", "random_step", "random_walk"]

FIELDS = (
    *("h1_count", "h0_mean_lifespan", "h1_mean_lifespan", "persistence_entropy", "mean_distance"),
    *("density", "h1_density"),
)
"""What is kept of a twin's ``TopologySummary``, as ``null_...``: the quantities that the paper follows."""


def random_step(
    twin: Float[Tensor, "*layers n d"],
    before: Float[Tensor, "*layers n d"],
    after: Float[Tensor, "*layers n d"],
    seed: int,
    step: int,
) -> Float[Tensor, "*layers n d"]:
    """Move each token of the twin as far as the prompt's own token moved, in a direction drawn uniformly.

    Parameters
    ----------
    twin
        Where the twin is.
    before, after
        The prompt at the checkpoint before, and at this one.
    seed, step
        The run's seed and the checkpoint's step, which the directions are drawn from.
    """
    digest = hashlib.sha256(f"walk {seed} {step}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:4]))  # torch takes 32 bits of a seed
    directions = torch.randn(after.shape, generator=generator, dtype=torch.float32)
    lengths = (after - before).norm(dim=-1, keepdim=True)
    moved: Tensor = twin + lengths * directions / directions.norm(dim=-1, keepdim=True)
    return moved


def random_walk(prompts: Mapping[int, Float[Tensor, "*layers n d"]], seed: int) -> dict[int, Tensor]:
    """Return the twin at each checkpoint of a run; at the first it is the prompt itself.

    Parameters
    ----------
    prompts
        {step: prompt}, in the order of the steps.
    seed
        The run's.
    """
    walk: dict[int, Tensor] = {}
    last = None
    for step, prompt in prompts.items():
        walk[step] = prompt if last is None else random_step(walk[last], prompts[last], prompt, seed, step)
        last = step
    return walk
