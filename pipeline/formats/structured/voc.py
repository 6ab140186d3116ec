"""Boxes in the format of Pascal VOC: one XML file per picture, and lists of the pictures of each split.

Source: M. Everingham et al., The Pascal visual object classes challenge, IJCV 88(2), 2010; the development kit VOC2012,
section "Annotation". Places are whole pixels that count from 1, and the last one belongs to the box.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from pipeline.features import image
from pipeline.formats.base import Example
from pipeline.formats.download import list_members, read_members
from pipeline.formats.folders import find_split, is_hidden, locate, split_of
from pipeline.formats.structured import boxes
from pipeline.formats.structured.annotation_files import AnnotationFiles
from pipeline.formats.structured.boxes import Box

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

KINDS = ("jpegimages", "images", "annotations")  # folders that say what kind of file is in them
MASKS = {"segmentationclass", "segmentationobject"}  # folders of pictures that are masks of others
MARK = b"<annotation"  # with which an XML file is one of a picture


@dataclass(frozen=True)
class VocBoxes:
    """Raw input `image_bytes` (the file); targets `boxes` and `classes` (`pipeline.formats.structured.boxes`).

    Args:
        path: Folder or archive with `JPEGImages`, `Annotations` and perhaps `ImageSets/Main`, anywhere below;
            absolute or under the data folder. Pictures and XML files of the same name may also lie next to each other,
            in folders that are called like splits.
        names: The declared classes.
        most: Boxes per picture; more are left out and counted.
        source: Where a public data set comes from, for who lacks it.
    """

    path: str
    names: tuple[str, ...]
    most: int = boxes.MOST
    source: str = ""
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
        return [locate(data, self.path, "pictures and XML files", self.source)]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the annotated pictures, ordered by name, then what has no picture.

        Test are those in ImageSets/Main/test.txt or a folder `test`.

        Raises:
            PipelineError: The archive is damaged.
        """
        (path,) = self.files(data)
        pictures = [name for name in list_members(path) if _is_picture(name)]
        annotations, splits = _read_texts(path, pictures)
        for name, content in read_members(path, image.SUFFIXES):
            stem = PurePosixPath(name).stem
            if _is_picture(name) and (not splits or stem in splits):
                split = splits.get(stem) or find_split(PurePosixPath(name).parts[:-1])
                yield self._example(f"{path / name}", content, annotations.find(_place(name)), split)
        yield from _find_lost(path, pictures, annotations, splits)

    def _example(self, source: str, content: bytes, annotation: tuple[bytes | None, str], split: str) -> Example:
        text, unclear = annotation
        if text is None:
            return Example(source, {}, split, unclear or "it has no XML file of the same name")
        marked, size, fault = read_boxes(text)
        return boxes.make_example(source, content, marked, self.names, split, fault, size)


def find_unlisted(path: Path) -> list[str]:
    """Returns the pictures that no list of a split names, where there are such lists: these are not read."""
    pictures = [name for name in list_members(path) if _is_picture(name)]
    splits = _read_texts(path, pictures)[1]
    return [name for name in pictures if splits and PurePosixPath(name).stem not in splits]


def _find_lost(
    path: Path, pictures: Iterable[str], annotations: AnnotationFiles, splits: Mapping[str, str]
) -> Iterator[Example]:
    """Yields what has no picture: XML files, and names in the list of a split."""
    lost = set(splits) - {PurePosixPath(name).stem for name in pictures}
    for name, content in annotations.strays():
        stem = PurePosixPath(name).stem
        if MARK in content and (not splits or stem in splits):
            yield Example(f"{path / name}", {}, splits.get(stem, ""), "it is an XML file without its picture")
            lost.discard(stem)
    for stem in sorted(lost):
        yield Example(f"{path}: {stem}", {}, splits[stem], "the list of a split names it, and there is no such picture")


def _read_texts(path: Path, pictures: Iterable[str]) -> tuple[AnnotationFiles, dict[str, str]]:
    """Returns the XML files, and the split of each picture that a list names."""
    annotations = AnnotationFiles(map(_place, pictures), "XML file")
    stems = {PurePosixPath(name).stem for name in pictures}
    splits: dict[str, str] = {}
    for name, content in read_members(path, (".xml", ".txt")):
        if is_hidden(name):
            continue
        if name.lower().endswith(".xml"):
            annotations.add(_place(name), name, content)
        else:
            listed = read_list(name, content, stems)
            # A picture of two lists is one of the test: what is learnt must not be measured.
            splits |= {stem: split for stem, split in listed.items() if splits.get(stem) != "test"}
    return annotations, splits


def _is_picture(name: str) -> bool:
    folders = {part.lower() for part in PurePosixPath(name).parts[:-1]}
    return name.lower().endswith(image.SUFFIXES) and not is_hidden(name) and not folders & MASKS


def read_list(name: str, content: bytes, stems: Collection[str]) -> dict[str, str]:
    """Returns the split of each picture that a list names; empty if the text is no list of a split.

    Lists for outlines and for actions (`ImageSets/Segmentation`) have only some of the pictures, and a text called
    `train.txt` may be notes.

    Args:
        name: Path of the text; a split is its name.
        content: Its bytes: a picture in each line, perhaps with more words, an ending or folders.
        stems: Names of the pictures without endings.
    """
    path = PurePosixPath(name)
    folders = [part.lower() for part in path.parts[:-1]]
    split = "train" if path.stem.lower() == "trainval" else split_of(path.stem)
    if not split or ("imagesets" in folders and folders[-1] != "main"):
        return {}
    lines = filter(None, map(str.strip, content.decode("utf-8-sig", "replace").splitlines()))
    named = [_read_stem(line if line in stems else line.split()[0]) for line in lines]
    known = sum(stem in stems for stem in named)
    return dict.fromkeys(named, split) if folders[-1:] == ["main"] or known > len(named) / 2 else {}


def _read_stem(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in image.SUFFIXES else path.name


def _place(name: str) -> str:
    parts = PurePosixPath(name).with_suffix("").parts
    return "/".join(part for part in parts if part.lower() not in KINDS)


def read_boxes(annotation: bytes) -> tuple[list[Box], tuple[Any, Any], str]:
    """Returns the boxes of an annotation, width and height of its picture if it has them, or why it cannot be read."""
    try:
        root = ET.fromstring(annotation)  # noqa: S314  (expat ends expanding entities by itself)
        for node in root.iter():
            node.tag = str(node.tag).rpartition("}")[2]  # without the namespace that some programs write
        size = root.findtext("size/width"), root.findtext("size/height")
        return [_read_box(node) for node in root.iter("object")], size, ""
    except (ET.ParseError, ValueError, LookupError, AttributeError, TypeError) as error:
        return [], (None, None), f"its XML file cannot be read: {error}"


def _read_box(node: ET.Element) -> Box:
    sides = node.find("bndbox")
    if sides is None:
        raise ValueError("an object without bndbox")
    name = (node.findtext("name") or "").strip()
    if not name:
        raise ValueError("an object without name")
    left, top, right, bottom = (float(sides.findtext(key, "")) for key in ("xmin", "ymin", "xmax", "ymax"))
    return Box(name, left, top, right, bottom)
