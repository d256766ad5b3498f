"""Variants of TSLoss to hold it against: random directions, and weights that adapt.

Each is told at every step where the run is (`follow`), and what another run has recorded there (`replay`), and keeps
nothing else, so that a run that is resumed has the same numbers.
"""

import hashlib
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tslib.errors import InputError
from tslib.losses.tsloss import TSLoss

__all__ = ["AdaptiveTSLoss", "BalancedTSLoss", "MatchedDirection", "RandomDirection"]


def _gradient(loss: Tensor, leaf: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient


def _leaf(prompt: Tensor) -> Tensor:
    return prompt.detach().clone().requires_grad_()


class RandomDirection(nn.Module):
    """A control: at each step a random direction that is as long as TSLoss's gradient would be at this very prompt.

    Its value is 0; its gradient is u ||∇TSLoss||, u a unit vector drawn anew from the run's seed and the step. Since no
    TSLoss is minimised here, that gradient stays longer than in a run that has TSLoss, where it shortens;
    `MatchedDirection` is as long as it is there.

    Parameters
    ----------
    weight, **options
        Those of the TSLoss whose gradient gives the length.
    """

    def __init__(self, weight: float = 1.0, **options: Any) -> None:
        super().__init__()
        self.tsloss = TSLoss(weight, **options)
        self.metric, self.key = self.tsloss.metric, 0

    def follow(self, step: int, seed: int, ce_gradient: Tensor) -> None:
        """Take the step and the run's seed, which the direction is drawn from."""
        digest = hashlib.sha256(f"{seed} {step}".encode()).digest()
        self.key = int.from_bytes(digest[:4])  # torch takes 32 bits of a seed

    def length(self, prompt: Float[Tensor, "*batch n d"]) -> Float[Tensor, ""]:
        """Return the length of TSLoss's gradient, its weight included."""
        with torch.enable_grad():
            leaf = _leaf(prompt)
            length: Tensor = _gradient(self.tsloss(leaf), leaf).norm()
        return length

    def forward(self, prompt: Float[Tensor, "*batch n d"]) -> Float[Tensor, ""]:
        """Return 0, with that gradient."""
        length = self.length(prompt)
        generator = torch.Generator().manual_seed(self.key)  # on the CPU: the same direction on every device
        direction = torch.randn(prompt.shape, generator=generator, dtype=torch.float32).to(prompt.device)
        direction *= length / direction.norm()
        return (direction * (prompt - prompt.detach())).sum()

    def terms(self, prompt: Float[Tensor, "*batch n d"]) -> dict[str, Tensor]:
        """Return TSLoss's own terms, which are watched, not descended."""
        return self.tsloss.terms(prompt)


class MatchedDirection(RandomDirection):
    """The control that is matched in length: a random direction, at each step as long as TSLoss's gradient was there.

    The lengths are those that the run with TSLoss and an otherwise equal config has recorded, as ``grad_norm_reg``; the
    directions are those of `RandomDirection`. So what is added to the cross-entropy's gradient differs from what TSLoss
    added to it in its direction alone.

    Parameters
    ----------
    weight, **options
        Those of TSLoss, whose terms are watched. The weight has a part in the recorded lengths and none beside them.
    """

    def __init__(self, weight: float = 1.0, **options: Any) -> None:
        super().__init__(weight, **options)
        self.recorded: float | None = None

    def replay(self, length: float) -> None:
        """Take the length that was recorded at this step."""
        self.recorded = length

    def length(self, prompt: Float[Tensor, "*batch n d"]) -> Float[Tensor, ""]:
        """Return the recorded length."""
        if self.recorded is None:
            raise InputError("a direction that is matched in length needs one: call replay(length) first")
        return prompt.new_tensor(self.recorded)


class AdaptiveTSLoss(nn.Module):
    """TSLoss with λ_t such that its gradient is ``weight`` times as long as that of the cross-entropy, at each step.

    The paper names adaptive weights as future work; balancing by gradient norms is the idea of GradNorm (Chen et al.,
    2018, arXiv:1711.02257). Where TSLoss has no gradient, λ_t is 0.

    Parameters
    ----------
    weight
        Length of TSLoss's gradient in lengths of the cross-entropy's.
    **options
        Settings of TSLoss.
    """

    def __init__(self, weight: float = 1.0, **options: Any) -> None:
        super().__init__()
        self.weight, self.tsloss = weight, TSLoss(1.0, **options)
        self.metric = self.tsloss.metric
        self.other: float | None = None
        self.factor = 0.0

    def follow(self, step: int, seed: int, ce_gradient: Tensor) -> None:
        """Take the gradient of the cross-entropy at this step."""
        self.other = float(ce_gradient.norm())

    def forward(self, prompt: Float[Tensor, "*batch n d"]) -> Float[Tensor, ""]:
        """Return λ_t TSLoss, with λ_t held fixed."""
        if self.other is None:
            raise InputError(
                "an adaptive weight needs the cross-entropy's gradient: call follow(step, seed, gradient) first"
            )
        with torch.enable_grad():
            leaf = _leaf(prompt)
            own = float(_gradient(self.tsloss(leaf), leaf).norm())
        self.factor = self.weight * self.other / own if own > 0 else 0.0
        loss: Tensor = self.factor * self.tsloss(prompt)
        return loss

    def terms(self, prompt: Float[Tensor, "*batch n d"]) -> dict[str, Tensor]:
        """Return TSLoss's terms, and ``lambda``, the λ_t of the last call."""
        return self.tsloss.terms(prompt) | {"lambda": torch.tensor(self.factor)}


class BalancedTSLoss(nn.Module):
    """TSLoss with β_H0 and β_H1 such that both terms' gradients are as long as the mean of the two, at each step.

    A term without gradient keeps its weight.

    Parameters
    ----------
    weight
        λ.
    **options
        Settings of TSLoss; ``beta_h0`` and ``beta_h1`` are the weights before they are balanced.
    """

    def __init__(self, weight: float = 1.0, **options: Any) -> None:
        super().__init__()
        betas = {"beta_h0": options.pop("beta_h0", 1.0), "beta_h1": options.pop("beta_h1", 1.0)}
        self.weight = weight
        self.parts = [
            TSLoss(1.0, beta_h0=betas["beta_h0"], beta_h1=0.0, **options),
            TSLoss(1.0, beta_h0=0.0, beta_h1=betas["beta_h1"], **options),
        ]
        self.metric, self.factors = self.parts[0].metric, [1.0, 1.0]

    def forward(self, prompt: Float[Tensor, "*batch n d"]) -> Float[Tensor, ""]:
        """Return the weighted sum of both, with the factors held fixed."""
        with torch.enable_grad():
            leaf = _leaf(prompt)
            lengths = [float(_gradient(part(leaf), leaf).norm()) for part in self.parts]
        middle = sum(lengths) / 2
        self.factors = [middle / length if length > 0 else 1.0 for length in lengths]
        loss: Tensor = self.factors[0] * self.parts[0](prompt) + self.factors[1] * self.parts[1](prompt)
        return self.weight * loss

    def terms(self, prompt: Float[Tensor, "*batch n d"]) -> dict[str, Tensor]:
        """Return TSLoss's terms, and the factors of the last call, ``balance_h0`` and ``balance_h1``."""
        factors = {f"balance_h{k}": torch.tensor(factor) for k, factor in enumerate(self.factors)}
        return self.parts[0].terms(prompt) | factors
