"""Frozen layers by oneDNN, against torch's own."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tslib.kernels import linears
from tslib.kernels.linears import frozen_linears
from tslib.prompts.frozen import FrozenLinears

BIAS = pytest.mark.parametrize("bias", [False, True])


@pytest.fixture
def products(monkeypatch):
    """How often oneDNN is asked."""
    asked = []
    once = linears._onednn
    monkeypatch.setattr(linears, "_onednn", lambda *args: asked.append(args) or once(*args))
    return asked


@BIAS
@pytest.mark.parametrize("shape", [(5, 8), (2, 3, 8)])
def test_a_frozen_layer_is_torchs(bias, shape, products):
    torch.manual_seed(0)
    layer = nn.Linear(8, 6, bias=bias).requires_grad_(False)
    x = torch.randn(shape, requires_grad=True)
    expected = layer(x)
    with frozen_linears(layer):
        out = layer(x)
    assert_close(out, expected, rtol=1e-5, atol=1e-6)
    towards = torch.randn_like(out)
    ours, theirs = (torch.autograd.grad(y, x, towards)[0] for y in (out, expected))
    assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert len(products) == 1, "on the way forward"


def test_the_old_name_still_works(products):
    layer, x = nn.Linear(8, 6).requires_grad_(False), torch.randn(5, 8)
    with FrozenLinears():
        out = layer(x)
    assert_close(out, layer(x), rtol=1e-5, atol=1e-6)
    assert len(products) == 1


def test_layers_are_as_before_afterwards_and_another_s_call_is_left():
    layer, hooked = (nn.Linear(8, 6).requires_grad_(False) for _ in range(2))
    hooked.forward = own = lambda x: x
    with pytest.raises(TypeError), frozen_linears(nn.ModuleList([layer, hooked])):
        layer()  # what it is given is missing
    assert "forward" not in vars(layer)
    assert hooked.forward is own


def test_layers_that_are_left_to_torch(products):
    trained, half = nn.Linear(8, 6), nn.Linear(8, 6).bfloat16().requires_grad_(False)
    with frozen_linears(nn.ModuleList([trained, half])):
        trained(torch.randn(2, 8)).sum().backward()
        half(torch.randn(2, 8, dtype=torch.bfloat16))
    assert trained.weight.grad is not None
    assert products == []
