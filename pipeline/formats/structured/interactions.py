"""A table of interactions: who took which item, and perhaps when and how it was rated."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.formats import csv, table
from pipeline.formats.base import Example
from pipeline.formats.read_table import EXPECTED_FILE, read_rows, table_format
from pipeline.formats.structured.interaction_cells import read_id, read_rating, read_seconds, read_title
from pipeline.tables import sniff
from pipeline.tables.dialect import Dialect, plain_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pipeline.formats.base import Value

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (all times are in UTC)
LAST_MICROSECOND = 999_999
AGAIN = "the same user and item again: the first of these rows counts"
ROUNDING = 1e-9  # of a user's mean rating


@dataclass(frozen=True)
class Interactions:
    """What users take next: raw input `user_id`, target the item. Ids are texts, as the file has them.

    Targets: `item_id`; `item`, its place in `tables`; `history`, the places of the user's items before, the latest
    first, -1 after the last one; `earlier`, how many items the user has before; with a rating `liked`, 0 for one below
    the mean of the user and 1 for all others.

    Rows of a user at the same time, or without a time, are in an order by hash of user and item. Of the rows with the
    same user and item the first one counts.

    Args:
        path: CSV, TSV, JSON lines or Parquet file, absolute or under the data folder.
        user: Column of the user.
        item: Column of the item.
        rating: Column of a number, the higher the better; a row without one counts as liked.
        time: Column of the time: seconds, or thousandths of seconds and smaller, since 1970; or a date.
        title: Column of the item's title.
        order: How dates with slashes are written: "month first", "day first".
        length: Items of the history.
        encoding: Of a CSV file; found in the file if empty, as are the following ones.
        delimiter: Between its cells.
        decimal: What begins the decimals.
        thousands: What groups digits.
        header: Line of the header; 0 for none.
    """

    path: str
    user: str
    item: str
    rating: str = ""
    time: str = ""
    title: str = ""
    order: str = ""
    length: int = 50
    encoding: str = ""
    delimiter: str = ""
    decimal: str = ""
    thousands: str = ""
    header: int | None = None
    label: str = ""
    classes: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ("user_id", "item_id")  # of which later data have others

    @property
    def inputs(self) -> dict[str, str]:
        """Who."""
        return {"user_id": "bytes"}

    @property
    def column_names(self) -> dict[str, str]:
        """The column of the input in the file: clients may call it so, too."""
        return {"user_id": self.user}

    @property
    def targets(self) -> dict[str, str]:
        """What, after what, and what is said of it."""
        kinds = {"item_id": "bytes", "item": "int", "history": f"int[{self.length}]", "earlier": "int"}
        return kinds | ({"liked": "int"} if self.rating else {})

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        return [name for name in (self.user, self.item, self.rating, self.time, self.title) if name]

    def files(self, data: Path) -> list[Path]:
        """Returns the file, or the folder of Parquet files.

        Raises:
            PipelineError: It does not exist.
        """
        return table.find_files(data, [self.path], EXPECTED_FILE, folders=True)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields rows that cannot be used, then the others by their time.

        Memory holds the ids, and 40 bytes of each row.

        Raises:
            PipelineError: A column is missing, or the file is damaged.
        """
        rows = Rows()
        yield from self._read(data, rows)
        yield from self._follow(rows)

    def tables(self, data: Path) -> dict[str, Any]:
        """Returns the items in the order of their ids, and the number of rows.

        Returns:
            {"item_id": (items,) of bytes, "pairs": (1,) of int}, and with a title "title": (items,) of bytes.

        Raises:
            PipelineError: There is no row, or the file cannot be read.
        """
        import numpy as np

        rows = Rows()
        for _ in self._read(data, rows):
            pass
        ids = sorted(rows.items)
        if not ids:
            raise PipelineError(
                f"{self.path} has no row with a user and an item.",
                expected=f"rows with {self.user} and {self.item}",
                received="none",
                action="correct the file, or the names of the columns in the recipe",
            )
        titles = {"title": np.array([rows.titles.get(rows.items[name], b"") for name in ids])} if self.title else {}
        return {"item_id": np.array(ids), "pairs": np.array([len(rows.hashes)]), **titles}

    def _read(self, data: Path, rows: Rows) -> Iterator[Example]:
        """Yields the rows that cannot be used, and adds the others to `rows`."""
        for path in self.files(data):
            for place, cells, unreadable in self._read_cells(path):
                fault = unreadable or self._add(cells, rows)
                if fault:
                    yield Example(f"{path} {place}", {}, fault=fault)

    def _read_cells(self, path: Path) -> Iterator[tuple[str, Mapping[str, Any], str]]:
        """Yields place, cells and fault of each row; only the numbers of a CSV file are read as such, never an id."""
        if table_format(path) in ("parquet", "jsonl"):
            yield from read_rows(path, self.columns)
            return
        said = Dialect(self.delimiter, self.encoding, self.decimal, self.thousands, self.header)
        dialect = sniff.complete(path, said, self.columns)
        lines = csv.read_rows(path, dialect)
        header = next(lines)[1]
        table.require_columns(path, self.columns, header)
        for line, values, fault in lines:
            cells: dict[str, Any] = dict(zip(header, values, strict=False))
            for name in (self.rating, self.time):
                if name in cells:
                    cells[name] = plain_number(cells[name], dialect.decimal, dialect.thousands)
            yield f"line {line}", cells, fault

    def _add(self, cells: Mapping[str, Any], rows: Rows) -> str:
        """Adds a row, or returns why it cannot be used."""
        try:
            user, item = (read_id(name, cells.get(name), self.encoding) for name in (self.user, self.item))
            rating = read_rating(self.rating, cells.get(self.rating)) if self.rating else 0.0
            seconds = read_seconds(self.time, cells.get(self.time), self.order) if self.time else 0
        except ValueError as error:
            return str(error)
        rows.add(user, item, rating, seconds)
        if self.title:
            rows.name(item, read_title(cells.get(self.title)))
        return ""

    def _follow(self, rows: Rows) -> Iterator[Example]:
        """Yields the rows by their time, each with what its user took before."""
        order = rows.sort()
        users, items, again = list(rows.users), list(rows.items), order.again
        places = {item: place for place, item in enumerate(sorted(rows.items))}
        numbers = [places[item] for item in items]
        for row in range(len(order.user)):
            user, item = users[order.user[row]], items[order.item[row]]
            source = f"{self.path} user {user.decode()}, item {item.decode()}"
            if again[row]:
                yield Example(source, {}, fault=AGAIN)
                continue
            before, earlier = order.look_back(row, self.length)
            features: dict[str, Value] = {"user_id": user, "item_id": item, "item": numbers[order.item[row]]}
            features |= {"history": tuple(numbers[number] for number in before), "earlier": earlier}
            features |= {"liked": int(order.liked[row])} if self.rating else {}
            # Unlike the times, these differ, so that a split by time never takes all rows of a user.
            moment = EPOCH + timedelta(seconds=int(order.seconds[row]), microseconds=min(earlier, LAST_MICROSECOND))
            begins = moment.isoformat(timespec="microseconds")
            yield Example(source, features, "", "", begins, begins)


@dataclass
class Rows:
    """Rows of a table, as columns of numbers; users and items are numbered as they come.

    Attributes:
        users: Number by id.
        items: The same.
        titles: Title by number of the item.
        user: Number of the user of each row; `item`, `ratings`, `seconds` and `hashes`, of user and item, likewise.
    """

    users: dict[bytes, int] = field(default_factory=dict)
    items: dict[bytes, int] = field(default_factory=dict)
    titles: dict[int, bytes] = field(default_factory=dict)
    user: array[int] = field(default_factory=lambda: array("q"))
    item: array[int] = field(default_factory=lambda: array("q"))
    ratings: array[float] = field(default_factory=lambda: array("d"))
    seconds: array[int] = field(default_factory=lambda: array("q"))
    hashes: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, user: bytes, item: bytes, rating: float, seconds: int) -> None:
        """Adds a row."""
        self.user.append(self.users.setdefault(user, len(self.users)))
        self.item.append(self.items.setdefault(item, len(self.items)))
        self.ratings.append(rating)
        self.seconds.append(seconds)
        digest = hashlib.blake2b(user + b"\0" + item, digest_size=8).digest()
        self.hashes.append(int.from_bytes(digest, "big"))

    def name(self, item: bytes, title: bytes) -> None:
        """Gives an item its title, the first that is not empty."""
        if title:
            self.titles.setdefault(self.items[item], title)

    def sort(self) -> SortedRows:
        """Returns the rows by time, those of the same time by hash."""
        import numpy as np

        ratings = np.array(self.ratings)
        order = np.lexsort((np.array(self.hashes), np.array(self.seconds)))
        user, item = (np.array(column)[order] for column in (self.user, self.item))
        rated = ~np.isnan(ratings)
        sums, counts = (np.bincount(self.user, values) for values in (np.where(rated, ratings, 0.0), rated))
        means = sums / np.maximum(counts, 1) if len(sums) else sums
        first = np.unique(user * len(self.items) + item, return_index=True)[1]
        again = np.ones(len(order), bool)
        again[first] = False
        liked = ~(ratings[order] < means[user] - ROUNDING)  # a row without a rating is liked
        return SortedRows(user, item, np.array(self.seconds)[order], liked, again)


@dataclass
class SortedRows:
    """Rows by their time, (rows,) each: numbers of user and item, seconds, whether liked, whether there before."""

    user: Any
    item: Any
    seconds: Any
    liked: Any
    again: Any

    def __post_init__(self) -> None:
        import numpy as np

        kept = np.flatnonzero(~self.again)
        by_user = kept[np.argsort(self.user[kept], kind="stable")]
        self.own = self.item[by_user]  # the items user by user, in the order of time
        counts = np.bincount(self.user[by_user], minlength=1)
        self.starts = np.cumsum(counts) - counts
        self.place = np.zeros(len(self.user), np.int64)
        self.place[by_user] = np.arange(len(by_user))

    def look_back(self, row: int, length: int) -> tuple[list[int], int]:
        """Returns the last items of the user before a row, the latest first, and how many there are in all."""
        start, place = int(self.starts[self.user[row]]), int(self.place[row])
        return self.own[max(start, place - length) : place][::-1].tolist(), place - start
