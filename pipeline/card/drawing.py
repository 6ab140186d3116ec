"""Learning curves as SVG within the card."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 330, 150
COLOURS = ("#4c78a8", "#f58518")  # training, validation


def curves(epochs: Sequence[Mapping[str, float]]) -> list[dict[str, str]]:
    """One drawing per metric: {"name", "svg", "last"}, the loss first, training and validation over each other."""
    names = {name.removeprefix("val_") for epoch in epochs for name in epoch} - {"learning_rate"}
    ordered = sorted(names, key=lambda name: (name != "loss", name))
    return [_curve(name, epochs) for name in ordered]


def _curve(name: str, epochs: Sequence[Mapping[str, float]]) -> dict[str, str]:
    both = [[epoch.get(key, math.nan) for epoch in epochs] for key in (name, f"val_{name}")]
    known = [value for values in both for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    lines = [_line(values, low, (high - low) or 1.0, colour) for values, colour in zip(both, COLOURS, strict=True)]
    words = f'<text x="0" y="11">{high:.4g}</text><text x="0" y="{HEIGHT}">{low:.4g}</text>'
    size = f'viewBox="0 0 {WIDTH} {HEIGHT + 6}" width="{WIDTH}" height="{HEIGHT + 6}"'
    label = f'role="img" aria-label="{name} over {len(epochs)} epochs"'
    last = " / ".join(f"{values[-1]:.4g}" for values in both if math.isfinite(values[-1]))
    return {"name": name, "svg": f"<svg {size} {label}>{''.join([*lines, words])}</svg>", "last": last}


def _line(values: Sequence[float], low: float, span: float, colour: str) -> str:
    step = (WIDTH - 60) / max(len(values) - 1, 1)
    points = [
        (55 + index * step, HEIGHT - 5 - (value - low) / span * (HEIGHT - 15))
        for index, value in enumerate(values)
        if math.isfinite(value)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}"/>' for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>{dots}'
