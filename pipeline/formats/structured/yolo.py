"""Boxes in the format of YOLO: a text file per picture, a line per box: class x y width height, as shares.

Source: https://docs.ultralytics.com/datasets/detect/; x and y are the centre of the box. A line of three points or more
(https://docs.ultralytics.com/datasets/segment/) is an outline: its box is the smallest around it. Pictures lie in
folders called `images`, texts at the same place below `labels`; or each text lies next to its picture, as Darknet,
CVAT and labelImg write them. A picture without a text has no boxes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.features import image
from pipeline.formats.base import Example
from pipeline.formats.download import list_members, read_members
from pipeline.formats.folders import find_split, is_hidden, locate
from pipeline.formats.structured import boxes
from pipeline.formats.structured.annotation_files import AnnotationFiles
from pipeline.formats.structured.boxes import Box

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

FIELDS, OUTLINE = 5, 7  # words of a line: a box, an outline of three points
IMAGES, LABELS, TEXT = "images", "labels", ".txt"
NO_LINE = "a line of its text is not `class x y width height` as shares"
TRIED = 20  # texts that are looked at to tell what they are


@dataclass(frozen=True)
class YoloBoxes:
    """Raw input `image_bytes` (the file); targets `boxes` and `classes` (`pipeline.formats.structured.boxes`).

    Args:
        path: Folder or archive with folders `images` and `labels`, or with each text next to its picture; absolute or
            under the data folder. A folder called like a split (`images/train`, `test/labels`) is the official split.
        names: The declared classes, in the order of their numbers.
        most: Boxes per picture; more are left out and counted.
    """

    path: str
    names: tuple[str, ...]
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
        """Returns the folder or archive.

        Raises:
            PipelineError: There is none.
        """
        return [locate(data, self.path, "folders images and labels")]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the pictures, ordered by path, or in the order of the archive; then the texts that have none.

        Raises:
            PipelineError: The archive is damaged.
        """
        (path,) = self.files(data)
        names = list_members(path)
        places, texts = find_pictures(names), _read_texts(path, names)
        for name, content in read_members(path, image.SUFFIXES):
            if name in places:
                text, unclear = texts.find(places[name])
                marked, fault = read_boxes(text or b"", self.names)
                split = find_split(PurePosixPath(name).parts)
                yield boxes.make_example(f"{path / name}", content, marked, self.names, split, unclear or fault)
        for name, content in texts.strays():
            if _is_annotation(content, apart=has_folders(names)):
                split = find_split(PurePosixPath(name).parts)
                yield Example(f"{path / name}", {}, split, "it is a text with boxes without its picture")


def find_pictures(names: Sequence[str]) -> dict[str, str]:
    """Returns the pictures among the files of a data set, with their places."""
    folder = IMAGES if has_folders(names) else ""
    pictures = (name for name in names if name.lower().endswith(image.SUFFIXES) and not is_hidden(name))
    places = ((name, _place(name, folder)) for name in pictures)
    return {name: place for name, place in places if place is not None}


def _read_texts(path: Path, names: Sequence[str]) -> AnnotationFiles:
    texts = AnnotationFiles(find_pictures(names).values(), "text")
    folder = LABELS if has_folders(names) else ""
    for name, content in read_members(path, (TEXT,)):
        place = _place(name, folder)
        if place is not None and not is_hidden(name):
            texts.add(place, name, content)
    return texts


def _is_annotation(text: bytes, *, apart: bool) -> bool:
    """Returns whether a text without a picture is one of boxes, and not a list of names or a description."""
    marked, fault = read_boxes(text, ())
    return not fault and (apart or bool(marked))


def has_folders(names: Iterable[str]) -> bool:
    """Returns whether texts lie in folders of their own, and not next to the pictures."""
    return any(name.lower().endswith(TEXT) and _place(name, LABELS) is not None for name in names)


def pair_texts(path: Path, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yields the texts with the place of their picture; of texts next to pictures those that have one.

    Args:
        path: Folder or archive.
        names: Of its files.
    """
    apart = has_folders(names)
    pictures = {_place(name, "") for name in names if name.lower().endswith(image.SUFFIXES)}
    for name, content in read_members(path, (TEXT,)):
        place = _place(name, LABELS if apart else "")
        if place is not None and (apart or place in pictures):
            yield place, content


def has_boxes_next_to_pictures(path: Path, names: Sequence[str]) -> bool:
    """Returns whether the first texts that lie next to pictures hold boxes, and not a description of the picture."""
    beside = () if has_folders(names) else itertools.islice(pair_texts(path, names), TRIED)
    tried = [read_boxes(content, ()) for _, content in beside]
    return any(marked for marked, _ in tried) and not any(fault for _, fault in tried)


def _place(name: str, folder: str) -> str | None:
    """Returns the path of a file without the folder of its kind, if it has one, and its ending; None outside of it."""
    parts = PurePosixPath(name).with_suffix("").parts
    if folder and folder not in map(str.lower, parts[:-1]):
        return None
    return "/".join([*(part for part in parts[:-1] if part.lower() != folder), parts[-1]])


def read_boxes(text: bytes, names: Sequence[str]) -> tuple[list[Box], str]:
    """Returns the boxes of a picture from its text, or why they cannot be read."""
    marked = []
    for number, line in enumerate(text.decode("utf-8-sig", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            marked.append(_read_line(line, names))
        except (ValueError, IndexError) as error:
            return [], f"{NO_LINE}: line {number}, {line[:60]!r} ({error})"
    return marked, ""


def _read_line(line: str, names: Sequence[str]) -> Box:
    words = line.split()
    kind, numbers = int(words[0]), list(map(float, words[1:]))
    name = names[kind] if 0 <= kind < len(names) else f"number {kind}"
    if len(words) >= OUTLINE and len(words) % 2:
        across, down = numbers[::2], numbers[1::2]
        return Box(name, min(across), min(down), max(across), max(down), as_shares=True)
    if len(words) != FIELDS:
        raise ValueError(f"{len(words)} words")
    x, y, wide, high = numbers
    return Box(name, x - wide / 2, y - high / 2, x + wide / 2, y + high / 2, as_shares=True)
