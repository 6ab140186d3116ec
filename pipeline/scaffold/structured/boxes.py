"""Recipes of detectors, for boxes as Pascal VOC and YOLO write them, and what all detectors share."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path, PurePosixPath
from statistics import median
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.errors import PipelineError, UsageError
from pipeline.formats.download import list_members, read_members
from pipeline.formats.folders import is_hidden
from pipeline.formats.structured import voc, yolo
from pipeline.scaffold.choices import Bounds
from pipeline.scaffold.render import Plan, list_names, safe_name
from pipeline.scaffold.structured.survey import Survey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path("/")  # the paths are absolute here
AREA, CELL, LEAST = 320 * 240, 32, 96  # pixels of a picture as the network sees it, a multiple of CELL on each side
ROOM = 1.25  # times the most boxes of a picture that there is room for
LEAST_PRECISION = 0.3
NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels")  # a name in each line
SHOWN = 5  # names in a note
DIGITS = 4  # of the number of a class; longer ones are no classes


def plan_voc(path: Path) -> Plan:
    """Plans a recipe for pictures with XML files of Pascal VOC."""
    names: dict[str, None] = {}
    for name, content in read_members(path, (".xml",)):
        if not is_hidden(name):
            names |= dict.fromkeys(box.name for box in voc.read_boxes(content)[0])
    arguments = {"path": str(path), "names": tuple(sorted(names))}
    unlisted = voc.find_unlisted(path)
    words = f"{len(unlisted):,} pictures that no list of a split names are not read: {list_names(unlisted[:SHOWN])}."
    notes = [words] if unlisted else []
    return plan_boxes(path, voc.VocBoxes(**arguments), "voc", "VocBoxes", arguments, notes)  # type: ignore[arg-type]


def plan_yolo(path: Path) -> Plan:
    """Plans a recipe for pictures with texts of YOLO; names come from data.yaml, or from one of `NAME_FILES`."""
    names, notes = read_names(path)
    arguments = {"path": str(path), "names": names}
    return plan_boxes(path, yolo.YoloBoxes(**arguments), "yolo", "YoloBoxes", arguments, notes)  # type: ignore[arg-type]


def read_names(path: Path) -> tuple[tuple[str, ...], list[str]]:
    """Returns the names of the classes of a YOLO data set, and a note if it does not say them.

    data.yaml comes before other YAML files, and these before classes.txt, which tools for marking write for themselves.
    """
    texts = {
        name: content.decode("utf-8-sig", "replace")
        for name, content in read_members(path, (".yaml", ".yml", ".txt", ".names", ".labels"))
        if not is_hidden(name)
    }
    for name in sorted(texts, key=lambda name: PurePosixPath(name).stem.lower() != "data"):
        if name.lower().endswith((".yaml", ".yml")) and (names := read_yaml_names(name, texts[name])):
            return names, []
    for name, text in texts.items():
        if PurePosixPath(name).name.lower() in NAME_FILES and text.strip():
            return _fill_gaps(dict(enumerate(map(str.strip, text.rstrip().splitlines())))), []
    note = "No data.yaml says what the classes are called: name them in the recipe's names=."
    return _count_classes(dict(yolo.pair_texts(path, list_members(path)))), [note]


def _count_classes(labels: Mapping[str, bytes]) -> tuple[str, ...]:
    texts = (content.decode("utf-8-sig", "replace") for content in labels.values())
    first = {line.split()[0] for text in texts for line in text.splitlines() if line.split()}
    numbers = [int(word) for word in first if word.isdecimal() and len(word) <= DIGITS]
    return _fill_gaps(dict.fromkeys(numbers, ""))


def _fill_gaps(names: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(names.get(number) or f"class {number}" for number in range(max(names, default=-1) + 1))


def read_yaml_names(name: str, text: str) -> tuple[str, ...]:
    """Returns the names of the classes in the order of their numbers; empty if a YAML file says none.

    Raises:
        PipelineError: It is not YAML, or its names have no numbers.
        UsageError: The data set is one of key points.
    """
    try:
        # Other loaders make true of yes, and fail at dates that are none.
        content = yaml.load(text, yaml.BaseLoader)  # noqa: S506  (it makes only texts, lists and dicts)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _names_error(name, " ".join(str(error).split())[:200]) from error
    content = content if isinstance(content, dict) else {}
    if content.get("kpt_shape"):
        raise UsageError(
            f"{name} is of pictures with key points, whose lines look like outlines.",
            expected="boxes, or outlines",
            received=f"kpt_shape: {content['kpt_shape']}",
            action="take the points out: keep the first five words of each line, and remove kpt_shape",
        )
    names = content.get("names")
    if isinstance(names, list):
        names = {str(number): each for number, each in enumerate(names)}
    if not names:
        return ()
    if not isinstance(names, dict) or not all(_is_number(key) for key in names):
        raise _names_error(name, f"names: {names}"[:200])
    return _fill_gaps({int(key): str(each) for key, each in names.items()})


def _is_number(key: Any) -> bool:
    return isinstance(key, str) and key.isdecimal() and len(key) <= DIGITS


def _names_error(name: str, received: str) -> PipelineError:
    return PipelineError(
        f"{name} cannot be read.",
        expected="a YAML file with the names of the classes, such as names: [cat, dog], or with their numbers from 0",
        received=received,
        action="correct the file",
    )


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
    marked: Counter[str] = Counter()
    for example in data.examples(ROOT):
        if survey.add(example, data.names):
            marked[example.split] += len(example.features["boxes"])
    if not survey.boxes:
        raise PipelineError(
            f"There is no box in {path}.",
            expected="annotated pictures with at least one box",
            received=survey.first or "no annotation of a picture",
            action="correct --data",
        )
    _require_boxes(path, survey, marked)
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
    notes = [*_describe_alike(data.names), *notes]
    notes = [*survey.notes(), f"The network sees {width}x{height} pixels.", *notes]
    return Plan("boxes", survey.facts(path, "pictures with boxes") | facts, ("class", "boxes", "pictures"), rows, notes)


def _describe_alike(names: Sequence[str]) -> list[str]:
    """Returns a note about classes whose names differ only in their case."""
    folded = Counter(name.casefold() for name in names)
    alike = [name for name in names if folded[name.casefold()] > 1]
    return [f"Names of classes differ only in their case: {list_names(alike)}; each is a class."] if alike else []


def _require_boxes(path: Path, survey: Survey, marked: Mapping[str, int]) -> None:
    """Stops before a training whose result could not be measured."""
    empty = next((split for split in ("train", "test") if survey.splits[split] and not marked[split]), "")
    if empty:
        raise PipelineError(
            f"No picture of the {empty} split of {path} has a box.",
            expected="boxes in each split",
            received=f"{survey.splits[empty]:,} pictures without a box",
            action=f"add the annotations of the {empty} split, or take it out: another part is held out then",
        )


def network_size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """Returns height and width for the network: the usual proportions, at most about `AREA` pixels, in steps."""
    width, height = (median(size[side] for size in sizes) for side in (0, 1))
    scale = min(1.0, math.sqrt(AREA / (width * height)))
    high, wide = (max(LEAST, round(side * scale / CELL) * CELL) for side in (height, width))
    return high, wide
