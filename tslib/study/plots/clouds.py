"""Figures of point clouds: their Rips complexes, bars and diagrams, and how a loss moves them.

Most functions draw on given axes, or on new ones, and return them; a function of several panels returns the figure.
H0 and H1 have the same colour everywhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from tslib.study.plots import alternative
from tslib.topology.diagrams import TopologySummary, distance_matrix, persistence_diagrams

PALETTE: list[str] = sns.color_palette("colorblind").as_hex()
H0_COLOUR, H1_COLOUR = PALETTE[0], PALETTE[1]  # blue, orange
COLOURS = (H0_COLOUR, H1_COLOUR, *PALETTE[2:])
LOW_COLOUR, HIGH_COLOUR = PALETTE[2], PALETTE[3]  # green, vermilion: small and large distances
POINT_COLOUR = "0.15"
WIDTH = 7.0
"""Width of the book's text, in inches."""
ROUNDING = 1e-6  # the relative precision of Ripser, which computes in float32


def style() -> None:
    """Set the look of every figure, and have it described in words: once, at the head of a notebook."""
    alternative.in_notebooks()
    sns.set_theme(context="notebook", style="ticks", palette="colorblind", font_scale=0.85)
    plt.rcParams.update(
        {
            "figure.dpi": 110,
            "figure.figsize": (WIDTH, 3.2),
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
        }
    )


def legend_below(figure: Figure, columns: int = 3) -> None:
    """Put the legend of a figure's first panel below all of them, where it covers nothing."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=9)


def _axes(ax: Axes | None) -> Axes:
    return plt.subplots()[1] if ax is None else ax


def _plane(ax: Axes, points: Float[ndarray, "n 2"], margin: float = 0.0) -> None:
    """Equal units on both axes, and room for the points and a margin around them."""
    span = np.ptp(points, axis=0).max() or 1.0
    low, high = points.min(axis=0) - margin - 0.06 * span, points.max(axis=0) + margin + 0.06 * span
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="coordinate 1", ylabel="coordinate 2")
    ax.set_aspect("equal")


def _dots(ax: Axes, points: Float[ndarray, "n 2"]) -> None:
    ax.scatter(points[:, 0], points[:, 1], s=14, color=POINT_COLOUR, zorder=4)


def betti_numbers(diagrams: Sequence[Float[ndarray, "_ 2"]], scale: float) -> list[int]:
    """Count the bars of each dimension that are alive at a scale: birth <= scale < death."""
    limit = scale * (1 + ROUNDING)
    return [int(((bars[:, 0] <= limit) & (bars[:, 1] > limit)).sum()) for bars in diagrams]


def rips_complex(points: Float[ndarray, "n 2"], scale: float, ax: Axes | None = None) -> Axes:
    """Draw the Vietoris-Rips complex at one scale ε: its balls, edges and triangles.

    Parameters
    ----------
    points
        A cloud in the plane.
    scale
        ε of Eq. 9: two points are joined where their distance is at most ε, that is, where the balls of radius ε/2
        around them meet. Three points that are joined pairwise span a triangle.
    ax
        Where to draw.
    """
    ax = _axes(ax)
    near = distance_matrix(points) <= scale * (1 + ROUNDING)
    edges = [(i, j) for i, j in combinations(range(len(points)), 2) if near[i, j]]
    triangles = [t for t in combinations(range(len(points)), 3) if near[np.ix_(t, t)].all()]
    balls = PatchCollection([Circle((x, y), scale / 2) for x, y in points], facecolor="0.93", edgecolor="0.8", zorder=0)
    # One flat colour: with transparency, piles of triangles would look denser than single ones.
    filled = PolyCollection([points[list(t)] for t in triangles], facecolor="#bcd7ea", edgecolor="none", zorder=1)
    ax.add_collection(balls)
    ax.add_collection(filled)
    ax.add_collection(LineCollection([points[list(e)] for e in edges], colors="0.3", linewidths=0.7, zorder=2))
    _dots(ax, points)
    _plane(ax, points)
    return ax


def rips_complexes(points: Float[ndarray, "n 2"], scales: Sequence[float], columns: int = 3) -> Figure:
    """Draw the complex at several scales, one panel each, titled with the scale and the two Betti numbers."""
    diagrams = persistence_diagrams(points)
    rows = -(-len(scales) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 0.4 + WIDTH / columns * rows), sharex=True, sharey=True, squeeze=False
    )
    for scale, ax in zip(scales, axes.flat, strict=False):
        components, loops = betti_numbers(diagrams, scale)
        rips_complex(points, scale, ax)
        _plane(ax, points, margin=max(scales) / 4)
        ax.set_title(
            f"ε = {scale:.2f}\n{_plural(components, 'component')}, {_plural(loops, 'loop')}", fontsize="medium"
        )
    for ax in axes.flat[len(scales) :]:
        ax.set_axis_off()
    for ax in axes.flat:
        ax.label_outer()
    return figure


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _finite_max(diagrams: Iterable[Float[ndarray, "_ 2"]], scales: Sequence[float]) -> float:
    values = np.concatenate([np.ravel(bars) for bars in diagrams] + [np.asarray(scales, dtype=float), np.zeros(1)])
    return float(values[np.isfinite(values)].max()) or 1.0


def barcode(
    diagrams: Sequence[Float[ndarray, "_ 2"]],
    ax: Axes | None = None,
    *,
    scales: Sequence[float] = (),
    unit: str = "embedding units",
) -> Axes:
    """Draw one horizontal bar a feature, from birth to death, H0 at the bottom and shorter bars first.

    A bar that never dies runs to the right edge and ends in an arrow head. Dashed lines mark the given scales.
    """
    ax = _axes(ax)
    end = 1.08 * _finite_max(diagrams, scales)
    bottom, ticks, labels = 0, [], []
    for dimension, bars in enumerate(diagrams):
        births, deaths = bars[np.lexsort((bars[:, 0], bars[:, 1] - bars[:, 0]))].T
        rows = bottom + np.arange(len(bars))
        lengths = np.where(np.isfinite(deaths), deaths, end) - births
        colour = COLOURS[dimension]
        ax.barh(rows, lengths, left=births, height=0.7, color=colour, edgecolor=colour, linewidth=0.8)
        forever = rows[~np.isfinite(deaths)]
        (heads,) = ax.plot(np.full(len(forever), end), forever, ">", color=colour, markersize=6, clip_on=False)
        heads.set_in_layout(False)
        taken = max(len(bars), 1)
        ticks.append(bottom + (taken - 1) / 2)
        labels.append(f"H{dimension}: {len(bars)}")
        bottom += taken + 1
    for scale in scales:
        ax.axvline(scale, color="0.35", linestyle="--", linewidth=0.8, zorder=3)
    ax.set(xlim=(0, end), ylim=(-1, bottom - 1), xlabel=f"distance threshold ε ({unit})", ylabel="number of bars")
    ax.set_yticks(ticks, labels)
    ax.tick_params(axis="y", length=0)
    for label, colour in zip(ax.get_yticklabels(), COLOURS, strict=False):
        label.set_color(colour)
    return ax


def diagram(
    diagrams: Sequence[Float[ndarray, "_ 2"]],
    ax: Axes | None = None,
    *,
    scales: Sequence[float] = (),
    unit: str = "embedding units",
) -> Axes:
    """Draw one point (birth, death) a feature; a feature that never dies lies on the line marked ∞.

    Dotted corners mark the given scales: the features alive at ε lie to the left of and above the corner (ε, ε).
    """
    ax = _axes(ax)
    end = 1.08 * _finite_max(diagrams, scales)
    low, forever = -0.04 * end, 1.08 * end
    ax.plot([low, end], [low, end], color="0.5", linewidth=0.8)
    if any(np.isinf(bars).any() for bars in diagrams):
        ax.axhline(forever, color="0.5", linewidth=0.8, linestyle=":")
        ax.annotate("∞", (1, forever), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    for scale in scales:
        ax.plot([low, scale, scale], [scale, scale, forever], color="0.35", linestyle=":", linewidth=0.8)
    for dimension, (bars, marker) in enumerate(zip(diagrams, "o^sD", strict=False)):
        deaths = np.where(np.isfinite(bars[:, 1]), bars[:, 1], forever)
        ax.plot(bars[:, 0], deaths, marker, color=COLOURS[dimension], label=f"H{dimension}", markersize=5, alpha=0.8)
    ax.set(xlim=(low, end), ylim=(low, 1.16 * end), xlabel=f"birth ({unit})", ylabel=f"death ({unit})")
    ax.set_aspect("equal")
    ax.legend(loc="lower right")
    return ax


def spanning_tree(points: Float[ndarray, "n 2"], ax: Axes | None = None) -> Axes:
    """Draw the minimum spanning tree (its edges are the H0 deaths) and an arrow from each point to its nearest one."""
    from scipy.sparse.csgraph import minimum_spanning_tree

    ax = _axes(ax)
    distances = distance_matrix(points)
    rows, columns = minimum_spanning_tree(distances).nonzero()
    edges = points[np.column_stack([rows, columns])]  # (n - 1, 2, 2)
    ax.add_collection(LineCollection(list(edges), colors=H0_COLOUR, linewidths=4, alpha=0.5, label="spanning tree"))
    nearest = points[np.argmin(distances + np.diag(np.full(len(points), np.inf)), axis=1)]
    steps = nearest - points
    ax.quiver(
        *points.T,
        *steps.T,
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.004,
        color="black",
        label="to the nearest point",
        zorder=3,
    )
    _dots(ax, points)
    _plane(ax, points)
    ax.legend()
    return ax


def distance_histograms(clouds: Mapping[str, Float[ndarray, "n _"]], ax: Axes | None = None) -> Axes:
    """Draw the share of point pairs by distance, in units of each cloud's mean distance, one outline a cloud."""
    ax = _axes(ax)
    relative = {name: _pairs(points) / _pairs(points).mean() for name, points in clouds.items()}
    bins = np.linspace(0, max(values.max() for values in relative.values()), 41).tolist()
    for (name, values), colour in zip(relative.items(), PALETTE[2:], strict=False):
        weights = np.full(len(values), 100 / len(values))
        ax.hist(values, bins, weights=weights, histtype="step", linewidth=1.8, color=colour, label=name)
    ax.set(xlabel="distance of a pair (units of the mean distance)", ylabel="share of pairs (%)")
    ax.legend()
    return ax


def _pairs(points: Float[ndarray, "n d"]) -> Float[ndarray, "m"]:
    return distance_matrix(points)[np.triu_indices(len(points), k=1)]


def gradient_arrows(points: Float[ndarray, "n 2"], gradients: Float[ndarray, "n 2"], ax: Axes | None = None) -> Axes:
    """Draw an arrow on each point along minus its gradient: the way a step of descent moves it.

    The longest arrow has 30 % of the cloud's extent, whatever the gradient's size.
    """
    ax = _axes(ax)
    span = np.ptp(points, axis=0).max() or 1.0
    longest = np.linalg.norm(gradients, axis=1).max()
    steps = -gradients * (0.3 * span / longest) if longest > 0 else np.zeros_like(gradients)
    _dots(ax, points)
    ax.quiver(*points.T, *steps.T, angles="xy", scale_units="xy", scale=1, width=0.015, color=PALETTE[3], zorder=3)
    _plane(ax, np.vstack([points, points + steps]), margin=0.05 * span)
    return ax


def trajectories(path: Float[ndarray, "t n 2"], ax: Axes | None = None) -> Axes:
    """Draw the way of each point of a cloud in the plane: a ring where it starts, a dot where it ends."""
    ax = _axes(ax)
    ax.add_collection(LineCollection(list(path.swapaxes(0, 1)), colors="0.6", linewidths=0.9, zorder=1))
    ax.scatter(path[0, :, 0], path[0, :, 1], s=18, facecolors="white", edgecolors="0.3", zorder=2, label="start")
    ax.scatter(path[-1, :, 0], path[-1, :, 1], s=18, color=PALETTE[3], zorder=3, label="end")
    _plane(ax, path.reshape(-1, 2))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=2)
    return ax


def distance_range(steps: Int[ndarray, "t"], distances: Float[ndarray, "t m"], ax: Axes | None = None) -> Axes:
    """Draw the mean pairwise distance over the steps, in a band from the smallest to the largest."""
    ax = _axes(ax)
    ax.fill_between(
        steps,
        distances.min(axis=1),
        distances.max(axis=1),
        color=PALETTE[2],
        alpha=0.3,
        linewidth=0,
        label="min to max",
    )
    ax.plot(steps, distances.mean(axis=1), color=PALETTE[2], label="mean")
    ax.set(xlabel="step", ylabel="pairwise distance\n(embedding units)")
    ax.legend()
    return ax


def feature_counts(steps: Int[ndarray, "t"], summaries: Sequence[TopologySummary], ax: Axes | None = None) -> Axes:
    """Draw the number of H0 and H1 bars over the steps."""
    ax = _axes(ax)
    ax.plot(steps, [summary.h0_count for summary in summaries], color=H0_COLOUR, label="H0")
    ax.plot(steps, [summary.h1_count for summary in summaries], color=H1_COLOUR, label="H1")
    ax.set(xlabel="step", ylabel="number of bars", ylim=(-0.5, None))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return ax


def longest_loops(steps: Int[ndarray, "t"], summaries: Sequence[TopologySummary], ax: Axes | None = None) -> Axes:
    """Draw the lifespan of the longest H1 bar over the steps."""
    ax = _axes(ax)
    ax.plot(steps, [summary.h1_max_lifespan for summary in summaries], color=H1_COLOUR)
    ax.set(xlabel="step", ylabel="longest H1 lifespan\n(embedding units)", ylim=(0, None))
    return ax


def singular_values(spectra: Mapping[str, Float[ndarray, "_"]], ax: Axes | None = None) -> Axes:
    """Draw singular values of centred clouds in falling order, one line a cloud."""
    ax = _axes(ax)
    for (name, values), colour, marker in zip(spectra.items(), PALETTE[2:], "o^sD", strict=False):
        ax.plot(np.arange(1, len(values) + 1), values, marker=marker, markersize=4, color=colour, label=name)
    ax.set(xlabel="rank", ylabel="singular value\n(embedding units)", ylim=(0, None))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return ax


def thresholds(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw δ and ζ beside the true extremes of the pairwise distances, by dimension.

    Parameters
    ----------
    table
        One row a cloud, columns ``dimension``, ``min``, ``max``, ``delta``, ``zeta``, ``delta_printed`` and
        ``zeta_printed``, in units of the cloud's mean distance; rows of one dimension are averaged.
    ax
        Where to draw.
    """
    ax = _axes(ax)
    mean = table.groupby("dimension").mean(numeric_only=True)
    ax.fill_between(mean.index, mean["min"], mean["max"], color="0.88", label="min to max of D")
    for name, symbol, colour in (("delta", "δ", LOW_COLOUR), ("zeta", "ζ", HIGH_COLOUR)):
        ax.plot(mean.index, mean[name], color=colour, marker="o", markersize=3, label=f"{symbol}, off-diagonal")
        ax.plot(mean.index, mean[f"{name}_printed"], color=colour, linestyle="--", label=f"{symbol}, as printed")
    ax.set(xlabel="dimension d", ylabel="distance\n(units of the mean distance)")
    ax.set_xscale("log", base=2)
    ax.legend()
    return ax


def active_hinges(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the share of true pairs (i ≠ j) whose hinge is active, by dimension.

    Parameters
    ----------
    table
        One row a cloud, columns ``dimension``, ``repel``, ``attract``, ``repel_printed`` and ``attract_printed``,
        shares from 0 to 1; rows of one dimension are averaged.
    ax
        Where to draw.
    """
    ax = _axes(ax)
    mean = 100 * table.groupby("dimension").mean(numeric_only=True)
    for name, colour in (("repel", LOW_COLOUR), ("attract", HIGH_COLOUR)):
        ax.plot(mean.index, mean[name], color=colour, marker="o", markersize=3, label=f"{name}, off-diagonal")
        ax.plot(mean.index, mean[f"{name}_printed"], color=colour, linestyle="--", label=f"{name}, as printed")
    ax.set(xlabel="dimension d", ylabel="pairs with an active hinge (%)", ylim=(-2, None))
    ax.set_xscale("log", base=2)
    ax.legend()
    return ax
