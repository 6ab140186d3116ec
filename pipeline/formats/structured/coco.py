"""Boxes in the format of COCO: one JSON file with `images`, `annotations` and `categories`.

Source: https://cocodataset.org/#format-data; `bbox` is [x, y, width, height] in pixels from 0. Annotations of a crowd
(`iscrowd`) have no box of one object and are left out.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import unreadable_file
from pipeline.formats.base import Example
from pipeline.formats.structured import boxes
from pipeline.formats.structured.boxes import Box
from pipeline.formats.table import find_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
            by_image[annotation.get("image_id")].append(annotation)
        for number in by_image.keys() - content["pictures"].keys():
            yield Example(f"{path}: image_id {number}", {}, split, "its annotations are of no picture in the file")
        for number, picture in content["pictures"].items():
            name = str(picture.get("file_name"))
            yield self._example(f"{path}: {name}", images / name, by_image[number], content["names"], split)

    def _example(self, source: str, file: Path, annotations: list[Any], names: dict[Any, str], split: str) -> Example:
        try:
            pixels = file.read_bytes()
            marked = [_read_box(each, names) for each in annotations if not each.get("iscrowd")]
        except OSError as error:
            return Example(source, {}, split, f"its picture cannot be read: {error.strerror}")
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            return Example(source, {}, split, f"an annotation cannot be read: {type(error).__name__}: {error}")
        return boxes.make_example(source, pixels, marked, self.names, split)


def read_file(path: Path) -> dict[str, Any]:
    """Reads a JSON file of COCO.

    Raises:
        PipelineError: It is none.
    """
    try:
        content = json.loads(path.read_bytes())
        lists = {key: [dict(each) for each in content[key]] for key in ("images", "annotations", "categories")}
        names = {each["id"]: str(each["name"]) for each in lists["categories"]}
        return {**lists, "names": names, "pictures": {each["id"]: each for each in lists["images"]}}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise unreadable_file(path, EXPECTED, error) from error


def _read_box(annotation: dict[str, Any], names: dict[Any, str]) -> Box:
    left, top, width, height = map(float, annotation["bbox"])
    name = names.get(annotation["category_id"], f"category {annotation['category_id']}")
    return Box(name, left, top, left + width, top + height)
