"""A recipe over images in one folder per class."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from pipeline.datasets import image
from pipeline.datasets.class_folder import class_files
from pipeline.scaffold import folders
from pipeline.scaffold.folders import Folders
from pipeline.scaffold.plan import Plan
from pipeline.scaffold.sizes import SMALL

if TYPE_CHECKING:
    from pathlib import Path

DECODED = 1000  # so many images are decoded; the others are only counted
SIDES = (32, 64, 96, 128)
GREY = {"1", "L", "I;16", "I"}


@dataclass
class Looks:
    """How the first images look: sizes and colour modes, and whether all are as one shape wants them."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (height, width)
    modes: Counter[str] = field(default_factory=Counter)
    contents: list[bytes] = field(default_factory=list)

    def add(self, content: bytes) -> str:
        """Takes in an image; says why it cannot be used."""
        from PIL import Image

        fault = image.fault(content, (1, 1, 3), resize=True)
        if not fault:
            with Image.open(io.BytesIO(content)) as opened:
                self.sizes[opened.height, opened.width] += 1
                self.modes[opened.mode] += 1
            self.contents.append(content)
        return fault

    def shape(self) -> tuple[tuple[int, int, int], bool]:
        """Height, width and channels for a network, and whether images must be resized to it."""
        channels = 1 if set(self.modes) <= GREY else 3
        (height, width), _ = self.sizes.most_common(1)[0]
        exact = (height, width, channels)
        same = len(self.sizes) == 1 and max(height, width) <= SIDES[-1] and min(height, width) >= 8  # noqa: PLR2004
        if same and not any(image.fault(content, exact) for content in self.contents):
            return exact, False
        typical = median(min(size) for size in self.sizes.elements())
        side = min(SIDES, key=lambda one: abs(one - typical))
        return (side, side, channels), True


def plan(path: Path) -> Plan:
    """Looks at images.

    Raises:
        PipelineError: There is nothing to tell apart, or too little.
    """
    found, looks = Folders(), Looks()
    for number, file in enumerate(class_files(path, image.SUFFIXES)):
        found.add(file.split, file.folder, file.source, looks.add(file.content) if number < DECODED else "")
    facts = folders.facts(path, found, "images")
    shape, resize = looks.shape()
    notes = [_seen(looks, shape, resize=resize), *folders.notes(facts["without"])]
    return Plan("image", facts | _facts(shape, facts, resize=resize), folders.HEAD, found.rows(), notes)


def _seen(looks: Looks, shape: tuple[int, int, int], *, resize: bool) -> str:
    sizes = [f"{width}x{height}" for (height, width), _ in looks.sizes.most_common(3)]
    more = f" and {len(looks.sizes) - 3} more" if len(looks.sizes) > 3 else ""  # noqa: PLR2004
    into = f"resized to {shape[1]}x{shape[0]}" if resize else "taken as they are"
    return f"Sizes {', '.join(sizes)}{more}, {'grey' if shape[2] == 1 else 'in colour'}: {into}."


def _facts(shape: tuple[int, int, int], facts: dict[str, Any], *, resize: bool) -> dict[str, Any]:
    blocks, flip = filters(min(shape[:2]), facts["count"]), shape[2] == 3  # noqa: PLR2004
    return {
        "shape": shape,
        "resize": resize,
        "blocks": blocks,
        "flip": flip,
        "fill": "nearest" if flip else "constant",
        "shift": 0.05 if min(shape[:2]) < SIDES[0] else 0.08,
        "diagram": _diagram(shape, blocks, len(facts["classes"])),
        "sizes": facts["sizes"].halved(),
    }


def filters(side: int, rows: int) -> tuple[int, ...]:
    """Filters of each block: as many blocks as leave two pixels or more, and more filters for more images."""
    count = min(max((side // 2).bit_length() - 1, 2), 5)
    first = 16 if side > SIDES[1] else 32 if rows > SMALL else 24
    return tuple(min(first * 2**block, 128) for block in range(count))


def _diagram(shape: tuple[int, int, int], blocks: tuple[int, ...], classes: int) -> str:
    height, width, _ = shape
    parts = [f"    image_bytes ─ decode ─ ({', '.join(map(str, shape))})"]
    for number, size in enumerate(blocks, 1):
        parts.append(f" ─ block ─ ({height // 2**number}, {width // 2**number}, {size})")
        if number == 2 and len(blocks) > 2:  # noqa: PLR2004
            parts.append("\n       ")
    return "".join([*parts, "\n        ─ mean ─ ", f"({blocks[-1]}) ─ dropout ─ softmax ─ ({classes})"])
