"""Penalties without topology: the baselines of the paper's second version, and orthogonality."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tslib.losses.distances import checked, pairwise_distances
from tslib.topology.diagrams import Metric

__all__ = ["L2Penalty", "OrthogonalityPenalty", "PairwisePenalty"]


class L2Penalty(nn.Module):
    r"""Mean squared token norm, :math:`\lambda \frac{1}{n} \sum_i \|x_i\|^2`; named, not defined, in the paper."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, prompt: Float[Tensor, "*batch n d"]) -> Float[Tensor, ""]:
        """Return the weighted penalty, averaged over the leading dimensions."""
        return self.weight * self.terms(prompt)["l2"].mean()

    def terms(self, prompt: Float[Tensor, "*batch n d"]) -> dict[str, Tensor]:
        """Return ``l2``, the unweighted penalty, shape ``(*batch)``."""
        value = checked(prompt).square().sum(-1).mean(-1)
        return {"l2": value.to(torch.promote_types(prompt.dtype, torch.float32))}


class PairwisePenalty(nn.Module):
    r"""Mean squared off-diagonal distance, :math:`\lambda \frac{1}{n(n-1)} \sum_{i \ne j} D_{ij}^2`.

    Parameters
    ----------
    weight
        λ.
    metric
        Of D_ij: ``euclidean`` or ``cosine``.
    """

    def __init__(self, weight: float = 1.0, *, metric: Metric = "euclidean") -> None:
        super().__init__()
        self.weight = weight
        self.metric: Metric = metric

    def forward(self, prompt: Float[Tensor, "*batch n d"]) -> Float[Tensor, ""]:
        """Return the weighted penalty, averaged over the leading dimensions; 0 for a single token."""
        return self.weight * self.terms(prompt)["pairwise"].mean()

    def terms(self, prompt: Float[Tensor, "*batch n d"]) -> dict[str, Tensor]:
        """Return ``pairwise``, the unweighted penalty, shape ``(*batch)``.

        The sum over pairs of squared Euclidean distances is 2n times the sum of those to the centroid.
        """
        points, others = checked(prompt), max(prompt.shape[-2] - 1, 1)
        if self.metric == "euclidean":
            value = 2 * (points - points.mean(-2, keepdim=True)).square().sum((-2, -1)) / others
        else:
            squared = pairwise_distances(points, self.metric).square()
            value = squared.sum((-2, -1)) / (others * prompt.shape[-2])
        return {"pairwise": value.to(torch.promote_types(prompt.dtype, torch.float32))}


class OrthogonalityPenalty(nn.Module):
    r"""How far tokens are from orthonormal, :math:`\lambda \frac{1}{n^2} \|P P^\top - I\|_F^2`.

    The penalty of CODA-Prompt (Smith et al., 2023, arXiv:2211.13218), here as the mean over the n² entries. It keeps
    prototypes apart, and long.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, prompt: Float[Tensor, "*batch n d"]) -> Float[Tensor, ""]:
        """Return the weighted penalty, averaged over the leading dimensions."""
        return self.weight * self.terms(prompt)["orthogonality"].mean()

    def terms(self, prompt: Float[Tensor, "*batch n d"]) -> dict[str, Tensor]:
        """Return ``orthogonality``, the unweighted penalty, shape ``(*batch)``."""
        points = checked(prompt)
        products = points @ points.mT - torch.eye(points.shape[-2], dtype=points.dtype, device=points.device)
        value = products.square().mean((-2, -1))
        return {"orthogonality": value.to(torch.promote_types(prompt.dtype, torch.float32))}
