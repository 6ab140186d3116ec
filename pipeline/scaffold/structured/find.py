"""Finds out whether a path holds annotated pictures, and of which kind."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline.features import image
from pipeline.formats.download import list_members
from pipeline.formats.folders import is_hidden
from pipeline.formats.structured import yolo
from pipeline.scaffold.structured.boxes import is_coco, plan_coco, plan_voc, plan_yolo
from pipeline.scaffold.structured.masks import find_masks, plan_masks

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def find_planner(path: Path) -> Any:
    """Returns the function that plans a recipe for annotated pictures; None if the path holds none.

    Args:
        path: A JSON file, or a folder or archive.
    """
    if path.is_file() and path.suffix.lower() == ".json":
        return plan_coco if is_coco(path) else None
    names = [name for name in list_members(path) if not is_hidden(name)]
    parts = {part for name in names for part in PurePosixPath(name).parts[:-1]}
    endings = Counter(PurePosixPath(name).suffix.lower() for name in names)
    pictures = any(endings[suffix] for suffix in image.SUFFIXES)
    if path.is_dir() and any(is_coco(path / name) for name in names if name.lower().endswith(".json")):
        return plan_coco
    if pictures and endings[".xml"]:
        return plan_voc
    if pictures and {yolo.IMAGES, yolo.LABELS} <= parts and _has_texts(names):
        return plan_yolo
    return plan_masks if find_masks(path) else None


def _has_texts(names: Iterable[str]) -> bool:
    return any(name.lower().endswith(".txt") and yolo.LABELS in PurePosixPath(name).parts[:-1] for name in names)
