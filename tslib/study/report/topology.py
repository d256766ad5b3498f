"""What the command line prints of the topology of a soft prompt."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from tslib.topology.diagrams import Metric, persistence_diagrams, summarize

__all__ = ["describe"]

MOST = 12
"""Bars of a dimension that are printed, the longest."""
OF_LAYERS = (
    "h0_mean_lifespan",
    "h0_max_lifespan",
    "h1_count",
    "h1_mean_lifespan",
    "persistence_entropy",
    "mean_distance",
)


def describe(clouds: Float[ndarray, "*clouds n d"], metric: Metric = "euclidean", names: Sequence[str] = ()) -> str:
    """Return the summary of a cloud and its longest bars; of several, one line each and the mean.

    Parameters
    ----------
    clouds
        One cloud, or several.
    metric
        Distance of two virtual tokens.
    names
        What each of several is of; by default one a layer.
    """
    n, width = clouds.shape[-2:]
    head = f"{n} virtual tokens in {width} dimensions, {metric} distance"
    if clouds.ndim == 2:
        diagrams = persistence_diagrams(clouds, metric=metric)
        summary = summarize(diagrams, clouds, metric=metric)._asdict()
        lines = [f"{name:20} {value:.6g}" for name, value in summary.items()]
        return "\n".join([head, *lines, *(_bars(dimension, bars) for dimension, bars in enumerate(diagrams))])
    rows = [
        summarize(persistence_diagrams(points, metric=metric), points, metric=metric)._asdict() for points in clouds
    ]
    one, index = ("cloud", list(names)) if names else ("layer", None)
    table = pd.DataFrame(rows, index=index)[list(OF_LAYERS)].rename_axis(one)
    text = table.to_string(float_format=lambda value: f"{value:.4g}")
    means = "\n".join(f"{name:20} {value:.6g}" for name, value in table.mean().items())
    return f"{head}, in each of {len(clouds)} {one}s\n{text}\nmean over the {one}s\n{means}"


def _bars(dimension: int, bars: Float[ndarray, "k 2"]) -> str:
    longest = bars[np.argsort(bars[:, 0] - bars[:, 1], kind="stable")][:MOST]
    said = ", ".join(f"[{birth:.4g}, {death:.4g})" for birth, death in longest)
    return f"H{dimension}: {said or 'no bars'}" + (f" and {len(bars) - MOST} shorter" if len(bars) > MOST else "")
