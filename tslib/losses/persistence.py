"""Exact persistent homology as a regulariser: births and deaths are distances, and gradients flow through these.

In the Vietoris-Rips filtration each finite bar of H0 dies with an edge, and each of H1 is born with one and dies with
one (the longest of a triangle): its ends are entries D_ij of the distance matrix. GUDHI names the edges; away from ties
they stay the same under small changes, so the gradient is that of these entries (Carrière et al., "Optimizing
persistent homology based functions", ICML 2021, arXiv:2010.08356). At a tie it is one of the possible ones.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tslib.errors import InputError, needs
from tslib.losses.distances import checked, pairwise_distances
from tslib.topology.diagrams import Metric

__all__ = ["Bars", "PersistencePenalty", "Push", "bars"]

RESOLUTION = 0.05
"""Lifespan, in mean pairwise distances, from which on a bar of H1 counts for the most part (1 - 1/e) in `Push`."""


class Bars(NamedTuple):
    """Lifespans of the finite bars of positive length, in units of distance, differentiable.

    Attributes
    ----------
    h0, h1
        Shapes (k,) and (m,).
    scale
        Detached mean distance of two points; 1 where all coincide.
    """

    h0: Float[Tensor, "k"]
    h1: Float[Tensor, "m"]
    scale: Float[Tensor, ""]


def bars(points: Float[Tensor, "n d"], metric: Metric = "euclidean") -> Bars:
    """Lifespans of H0 and H1 of a cloud, homology over Z/2, by GUDHI.

    Time and memory grow with n³: all triangles are there at once.

    Examples
    --------
    >>> square = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> [round(float(length), 4) for length in bars(square).h1]
    [0.4142]
    """
    needs("tune", "gudhi")
    import gudhi

    distances = pairwise_distances(checked(points), metric)
    n = len(points)
    tree = gudhi.RipsComplex(distance_matrix=distances.detach().cpu().numpy()).create_simplex_tree(max_dimension=2)
    tree.compute_persistence(homology_coeff_field=2)
    of_h0, of_h1, *_ = tree.flag_persistence_generators()

    def lengths(edges: Tensor) -> Tensor:
        return distances[edges[:, 0], edges[:, 1]]

    deaths = torch.as_tensor(of_h0, dtype=torch.long, device=distances.device).reshape(-1, 3)[:, 1:]
    loops = torch.as_tensor(of_h1[0] if of_h1 else [], dtype=torch.long, device=distances.device).reshape(-1, 4)
    mean = distances.detach().sum() / max(n * (n - 1), 1)
    scale = torch.where(mean > 0, mean, torch.ones_like(mean))
    return Bars(lengths(deaths), lengths(loops[:, 2:]) - lengths(loops[:, :2]), scale)


def _clouds(prompt: Tensor) -> list[Tensor]:
    if prompt.ndim < 2:
        checked(prompt)
    return list(prompt.reshape(prompt.shape[:-2].numel(), *prompt.shape[-2:]))


def _shaped(values: list[Tensor], prompt: Tensor) -> Tensor:
    dtype = torch.promote_types(prompt.dtype, torch.float32)
    return torch.stack(values).reshape(prompt.shape[:-2]).to(dtype)


class PersistencePenalty(nn.Module):
    r"""Total lifespan :math:`\lambda (\beta_{H0} \sum l_{H0} + \beta_{H1} \sum l_{H1})`, or distance to targets.

    With a target t of a dimension its sum is :math:`\sum (l - t)^2`. A negative β makes bars longer.

    Parameters
    ----------
    weight
        λ.
    beta_h0, beta_h1
        Weights of the dimensions.
    target_h0, target_h1
        Lifespans to aim at, in units of distance; None: 0, and the lifespans themselves are summed.
    metric
        ``euclidean`` or ``cosine``.
    **_
        Settings of TSLoss that have no part in this.
    """

    def __init__(
        self,
        weight: float = 1.0,
        *,
        beta_h0: float = 1.0,
        beta_h1: float = 1.0,
        target_h0: float | None = None,
        target_h1: float | None = None,
        metric: Metric = "euclidean",
        **_: float,
    ) -> None:
        super().__init__()
        self.metric: Metric = metric
        self.weight, self.beta_h0, self.beta_h1 = weight, beta_h0, beta_h1
        self.target_h0, self.target_h1 = target_h0, target_h1

    def forward(self, prompt: Float[Tensor, "*batch n d"]) -> Float[Tensor, ""]:
        """Return the weighted penalty, averaged over the leading dimensions; 0 for a single token."""
        terms = self.terms(prompt)
        return self.weight * (self.beta_h0 * terms["h0_lifespans"] + self.beta_h1 * terms["h1_lifespans"]).mean()

    def terms(self, prompt: Float[Tensor, "*batch n d"]) -> dict[str, Tensor]:
        """Return ``h0_lifespans`` and ``h1_lifespans``, the unweighted sums, each of shape ``(*batch)``."""
        found = [bars(cloud, self.metric) for cloud in _clouds(prompt)]
        return {
            "h0_lifespans": _shaped([_total(one.h0, self.target_h0) for one in found], prompt),
            "h1_lifespans": _shaped([_total(one.h1, self.target_h1) for one in found], prompt),
        }


def _total(lengths: Tensor, target: float | None) -> Tensor:
    return lengths.sum() if target is None else (lengths - target).square().sum()


class Push(nn.Module):
    """An intervention: push one quantity of the topology up or down and see what becomes of convergence.

    Parameters
    ----------
    weight
        Its factor; all quantities are without unit, so that it means the same for every model.
    quantity
        ``h0``: mean lifespan of H0 in mean distances; ``h1``: Σ 1 - exp(-l / (0.05 mean distance)) over the bars of
        H1, a smooth count of those that are not short (its gradient makes bars longer or shorter, it makes none);
        ``entropy``: persistence entropy of the bars of H0 and H1 together (Eq. 12), in nats.
    sign
        1 pushes it up, -1 down.
    metric
        ``euclidean`` or ``cosine``.
    **_
        Settings of TSLoss, which have no part in this.
    """

    def __init__(
        self, weight: float = 1.0, *, quantity: str, sign: int, metric: Metric = "euclidean", **_: float
    ) -> None:
        super().__init__()
        if quantity not in _QUANTITIES:
            raise InputError(f"unknown quantity {quantity!r}; known: {', '.join(_QUANTITIES)}")
        if sign not in (1, -1):
            raise InputError(f"sign is 1 (up) or -1 (down); given {sign}")
        self.weight, self.quantity, self.sign = weight, quantity, sign
        self.metric: Metric = metric

    def forward(self, prompt: Float[Tensor, "*batch n d"]) -> Float[Tensor, ""]:
        """Return minus the weighted quantity where it is pushed up, averaged over the leading dimensions."""
        return -self.sign * self.weight * self.terms(prompt)[f"push_{self.quantity}"].mean()

    def terms(self, prompt: Float[Tensor, "*batch n d"]) -> dict[str, Tensor]:
        """Return the quantity, shape ``(*batch)``; 0 where there are no bars."""
        values = [_QUANTITIES[self.quantity](bars(cloud, self.metric)) for cloud in _clouds(prompt)]
        return {f"push_{self.quantity}": _shaped(values, prompt)}


def _mean_h0(found: Bars) -> Tensor:
    return found.h0.sum() / max(len(found.h0), 1) / found.scale


def _count_h1(found: Bars) -> Tensor:
    return -torch.expm1(-found.h1 / (RESOLUTION * found.scale)).sum()


def _entropy(found: Bars) -> Tensor:
    lengths = torch.cat([found.h0, found.h1])
    if not len(lengths):
        return lengths.sum()
    entropy: Tensor = torch.special.entr(lengths / lengths.sum()).sum()
    return entropy


_QUANTITIES = {"h0": _mean_h0, "h1": _count_h1, "entropy": _entropy}
