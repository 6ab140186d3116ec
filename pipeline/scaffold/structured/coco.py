"""Recipes of detectors for the files of COCO: which are read, for which split, and where their pictures are."""

from __future__ import annotations

import codecs
import itertools
import json
import re
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.features import image
from pipeline.formats.download import list_members
from pipeline.formats.folders import SPLIT_NAMES, is_hidden
from pipeline.formats.structured.coco import MEMBERS, CocoBoxes, read_file, read_id
from pipeline.scaffold.render import list_names
from pipeline.scaffold.structured.boxes import plan_boxes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.scaffold.render import Plan

LOOKED_AT = 60  # pictures of a list
START = 1 << 16  # bytes in which a file of COCO has one of its keys
SPLITS = {**SPLIT_NAMES, **dict.fromkeys(("val", "valid", "validation", "dev"), "val")}
STARTS = (b"{", codecs.BOM_UTF8)
PICTURES = ("images", "jpegimages")  # folders of pictures
MARKS = (("images", "file_name"), ("annotations", "image_id"))  # a list of COCO, and what its entries have
COCO_KEYS = ("info", "licenses", "images", "annotations", "categories")


def find_coco(path: Path, *, partly: bool = False) -> Iterator[Path]:
    """Yields the JSON files of COCO in a folder, those in fewer folders first; copies in hidden folders are none.

    Args:
        path: The folder.
        partly: Whether files count that lack some of their parts.
    """
    names = [name for name in list_members(path) if name.lower().endswith(".json") and not is_hidden(name)]
    files = (path / name for name in sorted(names, key=lambda name: (name.count("/"), name)))
    return (file for file in files if is_coco(file, partly=partly))


def is_coco(path: Path, *, partly: bool = False) -> bool:
    """Returns whether a JSON file has the parts of COCO's format, or some of them."""
    with path.open("rb") as file:
        start = file.read(START)
    # A table may be larger than the memory.
    return begins_like_coco(start) and has_coco_parts(path.read_bytes(), partly=partly)


def begins_like_coco(start: bytes) -> bool:
    """Returns whether the first bytes of a file may be those of COCO's format."""
    text = start.removeprefix(codecs.BOM_UTF8).lstrip()
    return text.startswith(b"{") and any(f'"{key}"'.encode() in text for key in COCO_KEYS)


def has_coco_parts(text: bytes, *, partly: bool = False) -> bool:
    """Returns whether JSON has the parts of COCO's format, or is one of its files that is cut off.

    Args:
        text: The JSON.
        partly: Whether pictures or boxes, as COCO has them, are enough.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        lines = "Extra data" in str(error)  # a JSON object in each line
        return not lines and text.startswith(STARTS) and all(key in text for key in (b'"images"', b'"file_name"'))
    if not isinstance(content, dict):
        return False
    return content.keys() >= set(MEMBERS) or (partly and any(_has_entry(content, *mark) for mark in MARKS))


def _has_entry(content: Mapping[str, Any], key: str, member: str) -> bool:
    """Returns whether an object has a list whose first entry has a member."""
    entries = content.get(key)
    return isinstance(entries, list) and bool(entries) and isinstance(entries[0], dict) and member in entries[0]


def plan_coco(path: Path) -> Plan:
    """Plans a recipe for a JSON file of COCO, or a folder with one or with one per split."""
    root = path.parent if path.is_file() else path
    files = [path] if path.is_file() else list(find_coco(path)) or list(find_coco(path, partly=True))
    train, test, unused = sort_coco(files, root)
    contents = {file: read_file(file) for file in (*train, *test)}
    folders = {file: find_pictures(file, root, content) for file, content in contents.items()}
    rivals = {file: find_rivals(file, root, content, folders[file]) for file, content in contents.items()}
    _require_own_pictures(contents, folders, rivals)
    copies = find_copies(train, contents, folders)
    used = [file for file in contents if file not in copies]
    names, notes = read_categories([contents[file] for file in used])
    paths = {str(file): str(folders[file]) for file in used}
    arguments = {**_name_files(paths, [str(file) for file in test]), "names": names}
    notes += _describe_folders(root, used, folders, rivals)
    notes += [] if unused else _describe_unlisted(root, find_unlisted(contents, folders))
    unused += copies
    notes += [f"Not read: {list_names([_short(file, root) for file in unused])}."] if unused else []
    return plan_boxes(path, CocoBoxes(**arguments), "coco", "CocoBoxes", arguments, notes)


def _describe_folders(
    root: Path, used: Sequence[Path], folders: Mapping[Path, Path], rivals: Mapping[Path, Sequence[Path]]
) -> list[str]:
    """Says in which folder the pictures of each file are, and which others have pictures of these names."""
    notes = [f"The pictures of {_short(file, root)} are those in {_short(folders[file], root)}." for file in used]
    others = {file: list_names([_short(other, root) for other in rivals[file]]) for file in used if rivals[file]}
    return notes + [
        f"Files of the same names as in {_short(folders[file], root)} are not read: {names}."
        for file, names in others.items()
    ]


def _describe_unlisted(root: Path, pictures: Sequence[Path]) -> list[str]:
    if not pictures:
        return []
    return [f"{len(pictures):,} pictures that no list names are not read: {_short(pictures[0], root)} first."]


def _name_files(folders: Mapping[str, str], test: Sequence[str]) -> dict[str, Any]:
    """Returns the arguments of the data set for its files, each with the folder of its pictures."""
    first, *more = [file for file in folders if file not in test]
    arguments: dict[str, Any] = {"path": first, "images": folders[first]}
    if more:
        arguments["more"] = {file: folders[file] for file in more}
    if test:
        arguments |= {"test": test[0], "test_images": folders[test[0]]}
    return arguments


def _short(path: Path, root: Path) -> str:
    if path == root:
        return "its folder"
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def find_copies(
    files: Sequence[Path], contents: Mapping[Path, Mapping[str, Any]], folders: Mapping[Path, Path]
) -> list[Path]:
    """Returns the files whose pictures are all in files before them: copies, which would count each picture twice."""
    known: set[Path] = set()
    copies = []
    for file in files:
        pictures = {folders[file] / str(picture.get("file_name")) for picture in contents[file]["images"]}
        if known and pictures <= known:
            copies.append(file)
        known |= pictures
    return copies


def sort_coco(files: Sequence[Path], root: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Returns the JSON files to learn from, that of the test split if there is one, and those that are not read.

    Without a test split the validation file is the test, as it is for COCO itself, whose test has no public answers.
    Files of another kind repeat the same pictures: person_keypoints_train2017 next to instances_train2017.
    """
    parts = {file: _coco_part(file, root) for file in files}
    first = min(files, key=lambda file: parts[file][1] in ("test", "val"))
    same = [file for file in files if parts[file][0] == parts[first][0]]
    tests, validations = ([file for file in same if parts[file][1] == split] for split in ("test", "val"))
    held_out = tests or validations
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
        used |= {content["names"].get(read_id(each.get("category_id"))) for each in content["annotations"]}
    empty = [name for name in names if name not in used]
    notes = [f"No annotation has the category {list_names(empty)}: left out."] if empty and used - {None} else []
    return tuple(name for name in names if name not in empty) or tuple(names), notes


def find_pictures(file: Path, root: Path, content: Mapping[str, Any]) -> Path:
    """Returns the folder to which the names of the pictures in a file of COCO belong.

    Several may have pictures of the same names: the folder of the file and what is in it come first; among others,
    those that are called like its split.
    """
    names = [str(picture.get("file_name")) for picture in content["images"][:LOOKED_AT]]
    near, far = _folders_below(file, file.parent), _folders_below(file, root)
    for folders in (near, far, _folders_beside(file, root, names)):
        counts = [sum(_is_file(folder / name) for name in names) for folder in folders]
        if any(counts):
            return folders[counts.index(max(counts))]
    raise PipelineError(
        f"The pictures that {file} lists are neither below {root} nor next to it.",
        expected=f"files such as {names[0] if names else 'images'} in one folder",
        received="none of them",
        action="put the pictures next to the JSON file, and name the folder of both with --data",
    )


def find_rivals(file: Path, root: Path, content: Mapping[str, Any], folder: Path) -> list[Path]:
    """Returns other folders with as many files of the names in a file of COCO, where nothing says which is meant."""
    names = [str(picture.get("file_name")) for picture in content["images"][:LOOKED_AT]]
    split = _coco_part(file, root)[1]
    if folder == file.parent or (split and _split_of(folder) == split):
        return []
    counts = {other: sum(_is_file(other / name) for name in names) for other in {*_folders_below(file, root), folder}}
    return sorted(other for other, count in counts.items() if other != folder and count >= counts[folder])


def find_unlisted(contents: Mapping[Path, Mapping[str, Any]], folders: Mapping[Path, Path]) -> list[Path]:
    """Returns the pictures next to those that files of COCO list, which none of them lists."""
    listed = {
        folders[file] / str(each.get("file_name")) for file, content in contents.items() for each in content["images"]
    }
    beside = {path.parent for path in listed if _is_file(path)}
    return sorted(
        path
        for folder in beside
        for path in folder.iterdir()
        if path not in listed and path.suffix.lower() in image.SUFFIXES and not is_hidden(path.name)
    )


def _require_own_pictures(
    contents: Mapping[Path, Mapping[str, Any]], folders: Mapping[Path, Path], rivals: Mapping[Path, Sequence[Path]]
) -> None:
    """Stops where two files list pictures of the same names, and two folders have them."""
    names = {file: {str(each.get("file_name")) for each in content["images"]} for file, content in contents.items()}
    for file, other in itertools.combinations(contents, 2):
        shared = names[file] & names[other]
        if shared and folders[file] == folders[other] and rivals[file] and rivals[other]:
            raise PipelineError(
                f"{file} and {other} list pictures of the same names, and nothing says in which folder each has them.",
                expected="each JSON file in the folder of its pictures",
                received=f"{min(shared)} in {folders[file]} and in {rivals[file][0]}",
                action="move each JSON file into the folder of its pictures",
            )


def _folders_below(file: Path, root: Path) -> list[Path]:
    split = _coco_part(file, root)[1]
    below = [folder for depth in ("*", "*/*") for folder in sorted(root.glob(depth)) if folder.is_dir()]
    shown = [folder for folder in below if not is_hidden(str(folder.relative_to(root)))]
    return [root, *sorted(shown, key=lambda folder: _split_of(folder) != split)]


def _folders_beside(file: Path, root: Path, names: Sequence[str]) -> list[Path]:
    """Returns what may have the pictures of annotations/instances_train.json: train or images next to annotations.

    Other folders there may be other data sets, whose pictures often have the same names.
    """
    split = _coco_part(file, root)[1]
    beside = [folder for folder in sorted(root.parent.iterdir()) if folder.is_dir() and folder != root]
    known = [each for each in beside if each.name.lower() in PICTURES or (split and _split_of(each) == split)]
    inner = {name.partition("/")[0] for name in names if "/" in name} & {folder.name for folder in known}
    return [*known, *([root.parent] if inner else [])]


def _split_of(folder: Path) -> str:
    return _coco_part(folder / "any.json", folder.parent)[1]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
