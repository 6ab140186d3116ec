"""Finds out whether a path holds annotated pictures, and of which kind."""

from __future__ import annotations

import gzip
import itertools
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
from pipeline.features import image
from pipeline.formats.download import list_members, read_members
from pipeline.formats.folders import is_hidden
from pipeline.formats.structured import yolo
from pipeline.scaffold.render import safe_name
from pipeline.scaffold.structured.boxes import plan_voc, plan_yolo
from pipeline.scaffold.structured.coco import START, begins_like_coco, find_coco, has_coco_parts, is_coco, plan_coco
from pipeline.scaffold.structured.masks import find_masks, plan_masks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# By the ending of a file: the tool, and what only its files have at their beginning.
OTHER_TOOLS = {".json": ("Labelme", b'"shapes"'), ".xml": ("CVAT", b"<annotations>")}


def find_planner(path: Path) -> Any:
    """Returns the function that plans a recipe for annotated pictures; None if the path holds none.

    Args:
        path: A JSON file, or a folder or archive.

    Raises:
        UsageError: It holds some in a form that cannot be read as it is.
    """
    if path.is_file() and path.suffix.lower() == ".json":
        return plan_coco if is_coco(path, partly=True) else None
    names = [name for name in list_members(path) if not is_hidden(name)]
    pictures = any(name.lower().endswith(image.SUFFIXES) for name in names)
    if path.is_dir() and next(find_coco(path), None):
        return plan_coco
    if pictures:
        _require_readable(path, names)
    if pictures and any(name.lower().endswith(".xml") for name in names):
        return plan_voc
    if pictures and _is_yolo(path, names):
        return plan_yolo
    if find_masks(path):
        return plan_masks
    return plan_coco if path.is_dir() and pictures and next(find_coco(path, partly=True), None) else None


def _is_yolo(path: Path, names: Sequence[str]) -> bool:
    if yolo.has_folders(names):
        return yolo.find_pictures(names) != {} or _has_no_pictures(path, names)
    return yolo.has_boxes_next_to_pictures(path, names)


def _has_no_pictures(path: Path, names: Sequence[str]) -> bool:
    """Returns False for texts in folders that are none of boxes; raises a UsageError if they are."""
    texts = itertools.islice(yolo.pair_texts(path, names), yolo.TRIED)
    boxes = [content for _, content in texts if yolo.read_boxes(content, ())[0]]
    if boxes:
        first = min(name for name in names if name.lower().endswith(image.SUFFIXES))
        raise UsageError(
            f"The texts in the folder {yolo.LABELS} of {path.name} are boxes of YOLO, and no picture is theirs.",
            expected=f"pictures in a folder {yolo.IMAGES}, and texts at the same place below {yolo.LABELS}",
            received=f"pictures such as {safe_name(first)}",
            action=f"rename the folder of the pictures to {yolo.IMAGES}",
        )
    return False


def _require_readable(path: Path, names: Sequence[str]) -> None:
    """Stops at annotations in a form that cannot be read as it is."""
    if path.is_dir():
        _require_unpacked(path, names)
    elif any(name.lower().endswith(".json") for name in names):
        _require_no_coco(path)
    _require_known(path)


def _require_known(path: Path) -> None:
    """Stops at annotations of tools that can also write a format that is read."""
    for name, content in itertools.islice(read_members(path, tuple(OTHER_TOOLS)), yolo.TRIED):
        tool, mark = OTHER_TOOLS[PurePosixPath(name).suffix.lower()]
        if mark in content[:START] and not is_hidden(name):
            raise UsageError(
                f"{name} has annotations in the format of {tool}.",
                expected="pictures with boxes in the format of COCO, Pascal VOC or YOLO",
                received=name,
                action=f"export them from {tool} in one of these formats, and name the folder with --data",
            )


def _require_no_coco(path: Path) -> None:
    name = next((name for name, content in read_members(path, (".json",)) if has_coco_parts(content)), "")
    if name:
        raise UsageError(
            f"{path.name} is an archive of pictures with boxes in COCO's format.",
            expected="a folder of them",
            received=f"{name} in an archive",
            action="unpack it, and name the folder with --data",
        )


def _require_unpacked(path: Path, names: Sequence[str]) -> None:
    for name in (name for name in names if name.lower().endswith(".json.gz")):
        try:
            with gzip.open(path / name) as file:
                packed = begins_like_coco(file.read(START))
        except (OSError, EOFError, zlib.error):
            packed = False
        if packed:
            raise UsageError(
                f"{name} is a packed file of pictures with boxes in COCO's format.",
                expected="the unpacked file",
                received=name,
                action=f"gzip -d {name}, and name the folder with --data",
            )
