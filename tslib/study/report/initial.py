"""Sentences on initial prompts, which need no run: Gaussian clouds, and what TSLoss alone makes of them."""

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.distance import pdist, squareform
from scipy.special import logsumexp

from tslib import stats
from tslib.losses.descent import descend
from tslib.losses.tsloss import TSLoss
from tslib.study.evidence import Evidence
from tslib.topology.diagrams import persistence_diagrams

__all__ = ["initial", "read_alone", "read_deaths"]


def initial(seed: int) -> Float[ndarray, "20 576"]:
    """Return a Gaussian cloud as long and as wide as the initial prompts of the evidence."""
    return 0.02 * np.random.default_rng(seed).normal(size=(20, 576))


def read_deaths(evidence: Evidence) -> str:
    """Say how far $H_0$ deaths are from nearest-neighbour distances, on initial prompts that are drawn here."""
    clouds = [initial(seed) for seed in range(10)]
    ratios, soft, nearest = [], [], []
    for points in clouds:
        deaths = persistence_diagrams(points)[0][:, 1]
        distances = squareform(pdist(points)) + np.diag(np.full(len(points), np.inf))
        ratios.append(deaths[np.isfinite(deaths)].mean() / distances.min(axis=1).mean())
        nearest.append(distances.min(axis=1).mean())
        soft.append((-logsumexp(-distances, axis=1)).mean())
    return (
        f"On {len(clouds)} initial prompts the mean $H_0$ death is {stats.mean(np.array(ratios))} times the mean "
        f"distance to the nearest neighbour. The soft nearest distance $s_i$ at τ = 1 is {np.mean(soft):.2f} on "
        f"average, where the nearest neighbour is {np.mean(nearest):.2f} away: with {len(clouds[0]) - 1} others in its "
        "sum it is no distance (it may be negative), and only its variance enters the loss."
    )


def read_alone(evidence: Evidence) -> str:
    """Say to what shape minimising TSLoss alone drives initial prompts that are drawn here."""
    ratios, spreads, loops = [], [], []
    for seed in range(5):
        points = initial(seed)
        path = descend(torch.from_numpy(points).float(), TSLoss(), 300)
        after = path[-1].numpy()
        before, now = pdist(points), pdist(after)
        ratios.append(now.mean() / before.mean())
        spreads.append(now.std() / before.std())
        counts = [len(persistence_diagrams(cloud)[1]) for cloud in (points, after)]
        loops.append(counts[1] - counts[0])
    mean, spread, more = (stats.mean(np.array(values, dtype=float)) for values in (ratios, spreads, loops))
    return (
        f"After 300 steps of Adam on TSLoss alone, from five initial prompts, the mean distance is {mean} and the "
        f"standard deviation of the distances {spread} of what it was, and the number of $H_1$ features has changed by "
        f"{more}. A collapse into one point would be a mean distance of 0."
    )
