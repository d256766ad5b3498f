"""Regularisers of a soft prompt: TSLoss, its baselines and controls, exact persistent homology.

Imports ``errors`` and ``topology``. Needs torch, and gudhi for exact homology alone. A new regulariser is a file here
and a line in `tslib.losses.registry`.
"""

from tslib.losses.baselines import L2Penalty, OrthogonalityPenalty, PairwisePenalty
from tslib.losses.controls import AdaptiveTSLoss, BalancedTSLoss, MatchedDirection, RandomDirection
from tslib.losses.descent import descend
from tslib.losses.persistence import PersistencePenalty, Push
from tslib.losses.registry import REGULARIZERS, Follows, Regularizer, Replays, make_regularizer
from tslib.losses.tsloss import TSLoss

__all__ = [
    "REGULARIZERS",
    "AdaptiveTSLoss",
    "BalancedTSLoss",
    "Follows",
    "L2Penalty",
    "MatchedDirection",
    "OrthogonalityPenalty",
    "PairwisePenalty",
    "PersistencePenalty",
    "Push",
    "RandomDirection",
    "Regularizer",
    "Replays",
    "TSLoss",
    "descend",
    "make_regularizer",
]
