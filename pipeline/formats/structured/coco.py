"""Boxes in the format of COCO: one JSON file with `images`, `annotations` and `categories`.

Source: https://cocodataset.org/#format-data; `bbox` is [x, y, width, height] in pixels from 0. Annotations of a crowd
(`iscrowd`) have no box of one object and are left out.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, unreadable_file
from pipeline.formats.base import Example
from pipeline.formats.structured import boxes
from pipeline.formats.structured.boxes import Box
from pipeline.formats.table import find_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMBERS = ("images", "annotations", "categories")
EXPECTED = "a JSON file of COCO with images, annotations and categories"


@dataclass(frozen=True)
class CocoBoxes:
    """Raw input `image_bytes` (the file); targets `boxes` and `classes` (`pipeline.formats.structured.boxes`).

    Args:
        path: JSON file, absolute or under the data folder.
        images: Folder of the pictures, absolute or under the data folder.
        names: The declared classes: names of categories.
        test: JSON file of the official test split; then `path` has the training pictures.
        test_images: Folder of its pictures; empty for the same one.
        more: More JSON files to learn from, each with the folder of its pictures.
        most: Boxes per picture; more are left out and counted.
    """

    path: str
    images: str
    names: tuple[str, ...]
    test: str = ""
    test_images: str = ""
    more: dict[str, str] = field(default_factory=dict)
    most: int = boxes.MOST
    label: str = ""
    classes: tuple[str, ...] = ()

    @property
    def inputs(self) -> dict[str, str]:
        """One encoded image."""
        return {"image_bytes": "bytes"}

    @property
    def targets(self) -> dict[str, str]:
        """The boxes and their classes."""
        return boxes.target_kinds(self.most)

    def files(self, data: Path) -> list[Path]:
        """Returns the JSON files and the folders.

        Raises:
            PipelineError: One does not exist.
        """
        paths = (self.path, *self.more, self.test, self.images, *self.more.values(), self.test_images)
        return find_files(data, paths, f"{EXPECTED}, and a folder of pictures", folders=True)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the pictures in the order of the file.

        Raises:
            PipelineError: A JSON file is not one of COCO.
        """
        self.files(data)
        train = "train" if self.test else ""
        for path, images in {self.path: self.images, **self.more}.items():
            yield from self._examples(data / path, data / images, train)
        if self.test:
            yield from self._examples(data / self.test, data / (self.test_images or self.images), "test")

    def _examples(self, path: Path, images: Path, split: str) -> Iterator[Example]:
        content = read_file(path)
        by_image = defaultdict(list)
        for annotation in content["annotations"]:
            by_image[read_id(annotation.get("image_id"))].append(annotation)
        uses = Counter(read_id(picture["id"]) for picture in content["images"])
        names = Counter(str(picture.get("file_name")) for picture in content["images"])
        for number in [number for number in by_image if number not in uses]:
            yield Example(f"{path}: image_id {number}", {}, split, "its annotations are of no picture in the file")
        for picture in content["images"]:
            source, number = f"{path}: {picture.get('file_name')}", read_id(picture["id"])
            if uses[number] > 1:
                yield Example(source, {}, split, f"another picture of the file has its id too: {number}")
            elif names[str(picture.get("file_name"))] > 1:
                yield Example(source, {}, split, f"another picture of the list has its file, too: {number}")
            else:
                yield self._example(source, images, picture, by_image[number], content["names"], split)

    def _example(
        self,
        source: str,
        images: Path,
        picture: dict[str, Any],
        annotations: list[Any],
        names: dict[str, str],
        split: str,
    ) -> Example:
        try:
            pixels = (images / str(picture.get("file_name"))).read_bytes()
            marked = [_read_box(each, names) for each in annotations if not _is_crowd(each)]
        except OSError as error:
            return Example(source, {}, split, f"its picture cannot be read: {error.strerror}")
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            return Example(source, {}, split, f"an annotation cannot be read: {type(error).__name__}: {error}")
        size = picture.get("width"), picture.get("height")
        return boxes.make_example(source, pixels, marked, self.names, split, size=size)


def read_file(path: Path) -> dict[str, Any]:
    """Reads a JSON file of COCO; `names` are those of the categories by their ids.

    Raises:
        PipelineError: It is none, two of its categories have the same id, or its boxes are no pixels.
    """
    try:
        content = json.loads(path.read_bytes())
        _require_members(path, content)
        lists = {key: [dict(each) for each in content[key]] for key in MEMBERS}
    except (ValueError, TypeError, RecursionError) as error:
        raise unreadable_file(path, EXPECTED, error) from error
    for key, needed in (("images", ("id",)), ("categories", ("id", "name"))):
        _require_entries(path, key, lists[key], needed)
    pairs = {(read_id(each["id"]), str(each["name"])) for each in lists["categories"]}
    _require_ids(path, pairs)
    _require_pixels(path, lists["annotations"])
    return {**lists, "names": dict(sorted(pairs))}


def _require_members(path: Path, content: Any) -> None:
    """Raises a PipelineError if a file lacks one of its lists, or has something else in its place."""
    members = content if isinstance(content, dict) else {}
    missing = [key for key in MEMBERS if not isinstance(members.get(key), list)]
    if missing:
        there = ", ".join(f"{key} ({_describe_value(value)})" for key, value in members.items())
        raise PipelineError(
            f"{path} lacks {' and '.join(missing)}.",
            expected=f"{EXPECTED}, a list each",
            received=f"an object with {there}"[:300] if members else _describe_value(content),
            action=f"add {' and '.join(missing)}, or export the boxes again: captions, results and lists of pictures "
            "have not all of them",
        )


def _describe_value(value: Any) -> str:
    return f"a list of {len(value):,}" if isinstance(value, list) else f"no list but {type(value).__name__}"


def _require_entries(path: Path, key: str, entries: list[dict[str, Any]], needed: tuple[str, ...]) -> None:
    for number, entry in enumerate(entries):
        lost = next((name for name in needed if name not in entry), "")
        if lost:
            raise PipelineError(
                f"{path} has an entry of {key} without {lost}.",
                expected=f"{' and '.join(needed)} in each entry of {key}",
                received=f"entry {number}: {json.dumps(entry)[:100]}",
                action=f"add {lost}, or export the boxes again",
            )
    if key == "categories" and not entries:
        raise PipelineError(
            f"{path} has no category.",
            expected="the names of the classes, such as {'id': 1, 'name': 'cat'}",
            received="categories: []",
            action="add them, or export the boxes again",
        )


def _require_ids(path: Path, pairs: set[tuple[str, str]]) -> None:
    numbers = Counter(number for number, _ in pairs)
    same = [f"{number} is {name}" for number, name in sorted(pairs) if numbers[number] > 1]
    if same:
        raise PipelineError(
            f"{path} has different categories with the same id.",
            expected="one category for each id",
            received=", ".join(same)[:200],
            action="give each category an id of its own, or remove the wrong one",
        )


def _require_pixels(path: Path, annotations: list[dict[str, Any]]) -> None:
    places = [each["bbox"] for each in annotations if isinstance(each.get("bbox"), list)]
    sides = [side for place in places for side in place]
    if sides and all(isinstance(side, int | float) and side <= 1 for side in sides):
        raise PipelineError(
            f"The boxes in {path} are shares of their pictures.",
            expected="left, top, width and height in pixels, as COCO has them",
            received=f"no number above 1, such as {places[0]}",
            action="multiply them by width and height of each picture",
        )


def read_id(number: Any) -> str:
    """Returns an id as text: some programs write the same one as 7, "7" and 7.0."""
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def _is_crowd(annotation: dict[str, Any]) -> bool:
    return str(annotation.get("iscrowd") or 0).lower() not in ("0", "0.0", "false")


def _read_box(annotation: dict[str, Any], names: dict[str, str]) -> Box:
    if not isinstance(annotation["bbox"], list):
        raise TypeError("bbox is no list")
    left, top, width, height = map(float, annotation["bbox"])
    number = read_id(annotation["category_id"])
    return Box(names.get(number, f"category {number}"), left, top, left + width, top + height)
