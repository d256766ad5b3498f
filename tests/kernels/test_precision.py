"""What is said where a precision is imitated."""

import pytest
import torch

from tslib.kernels import precision
from tslib.kernels.precision import advice, slowdown


@pytest.fixture
def native(monkeypatch):
    """Sets what the processor says that it has."""

    def has(avx512):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)

    return has


@pytest.mark.parametrize(("longer", "said"), [(6.6, "about 7 times as long as"), (1.2, "no less time than")])
def test_in_one_line(native, monkeypatch, longer, said):
    monkeypatch.setattr(precision, "slowdown", lambda *_: longer)
    native(False)
    assert advice("bfloat16", "cpu", of="two runs") == (
        f"this device has no bfloat16 of its own: the products of two runs take {said} in float32"
    )
    assert advice("float32", "cpu") == advice("auto", "cpu") == ""
    native(True)
    assert advice("bfloat16", "cpu") == ""


def test_times_of_each_in_turns(monkeypatch):
    """Calls of 30 and of 10 seconds; the first of each takes longer, and one of the others is disturbed."""
    spent = iter([99, 99, 30, 10, 70, 10, 30, 50])
    now = [0.0]

    def clock():
        return now[0]

    once = torch.nn.functional.linear
    monkeypatch.setattr(precision.time, "perf_counter", clock)
    monkeypatch.setattr(
        precision.functional, "linear", lambda *pair: now.__setitem__(0, now[0] + next(spent)) or once(*pair)
    )
    assert slowdown("bfloat16") == 3


def test_a_real_product():
    assert slowdown("bfloat16") > 0
