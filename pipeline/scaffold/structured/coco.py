"""Recipes of detectors for the files of COCO: which are read, for which split, and where their pictures are."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.formats.folders import SPLIT_NAMES
from pipeline.formats.structured.coco import CocoBoxes, read_file
from pipeline.scaffold.render import list_names
from pipeline.scaffold.structured.boxes import plan_boxes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pipeline.scaffold.render import Plan

LOOKED_AT = 60  # pictures of a list
START = 1 << 16  # bytes in which a file of COCO has one of its keys
SPLITS = {**SPLIT_NAMES, **dict.fromkeys(("val", "valid", "validation", "dev"), "val")}
COCO_KEYS = ("info", "licenses", "images", "annotations", "categories")


def is_coco(path: Path) -> bool:
    """Returns whether a JSON file has the parts of COCO's format."""
    with path.open("rb") as file:
        start = file.read(START)
    # A table may be larger than the memory.
    return _begins_like_coco(start) and has_coco_parts(path.read_bytes())


def _begins_like_coco(start: bytes) -> bool:
    return start.lstrip().startswith(b"{") and any(f'"{key}"'.encode() in start for key in COCO_KEYS)


def has_coco_parts(text: bytes) -> bool:
    """Returns whether JSON has the parts of COCO's format."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()


def plan_coco(path: Path) -> Plan:
    """Plans a recipe for a JSON file of COCO, or a folder with one or with one per split."""
    root = path.parent if path.is_file() else path
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*.json") if is_coco(file))
    train, test, unused = sort_coco(files, root)
    contents = {file: read_file(file) for file in (*train, *test)}
    images = {str(file): str(find_pictures(file, root, content)) for file, content in contents.items()}
    names, notes = read_categories(contents.values())
    first, *more = map(str, train)
    arguments: dict[str, Any] = {"path": first, "images": images[first], "names": names}
    if more:
        arguments["more"] = {file: images[file] for file in more}
    if test:
        arguments |= {"test": str(test[0]), "test_images": images[str(test[0])]}
    notes += [f"Not read: {list_names([str(file.relative_to(root)) for file in unused])}."] if unused else []
    return plan_boxes(path, CocoBoxes(**arguments), "coco", "CocoBoxes", arguments, notes)


def sort_coco(files: Sequence[Path], root: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Returns the JSON files to learn from, that of the test split if there is one, and those that are not read.

    Without a test split the validation file is the test, as it is for COCO itself, whose test has no public answers.
    Files of another kind repeat the same pictures: person_keypoints_train2017 next to instances_train2017.
    """
    parts = {file: _coco_part(file, root) for file in files}
    first = min(files, key=lambda file: parts[file][1] in ("test", "val"))
    same = [file for file in files if parts[file][0] == parts[first][0]]
    held_out = next(
        (
            [file for file in same if parts[file][1] == split]
            for split in ("test", "val")
            if any(parts[file][1] == split for file in same)
        ),
        [],
    )
    test = [] if first in held_out else held_out[:1]
    train = [first, *(file for file in same if file not in (first, *held_out))]
    return train, test, [file for file in files if file not in (*train, *test)]


def _coco_part(file: Path, root: Path) -> tuple[str, str]:
    """Returns the name of a JSON file without words for a split, and the split that its name or folders say."""
    parts = re.split(r"[-_. ]", file.stem), file.relative_to(root).parent.parts
    words, folders = ([word.rstrip("0123456789").lower() for word in part] for part in parts)
    split = next((SPLITS[word] for word in (*words, *reversed(folders)) if word in SPLITS), "")
    return "_".join(word for word in words if word not in SPLITS), split


def read_categories(contents: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[str]]:
    """Returns the names of the categories that have an annotation, and a note on those that have none."""
    names: dict[str, None] = {}
    used = set()
    for content in contents:
        names |= dict.fromkeys(content["names"].values())
        used |= {content["names"].get(annotation.get("category_id")) for annotation in content["annotations"]}
    empty = [name for name in names if name not in used]
    notes = [f"No annotation has the category {list_names(empty)}: left out."] if empty and used - {None} else []
    return tuple(name for name in names if name not in empty) or tuple(names), notes


def find_pictures(file: Path, root: Path, content: Mapping[str, Any]) -> Path:
    """Returns the folder to which the names of the pictures in a file of COCO belong.

    Several may have pictures of the same names: the folder of the file comes first, then one that is called like its
    split.
    """
    names = [str(picture.get("file_name")) for picture in content["images"][:LOOKED_AT]]
    split = _coco_part(file, root)[1]
    for place in (root, root.parent):  # usual are annotations/instances_train.json and train/ next to each other
        below = (folder for depth in ("*", "*/*") for folder in sorted(place.glob(depth)) if folder.is_dir())
        named = sorted(below, key=lambda folder: _coco_part(folder / "any.json", folder.parent)[1] != split)
        folders = [file.parent, place, *named]
        best = max(folders, key=lambda folder: sum((folder / name).is_file() for name in names))
        if any((best / name).is_file() for name in names):
            return best
    raise PipelineError(
        f"The pictures that {file} lists are neither below {root} nor next to it.",
        expected=f"files such as {names[0] if names else 'images'} in one folder",
        received="none of them",
        action="put the pictures next to the JSON file, and name the folder of both with --data",
    )
