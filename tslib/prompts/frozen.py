"""What was here before it moved to `tslib.kernels`, for the imports of then."""

from collections.abc import Callable
from typing import Any

from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tslib.kernels.linears import linear
from tslib.kernels.target_loss import CHUNK, TargetLoss, target_loss

__all__ = ["CHUNK", "FrozenLinears", "TargetLoss", "target_loss"]


class FrozenLinears(TorchFunctionMode):
    """While active, all products of `functional.linear` are those of `tslib.kernels.linears.linear`."""

    def __torch_function__(self, func: Callable[..., Any], _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch."""
        return (linear if func is functional.linear else func)(*args, **(kwargs or {}))
