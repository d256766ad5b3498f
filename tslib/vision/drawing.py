"""Pictures of generated scenes: each class of ground has a texture, buildings have roofs and shadows."""

import math
import zlib

import numpy as np
from jaxtyping import Float, UInt8

from tslib.vision.scenes import METRES, PIXELS, Scene, Shape

__all__ = ["draw_scene"]

Pixels = Float[np.ndarray, "p p 3"]


def draw_scene(scene: Scene) -> UInt8[np.ndarray, "p p 3"]:
    """Draw a scene from above: red, green and blue, from 0 to 255. The same scene gives the same picture."""
    chance = np.random.Generator(np.random.PCG64(zlib.crc32(scene.key.encode())))
    fine, coarse = _noise(chance, 1), _noise(chance, 4)
    rows, columns = np.mgrid[:PIXELS, :PIXELS]
    picture = _colour((122, 146, 88)) + 10 * coarse + 6 * fine  # grass
    for shape in scene.shapes:
        where, inside = shape.pixels()
        if shape.kind == "field":
            angle, width = chance.uniform(0, math.pi), chance.uniform(4, 7)
            furrows = np.sin((rows * math.cos(angle) + columns * math.sin(angle)) * 2 * math.pi / width)[..., None]
            tone = (188, 164, 104) if chance.random() < 0.5 else (166, 172, 92)
            own = _colour(tone) + 14 * furrows + 5 * fine
        elif shape.kind == "forest":
            crowns = _noise(chance, 3)
            own = _colour((46, 82, 44)) + 26 * crowns + 8 * fine
        elif shape.kind == "water":
            own = _colour((44, 84, 122)) + 4 * coarse + 2 * fine
        elif shape.kind == "road":
            own = _colour((128, 128, 130)) + 5 * fine
        elif shape.kind == "grass":
            continue
        else:
            _shadow(picture, shape)
            own = _roof(shape, chance, rows, columns) + 4 * fine
        picture[where][inside] = own[where][inside]
        if shape.kind == "road":
            _markings(picture, shape)
    drawn: UInt8[np.ndarray, "p p 3"] = np.clip(picture, 0, 255).astype(np.uint8)
    return drawn


def _colour(tone: tuple[int, int, int]) -> Pixels:
    return np.broadcast_to(np.array(tone, float), (PIXELS, PIXELS, 3)).copy()


def _noise(chance: np.random.Generator, grain: int) -> Float[np.ndarray, "p p 1"]:
    """Noise between -1 and 1 in squares of a number of pixels, with soft edges."""
    few = chance.uniform(-1, 1, (PIXELS // grain + 2, PIXELS // grain + 2))
    many = few.repeat(grain, 0).repeat(grain, 1)
    soft = (many + np.roll(many, grain // 2, 0) + np.roll(many, grain // 2, 1)) / 3
    return soft[:PIXELS, :PIXELS, None]


def _shadow(picture: Pixels, shape: Shape) -> None:
    """Darken the ground to the lower right of a building."""
    tall = 2.0 if shape.kind == "residential building" else 3.5
    thrown = Shape(shape.kind, tuple((x + tall, y + tall) for x, y in shape.corners))
    where, inside = thrown.pixels()
    picture[where][inside] *= 0.55


def _roof(shape: Shape, chance: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> Pixels:
    """A house has a ridge between a bright and a dark side; a hall a flat pale roof with an edge and a vent."""
    (ax, ay), (bx, by), _, (dx, dy) = shape.corners
    long, wide = math.hypot(bx - ax, by - ay), math.hypot(dx - ax, dy - ay)
    x, y = (columns + 0.5) * METRES - ax, (rows + 0.5) * METRES - ay
    along = (x * (bx - ax) + y * (by - ay)) / long**2  # from 0 to 1 over the building
    across = (x * (dx - ax) + y * (dy - ay)) / wide**2
    if shape.kind == "residential building":
        tone = (172, 84, 62) if chance.random() < 0.6 else (142, 96, 74)
        return _colour(tone) * np.where(across < 0.5, 1.12, 0.78)[..., None]
    roof = _colour((206, 208, 210) if chance.random() < 0.6 else (176, 184, 192))
    edge = np.minimum(np.minimum(along, 1 - along) * long, np.minimum(across, 1 - across) * wide) < 0.7
    roof[edge] = 240
    roof[(abs(along - 0.3) * long < 1.5) & (abs(across - 0.6) * wide < 1.5)] = 110
    return roof


def _markings(picture: Pixels, shape: Shape) -> None:
    """A broken white line along the middle of a road."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = shape.corners
    upright = ay == by
    ends = ((ax + bx) / 2, ay, (cx + dx) / 2, cy) if upright else (ax, (ay + dy) / 2, bx, (by + cy) / 2)
    for t in np.linspace(0, 1, 2 * PIXELS):
        if int(t * 14) % 2 == 0:
            column = int((ends[0] + t * (ends[2] - ends[0])) / METRES)
            row = int((ends[1] + t * (ends[3] - ends[1])) / METRES)
            picture[min(row, PIXELS - 1), min(column, PIXELS - 1)] = 225
