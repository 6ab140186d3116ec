"""Boxes on a picture as targets: `boxes` (ymin, xmin, ymax, xmax from 0 to 1) and `classes` (numbers of their names).

A box may reach over the border by rounding and is cut there. A picture with a box of no area, a box outside of it or a
box of an undeclared class is unusable: what the annotation means is not known. So is one of another size than its
annotation says, because the boxes are for that size. A box that comes twice is kept once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.features import image
from pipeline.formats.base import Example

if TYPE_CHECKING:
    from collections.abc import Sequence

SLACK = 0.02  # by which a box may reach over the border, in sides of the picture
MOST = 100  # boxes per picture, if a data set does not say another bound


@dataclass(frozen=True)
class Box:
    """One annotated object.

    Attributes:
        name: Name of its class.
        left: From the left border.
        top: From the upper border.
        right: Right side, from the left border.
        bottom: Lower side, from the upper border.
        as_shares: Whether these are shares of the picture, and not pixels.
    """

    name: str
    left: float
    top: float
    right: float
    bottom: float
    as_shares: bool = False

    def in_pixels(self, width: float, height: float) -> Box:
        """Returns the box in pixels of a picture."""
        if not self.as_shares:
            return self
        return Box(self.name, self.left * width, self.top * height, self.right * width, self.bottom * height)

    def scaled(self, width: float, height: float) -> list[float]:
        """Returns ymin, xmin, ymax, xmax as shares of the picture, cut at its border."""
        sides = (self.top / height, self.left / width, self.bottom / height, self.right / width)
        return [min(max(side, 0.0), 1.0) for side in sides]

    def fault(self, width: float, height: float, names: Sequence[str]) -> str:
        """Returns why the box cannot be used; empty if it can."""
        place = f"({self.left:g}, {self.top:g}) to ({self.right:g}, {self.bottom:g})"
        if self.name not in names:
            return f"the class of a box is not among the declared ones {', '.join(names)}: {self.name!r}"
        if not (self.left < self.right and self.top < self.bottom):
            return f"a box has no area: {self.name} from {place}"
        over = max(-self.left / width, self.right / width - 1, -self.top / height, self.bottom / height - 1)
        if not over <= SLACK:
            return f"a box is outside the picture: {self.name} from {place}, of {width:g}x{height:g} pixels"
        top, left, bottom, right = self.scaled(width, height)
        return "" if left < right and top < bottom else f"a box has no area in the picture: {self.name} from {place}"


def target_kinds(most: int) -> dict[str, str]:
    """Returns the targets of a picture with at most so many boxes."""
    return {"boxes": f"float[{most},4]", "classes": f"int[{most}]"}


def make_example(
    source: str,
    content: bytes,
    boxes: Sequence[Box],
    names: Sequence[str],
    split: str,
    extra: str = "",
    size: tuple[Any, Any] = (None, None),
) -> Example:
    """Returns the example of a picture.

    Args:
        source: Its place, for messages.
        content: The file of the picture.
        boxes: The boxes on it, in pixels or as shares.
        names: The declared classes.
        split: "train", "test" or empty.
        extra: A fault of its annotation that is known already.
        size: Width and height of the picture that its annotation says; None or 0 if it does not.
    """
    fault = extra or image.fault(content, (1, 1, 3), resize=True)
    if fault:
        return Example(source, {}, split, fault)
    width, height = image.upright_size(content)
    placed = [box.in_pixels(width, height) for box in boxes]
    kept = list(dict.fromkeys(placed))
    faults = (_size_fault(size, width, height), *(box.fault(width, height, names) for box in kept))
    fault = next(filter(None, faults), "")
    features = {
        "image_bytes": content,
        "boxes": [box.scaled(width, height) for box in kept],
        "classes": [names.index(box.name) for box in kept if not fault],
    }
    return Example(source, features, split, fault, repeated=len(placed) - len(kept))


def _size_fault(size: tuple[Any, Any], width: int, height: int) -> str:
    try:
        wide, high = (int(float(side or 0)) for side in size)
    except (ValueError, TypeError, OverflowError):
        return ""
    if (wide, high) == (width, height) or not (wide > 0 and high > 0):
        return ""
    turned = " on its side, as before its rotation by EXIF" if (wide, high) == (height, width) else " of another size"
    return f"its boxes are for a picture{turned}: {wide}x{high} instead of {width}x{height} pixels"
