"""Only hands on what is in `tslib.kernels`, for the imports of before it moved there."""

from tslib.kernels.linears import FrozenLinears
from tslib.kernels.target_loss import CHUNK, TargetLoss, target_loss

__all__ = ["CHUNK", "FrozenLinears", "TargetLoss", "target_loss"]
