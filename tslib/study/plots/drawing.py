"""The persistence diagram that the command line draws into a file."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.backend_bases import FigureCanvasBase
from numpy import ndarray

from tslib.errors import InputError
from tslib.study.plots.clouds import diagram
from tslib.topology.diagrams import Metric, persistence_diagrams

__all__ = ["draw"]


def draw(clouds: Float[ndarray, "*layers n d"], path: Path, metric: Metric = "euclidean") -> None:
    """Write the persistence diagram to a file: of one cloud, or of all layers on top of each other.

    Parameters
    ----------
    clouds
        One cloud, or one a layer.
    path
        An image file; its ending says which kind.
    metric
        Distance of two virtual tokens.

    Raises
    ------
    InputError
        If the ending is that of no kind of image that can be drawn.
    """
    known = sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix[1:].lower() not in known:
        raise InputError(f"{path} does not end as an image does: give it one of the endings .{', .'.join(known)}")
    layers = clouds.reshape(-1, *clouds.shape[-2:])
    of_layers = [persistence_diagrams(points, metric=metric) for points in layers]
    together = [np.concatenate([diagrams[dimension] for diagrams in of_layers]) for dimension in (0, 1)]
    figure, ax = plt.subplots()
    diagram(together, ax=ax)
    figure.savefig(path)
    plt.close(figure)
