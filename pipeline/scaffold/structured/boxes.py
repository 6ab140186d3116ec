"""Recipes of detectors, for boxes as COCO, Pascal VOC and YOLO write them."""

from __future__ import annotations

import json
import math
from pathlib import Path, PurePosixPath
from statistics import median
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.errors import PipelineError
from pipeline.formats.download import read_members
from pipeline.formats.folders import is_hidden, split_of
from pipeline.formats.structured import coco, voc, yolo
from pipeline.scaffold.choices import Bounds
from pipeline.scaffold.render import Plan, list_names, safe_name
from pipeline.scaffold.structured.survey import Survey

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path("/")  # the paths are absolute here
AREA, CELL, LEAST = 320 * 240, 32, 96  # pixels of a picture as the network sees it, a multiple of CELL on each side
ROOM = 1.25  # times the most boxes of a picture that there is room for
LOOKED_AT = 60  # pictures of a list
LEAST_PRECISION = 0.3
START = 1 << 16  # bytes in which a file of COCO has one of its keys
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
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*.json") if is_coco(file))
    tests = [file for file in files if any(split_of(part) == "test" for part in file.stem.replace("-", "_").split("_"))]
    (train, *more), test = [file for file in files if file not in tests] or files, tests[:1]
    content = coco.read_file(train)
    names = tuple(dict.fromkeys(content["names"].values()))
    root = path.parent if path.is_file() else path
    arguments: dict[str, Any] = {"path": str(train), "images": str(find_pictures(root, content)), "names": names}
    if test and test[0] != train:
        arguments |= {"test": str(test[0]), "test_images": str(find_pictures(root, coco.read_file(test[0])))}
    data = coco.CocoBoxes(**arguments)
    unused = [f"Not read: {list_names([str(file.relative_to(root)) for file in more])}."] if more else []
    return plan_boxes(path, data, "coco", "CocoBoxes", arguments, unused)


def find_pictures(root: Path, content: Mapping[str, Any]) -> Path:
    """Returns the folder below a root to which the names of the pictures in a file of COCO belong."""
    names = [str(picture.get("file_name")) for picture in content["images"][:LOOKED_AT]]
    for place in (root, root.parent):  # usual are annotations/instances_train.json and train/ next to each other
        folders = [
            place,
            *(folder for depth in ("*", "*/*") for folder in sorted(place.glob(depth)) if folder.is_dir()),
        ]
        best = max(folders, key=lambda folder: sum((folder / name).is_file() for name in names))
        if any((best / name).is_file() for name in names):
            return best
    raise PipelineError(
        f"The pictures that the JSON file in {root} lists are neither below it nor next to it.",
        expected=f"files such as {names[0] if names else 'images'} in one folder",
        received="none of them",
        action="put the pictures next to the JSON file, and name the folder of both with --data",
    )


def plan_voc(path: Path) -> Plan:
    """Plans a recipe for pictures with XML files of Pascal VOC."""
    names: dict[str, None] = {}
    for name, content in read_members(path, (".xml",)):
        if not is_hidden(name):
            names |= dict.fromkeys(box.name for box in voc.read_boxes(content)[0])
    arguments = {"path": str(path), "names": tuple(sorted(names))}
    return plan_boxes(path, voc.VocBoxes(**arguments), "voc", "VocBoxes", arguments, [])  # type: ignore[arg-type]


def plan_yolo(path: Path) -> Plan:
    """Plans a recipe for folders of pictures and of texts of YOLO; names come from data.yaml or classes.txt."""
    names, notes = read_names(path)
    arguments = {"path": str(path), "names": names}
    return plan_boxes(path, yolo.YoloBoxes(**arguments), "yolo", "YoloBoxes", arguments, notes)  # type: ignore[arg-type]


def read_names(path: Path) -> tuple[tuple[str, ...], list[str]]:
    """Returns the names of the classes of a YOLO data set, and a note if it does not say them."""
    largest = -1
    for name, content in read_members(path, (".yaml", ".yml", ".txt")):
        text = content.decode(errors="replace")
        if name.endswith((".yaml", ".yml")):
            said = (yaml.safe_load(text) or {}).get("names", ())
            if said:
                return tuple(map(str, said.values() if isinstance(said, dict) else said)), []
        elif PurePosixPath(name).name in ("classes.txt", "obj.names"):
            return tuple(filter(None, map(str.strip, text.splitlines()))), []
        elif yolo.LABELS in PurePosixPath(name).parts[:-1]:
            first = [line.split()[0] for line in text.splitlines() if line.split()]
            largest = max([largest, *(int(word) for word in first if word.isdecimal())])
    names = tuple(f"class {number}" for number in range(largest + 1))
    return names, ["No data.yaml says what the classes are called: name them in the recipe's names=."]


def plan_boxes(path: Path, data: Any, module: str, name: str, arguments: dict[str, Any], notes: list[str]) -> Plan:
    """Plans a detector.

    Args:
        path: What was given.
        data: The data set.
        module: Its module in `pipeline.formats.structured`.
        name: Its class.
        arguments: Arguments of the class in the recipe.
        notes: What else is to be said.
    """
    survey = Survey()
    for example in data.examples(ROOT):
        survey.add(example, data.names)
    if not survey.boxes:
        raise PipelineError(
            f"There is no box in {path}.",
            expected="annotated pictures with at least one box",
            received=survey.first or "no annotation of a picture",
            action="correct --data",
        )
    most = max(8, math.ceil(survey.most * ROOM / 8) * 8)
    height, width = network_size(survey.sizes)
    facts = {
        "bounds": Bounds(
            "No standard model finds boxes.",
            "far less than a detector of use has",
            at_least={"map50": LEAST_PRECISION},
            no_worse={"map50": 0.02},
            quick={"map50": 0.0},
        ),
        "title": f"Objects in pictures of {safe_name(path.name)}: {list_names(list(data.names))}.",
        "words": f"{survey.boxes.total():,} boxes, at most {survey.most} in a picture.",
        "module": module,
        "dataset": name,
        "arguments": {**arguments, "most": most},
        "height": height,
        "width": width,
    }
    rows = [(safe_name(kind), f"{survey.boxes[kind]:,}", f"{survey.pictures[kind]:,}") for kind in data.names]
    notes = [*survey.notes(), f"The network sees {width}x{height} pixels.", *notes]
    return Plan("boxes", survey.facts(path, "pictures with boxes") | facts, ("class", "boxes", "pictures"), rows, notes)


def network_size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """Returns height and width for the network: the usual proportions, at most about `AREA` pixels, in steps."""
    width, height = (median(size[side] for size in sizes) for side in (0, 1))
    scale = min(1.0, math.sqrt(AREA / (width * height)))
    high, wide = (max(LEAST, round(side * scale / CELL) * CELL) for side in (height, width))
    return high, wide
