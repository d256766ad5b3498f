"""Clouds made by hand, without a model: how many loops even distances have, and where TSLoss alone takes a cloud."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.distance import pdist

from tslib.losses.descent import descend
from tslib.losses.tsloss import TSLoss
from tslib.topology.diagrams import lifespans, persistence_diagrams

__all__ = ["STARTS", "by_lengths", "by_noise", "descents", "initial", "noisy_simplex", "shape", "uneven"]

TOKENS, WIDTH = 20, 576
"""Size of the prompts of the evidence."""

STEPS = 300
"""Of Adam, where TSLoss is minimised alone."""

EVERY = 20
"""Steps between clouds that are looked at, as between checkpoints of a run."""


def initial(seed: int) -> Float[ndarray, "20 576"]:
    """Return a Gaussian cloud as long and as wide as the initial prompts of the evidence."""
    return 0.02 * np.random.default_rng(seed).normal(size=(TOKENS, WIDTH))


def uneven(seed: int, lengths: float = 0.25, scale: float = 0.15) -> Float[ndarray, "20 576"]:
    """Return a cloud about as wide and as uneven as a tuned prompt: random directions, lengths that differ.

    Parameters
    ----------
    seed
        Of the draw.
    lengths
        Standard deviation of the logarithms of the tokens' lengths.
    scale
        Standard deviation of a coordinate of a token of median length.
    """
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(TOKENS, WIDTH))
    found: Float[ndarray, "20 576"] = scale * directions * np.exp(lengths * generator.normal(size=(TOKENS, 1)))
    return found


def noisy_simplex(noise: float, seed: int) -> Float[ndarray, "20 576"]:
    """Return a regular simplex of side 1 whose corners are moved at random, by about ``noise`` each."""
    moved = noise / np.sqrt(WIDTH) * np.random.default_rng(seed).normal(size=(TOKENS, WIDTH))
    found: Float[ndarray, "20 576"] = np.eye(TOKENS, WIDTH) / np.sqrt(2) + moved
    return found


STARTS = {"like an initial prompt": initial, "as wide and uneven as a tuned prompt": uneven}
"""Clouds that TSLoss alone begins at, by the seed of a draw."""


def shape(points: Float[ndarray, "n d"]) -> dict[str, float]:
    """Return what is told of a cloud.

    Returns
    -------
    dict
        ``spread`` of H0 deaths (standard deviation over mean), ``loops`` (number of H1 features), ``longest`` (lifespan
        of the longest of them over the mean distance; 0 where there is none), and of the distances of two points
        ``distance`` (mean) and ``distances`` (standard deviation over mean).
    """
    h0, h1 = persistence_diagrams(points)
    deaths, distances = lifespans(h0), pdist(points)
    return {
        "spread": float(deaths.std() / deaths.mean()),
        "loops": float(len(h1)),
        "longest": float(lifespans(h1).max(initial=0.0) / distances.mean()),
        "distance": float(distances.mean()),
        "distances": float(distances.std() / distances.mean()),
    }


def by_noise(noises: Iterable[float], seeds: Iterable[int]) -> pd.DataFrame:
    """Return the `shape` of noisy simplices, one row a draw, with ``noise`` and ``seed``."""
    return _drawn("noise", {noise: [noisy_simplex(noise, seed) for seed in seeds] for noise in noises})


def by_lengths(values: Iterable[float], seeds: Iterable[int]) -> pd.DataFrame:
    """Return the `shape` of clouds whose tokens differ in length, one row a draw, with ``lengths`` and ``seed``."""
    return _drawn("lengths", {value: [uneven(seed, value) for seed in seeds] for value in values})


def _drawn(name: str, clouds: Mapping[float, list[ndarray]]) -> pd.DataFrame:
    rows = [
        {name: value, "seed": seed} | shape(points)
        for value, of_value in clouds.items()
        for seed, points in enumerate(of_value)
    ]
    return pd.DataFrame(rows)


def descents(seeds: Iterable[int], steps: int = STEPS) -> pd.DataFrame:
    """Minimise TSLoss alone (`tslib.losses.descent.descend`) from each of `STARTS`.

    Returns
    -------
    DataFrame
        One row every `EVERY` steps: ``start``, ``seed``, ``step``, ``loss``, and the `shape` of the cloud.
    """
    loss, rows = TSLoss(), []
    for start, begin in STARTS.items():
        for seed in seeds:
            path = descend(torch.from_numpy(begin(seed)).float(), loss, steps)
            for step in range(0, steps + 1, EVERY):
                here = {"start": start, "seed": seed, "step": step, "loss": float(loss(path[step]))}
                rows.append(here | shape(path[step].numpy()))
    return pd.DataFrame(rows)
