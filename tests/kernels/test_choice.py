"""The library for products by frozen weights: measured once, kept, forced, and said in records."""

import functools
import itertools

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing import assert_close

from tslib.errors import InputError
from tslib.kernels import choice, linears
from tslib.kernels.linears import frozen_linears
from tslib.records.provenance import environment

WEIGHT = torch.zeros(6, 4)


@pytest.fixture(autouse=True)
def anew(monkeypatch, own_cache):
    """Nothing is known yet, and nothing forced."""
    monkeypatch.setattr(choice, "_made", {})
    monkeypatch.delenv(choice.FORCED, raising=False)


@pytest.fixture
def clock(monkeypatch):
    """Times that calls of each library take, one after the other, the last again and again; what was called."""

    class Clock:
        def __init__(self):
            self.mkl, self.onednn, self.called = [1.0], [1.0], []

        def __call__(self, product, x, weight):
            self.called.append((product.__name__, x.shape, weight.data_ptr()))
            times = getattr(self, product.__name__)
            return times.pop(0) if len(times) > 1 else times[0]

    clock = Clock()
    monkeypatch.setattr(choice, "_time", clock)
    return clock


def mkl(x, weight):
    return x @ weight.T


def onednn(x, weight):
    return x @ weight.T


def quickest(positions, weight=WEIGHT):
    return choice.quickest(torch.zeros(positions, weight.shape[1]), weight, {"mkl": mkl, "onednn": onednn})


@pytest.mark.parametrize(
    ("mkl", "onednn", "expected"),
    [
        ([1.0], [0.9], "onednn"),
        ([1.0], [0.96], "mkl"),  # too little for leaving what torch takes itself
        ([0.9], [1.0], "mkl"),
        ([0.1, 1.0], [0.9], "onednn"),  # the first call is of no account
        ([1.0], [0.1, 1.0], "mkl"),
        ([1.0, 7.0, 1.0, 1.0, 0.1, 1.0], [0.9], "onednn"),  # neither what disturbs nor what a cache gives counts
    ],
)
def test_the_quicker_one_is_taken(clock, mkl, onednn, expected):
    clock.mkl, clock.onednn = mkl, onednn
    assert quickest(3) == expected


def test_the_libraries_take_turns_and_no_weight_is_used_twice_in_a_row(clock):
    quickest(3)
    assert [product for product, *_ in clock.called[:6]] == ["mkl", "onednn"] * 3
    assert all(shape == (4, 4) for _, shape, _ in clock.called), "three positions count as four"
    weights = [weight for *_, weight in clock.called[2:]]
    assert all(one != other for one, other in itertools.pairwise(weights))


def test_of_a_large_weight_some_rows_are_timed(monkeypatch, clock):
    """512 positions of 4 numbers with 2 rows are 4096 multiplications."""
    monkeypatch.setattr(choice, "WORK", 4096)
    sizes = []
    monkeypatch.setattr(choice, "_time", lambda _product, x, weight: sizes.append((len(x), len(weight))) or 1.0)
    quickest(10**4)
    assert set(sizes) == {(512, 2)}


def test_it_is_measured_once(clock):
    clock.onednn = [0.5]
    assert [quickest(positions) for positions in (5, 8, 7)] == ["onednn"] * 3
    calls = len(clock.called)
    quickest(9)
    assert len(clock.called) == 2 * calls, "another power of two"


def test_it_is_kept_for_other_processes(clock, monkeypatch):
    clock.onednn = [0.5]
    quickest(8)
    monkeypatch.setattr(choice, "_made", {})  # as in another process
    clock.onednn = [2.0]
    clock.called.clear()
    assert quickest(8) == "onednn"
    assert clock.called == []
    monkeypatch.setattr(choice, "_made", {})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert quickest(8) == "mkl", "with as many threads it was not measured"


def test_another_processor_measures_anew(clock, monkeypatch):
    clock.onednn = [0.5]
    quickest(8)
    monkeypatch.setattr(choice, "_made", {})
    monkeypatch.setattr(choice, "processor", lambda: "another")
    clock.onednn = [2.0]
    assert quickest(8) == "mkl"


def test_processors_of_one_name_are_told_apart_by_their_vectors(monkeypatch):
    names = []
    for vectors in ("AVX2", "AVX512", "DEFAULT"):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda vectors=vectors: vectors)
        names.append(choice.processor.__wrapped__())
    assert names[:2] == [f"{names[2]}, AVX2", f"{names[2]}, AVX512"]


def test_of_two_processes_the_first_is_right(clock, monkeypatch, tmp_path):
    path = tmp_path / "kernels" / "shape"
    assert choice._keep(path, "mkl") == "mkl"
    assert choice._keep(path, "onednn") == "mkl"


def test_a_cache_that_cannot_be_used_costs_only_time(clock, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("nothing")
    monkeypatch.setenv("TSLIB_CACHE", str(tmp_path / "file"))
    clock.onednn = [0.5]
    assert quickest(8) == "onednn"


def test_what_is_damaged_is_measured_again(clock, monkeypatch):
    quickest(8)
    (path,) = choice._folder().iterdir()
    path.write_text("atlas")
    monkeypatch.setattr(choice, "_made", {})
    clock.onednn = [0.5]
    assert quickest(8) == "onednn"


@pytest.mark.parametrize("library", ["mkl", "onednn"])
def test_it_can_be_forced(clock, monkeypatch, library):
    monkeypatch.setenv(choice.FORCED, library)
    assert quickest(8) == library
    assert clock.called == []
    assert choice.made() == {library: "8x4x6"}
    monkeypatch.setattr(choice, "_made", {})
    monkeypatch.delenv(choice.FORCED)
    clock.mkl, clock.onednn = ([2.0], [1.0]) if library == "mkl" else ([1.0], [2.0])
    assert quickest(8) != library, "what is forced is not kept"


def test_a_library_that_there_is_not(monkeypatch):
    monkeypatch.setenv(choice.FORCED, "atlas")
    with pytest.raises(InputError, match="TSLIB_KERNELS is 'atlas': set it to mkl or onednn, or unset it to measure"):
        quickest(8)


@pytest.mark.parametrize("library", ["mkl", "onednn"])
def test_both_give_what_torch_gives(monkeypatch, library):
    monkeypatch.setenv(choice.FORCED, library)
    asked = []
    once = linears._onednn
    monkeypatch.setattr(linears, "_onednn", lambda *args: asked.append(args) or once(*args))
    torch.manual_seed(0)
    layer, x = nn.Linear(8, 6).requires_grad_(False), torch.randn(2, 3, 8, requires_grad=True)
    expected = layer(x)
    with frozen_linears(layer):
        out = layer(x)
    assert_close(out, expected, rtol=1e-5, atol=1e-6)
    towards = torch.randn_like(out)
    ours, theirs = (torch.autograd.grad(y, x, towards)[0] for y in (out, expected))
    assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert len(asked) == (library == "onednn")


def test_measured_on_real_products_and_by_nobody_seen():
    from torch.utils.flop_counter import FlopCounterMode

    layer, x = nn.Linear(8, 6).requires_grad_(False), torch.randn(5, 8)
    state = torch.get_rng_state()
    with FlopCounterMode(display=False) as counter, frozen_linears(layer), frozen_linears(layer), torch.no_grad():
        layer(x)
    assert counter.get_total_flops() in (0, 2 * 5 * 8 * 6), "oneDNN's own operator has no count"
    assert torch.equal(torch.get_rng_state(), state)
    assert list(choice.made().values()) == ["8x8x6"]
    assert len(list(choice._folder().iterdir())) == 1


def test_tensors_without_numbers_are_not_measured(clock):
    with FakeTensorMode():
        layer = nn.Linear(8, 6).requires_grad_(False)
        with frozen_linears(layer):
            layer(torch.randn(5, 8))
    assert clock.called == []
    assert choice.made() == {}


def test_what_was_chosen_stands_in_the_environment(clock, monkeypatch):
    clock.onednn = [0.5]
    quickest(8)
    quickest(1)
    clock.onednn = [2.0]
    quickest(2)
    made = functools.partial(environment, "smollm2-135m", started=0.0)
    assert made(on=torch.device("cpu"))["kernels"] == {"mkl": "2x4x6", "onednn": "1x4x6 8x4x6"}
    assert made(on=torch.device("meta"))["kernels"] == {}
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert choice.made() == {}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {}, True),
        ({"mkl": "1x2x3"}, {}, True),
        ({"mkl": "1x2x3"}, {"mkl": "1x2x3 4x5x6"}, True),
        ({"mkl": "1x2x3"}, {"onednn": "1x2x31 11x2x3"}, True),
        ({"mkl": "1x2x3 4x5x6"}, {"onednn": "4x5x6"}, False),
        ({"onednn": "4x5x6"}, {"mkl": "1x2x3 4x5x6", "onednn": "7x8x9"}, False),
    ],
)
def test_no_shape_here_by_one_and_there_by_the_other(one, other, expected):
    assert choice.same(one, other) is choice.same(other, one) is expected


def test_choices_of_two_processes_together():
    one, other = {"mkl": "1x2x3 4x5x6", "onednn": "7x8x9"}, {"mkl": "4x5x6 1x1x1"}
    assert choice.together(one, other) == {"mkl": "1x2x3 4x5x6 1x1x1", "onednn": "7x8x9"}
    assert choice.together({}, {}) == {}
