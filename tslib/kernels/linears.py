"""Linear layers of a frozen model: their weights need no gradient, so other kernels can be had."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from tslib.kernels import choice

__all__ = ["frozen_linears", "linear"]


@contextmanager
def frozen_linears(model: nn.Module) -> Iterator[None]:
    """Let the linear layers of a model multiply with `linear`: those whose call nobody else has changed."""
    layers = [layer for layer in model.modules() if type(layer) is nn.Linear and "forward" not in vars(layer)]
    for layer in layers:
        vars(layer)["forward"] = partial(_forward, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _forward(layer: nn.Linear, x: Float[Tensor, "*batch k"]) -> Float[Tensor, "*batch m"]:
    return linear(x, layer.weight, layer.bias)


def linear(
    x: Float[Tensor, "*batch k"], weight: Float[Tensor, "m k"], bias: Float[Tensor, "m"] | None = None
) -> Float[Tensor, "*batch m"]:
    """Return x Wᵀ + b, where the weight is frozen float32 on a CPU by the library that is quicker.

    That is what torch takes itself, MKL, or oneDNN, as measured (see `tslib.kernels.choice`); in bfloat16 torch uses
    oneDNN itself. On the way back the weights lie as MKL wants them, and oneDNN would copy them first. The results
    differ by rounding.
    """
    if _suits_onednn(x, weight, bias):
        # as a matrix: what the operator gives for more dimensions is a view, which a model may not write into
        matrix = x.reshape(-1, x.shape[-1])
        if len(matrix) and choice.quickest(matrix, weight, PRODUCTS) == "onednn":
            multiply = _FrozenLinear.apply if x.requires_grad and torch.is_grad_enabled() else _onednn
            product: Tensor = multiply(matrix, weight, bias)
            return product.view(*x.shape[:-1], -1)
    return functional.linear(x, weight, bias)


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
