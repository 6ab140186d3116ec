"""A picture whose style is learnt: brush strokes along whirls, in night blues and yellows, drawn by this file.

It is no copy of a painting, and has the licence of the project: the packages that we looked into had no painting in
the public domain. Wide brushes come first, and each stroke is a curve of one colour, as in A. Hertzmann, Painterly
rendering with curved brush strokes of multiple sizes, SIGGRAPH 1998, sections 2.1 and 2.2.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

FINE = 2  # times as large is it drawn, so that edges are smooth
BRUSHES = ((13, 900), (8, 2200), (5, 3200))  # width in pixels, strokes
LONGEST = 9  # steps of a stroke; each is as long as the brush is wide
JITTER = 16.0  # deviation of a stroke's colour from that of its place, of 255
WHIRLS = ((0.28, 0.30, 1.0, 0.16), (0.74, 0.24, -1.0, 0.11), (0.62, 0.66, 1.0, 0.19), (0.16, 0.80, -1.0, 0.12))
LIGHTS = ((0.28, 0.30, 0.09), (0.74, 0.24, 0.07), (0.62, 0.66, 0.10), (0.16, 0.80, 0.06), (0.93, 0.88, 0.05))
PALETTE = (  # from night to lamp: red, green, blue
    (16, 24, 66),
    (28, 62, 134),
    (58, 116, 182),
    (128, 178, 206),
    (232, 222, 160),
    (250, 204, 62),
    (214, 128, 30),
)


@functools.cache
def draw_style(side: int = 256) -> Any:
    """Returns the picture, uint8 (side, side, 3); always the same."""
    from PIL import Image, ImageDraw

    random = np.random.default_rng(7)
    picture = Image.new("RGB", (FINE * side, FINE * side), PALETTE[1])
    draw = ImageDraw.Draw(picture)
    for width, strokes in BRUSHES:
        for place in random.uniform(-0.05, 1.05, (strokes, 2)):
            colour = _colour(place, random)
            _draw_stroke(draw, FINE * side * _follow(place, width / 256, random), colour, FINE * side * width / 512)
    return np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS))


def _draw_stroke(draw: Any, points: np.ndarray, colour: tuple[int, ...], radius: float) -> None:
    """Draws a curve with round ends."""
    draw.line([tuple(point) for point in points], colour, round(2 * radius), "curve")
    for point in (points[0], points[-1]):
        draw.ellipse([*(point - 0.95 * radius), *(point + 0.95 * radius)], colour)


def _colour(place: np.ndarray, random: np.random.Generator) -> tuple[int, ...]:
    """Returns a colour of the palette: the brighter the closer a light is, with rings around it."""
    near = min(np.hypot(*(place - light[:2])) / light[2] for light in LIGHTS)
    bright = 5.8 * np.exp(-((near / 1.25) ** 2)) + 1.3 + 1.1 * np.sin(3.2 * near) * np.exp(-near / 6)
    at = np.clip(bright + random.normal(0, 0.55), 0, len(PALETTE) - 1.001)
    low, share = int(at), at - int(at)
    colour = (1 - share) * np.array(PALETTE[low]) + share * np.array(PALETTE[low + 1])
    return tuple(np.clip(colour + random.normal(0, JITTER, 3), 0, 255).astype(int).tolist())


def _follow(place: np.ndarray, step: float, random: np.random.Generator) -> np.ndarray:
    """Returns the points of a stroke, (steps, 2), along the whirls."""
    points = [place]
    turn = random.normal(0, 0.15)
    for _ in range(int(random.integers(LONGEST // 2, LONGEST))):
        angle = _direction(points[-1]) + turn
        points.append(points[-1] + step * np.array([np.cos(angle), np.sin(angle)]))
    return np.array(points)


def _direction(place: np.ndarray) -> float:
    """Returns the angle of the flow: from left to right in waves, and around each whirl."""
    flow = np.array([1.0, 0.6 * np.sin(7 * place[0])])
    for x, y, turn, size in WHIRLS:
        offset = place - (x, y)
        around = turn * np.array([-offset[1], offset[0]]) / max(np.hypot(*offset), 1e-6)
        flow = flow + 4 * around * np.exp(-((np.hypot(*offset) / size) ** 2))
    return float(np.arctan2(flow[1], flow[0]))
