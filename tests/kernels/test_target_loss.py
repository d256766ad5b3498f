"""The loss of a few positions at a time, against that of all logits."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from tslib.kernels import linears
from tslib.kernels import target_loss as module
from tslib.kernels.target_loss import target_loss

BIAS = pytest.mark.parametrize("bias", [False, True])


@pytest.fixture
def head():
    torch.manual_seed(0)
    return nn.Linear(8, 50, bias=False).requires_grad_(False)


def reference(hidden, head, targets):
    logits = head(hidden).double()
    return functional.cross_entropy(logits, targets, reduction="sum"), logits.argmax(-1) == targets


@BIAS
@pytest.mark.parametrize("in_cache", [50, 100, 10**6])
@pytest.mark.parametrize("chunk", [1, 50, 149, 150, 10**6])
def test_loss_and_gradient_are_those_of_all_logits(head, chunk, in_cache, bias, monkeypatch):
    """Chunks of one position, of an uneven number, and of all; gone over in parts."""
    monkeypatch.setattr(module, "IN_CACHE", in_cache)
    if bias:
        head = nn.Linear(8, 50).requires_grad_(False)
    hidden = (3 * torch.randn(7, 8)).requires_grad_()
    targets = torch.randint(50, (7,))
    targets[::2] = head(hidden).argmax(-1)[::2]
    total, matches = target_loss(hidden, head, targets, chunk=chunk)
    expected, found = reference(hidden, head, targets)
    assert_close(total.double(), expected, rtol=1e-6, atol=0)
    assert torch.equal(matches, found)
    assert 4 <= matches.sum() < 7
    ours, theirs = (torch.autograd.grad(3 * loss, hidden)[0] for loss in (total, expected))
    assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("in_cache", [100, 10**6])
def test_loss_below_float32(head, in_cache, monkeypatch):
    """Logits in the model's precision, the rest in float32."""
    monkeypatch.setattr(module, "IN_CACHE", in_cache)
    half = copy.deepcopy(head).bfloat16()
    hidden = torch.randn(7, 8, dtype=torch.bfloat16, requires_grad=True)
    targets = torch.randint(50, (7,))
    total, _ = target_loss(hidden, half, targets, chunk=100)
    expected, _ = reference(hidden, half, targets)
    assert total.dtype == torch.float32
    assert_close(total.double(), expected, rtol=1e-6, atol=0)
    ours, theirs = (torch.autograd.grad(loss, hidden)[0] for loss in (total, expected))
    assert ours.dtype == torch.bfloat16
    assert (ours - theirs).norm() < 0.01 * theirs.norm()


def test_no_gradient_is_computed_where_none_is_wanted(head, monkeypatch):
    products = []
    once = linears._onednn
    monkeypatch.setattr(linears, "_onednn", lambda *args: products.append(args) or once(*args))
    hidden = torch.randn(7, 8)
    targets = torch.randint(50, (7,))
    total, _ = target_loss(hidden, head, targets)
    assert not total.requires_grad
    assert len(products) == 1
    with torch.no_grad():
        target_loss(hidden.requires_grad_(), head, targets)


def test_not_all_logits_are_there_at_once(head):
    """Of a thousand positions the largest tensor has those of ten."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, func, _types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for one in out if isinstance(out, tuple | list) else (out,):
                if isinstance(one, torch.Tensor):
                    self.size = max(self.size, one.numel())
            return out

    hidden = torch.randn(1000, 8, requires_grad=True)
    with Largest() as largest:
        target_loss(hidden, head, torch.randint(50, (1000,)), chunk=500).total.backward()
    assert largest.size == 1000 * 8
