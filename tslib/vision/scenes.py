"""Generated aerial-like scenes, not satellite images: what lies where on a square of ground, at a known scale.

A scene is a list of convex polygons, in metres, the later ones on top: parcels of grass, field, forest and water, roads
from edge to edge, and buildings of two uses. Whatever is asked about it is counted on the ground as one sees it, pixel
by pixel. `tslib.vision.drawing` makes a picture of it.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, TypeVar

import numpy as np
from jaxtyping import Bool, UInt8

__all__ = ["CLASSES", "METRES", "PIXELS", "QUARTERS", "Scene", "Shape", "make_scene"]

PIXELS = 224
"""Pixels of a side."""
METRES = 0.35
"""Metres of a pixel: a side has 78, as in a picture of the high-resolution RSVQA."""
SIDE = PIXELS * METRES

CLASSES = ("grass", "field", "forest", "water", "road", "residential building", "commercial building")
"""What a pixel may show, by its number in `Scene.labels`."""
COVERS = CLASSES[1:4]
BUILDINGS = CLASSES[5:]

QUARTERS = {
    "upper left": (slice(0, PIXELS // 2), slice(0, PIXELS // 2)),
    "upper right": (slice(0, PIXELS // 2), slice(PIXELS // 2, PIXELS)),
    "lower left": (slice(PIXELS // 2, PIXELS), slice(0, PIXELS // 2)),
    "lower right": (slice(PIXELS // 2, PIXELS), slice(PIXELS // 2, PIXELS)),
}
"""Rows and columns of each quarter of a picture."""

Point: TypeAlias = tuple[float, float]
Draw: TypeAlias = Callable[[], float]
"""Gives a number from 0 to 1."""
Item = TypeVar("Item")


@dataclass(frozen=True)
class Shape:
    """A convex polygon of one class.

    Attributes
    ----------
    kind
        One of `CLASSES`.
    corners
        (x, y) in metres from the upper left corner of the scene, clockwise as one sees them.
    """

    kind: str
    corners: tuple[Point, ...]

    def pixels(self, margin: float = 0.0) -> tuple[tuple[slice, slice], Bool[np.ndarray, "h w"]]:
        """Rows and columns around the polygon, and which of their pixels have their middle in it.

        Parameters
        ----------
        margin
            Metres by which the polygon is taken to reach further.
        """
        xs, ys = zip(*self.corners, strict=True)
        columns, rows = (
            slice(max(0, int((min(v) - margin) / METRES)), min(PIXELS, math.ceil((max(v) + margin) / METRES)))
            for v in (xs, ys)
        )
        x = (np.arange(columns.start, columns.stop) + 0.5) * METRES
        y = (np.arange(rows.start, rows.stop) + 0.5) * METRES
        left, right = np.full(len(y), -np.inf), np.full(len(y), np.inf)  # of each row: an edge bounds it on one side
        for (ax, ay), (bx, by) in zip(self.corners, (*self.corners[1:], self.corners[0]), strict=True):
            # (bx - ax) (y - ay) - (by - ay) (x - ax), the edge's length times the distance from it, is at least this
            reach = (bx - ax) * (y - ay) + margin * math.hypot(bx - ax, by - ay)
            if by == ay:
                right[reach < 0] = -np.inf
            elif by > ay:
                np.minimum(right, ax + reach / (by - ay), out=right)
            else:
                np.maximum(left, ax + reach / (by - ay), out=left)
        inside = (x >= left[:, None]) & (x <= right[:, None])
        return (rows, columns), inside


@dataclass(frozen=True)
class Scene:
    """A scene.

    Attributes
    ----------
    key
        What it was drawn from: the same key gives the same scene on every machine.
    shapes
        The polygons, the later ones on top.
    """

    key: str
    shapes: tuple[Shape, ...]

    @cached_property
    def labels(self) -> UInt8[np.ndarray, "p p"]:
        """What each pixel shows, as numbers of `CLASSES`."""
        labels = np.zeros((PIXELS, PIXELS), np.uint8)
        for shape in self.shapes:
            where, inside = shape.pixels()
            labels[where][inside] = CLASSES.index(shape.kind)
        return labels

    def count(self, kind: str) -> int:
        """How many polygons of a class there are."""
        return sum(shape.kind == kind for shape in self.shapes)

    def area(self, kind: str, quarter: str = "") -> float:
        """Square metres that one sees of a class, in all of the picture or in a quarter of it."""
        own = CLASSES.index(kind)
        return sum(counts[own] for name, counts in self._counts.items() if quarter in ("", name)) * METRES**2

    @cached_property
    def _counts(self) -> dict[str, list[int]]:
        """Pixels of each class, quarter by quarter."""
        return {
            name: np.bincount(self.labels[where].ravel(), minlength=len(CLASSES)).tolist()
            for name, where in QUARTERS.items()
        }


def make_scene(key: str) -> Scene:
    """Draw a scene at random from its key."""
    # Only random() promises the same numbers in every version of Python.
    draw = random.Random(key).random
    parcels = _parcels(draw)
    present = [kind for kind in COVERS if draw() < 0.5]
    kinds = [*present, *(_pick(draw, ["grass", "grass", *present]) for _ in parcels[len(present) :])]
    order = sorted(range(len(parcels)), key=lambda _: draw())
    shapes = [Shape(kind, parcels[place]) for kind, place in zip(kinds, order, strict=True)]
    upright = draw() < 0.5
    roads = _pick(draw, [0, 0, 0, 1, 1, 2])
    shapes += [_road(draw, upright=upright == (road == 0)) for road in range(roads)]
    scene = Scene(key, tuple(shapes))
    free = np.isin(scene.labels, (CLASSES.index("grass"), CLASSES.index("field")))
    wanted = {
        "commercial building": _pick(draw, [0, 0, 0, 0, 1, 1, 2, 2, 3]),
        "residential building": _pick(draw, [0, 0, 0, 0, 1, 2, 3, 4, 5]),
    }
    for kind, number in wanted.items():
        for _ in range(number):
            if building := _building(draw, kind, free):
                where, inside = building.pixels(margin=2.0)
                free[where] &= ~inside
                shapes.append(building)
    return Scene(key, tuple(shapes))


def _pick(draw: Draw, among: Sequence[Item]) -> Item:
    return among[int(draw() * len(among))]


def _between(draw: Draw, low: float, high: float) -> float:
    return low + (high - low) * draw()


def _parcels(draw: Draw) -> list[tuple[Point, ...]]:
    """Cut the square into four to six pieces: each time the largest, across its longer way, not quite straight."""
    pieces: list[tuple[Point, ...]] = [((0.0, 0.0), (SIDE, 0.0), (SIDE, SIDE), (0.0, SIDE))]
    for _ in range(_pick(draw, [3, 4, 5])):
        piece = max(pieces, key=_area)
        pieces.remove(piece)
        xs, ys = zip(*piece, strict=True)
        wide, high = max(xs) - min(xs), max(ys) - min(ys)
        share, lean = _between(draw, 0.35, 0.65), _between(draw, -0.25, 0.25)
        middle = (min(xs) + share * wide, min(ys) + share * high)
        normal = (1.0, lean) if wide > high else (lean, 1.0)
        pieces += [_cut(piece, middle, normal), _cut(piece, middle, (-normal[0], -normal[1]))]
    return pieces


def _area(piece: Sequence[Point]) -> float:
    around = zip(piece, (*piece[1:], piece[0]), strict=True)
    return abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in around)) / 2


def _cut(piece: Sequence[Point], middle: Point, normal: Point) -> tuple[Point, ...]:
    """What of a convex polygon lies behind a line (Sutherland and Hodgman, 1974, doi:10.1145/360767.360802)."""

    def ahead(point: Point) -> float:
        return (point[0] - middle[0]) * normal[0] + (point[1] - middle[1]) * normal[1]

    left: list[Point] = []
    for one, other in zip(piece, (*piece[1:], piece[0]), strict=True):
        a, b = ahead(one), ahead(other)
        if a <= 0:
            left.append(one)
        if (a < 0 < b) or (b < 0 < a):
            t = a / (a - b)
            left.append((one[0] + t * (other[0] - one[0]), one[1] + t * (other[1] - one[1])))
    return tuple(left)


def _road(draw: Draw, *, upright: bool) -> Shape:
    """Lay a strip from edge to edge, five to seven metres wide."""
    half = _between(draw, 2.5, 3.5)
    start = _between(draw, 0.15, 0.85) * SIDE
    end = min(max(start + _between(draw, -0.2, 0.2) * SIDE, 0.1 * SIDE), 0.9 * SIDE)
    if upright:
        corners = ((start - half, 0.0), (start + half, 0.0), (end + half, SIDE), (end - half, SIDE))
    else:
        corners = ((0.0, start - half), (SIDE, end - half), (SIDE, end + half), (0.0, start + half))
    return Shape("road", corners)


def _building(draw: Draw, kind: str, free: Bool[np.ndarray, "p p"]) -> Shape | None:
    """Find a place on free ground for a building: a house of 8 to 12 metres, or a hall of 17 to 28; None: no luck."""
    places = np.flatnonzero(free)
    for _ in range(20 if len(places) else 0):
        low, high = (8.0, 12.0) if kind == "residential building" else (17.0, 28.0)
        long, wide = _between(draw, low, high) / 2, _between(draw, low, 0.8 * low + 0.2 * high) / 2
        turned = _between(draw, -0.3, 0.3) + (math.pi / 2 if draw() < 0.5 else 0.0)
        row, column = divmod(int(places[int(draw() * len(places))]), PIXELS)
        x, y = column * METRES, row * METRES
        cos, sin = math.cos(turned), math.sin(turned)
        corners = tuple(
            (x + a * long * cos - b * wide * sin, y + a * long * sin + b * wide * cos)
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        )
        if all(1 < value < SIDE - 1 for corner in corners for value in corner):
            shape = Shape(kind, corners)
            where, inside = shape.pixels(margin=1.0)
            if free[where][inside].all():
                return shape
    return None
