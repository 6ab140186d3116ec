"""Files that say what is on pictures, and whose they are: by their place, or by a name that only one picture has."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.formats.folders import split_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class AnnotationFiles:
    """Annotations by the place of their picture.

    A place is a path without its ending and without folders that say only what kind of file is in them.

    Args:
        pictures: Place of each picture.
        kind: What a file is called in messages, such as "XML file".
    """

    def __init__(self, pictures: Iterable[str], kind: str) -> None:
        self._pictures = Counter(pictures)
        self._kind = kind
        self._files: dict[str, dict[bytes, str]] = {}  # by place: name by content, so that copies count once
        self._picture_places: dict[str, list[str]] = defaultdict(list)  # by name alone, as are the following ones
        self._file_places: dict[str, list[str]] = defaultdict(list)
        for place in self._pictures:
            self._picture_places[_stem(place)].append(place)

    def add(self, place: str, name: str, content: bytes) -> None:
        """Adds a file.

        Args:
            place: That of its picture.
            name: Its path.
            content: Its bytes.
        """
        if place not in self._files:
            self._file_places[_stem(place)].append(place)
        self._files.setdefault(place, {}).setdefault(content, name)

    def find(self, place: str) -> tuple[bytes | None, str]:
        """Returns what is said of the picture at a place, None if nothing is; and why that cannot be known."""
        files = self._files.get(place) or self._files.get(self._lone_file(_stem(place)), {})
        if files and self._pictures[place] > 1:
            return None, f"another picture has its name, and so the same {self._kind}"
        if len(files) > 1:
            return None, f"more than one {self._kind} has its name: {', '.join(files.values())}"
        lost = [] if files else [other for other in self._file_places[_stem(place)] if self._is_stray(other)]
        names = ", ".join(name for other in lost for name in self._files[other].values())
        return next(iter(files), None), f"the {self._kind} of its name is at another place: {names}" if lost else ""

    def strays(self) -> Iterator[tuple[str, bytes]]:
        """Yields path and content of the files that are of no picture."""
        for place, files in self._files.items():
            if self._is_stray(place):
                yield from ((name, content) for content, name in files.items())

    def _is_stray(self, place: str) -> bool:
        return place not in self._pictures and place != self._lone_file(_stem(place))

    def _lone_file(self, stem: str) -> str:
        """Returns the place of the only file of a name that only one picture has, unless they are of two splits."""
        files, pictures = self._file_places.get(stem, []), self._picture_places.get(stem, [])
        if len(files) != 1 or len(pictures) != 1:
            return ""
        splits = _splits(files[0]), _splits(pictures[0])
        return "" if all(splits) and splits[0] != splits[1] else files[0]


def _stem(place: str) -> str:
    return PurePosixPath(place).name


def _splits(place: str) -> set[str]:
    return {part.lower() for part in PurePosixPath(place).parts[:-1] if split_of(part)}
