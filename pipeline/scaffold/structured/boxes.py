"""Recipes of detectors, for boxes as Pascal VOC and YOLO write them, and what all detectors share."""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any

import yaml

from pipeline.errors import PipelineError
from pipeline.formats.download import read_members
from pipeline.formats.folders import is_hidden
from pipeline.formats.structured import voc, yolo
from pipeline.scaffold.choices import Bounds
from pipeline.scaffold.render import Plan, list_names, safe_name
from pipeline.scaffold.structured.survey import Survey

ROOT = Path("/")  # the paths are absolute here
AREA, CELL, LEAST = 320 * 240, 32, 96  # pixels of a picture as the network sees it, a multiple of CELL on each side
ROOM = 1.25  # times the most boxes of a picture that there is room for
LEAST_PRECISION = 0.3


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
            if said := _read_yaml_names(name, text):
                return said, []
        elif PurePosixPath(name).name in ("classes.txt", "obj.names"):
            return tuple(filter(None, map(str.strip, text.splitlines()))), []
        elif yolo.LABELS in PurePosixPath(name).parts[:-1]:
            first = [line.split()[0] for line in text.splitlines() if line.split()]
            largest = max([largest, *(int(word) for word in first if word.isdecimal())])
    names = tuple(f"class {number}" for number in range(largest + 1))
    return names, ["No data.yaml says what the classes are called: name them in the recipe's names=."]


def _read_yaml_names(name: str, text: str) -> tuple[str, ...]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PipelineError(
            f"{name} cannot be read.",
            expected="a YAML file with the names of the classes, such as names: [cat, dog]",
            received=" ".join(str(error).split())[:200],
            action="correct the file",
        ) from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        return tuple(str(names[number]) for number in sorted(names))
    return tuple(map(str, names)) if isinstance(names, list) else ()


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
