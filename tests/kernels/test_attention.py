"""Attention in blocks of queries against torch's own over all keys, and how much of it is computed."""

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from tslib.kernels import attention
from tslib.kernels.attention import _Attention

HEADS, KEY_HEADS, SIZE = 6, 2, 8


def states(queries, keys, dtype=torch.float64, rows=1):
    torch.manual_seed(0)
    heads = ((HEADS, queries), (KEY_HEADS, keys), (KEY_HEADS, keys))
    return [torch.randn(rows, number, length, SIZE, dtype=dtype, requires_grad=True) for number, length in heads]


def torchs(query, key, value, window):
    """The same by torch, with the keys repeated and a mask that says of each pair whether it counts."""
    queries, keys = query.shape[2], key.shape[2]
    allowed = torch.zeros(queries, keys, dtype=torch.bool)
    for row in range(queries):
        last = keys - queries + row
        allowed[row, 0 if window is None else max(0, last - window + 1) : last + 1] = True
    key, value = (part.repeat_interleave(HEADS // KEY_HEADS, 1) for part in (key, value))
    return functional.scaled_dot_product_attention(query, key, value, allowed, scale=0.3).transpose(1, 2)


@pytest.mark.parametrize("short", [attention.SHORT, 0], ids=["weights kept", "weights computed again"])
@pytest.mark.parametrize("block", [1, 5, 64, 1000])
@pytest.mark.parametrize("window", [None, 1, 4, 70])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (70, 70), (64, 128), (7, 90), (1, 66)])
def test_it_is_torchs(monkeypatch, queries, keys, window, block, short):
    monkeypatch.setattr(attention, "BLOCK", block)
    monkeypatch.setattr(attention, "SHORT", short)
    given = states(queries, keys, rows=2)
    ours, theirs = _Attention(0.3, window).causal(*given), torchs(*given, window)
    assert_close(ours, theirs)
    for own, expected in zip(*(torch.autograd.grad(out.sin().sum(), given) for out in (ours, theirs)), strict=True):
        assert_close(own, expected)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("short", [attention.SHORT, 0])
def test_precision(monkeypatch, dtype, most, short):
    """Against float64, for 300 queries behind 100 keys more; gradients of keys are sums over blocks."""
    monkeypatch.setattr(attention, "SHORT", short)
    given = states(300, 400, dtype)
    exact = [part.detach().double().requires_grad_() for part in given]
    ours, theirs = _Attention(0.3, None).causal(*given), torchs(*exact, None)
    found = (ours, *torch.autograd.grad(ours.float().sin().sum(), given))
    expected = (theirs, *torch.autograd.grad(theirs.sin().sum(), exact))
    for own, right in zip(found, expected, strict=True):
        assert own.dtype == dtype
        assert (own.double() - right).norm() < most * right.norm()


@pytest.mark.parametrize("window", [None, 9])
def test_long_sequences_as_elsewhere_than_on_a_cpu(monkeypatch, window):
    """Without blocks queries are padded to as many as there are keys."""
    monkeypatch.setattr(attention, "BLOCK", 0)
    given = states(20, 33)
    assert_close(_Attention(0.3, window).causal(*given), torchs(*given, window))


def test_a_long_whole_sequence_is_torchs_flash_attention(monkeypatch):
    asked = []
    once = functional.scaled_dot_product_attention
    monkeypatch.setattr(
        functional, "scaled_dot_product_attention", lambda *args, **given: asked.append(args) or once(*args, **given)
    )
    for queries, keys, window in ((513, 513, None), (512, 512, None), (512, 513, None), (513, 513, 512)):
        _Attention(0.3, window).causal(*states(queries, keys))
        assert len(asked) == 1


def flops(queries, keys, window=None):
    """Of one way forward and back."""
    given = states(queries, keys, torch.float32)
    with FlopCounterMode(display=False) as counter:
        _Attention(0.3, window).causal(*given).sum().backward()
    return counter.get_total_flops()


PRODUCT = 2 * HEADS * SIZE
"""Operations of a product, for a query and a key; there are two products on the way forward, and four back."""


def test_nearly_half_of_the_products_are_left_out():
    """512 queries at 64 at a time: 1 + 2 + … + 8 = 36 of 64 squares."""
    assert flops(512, 512) == 6 * PRODUCT * 512 * 512 * 36 // 64
    assert flops(512, 512) < 0.57 * 6 * PRODUCT * 512 * 512


def test_what_is_behind_a_head_meets_all_of_it_once():
    """128 queries behind 1,024 keys: two blocks, of 1,088 and of 1,152 keys; weights are computed twice."""
    assert flops(128, 1152) == 7 * PRODUCT * 64 * (1088 + 1152)


def test_of_a_window_no_more_is_computed_than_a_block_sees():
    """Each of the 16 blocks meets its own 64 keys and up to 99 before; the first three have fewer before them."""
    seen = 64 + (64 + 64) + 14 * (64 + 99)
    assert flops(1024, 1024, window=100) == 7 * PRODUCT * 64 * seen
