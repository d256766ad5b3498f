"""TSLoss, the topological loss of a soft prompt (Eqs. 1-8 of the paper), differentiable.

A ``torch.nn.Module`` without parameters, called with the soft prompt P, rows x_i, of shape ``(*batch, n, d)``.
"""

import math
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tslib.errors import InputError
from tslib.losses.distances import by_rows, checked, off_diagonal, pairwise_distances
from tslib.topology.diagrams import Metric

__all__ = ["TSLoss"]


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise InputError(f"{name} must be above 0 and finite; given {value}")


class TSLoss(nn.Module):
    r"""Topological soft prompt loss, :math:`\lambda_{ts}(\beta_{H0} L_{H0} + \beta_{H1} L_{H1})` (Eq. 8).

    .. math::
        s_i &= -\tau \log \sum_j e^{-D_{ij}/\tau}, \qquad L_{H0} = \mathrm{Var}_i(s_i)  &(1, 2)\\
        L_{H1} &= \lambda_{repel} \langle \max(0, \delta - D_{ij})^2 \rangle
                + \lambda_{attract} \langle \max(0, D_{ij} - \zeta)^2 \rangle  &(3, 4, 5)\\
        \delta &= \sum_{ij} \mathrm{softmax}(-\alpha D)_{ij} D_{ij}, \quad
        \zeta = \sum_{ij} \mathrm{softmax}(\alpha D)_{ij} D_{ij}  &(6, 7)

    Gradients flow through the soft thresholds δ and ζ, as printed.

    Parameters
    ----------
    weight
        λ_ts of Eq. 8.
    tau
        Temperature τ of the soft nearest distance, in units of distance. The paper gives no value; 1 is ours.
    alpha
        Sharpness α of the soft thresholds, in 1 / distance. The paper gives no value; 10 is ours.
    beta_h0, beta_h1, lambda_repel, lambda_attract
        Weights of the terms. The paper gives no values; 1 is ours.
    include_self
        True is the paper as printed: sums over all i, j, the diagonal D_ii = 0 among them, means over n². False
        leaves the diagonal out of every sum, and the mean over the n(n-1) pairs replaces 1/n².
    normalize
        Divide D by its detached off-diagonal mean first, so that τ and α mean the same for every model.
    metric
        D_ij is ||x_i - x_j|| as in the paper, or with ``cosine`` 1 - cos(x_i, x_j).

    Examples
    --------
    >>> import torch
    >>> square = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> terms = TSLoss().terms(square)
    >>> [round(float(terms[name]), 4) for name in ("h0", "delta", "zeta")]
    [0.0, 1.0033, 1.4015]
    """

    def __init__(
        self,
        weight: float = 1.0,
        *,
        tau: float = 1.0,
        alpha: float = 10.0,
        beta_h0: float = 1.0,
        beta_h1: float = 1.0,
        lambda_repel: float = 1.0,
        lambda_attract: float = 1.0,
        include_self: bool = False,
        normalize: bool = False,
        metric: Metric = "euclidean",
    ) -> None:
        super().__init__()
        _positive(tau=tau, alpha=alpha)
        self.weight, self.tau, self.alpha = weight, tau, alpha
        self.beta_h0, self.beta_h1 = beta_h0, beta_h1
        self.lambda_repel, self.lambda_attract = lambda_repel, lambda_attract
        self.include_self, self.normalize = include_self, normalize
        self.metric: Metric = metric

    def forward(self, prompt: Float[Tensor, "*batch n d"]) -> Float[Tensor, ""]:
        """Return the weighted loss, averaged over the leading dimensions; exactly 0 for a single token.

        Raises
        ------
        InputError
            If the prompt is not of shape (..., n, d) or holds NaN or infinity; the message names the tokens.
        """
        terms = self._terms(prompt)
        h1 = self.lambda_repel * terms["repel"] + self.lambda_attract * terms["attract"]
        loss = self.weight * (self.beta_h0 * terms["h0"] + self.beta_h1 * h1)
        return loss.mean().to(torch.promote_types(prompt.dtype, torch.float32))

    def terms(self, prompt: Float[Tensor, "*batch n d"]) -> dict[str, Tensor]:
        """Return the unweighted parts, each differentiable.

        Returns
        -------
        dict
            ``h0`` (Eq. 2), ``repel`` (Eq. 3), ``attract`` (Eq. 4), ``delta`` and ``zeta`` (Eq. 6), each of shape
            ``(*batch)``; ``soft_nearest`` s_i (Eq. 1), shape ``(*batch, n)``. With ``normalize``, distances are in
            units of their mean. A single token has no pairs: everything is 0.
        """
        dtype = torch.promote_types(prompt.dtype, torch.float32)
        return {name: term.to(dtype) for name, term in self._terms(prompt).items()}

    def _terms(self, prompt: Tensor) -> dict[str, Tensor]:
        distances = pairwise_distances(checked(prompt), self.metric)  # (*batch, n, n)
        if prompt.shape[-2] == 1:
            nothing = distances.sum((-2, -1))  # D_11 = 0: exactly 0, with a zero gradient
            return dict.fromkeys(("h0", "repel", "attract", "delta", "zeta"), nothing) | {
                "soft_nearest": distances.sum(-1)
            }
        pairs = distances if self.include_self else off_diagonal(distances)  # (*batch, n, m)
        if self.normalize:
            n = prompt.shape[-2]
            scale = distances.detach().sum((-2, -1), keepdim=True) / (n * (n - 1))
            pairs = pairs / torch.where(scale > 0, scale, 1.0)  # all tokens coincide: nothing to scale
        soft_nearest = by_rows(self._soft_nearest, pairs)  # (*batch, n), short of a constant
        # δ and ζ lie so close to the extremes that δ - D and D - ζ would lose all digits: both count from there.
        low = pairs.detach().amin((-2, -1), keepdim=True)
        high = pairs.detach().amax((-2, -1), keepdim=True)
        sums = by_rows(partial(self._threshold_sums, low, high), pairs).sum(-1)[..., None, None]
        above_low, below_high = sums[0] / sums[1], sums[2] / sums[3]  # δ - min D, max D - ζ
        repel, attract = by_rows(partial(self._hinges, low, high), pairs, above_low, below_high).mean(-1)
        return {
            "h0": soft_nearest.var(-1, correction=0),
            "repel": repel,
            "attract": attract,
            "delta": (low + above_low).squeeze((-2, -1)),
            "zeta": (high - below_high).squeeze((-2, -1)),
            "soft_nearest": soft_nearest - self.tau * math.log(pairs.shape[-1]),
        }

    def _soft_nearest(self, pairs: Float[Tensor, "*batch n m"]) -> Float[Tensor, "*batch n"]:
        """Eq. 1 plus τ log m, that is, with the mean over j for the sum.

        The constant has no part in the variance, and without it the result stays accurate where all D << τ: there
        every s_i is -τ log m to many digits.
        """
        nearest = pairs.detach().amin(-1, keepdim=True)  # any shift gives the same value and gradient
        excess = torch.expm1((nearest - pairs) / self.tau)
        return nearest.squeeze(-1) - self.tau * torch.log1p(excess.mean(-1))

    def _threshold_sums(
        self, low: Tensor, high: Tensor, pairs: Float[Tensor, "*batch n m"]
    ) -> Float[Tensor, "4 *batch n"]:
        """Numerators and denominators of δ - min D and max D - ζ (Eqs. 6, 7), row by row."""
        above, below = pairs - low, high - pairs
        near, far = torch.exp(-self.alpha * above), torch.exp(-self.alpha * below)
        return torch.stack([(near * above).sum(-1), near.sum(-1), (far * below).sum(-1), far.sum(-1)])

    def _hinges(
        self, low: Tensor, high: Tensor, pairs: Float[Tensor, "*batch n m"], above_low: Tensor, below_high: Tensor
    ) -> Float[Tensor, "2 *batch n"]:
        """Means of the squared hinges of Eqs. 3 and 4, row by row."""
        repel = (above_low - (pairs - low)).clamp_min(0).square().mean(-1)
        attract = (below_high - (high - pairs)).clamp_min(0).square().mean(-1)
        return torch.stack([repel, attract])

    def extra_repr(self) -> str:
        """Return the settings, for ``repr``."""
        names = ("weight", "tau", "alpha", "beta_h0", "beta_h1", "lambda_repel", "lambda_attract")
        values = ", ".join(f"{name}={getattr(self, name)}" for name in names)
        return f"{values}, include_self={self.include_self}, normalize={self.normalize}, metric={self.metric}"
