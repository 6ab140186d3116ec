"""JSON lines: one object per line; or one array of objects; or a table as pandas writes it. Plain or gzip."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, unreadable_file
from pipeline.formats import table
from pipeline.formats.csv import FAILURES
from pipeline.tables.dialect import open_text
from pipeline.tables.number_forms import MISSING_TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pipeline.formats.base import Example

EXPECTED = "a file with one JSON object per line, or an array of objects, plain or .gz"
BLOCK_CHARACTERS = 1 << 20
ARRAY = re.compile(r"\s*\[\s*[{\]]")
BETWEEN = re.compile(r"[\s,]*")
LINES = re.compile(r"\.(jsonl|ndjson)(\.gz)?$", re.IGNORECASE)  # a name that says: one object per line
SHOWN_CHARACTERS = 40
TWICE = object()  # key under which an object has the name of a member that comes twice


@dataclass(frozen=True)
class JsonLines:
    """A file of JSON lines. Raw inputs are the declared members of each object; absent and null members are missing.

    Args:
        path: File, absolute or under the data folder; may be `.gz`.
        columns: Kind of each input: "float", "int", "bytes" (text), or "float[n]" for a list of numbers.
        label: Member with the label.
        classes: Declared classes; empty if the label is a number.
        test: A second file, the official test set; then `path` has the training rows.
        extra: Kind of other members, which clients do not send, for `Group` splits and slices.
        time: Member with the date of each row, for `Time` splits.
        missing: Texts that mean a missing value.
    """

    path: str
    columns: Mapping[str, str]
    label: str
    classes: tuple[str, ...] = ()
    test: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    time: str = ""
    missing: tuple[str, ...] = MISSING_TEXTS

    @property
    def inputs(self) -> dict[str, str]:
        """The declared members."""
        return dict(self.columns)

    def files(self, data: Path) -> list[Path]:
        """Returns the file, and the official test file if there is one.

        Raises:
            PipelineError: There is no such file.
        """
        return table.find_files(data, (self.path, self.test), EXPECTED)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the objects in the order of the file; a line without an object is an example with a fault.

        Raises:
            PipelineError: The file is damaged.
        """
        layout = table.Layout.from_table(self)
        for path, split in table.assign_splits(self.files(data), self.test):
            for place, row, fault in read_rows(path):
                source = f"{path} {place}"
                yield layout.example(source, row, split) if not fault else table.faulty_example(source, split, fault)


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yields place ("line 7", "element 7" of an array), object and fault of each line that is not blank.

    Memory holds a line, or an element of an array; a file that is one object that holds a table is read as a whole.

    Raises:
        PipelineError: The file is damaged.
    """
    try:
        with open_text(path) as file:
            lines = enumerate(file, 1)
            number, first = next(((number, line) for number, line in lines if line.strip()), (0, ""))
            alone = not LINES.search(path.name) and not any(line.strip() for _, line in lines)
        if ARRAY.match(first + "{" * (first.strip() == "[")):
            yield from _read_array(path)
        elif rows := _read_document(path, first, alone=alone):
            yield from ((f"row {place}", *_require_object(row, "")) for place, row in enumerate(rows, 1))
        elif number:
            yield from _read_lines(path)
    except FAILURES as error:
        raise unreadable_file(path, EXPECTED, error) from error


def _read_lines(path: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"line {number}", *_parse_line(line)


def _read_array(path: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
    decoder, number = json.JSONDecoder(object_pairs_hook=_make_object), 0
    with open_text(path) as file:
        text = file.read(BLOCK_CHARACTERS)
        place = text.index("[") + 1
        while True:
            place = BETWEEN.match(text, place).end()  # type: ignore[union-attr]
            if text.startswith("]", place):
                return
            try:
                value, end = decoder.raw_decode(text, place)
            except (ValueError, RecursionError) as error:
                more = file.read(BLOCK_CHARACTERS)
                if not more:
                    yield f"element {number + 1}", {}, f"not JSON: {error}: {text[place:].strip()[:SHOWN_CHARACTERS]!r}"
                    return
                text, place = text[place:] + more, 0
                continue
            number, place = number + 1, end
            yield f"element {number}", *_require_object(value, text[end - SHOWN_CHARACTERS : end])


def _begins_object(line: str) -> bool:
    return line.lstrip().startswith("{")


def _read_document(path: Path, first: str, *, alone: bool) -> list[dict[str, Any]]:
    """The rows of a file that is one object with a table in it, as pandas or a web service writes it.

    Args:
        path: The file.
        first: Its first line.
        alone: Whether there is no other one, in a file that is not said to be of lines.

    Returns:
        The rows; none for JSON lines.
    """
    if not _begins_object(first) or (_is_row(first) and not alone):
        return []
    with open_text(path) as file:
        try:
            value = json.loads(file.read(), object_pairs_hook=_make_object)
        except (ValueError, RecursionError):
            return []
    if TWICE not in value and (names := _name_tables(value)):
        raise PipelineError(
            f"{path} holds several tables.",
            expected=EXPECTED,
            received=f"lists of objects: {', '.join(names)}",
            action="save each as a file of its own; test= of the recipe's data takes that of a test set",
        )
    return [] if TWICE in value else _table_rows(value) or _listed_rows(value)


def _name_tables(value: dict[str, Any]) -> list[str]:
    """Names of the members that are lists of objects, if there are several of them and nothing else."""
    tables = [name for name, rows in value.items() if isinstance(rows, list) and rows and isinstance(rows[0], dict)]
    return tables if len(tables) == len(value) > 1 else []


def _is_row(line: str) -> bool:
    """Whether a line is an object that is a row by itself."""
    value, fault = _parse_line(line)
    return not fault and not _table_rows(value) and not _name_tables(value)


def _table_rows(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows under "data", as objects or as lists beside "columns"; columns as lists; or objects with the same keys."""
    rows, names = value.get("data"), value.get("columns")
    if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        return rows
    if isinstance(rows, list) and isinstance(names, list) and all(isinstance(row, list) for row in rows):
        return [dict(zip(map(str, names), row, strict=False)) for row in rows]
    columns = list(value.values())
    if len(columns) < 2 or len({type(column) for column in columns}) > 1:  # noqa: PLR2004
        return []
    if isinstance(columns[0], list) and len({len(column) for column in columns}) == 1 < len(columns[0]):
        return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]
    alike = isinstance(columns[0], dict) and all(column.keys() == columns[0].keys() for column in columns)
    if alike and TWICE not in columns[0]:
        return columns if _are_rows(value) else _turn_columns(value)
    return []


def _listed_rows(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows in the only member that is a list of several objects, such as `results`, or the features of GeoJSON.

    A feature is its properties, and of a point its longitude and latitude (RFC 7946, sections 3.1.2 and 3.2).
    """
    lists = [each for each in value.values() if isinstance(each, list) and len(each) > 1]
    if len(lists) != 1 or not all(isinstance(row, dict) for row in lists[0]):
        return []
    return [_flatten_feature(row) for row in lists[0]] if value.get("type") == "FeatureCollection" else lists[0]


def _flatten_feature(feature: dict[str, Any]) -> dict[str, Any]:
    geometry, properties = feature.get("geometry") or {}, feature.get("properties") or {}
    point = geometry.get("coordinates", ()) if geometry.get("type") == "Point" else ()
    return dict(zip(("longitude", "latitude"), point, strict=False)) | properties


def _are_rows(value: dict[str, dict[str, Any]]) -> bool:
    """Whether objects with the same keys are rows, and not columns: the keys of rows are numbers, or are more."""
    outer, inner = list(value), list(next(iter(value.values())))
    numbered = [all(key.isdecimal() for key in keys) for keys in (outer, inner)]
    return numbered[0] if numbered[0] != numbered[1] else len(outer) > len(inner)


def _turn_columns(value: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: column[key] for name, column in value.items()} for key in next(iter(value.values()))]


def _parse_line(line: str) -> tuple[dict[str, Any], str]:
    try:
        value = json.loads(line, object_pairs_hook=_make_object)
    except (ValueError, RecursionError) as error:
        return {}, f"not JSON: {error}: {line.strip()[:SHOWN_CHARACTERS]!r}"
    return _require_object(value, line)


def _make_object(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """An object of JSON; of names that come twice each parser takes another one, so the row says it."""
    made = dict(pairs)
    if len(made) < len(pairs):
        made[TWICE] = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return made


def _require_object(value: Any, text: str) -> tuple[dict[str, Any], str]:
    if not isinstance(value, dict):
        return {}, f"not an object: {text.strip()[:SHOWN_CHARACTERS]!r}"
    return ({}, f"the member {value[TWICE]!r} comes twice") if TWICE in value else (value, "")


def _take_rows(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    block: list[dict[str, Any]] = []
    cells = 0
    while len(block) < table.BLOCK_ROWS and cells < table.BLOCK_CELLS and (row := next(rows, None)) is not None:
        block.append(row)
        cells += len(row)
    return block


def read_blocks(path: Path) -> Iterator[dict[str, list[Any]]]:
    """Yields the readable objects as columns, some thousand at a time; missing members are None."""
    sound = (row for _, row, fault in read_rows(path) if not fault)
    while block := _take_rows(sound):
        names = dict.fromkeys(name for row in block for name in row)
        yield {name: [row.get(name) for row in block] for name in names}
