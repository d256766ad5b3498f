"""Which library multiplies by a frozen weight: found out by measuring, once for each shape, and kept on this machine.

Torch has two for float32 on a CPU: MKL (or what it was built with in its place), which it takes itself, and oneDNN. On
some processors the one is faster by half, on others the other, and not for each shape the same. They round
differently, so what was chosen stands in the records.
"""

import functools
import hashlib
import os
import platform
import re
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _disable_current_modes

from tslib.errors import InputError
from tslib.models.loading import cache_dir

__all__ = ["FORCED", "Library", "made", "processor", "quickest", "same", "together"]

Library: TypeAlias = Literal["mkl", "onednn"]
LIBRARIES: tuple[Library, ...] = get_args(Library)
FORCED = "TSLIB_KERNELS"
"""The environment variable that names a library; then nothing is measured."""

MOST = 512
"""Positions from which on more change nothing in what is quicker."""
WORK = 2**29
"""Multiplications of one product that is timed, at most: of a large weight some rows are enough."""
WEIGHTS = 2**27
"""Bytes of the weights that take turns, so that none is in the processor's cache when it is its turn: 128 MiB."""
CALLS, SECONDS = (5, 25), 0.05
"""Calls of each library, at least and at most, and the time after which no more are made."""
GAIN = 0.05
"""Share of the time that oneDNN has to save: with less it is not worth leaving what torch takes itself."""

Product: TypeAlias = Callable[[Tensor, Tensor], Tensor]

_made: dict[tuple[int, int, int, int], Library] = {}


def quickest(x: Tensor, weight: Tensor, products: dict[Library, Product]) -> Library:
    """Return the library that is quicker at products of this shape on this machine.

    Parameters
    ----------
    x
        (p, k) float32 on a CPU; p counts as the next power of two.
    weight
        (n, k) the frozen weight.
    products
        What each library multiplies with: x and weight to x Wᵀ.

    Raises
    ------
    InputError
        If the environment variable `FORCED` names no library.
    """
    positions = min(MOST, 1 << (len(x) - 1).bit_length())
    shape = (torch.get_num_threads(), positions, weight.shape[1], weight.shape[0])
    if isinstance(weight, FakeTensor):  # has sizes alone, for which both are the same
        return "mkl"
    if forced := os.environ.get(FORCED):
        if forced not in LIBRARIES:
            raise InputError(f"{FORCED} is {forced!r}: set it to {' or '.join(LIBRARIES)}, or unset it to measure")
        _made[shape] = forced
    elif shape not in _made:
        path = _folder() / "float32-{}-threads-{}x{}x{}".format(*shape)
        _made[shape] = _kept(path) or _keep(path, _measure(positions, weight, products))
    return _made[shape]


@torch.no_grad()
def _measure(positions: int, weight: Tensor, products: dict[Library, Product]) -> Library:
    """Time the libraries in turns; the median of each counts: the least would be that of a weight in the cache."""
    width = weight.shape[1]
    rows = min(WORK // (positions * width), WEIGHTS // (width * weight.element_size()))
    with _disable_current_modes(), torch._C.DisableTorchFunction():  # whoever looks on
        some = weight.detach()[: max(1, rows)]
        x = torch.ones(positions, width)
        weights = cycle([some, *(some.clone() for _ in range(min(2 * CALLS[1], WEIGHTS // some.nbytes)))])
        times: dict[Library, list[float]] = {library: [_time(products[library], x, some)] for library in products}
        for called in range(1, CALLS[1]):
            for library, own in times.items():
                own.append(_time(products[library], x, next(weights)))
            if called >= CALLS[0] and sum(map(sum, times.values())) > SECONDS:
                break
    usual = {library: median(own[1:]) for library, own in times.items()}  # the first call prepares
    return "onednn" if usual["onednn"] < (1 - GAIN) * usual["mkl"] else "mkl"


def _time(product: Product, x: Tensor, weight: Tensor) -> float:
    begun = time.perf_counter()
    product(x, weight)
    return time.perf_counter() - begun


def _folder() -> Path:
    machine = hashlib.sha256(f"{processor()}, torch {torch.__version__}".encode()).hexdigest()[:16]
    return cache_dir() / "kernels" / machine


def _kept(path: Path) -> Library | None:
    try:
        said = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return said if said in LIBRARIES else None


def _keep(path: Path, library: Library) -> Library:
    """Keep a choice; of processes that measured at the same time the first is right."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(library)
    except OSError:  # one is there; or a cache that cannot be written to only costs the time of measuring again
        return _kept(path) or library
    return library


def made() -> dict[Library, str]:
    """Return what was chosen in this process with as many threads as now: by library, shapes as p x k x n."""
    shapes: dict[Library, list[tuple[int, ...]]] = {library: [] for library in LIBRARIES}
    for (threads, *shape), library in _made.items():
        if threads == torch.get_num_threads():
            shapes[library].append(tuple(shape))
    return {
        library: " ".join("x".join(map(str, shape)) for shape in sorted(own)) for library, own in shapes.items() if own
    }


def together(one: dict[str, str], other: dict[Library, str]) -> dict[str, str]:
    """Return what was chosen in one process or in another on the same machine."""
    shapes = {library: f"{one.get(library, '')} {other.get(library, '')}".split() for library in LIBRARIES}
    return {library: " ".join(dict.fromkeys(own)) for library, own in shapes.items() if own}


def same(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether no shape was multiplied by one library here and by the other there."""
    return all(
        set(one.get(first, "").split()).isdisjoint(other.get(second, "").split())
        for first, second in (LIBRARIES, LIBRARIES[::-1])
    )


@functools.cache
def processor() -> str:
    """Name the processor and the widest vectors that torch uses there: of one name some have wider ones than others."""
    try:  # platform.processor() is empty on most Linux systems
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    name = " ".join(found[1].split()) if found else platform.processor() or platform.machine()
    vectors = torch.backends.cpu.get_cpu_capability()
    return name if vectors in ("DEFAULT", "NO AVX") else f"{name}, {vectors}"
