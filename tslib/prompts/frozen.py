"""Only hands on what is in `tslib.kernels`, for the imports of before it moved there."""

from tslib.kernels.target_loss import CHUNK, TargetLoss, target_loss

__all__ = ["CHUNK", "TargetLoss", "target_loss"]
