"""What is measured of the clouds of a run at a checkpoint: exact persistent homology, and how far it has moved."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tslib.topology import diagrams as topology
from tslib.topology.diagrams import Metric

__all__ = ["compared", "diagrams_of", "mean_of", "summary"]


def mean_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean over layers, name by name; the row itself where there is one."""
    return rows[0] if len(rows) == 1 else {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def diagrams_of(prompt: Float[Tensor, "*layers n d"], metric: Metric) -> tuple[Any, list[Any]]:
    """Clouds of a prompt, one a layer, and their persistence diagrams."""
    clouds = prompt.reshape(-1, *prompt.shape[-2:]).numpy()
    return clouds, [topology.persistence_diagrams(points, metric=metric) for points in clouds]


def summary(points: Any, diagrams: list[Any], metric: Metric) -> dict[str, Any]:
    """Sum up one cloud."""
    row: dict[str, Any] = topology.summarize(diagrams, points, metric=metric)._asdict()
    return row


def compared(points: Any, diagrams: list[Any], before: list[Any] | None, metric: Metric) -> dict[str, Any]:
    """Sum up one cloud, and how far its diagrams are from those of the checkpoint before."""
    row = summary(points, diagrams, metric)
    row["mean_norm"] = float(torch.from_numpy(points).norm(dim=-1).mean())
    for dimension, diagram in enumerate(diagrams):
        for kind in ("bottleneck", "wasserstein"):
            row[f"h{dimension}_{kind}"] = (
                math.nan if before is None else topology.diagram_distance(before[dimension], diagram, kind)
            )
    return row
