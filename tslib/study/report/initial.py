"""Sentences on initial prompts, Gaussian clouds that need no run."""

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.special import logsumexp

from tslib import stats
from tslib.study import shapes
from tslib.study.evidence import Evidence
from tslib.topology.diagrams import persistence_diagrams

__all__ = ["read_deaths"]


def read_deaths(evidence: Evidence) -> str:
    """Say how far $H_0$ deaths are from nearest-neighbour distances, on initial prompts that are drawn here."""
    clouds = [shapes.initial(seed) for seed in range(10)]
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
