"""Linear layers of a frozen model: their weights need no gradient, so other kernels can be had."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tslib.kernels import choice

__all__ = ["FrozenLinears"]


class FrozenLinears(TorchFunctionMode):
    """While active, linear layers with frozen float32 weights on a CPU are multiplied by the library that is quicker.

    That is what torch takes itself, MKL, or oneDNN, as measured (see `tslib.kernels.choice`); in bfloat16 torch uses
    oneDNN itself. On the way back the weights lie as MKL wants them, and oneDNN would copy them first. The results
    differ by rounding.
    """

    def __torch_function__(self, func: Callable[..., Any], _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch, with oneDNN where it is such a layer and that is quicker."""
        if func is functional.linear and not kwargs and _suits_onednn(*args):
            x, *layer = args
            # as a matrix: what the operator gives for more dimensions is a view, which a model may not write into
            matrix = x.reshape(-1, x.shape[-1])
            if len(matrix) and choice.quickest(matrix, layer[0], PRODUCTS) == "onednn":
                return _FrozenLinear.apply(matrix, *layer).view(*x.shape[:-1], -1)
        return func(*args, **(kwargs or {}))


def _suits_onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    return bool(
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not weight.requires_grad
        and (bias is None or not bias.requires_grad)
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
    )


def _onednn(
    x: Float[Tensor, "*batch k"], weight: Float[Tensor, "m k"], bias: Float[Tensor, "m"] | None = None
) -> Tensor:
    """Return x Wᵀ + b."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


PRODUCTS: dict[choice.Library, choice.Product] = {"mkl": functional.linear, "onednn": _onednn}
"""What each library multiplies with."""


class _FrozenLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        ctx.weight = weight
        return _onednn(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient @ ctx.weight, None, None
