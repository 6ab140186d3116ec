"""Recipes that segment: two folders with a picture and its mask under the same name."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.features import drawing, image
from pipeline.formats.annotations.masks import MASK_SUFFIXES, ImageMasks
from pipeline.formats.download import list_members
from pipeline.formats.folders import is_hidden
from pipeline.scaffold.annotations.survey import Survey
from pipeline.scaffold.choices import Bounds
from pipeline.scaffold.render import Plan, safe_name

ROOT = Path("/")  # the paths are absolute here
MASK_SIDE = 256
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "inputs", "input", "pictures")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "gt", "segmentations", "targets", "target")
MASK_ENDINGS = ("", "_mask", "-mask", "_seg", "_label", "_gt")
LOOKED_AT = 60  # pairs from which a plain threshold is measured
LEAST_DICE = 0.3
GAIN = 0.1  # share of the way from a plain threshold to no error that a network must go


def find_masks(path: Path) -> ImageMasks | None:
    """Returns the data set of pictures and masks at a path; None if no two folders hold pairs."""
    names = [PurePosixPath(name) for name in list_members(path) if not is_hidden(name)]
    stems: dict[str, set[str]] = {}
    for name in names:
        for part in set(name.parts[:-1]):
            stems.setdefault(part, set()).add(name.stem)
    lossless = {part for name in names if name.suffix.lower() in MASK_SUFFIXES for part in name.parts[:-1]}
    for images in (folder for folder in stems if folder.lower() in IMAGE_FOLDERS):
        for masks in (folder for folder in stems if folder.lower() in MASK_FOLDERS and folder in lossless):
            for suffix in MASK_ENDINGS:
                if {f"{stem}{suffix}" for stem in stems[images]} & stems[masks]:
                    return ImageMasks(str(path), images, masks, suffix)
    return None


def plan_masks(path: Path) -> Plan:
    """Plans a segmentation of pictures with a mask each."""
    data = find_masks(path)
    assert data is not None
    survey, shares, plain = Survey(), [], []
    grey = True
    for example in data.examples(ROOT):
        if survey.add(example) and len(plain) < LOOKED_AT:
            from PIL import Image

            with Image.open(io.BytesIO(example.features["image_bytes"])) as opened:
                grey = grey and opened.mode in ("L", "1", "I;16")
            mask = drawing.read_mask(example.features["mask_bytes"])  # type: ignore[arg-type]
            shares.append(float(mask.mean()))
            plain.append(threshold_dice(example.features["image_bytes"], mask))  # type: ignore[arg-type]
    facts = survey.facts(path, "pictures with masks")
    best = max((sum(part) / len(part) for part in zip(*plain, strict=True)), default=0.0)
    bound = round(max(LEAST_DICE, best + GAIN * (1 - best)), 3)
    arguments = {"path": str(path), "images": data.images, "masks": data.masks, "suffix": data.suffix}
    channels = 1 if grey else 3
    facts |= {
        "bounds": Bounds(
            f"A plain threshold of the grey reaches a Dice coefficient of {best:.3f}.",
            f"a tenth of the way from a plain threshold ({best:.3f}) to no error",
            at_least={"dice": bound},
            no_worse={"dice": 0.01},
            quick={"dice": 0.0},
        ),
        "title": f"What the masks of {safe_name(path.name)} mark, pixel by pixel.",
        "words": f"The masks cover {sum(shares) / max(len(shares), 1):.1%} of the pictures.",
        "arguments": {name: value for name, value in arguments.items() if value},
        "shape": (MASK_SIDE, MASK_SIDE, channels),
    }
    rows = [(split or "all", f"{count:,}") for split, count in sorted(survey.splits.items())]
    return Plan("masks", facts, ("split", "pairs"), rows, survey.notes())


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
