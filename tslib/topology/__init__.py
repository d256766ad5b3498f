"""What a cloud of points looks like: persistent homology, its summaries, clouds that move at random.

Imports nothing of tslib but ``errors``; `tslib.topology.meaning` (words near tokens) also needs pandas.
"""

from tslib.topology.diagrams import (
    Metric,
    TopologySummary,
    diagram_distance,
    distance_matrix,
    persistence_diagrams,
    persistence_entropy,
    summarize,
)

__all__ = [
    "Metric",
    "TopologySummary",
    "diagram_distance",
    "distance_matrix",
    "persistence_diagrams",
    "persistence_entropy",
    "summarize",
]
