"""Regularisers by the name that a config gives them, and what the tuning loop asks of one."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from tslib.errors import InputError
from tslib.losses.baselines import L2Penalty, OrthogonalityPenalty, PairwisePenalty
from tslib.losses.controls import AdaptiveTSLoss, BalancedTSLoss, MatchedDirection, RandomDirection
from tslib.losses.persistence import PersistencePenalty, Push
from tslib.losses.tsloss import TSLoss

__all__ = ["REGULARIZERS", "Follows", "Regularizer", "Replays", "make_regularizer"]


@runtime_checkable
class Regularizer(Protocol):
    """What the tuning loop asks of a regulariser; see ``REGULARIZERS`` for how a config names one."""

    def __call__(self, prompt: Float[Tensor, "*batch n d"]) -> Float[Tensor, ""]:
        """Return the weighted scalar that is added to the cross-entropy."""

    def terms(self, prompt: Float[Tensor, "*batch n d"]) -> dict[str, Tensor]:
        """Return the unweighted parts that are logged at each step, scalars of shape ``(*batch)`` first."""


@runtime_checkable
class Follows(Protocol):
    """A regulariser that is told where the run is, before it is called at each step."""

    def follow(self, step: int, seed: int, ce_gradient: Float[Tensor, "n d"]) -> None:
        """Take the steps done so far, the run's seed and the gradient of the cross-entropy."""


@runtime_checkable
class Replays(Protocol):
    """A regulariser that is told what another run has recorded, before it is called at each step.

    ``REPLAYED`` of `tslib.config` says which run that is.
    """

    def replay(self, length: float) -> None:
        """Take the length of the other run's regulariser's gradient at this step, ``grad_norm_reg``."""


REGULARIZERS: dict[str, Callable[..., Regularizer] | None] = {
    "none": None,
    "tsloss": TSLoss,
    "tsloss-printed": lambda weight, **options: TSLoss(weight, include_self=True, **options),
    "tsloss-normalized": lambda weight, **options: TSLoss(weight, normalize=True, **options),
    "l2": lambda weight, **_: L2Penalty(weight),
    "pairwise": lambda weight, metric="euclidean", **_: PairwisePenalty(weight, metric=metric),
    "orthogonality": lambda weight, **_: OrthogonalityPenalty(weight),
    "tsloss-h0": lambda weight, **options: TSLoss(weight, **options | {"beta_h1": 0.0}),
    "tsloss-h1": lambda weight, **options: TSLoss(weight, **options | {"beta_h0": 0.0}),
    "tsloss-adaptive": AdaptiveTSLoss,
    "tsloss-balanced": BalancedTSLoss,
    "random-direction": RandomDirection,
    "random-direction-matched": MatchedDirection,
    "persistence": PersistencePenalty,
    "push-h0-up": partial(Push, quantity="h0", sign=1),
    "push-h0-down": partial(Push, quantity="h0", sign=-1),
    "push-h1-up": partial(Push, quantity="h1", sign=1),
    "push-h1-down": partial(Push, quantity="h1", sign=-1),
    "push-entropy-up": partial(Push, quantity="entropy", sign=1),
    "push-entropy-down": partial(Push, quantity="entropy", sign=-1),
}
"""Regularisers by the name a config gives them. To add one, write it in a file of its own and add a line here."""


def make_regularizer(name: str, weight: float = 1.0, **options: Any) -> Regularizer | None:
    """Return the regulariser that a config names, or None for ``none``.

    Parameters
    ----------
    name
        A key of ``REGULARIZERS``.
    weight
        λ, its factor beside the cross-entropy.
    **options
        Settings of TSLoss (``tau``, ``alpha``, ``metric``, ...); the others ignore those that they do not have.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if name not in REGULARIZERS:
        raise InputError(f"unknown regularizer {name!r}; known: {', '.join(REGULARIZERS)}")
    factory = REGULARIZERS[name]
    return None if factory is None else factory(weight, **options)
