"""A precision that a device only imitates, and how much longer that takes."""

import time

import torch
from torch.nn import functional

from tslib.models.loading import computes, resolve_device

__all__ = ["advice", "slowdown"]


def advice(dtype: str, device: str = "auto", of: str = "a step") -> str:
    """Say in one line that a precision is imitated here, and about how much longer products take; else nothing.

    Parameters
    ----------
    dtype, device
        As in a config.
    of
        Whose products.
    """
    if computes(dtype, device):
        return ""
    longer = slowdown(dtype, resolve_device("auto" if device == "spread" else device))
    takes = f"about {longer:.0f} times as long as" if longer >= 1.5 else "no less time than"
    return f"this device has no {dtype} of its own: the products of {of} take {takes} in float32"


@torch.no_grad()
def slowdown(dtype: str, device: str = "cpu", calls: int = 3) -> float:
    """How many times as long a product of a layer's size takes as in float32, measured.

    Parameters
    ----------
    dtype
        Name of a precision.
    device
        Where.
    calls
        Of each, in turns; the least time of each counts.
    """
    kinds = [getattr(torch, name) for name in (dtype, "float32")]
    given = [[torch.ones(rows, 576, dtype=kind, device=device) for rows in (128, 576)] for kind in kinds]
    times: list[list[float]] = [[], []]
    for _ in range(calls + 1):
        for pair, own in zip(given, times, strict=True):
            begun = time.perf_counter()
            float(functional.linear(*pair)[0, 0])  # which waits for it
            own.append(time.perf_counter() - begun)
    other, exact = (min(own[1:]) for own in times)  # the first call prepares
    return other / exact
