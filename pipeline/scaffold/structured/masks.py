"""Recipes that segment: two folders with a picture and its mask under the same name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, UsageError
from pipeline.features import drawing, image
from pipeline.formats.download import list_members
from pipeline.formats.folders import is_hidden
from pipeline.formats.structured.masks import MASK_SUFFIXES, ImageMasks
from pipeline.scaffold.choices import Bounds
from pipeline.scaffold.render import Plan, safe_name
from pipeline.scaffold.structured.survey import Survey

if TYPE_CHECKING:
    from pipeline.formats.base import Example

ROOT = Path("/")  # the paths are absolute here
MASK_SIDE = 256
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "inputs", "input", "pictures", "jpegimages")
MASK_FOLDERS = (
    *("masks", "mask", "labels", "label", "annotations", "gt", "segmentations", "segmentationclass"),
    *("targets", "target"),
)
MASK_ENDINGS = ("", "_mask", "-mask", "_seg", "_segmentation", "_label", "_labels", "_gt")
LOOKED_AT = 60  # pairs from which a plain threshold is measured
LEAST_DICE = 0.3
MOST_DICE = 0.99  # asked of a network, however good a threshold is
GAIN = 0.1  # share of the way from a plain threshold to no error that a network must go


def find_masks(path: Path) -> ImageMasks | None:
    """Returns the data set of pictures and masks at a path; None if no two folders hold pairs.

    Raises:
        UsageError: The masks are JPEG, which changes pixels, or their names do not say whose they are.
    """
    members = [PurePosixPath(name) for name in list_members(path) if not is_hidden(name)]
    names = [name for name in members if name.suffix.lower() in image.SUFFIXES]
    stems: dict[str, set[str]] = {}
    for name in names:
        for part in set(name.parts[:-1]):
            stems.setdefault(part, set()).add(name.stem)
    lossless = {part for name in names if name.suffix.lower() in MASK_SUFFIXES for part in name.parts[:-1]}
    for images in (folder for folder in stems if folder.lower() in IMAGE_FOLDERS):
        for masks in (folder for folder in stems if folder.lower() in MASK_FOLDERS):
            for suffix in MASK_ENDINGS:
                if {f"{stem}{suffix}" for stem in stems[images]} & stems[masks]:
                    _require_lossless(path, masks, lossless)
                    return ImageMasks(str(path), images, masks, suffix)
    _require_no_halves(path, stems)
    return None


def _require_no_halves(path: Path, stems: dict[str, set[str]]) -> None:
    """Raises a UsageError for two folders called like pictures and masks: they are no two classes."""
    lower = {folder.lower(): folder for folder in stems}
    pairs = [(images, masks) for images in IMAGE_FOLDERS for masks in MASK_FOLDERS]
    pairs += [(folder, f"{folder}{ending}") for folder in lower for ending in ("_masks", "_mask")]
    for images, masks in pairs:
        if images in lower and masks in lower:
            picture, mask = (min(stems[lower[folder]]) for folder in (images, masks))
            raise UsageError(
                f"The names in the folder {safe_name(lower[masks])} of {path.name} do not say whose masks these are.",
                expected=f"folders images and masks with the same names: {safe_name(picture)}, with or without _mask",
                received=f"{safe_name(picture)} and {safe_name(mask)}",
                action="rename them, or the folders if these are pictures of two classes",
            )


def _require_lossless(path: Path, masks: str, lossless: set[str]) -> None:
    if masks not in lossless:
        raise UsageError(
            f"The masks in the folder {safe_name(masks)} of {path.name} cannot be trusted to the pixel.",
            expected=f"masks as {', '.join(MASK_SUFFIXES)}",
            received="a format such as JPEG, which changes pixels",
            action="save the masks as PNG, or rename the folder if these are pictures of a class",
        )


def plan_masks(path: Path) -> Plan:
    """Plans a segmentation of pictures with a mask each."""
    data = find_masks(path)
    assert data is not None
    looks = Looks()
    for example in data.examples(ROOT):
        looks.add(example)
    looks.require_marks(path)
    arguments = {"path": str(path), "images": data.images, "masks": data.masks, "suffix": data.suffix}
    facts = looks.survey.facts(path, "pictures with masks") | {
        "bounds": looks.bounds(),
        "title": f"What the masks of {safe_name(path.name)} mark, pixel by pixel.",
        "words": looks.describe(),
        "arguments": {name: value for name, value in arguments.items() if value},
        "shape": (MASK_SIDE, MASK_SIDE, 1 if looks.grey else 3),
    }
    rows = [(split or "all", f"{count:,}") for split, count in sorted(looks.survey.splits.items())]
    return Plan("masks", facts, ("split", "pairs"), rows, [*looks.survey.notes(), looks.describe()])


@dataclass
class Looks:
    """What pictures and masks look like.

    Attributes:
        survey: The counts.
        shares: Share of each of the first masks in its picture.
        plain: What a plain threshold of the grey reaches on each: what is lighter, and what is darker.
        values: What the first masks have inside, where they are of one channel.
        grey: Whether the first pictures have no colours.
    """

    survey: Survey = field(default_factory=Survey)
    shares: list[float] = field(default_factory=list)
    plain: list[tuple[float, float]] = field(default_factory=list)
    values: set[int] = field(default_factory=set)
    grey: bool = True

    def add(self, example: Example) -> None:
        """Looks at a pair."""
        features: Any = example.features
        if self.survey.add(example) and len(self.plain) < LOOKED_AT:
            mask = drawing.read_mask(features["mask_bytes"])
            self.grey = self.grey and image.open_upright(features["image_bytes"]).mode in ("L", "1", "I;16")
            self.shares.append(float(mask.mean()))
            self.plain.append(threshold_dice(features["image_bytes"], mask))
            self.values |= drawing.mask_values(features["mask_bytes"])

    def require_marks(self, path: Path) -> None:
        """Raises a PipelineError if each mask is empty or full."""
        if self.shares and set(self.shares) <= {0.0, 1.0}:
            raise PipelineError(
                f"The masks in {path} part nothing from anything.",
                expected="masks with pixels that are 0 and others that are not",
                received=f"all of the first {len(self.shares)} empty or full",
                action="save the masks with 0 outside and 255 inside",
            )

    def describe(self) -> str:
        """Returns what the masks mark, in words."""
        share = sum(self.shares) / max(len(self.shares), 1)
        merged = f" What is not 0 is one class, of {len(self.values)} values." if len(self.values) > 1 else ""
        return f"The masks cover {share:.1%} of the pictures.{merged}"

    def bounds(self) -> Bounds:
        """Returns a gate that asks for more than a plain threshold reaches."""
        best = max((sum(part) / len(part) for part in zip(*self.plain, strict=True)), default=0.0)
        return Bounds(
            f"A plain threshold of the grey reaches a Dice coefficient of {best:.3f}.",
            f"a tenth of the way from a plain threshold ({best:.3f}) to no error",
            at_least={"dice": round(min(MOST_DICE, max(LEAST_DICE, best + GAIN * (1 - best))), 3)},
            no_worse={"dice": 0.01},
            quick={"dice": 0.0},
        )


def threshold_dice(content: bytes, mask: Any) -> tuple[float, float]:
    """Returns the Dice coefficients of what is lighter than Otsu's threshold of the grey, and of what is darker."""
    import numpy as np

    from pipeline.evaluation.metrics.segmentation import dice

    grey = np.asarray(image.open_upright(content).convert("L"))
    light = grey > otsu_threshold(np.bincount(grey.ravel(), minlength=256))
    return dice([mask], [light]).value, dice([mask], [~light]).value


def otsu_threshold(counts: Any) -> int:
    """Returns the grey that parts a histogram (256,) best: N. Otsu, IEEE Trans. SMC 9(1), 1979, equation 18."""
    import numpy as np

    greys, total = np.arange(len(counts)), counts.sum()
    below = np.cumsum(counts) / total
    means = np.cumsum(counts * greys) / total
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (means[-1] * below - means) ** 2 / (below * (1 - below))
    return int(np.nanargmax(np.where(np.isfinite(between), between, -1.0)))
