"""Exact persistent homology of a point cloud, and the numbers that the paper follows through training."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from tslib.errors import InputError

Metric = Literal["euclidean", "cosine"]


class TopologySummary(NamedTuple):
    """One row of the topology table; lifespans and distances in units of the metric, entropies in nats.

    A bar that never dies (one, in H0) counts, but has no lifespan. Where there are no finite bars, lifespans and
    entropies are 0.

    Attributes
    ----------
    h0_count, h1_count
        Number of bars.
    h0_mean_lifespan, h0_max_lifespan, h1_mean_lifespan, h1_max_lifespan
        Mean and largest lifespan of the finite bars.
    persistence_entropy, h0_entropy, h1_entropy
        Of the finite bars of both dimensions together (Eq. 12), and of each.
    mean_distance, max_distance
        Of two points; None where the points were not given, as are those below.
    density, h1_density
        Number of points, and of H1 bars, over the mean distance.
    """

    h0_count: int
    h1_count: int
    h0_mean_lifespan: float
    h0_max_lifespan: float
    h1_mean_lifespan: float
    h1_max_lifespan: float
    persistence_entropy: float
    h0_entropy: float
    h1_entropy: float
    mean_distance: float | None = None
    max_distance: float | None = None
    density: float | None = None
    h1_density: float | None = None


def distance_matrix(points: Float[ndarray, "n d"], metric: Metric = "euclidean") -> Float[ndarray, "n n"]:
    """Pairwise distances in float64.

    Raises
    ------
    InputError
        If the points are not an (n, d) array, hold NaN or infinity (the message names the rows), or one of them is
        zero where the metric is cosine.
    """
    from scipy.spatial.distance import pdist, squareform  # scipy takes longer to import than all of tslib

    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or 0 in points.shape:
        raise InputError(f"a point cloud has shape (n, d) with n, d >= 1; given {points.shape}")
    if not (finite := np.isfinite(points).all(axis=1)).all():
        raise InputError(f"the point cloud holds NaN or infinity in row(s) {np.flatnonzero(~finite).tolist()}")
    if metric not in ("euclidean", "cosine"):
        raise InputError(f"unknown metric {metric!r}; known: euclidean, cosine")
    if metric == "cosine" and not (nonzero := points.any(axis=1)).all():
        raise InputError(
            f"row(s) {np.flatnonzero(~nonzero).tolist()} are zero vectors, which have no direction: "
            "the cosine distance needs non-zero rows; use metric='euclidean' or drop them"
        )
    distances: ndarray = squareform(pdist(points, metric))
    return distances


def persistence_diagrams(
    points: Float[ndarray, "n d"], *, maxdim: int = 1, metric: Metric = "euclidean"
) -> list[Float[ndarray, "k 2"]]:
    """Persistence diagrams of the Vietoris-Rips filtration (Eq. 9), exact, by Ripser.

    Parameters
    ----------
    points
        The cloud, shape (n, d): the rows of a soft prompt.
    maxdim
        Highest dimension of homology.
    metric
        ``euclidean`` or ``cosine``.

    Returns
    -------
    list of arrays
        For each dimension k = 0 ... maxdim the bars as rows (birth, death), shape (count, 2). A bar that never dies
        has death ``inf``. Bars of length zero are not in a diagram, so H0 has as many bars as there are distinct
        points. Ripser computes in float32: values are good to 7 digits.

    References
    ----------
    Bauer, "Ripser: efficient computation of Vietoris-Rips persistence barcodes", 2021. doi:10.1007/s41468-021-00071-5

    Examples
    --------
    >>> persistence_diagrams(np.array([[0.0], [1.0], [3.0]]))[0].tolist()
    [[0.0, 1.0], [0.0, 2.0], [0.0, inf]]
    """
    from ripser import ripser  # slow to import

    if maxdim < 0:
        raise InputError(f"maxdim must be 0 or more; given {maxdim}")
    # A distance matrix, not the points: ripser warns whenever there are fewer points than dimensions.
    diagrams = ripser(distance_matrix(points, metric), distance_matrix=True, maxdim=maxdim)["dgms"]
    return [np.asarray(diagram, dtype=np.float64).reshape(-1, 2) for diagram in diagrams]


def lifespans(diagram: Float[ndarray, "k 2"]) -> Float[ndarray, "m"]:
    """Lifespans l = death - birth of the finite bars."""
    births, deaths = np.asarray(diagram, dtype=np.float64).reshape(-1, 2).T
    return deaths[np.isfinite(deaths)] - births[np.isfinite(deaths)]


def persistence_entropy(lengths: Float[ndarray, "m"]) -> float:
    """Entropy -Σ (l/L) ln(l/L) of lifespans l with sum L (Eq. 12), in nats; 0 where there is nothing to share out."""
    from scipy.stats import entropy

    return float(entropy(lengths)) if lengths.sum() > 0 else 0.0


def summarize(
    diagrams: list[Float[ndarray, "_ 2"]],
    points: Float[ndarray, "n d"] | None = None,
    *,
    metric: Metric = "euclidean",
) -> TopologySummary:
    """Sum up the diagrams of H0 and H1 (further dimensions are left aside).

    Parameters
    ----------
    diagrams
        As ``persistence_diagrams`` returns them.
    points
        The cloud itself. Given, the summary has the mean and largest pairwise distance, the density (n over the mean
        distance) and the H1 density (H1 count over the mean distance) of the paper's Figure 3.
    metric
        The metric of those distances.
    """
    h0 = lifespans(diagrams[0])
    h1 = lifespans(diagrams[1]) if len(diagrams) > 1 else np.empty(0)
    h1_count = len(diagrams[1]) if len(diagrams) > 1 else 0
    summary = TopologySummary(
        h0_count=len(diagrams[0]),
        h1_count=h1_count,
        h0_mean_lifespan=float(h0.mean()) if h0.size else 0.0,
        h0_max_lifespan=float(h0.max(initial=0.0)),
        h1_mean_lifespan=float(h1.mean()) if h1.size else 0.0,
        h1_max_lifespan=float(h1.max(initial=0.0)),
        persistence_entropy=persistence_entropy(np.concatenate([h0, h1])),
        h0_entropy=persistence_entropy(h0),
        h1_entropy=persistence_entropy(h1),
    )
    if points is None:
        return summary
    distances = distance_matrix(points, metric)
    pairs = distances[np.triu_indices_from(distances, k=1)]
    mean = float(pairs.mean()) if pairs.size else 0.0
    return summary._replace(
        mean_distance=mean,
        max_distance=float(pairs.max(initial=0.0)),
        density=len(distances) / mean if mean > 0 else float("inf"),
        h1_density=h1_count / mean if mean > 0 else 0.0,
    )


def diagram_distance(
    before: Float[ndarray, "k 2"],
    after: Float[ndarray, "m 2"],
    kind: Literal["bottleneck", "wasserstein"] = "wasserstein",
) -> float:
    """Distance between two persistence diagrams of one dimension, over their finite bars (by persim).

    The paper calls prompts "stable" without a definition; ours is a small distance between the diagrams of
    successive checkpoints.
    """
    import persim

    if kind not in ("bottleneck", "wasserstein"):
        raise InputError(f"unknown distance {kind!r}; known: bottleneck, wasserstein")
    finite = [d[np.isfinite(d).all(axis=1)] for d in (before, after)]
    if not (len(finite[0]) or len(finite[1])):
        return 0.0
    empty = np.zeros((1, 2))  # persim warns of an empty diagram; a point on the diagonal is the same diagram
    return float(getattr(persim, kind)(*(d if len(d) else empty for d in finite)))
