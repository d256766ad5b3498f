"""A regulariser alone, without a model: where it takes a cloud."""

import torch
from jaxtyping import Float
from torch import Tensor

from tslib.losses.registry import Regularizer

__all__ = ["descend"]


def descend(points: Float[Tensor, "n d"], loss: Regularizer, steps: int) -> Float[Tensor, "path n d"]:
    """Minimise a regulariser alone, by Adam in steps of two per cent of the cloud's standard deviation.

    Parameters
    ----------
    points
        Where to begin.
    loss
        What is minimised.
    steps
        Steps of Adam.

    Returns
    -------
    Tensor
        The cloud before the first step and after each.
    """
    points = points.clone().requires_grad_()
    optimizer = torch.optim.Adam([points], lr=0.02 * points.std().item())
    path = [points.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        loss(points).backward()
        optimizer.step()
        path.append(points.detach().clone())
    return torch.stack(path)
