"""Figures of what virtual tokens mean: their way through a plane, and the distance to their nearest words."""

import matplotlib.pyplot as plt
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from tslib.study.plots.clouds import WIDTH, trajectories

__all__ = ["nearest_words", "paths"]


def paths(planes: dict[str, tuple[Float[ndarray, "steps n 2"], tuple[float, float] | None]]) -> Figure:
    """Way of each virtual token through a plane, one panel a plane.

    Parameters
    ----------
    planes
        {name: what `tslib.topology.meaning.plane` returns}.
    """
    figure, axes = plt.subplots(1, len(planes), figsize=(WIDTH, 3.6), squeeze=False)
    for ax, (name, (places, shares)) in zip(axes[0], planes.items(), strict=True):
        trajectories(places, ax)
        named = [f"{name}, {axis} axis" for axis in ("first", "second")]
        told = named if shares is None else [f"{n}: {s:.0%} of variance" for n, s in zip(named, shares, strict=True)]
        ax.set(xlabel=told[0], ylabel=told[1])
    return figure


def nearest_words(drift: pd.DataFrame) -> Figure:
    """Distance of the virtual tokens to their nearest words, and the share whose nearest word is another than before.

    Parameters
    ----------
    drift
        As `tslib.topology.meaning.drift` returns it.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.9), sharex=True)
    distance = drift.groupby("step")["distance"]
    low, middle, high = (distance.quantile(q) for q in (0.1, 0.5, 0.9))
    axes[0].fill_between(middle.index, low, high, alpha=0.25, label="10 % to 90 % of the tokens")
    axes[0].plot(middle.index, middle, marker="o", markersize=3, label="median")
    axes[0].set(xlabel="optimiser step", ylabel="distance to the nearest word", ylim=(0, None))
    axes[0].legend()
    changed = drift.groupby("step")["changed"].mean()
    axes[1].plot(changed.index[1:], changed.iloc[1:], marker="o", markersize=3)
    axes[1].set(xlabel="optimiser step", ylabel="share with another nearest word", ylim=(0, 1))
    return figure
