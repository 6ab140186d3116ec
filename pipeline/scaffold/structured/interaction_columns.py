"""Which columns of a table say who took what, when, and how it was rated; and whether a table says nothing else."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError, UsageError, did_you_mean
from pipeline.formats import table
from pipeline.formats.columns import SAMPLED_ROWS
from pipeline.formats.read_table import read_rows
from pipeline.scaffold import timeline
from pipeline.scaffold.render import list_names, safe_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.formats.columns import Column
    from pipeline.tables.dialect import Dialect

WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", re.ASCII)
ID_WORDS = {"id", "key", "no", "nr", "num", "number", "code", "uuid", "guid", "index"}
USERS = {
    *("user", "customer", "visitor", "member", "client", "reviewer", "buyer", "shopper", "viewer", "listener"),
    *("reader", "subscriber", "guest"),
}
ITEMS = {
    *("item", "product", "film", "movie", "book", "article", "track", "song", "sku", "asin", "isbn", "artist"),
    *("album", "video", "show", "game", "course", "podcast", "recipe", "restaurant", "hotel", "anime", "stock"),
}
RATINGS = {"rating", "ratings", "score", "stars"}
QUANTITIES = {"quantity", "qty", "count", "plays"}
TIMES = {"timestamp", "time", "date", "datetime", "ts"}
OF_THE_ITEM = {"release", "released", "birth", "born", "publication", "published", "expiry", "due", "premiere"}
EARLIEST = 1e8  # seconds since 1970, in 1973: smaller numbers are minutes of play, positions, sizes
TITLES = {"title", "name"}
NAMELESS = re.compile(r"column_\d+", re.ASCII)  # of a table without a header
FEWEST_STARS, MOST_HALVES = 3, 20  # ratings that differ, at least; 10 stars
REPEATS = 1.25  # rows for each user and each item, at least
USER, ITEM, RATING, QUANTITY, TIME, TITLE = ROLES = ("user", "item", "rating", "quantity", "time", "title")


@dataclass(frozen=True)
class InteractionColumns:
    """The columns of a table of interactions.

    Attributes:
        user: Name of the column of the user.
        item: Of the item.
        rating: Of a number that says how good it is; empty if there is none, as are the following ones.
        time: Of the time.
        title: Of the item's title.
        order: How dates with slashes are written.
        reasons: Why other columns are not used, as far as there is more to say than that.
    """

    user: str
    item: str
    rating: str = ""
    time: str = ""
    title: str = ""
    order: str = ""
    reasons: dict[str, str] = field(default_factory=dict)

    def arguments(self) -> dict[str, str]:
        """The arguments of the recipe's data."""
        names = ("user", "item", "rating", "time", "title", "order")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def describe(self, name: str) -> str:
        """Returns what a column is used as, or why it is not."""
        uses = {
            self.title: "title of the item",
            self.time: "time" + f", read {self.order}" * bool(self.order),
            self.rating: "rating: below the mean of its user it is no right answer",
            self.item: "item",
            self.user: "user",
        }
        return uses.get(name) or self.reasons.get(name, "left out: who took what is learnt")


def find_role(name: str) -> str:
    """Returns what a column's name says of it, one of `ROLES`; empty if none of them."""
    words = split_words(name)
    core = words
    while len(core) > 1 and core[-1] in ID_WORDS:
        core = core[:-1]
    roles = ((USER, USERS), (ITEM, ITEMS), (RATING, RATINGS), (QUANTITY, QUANTITIES), (TIME, TIMES))
    role = next((role for role, nouns in roles if len(core) == 1 and core[0] in nouns), "")
    if role:
        return role
    if words[-1:] == ["at"] or (words and words[-1] in TIMES):
        return TIME
    titled = bool(words) and words[-1] in TITLES
    return TITLE if titled and (words == ["title"] or (len(words) > 1 and words[0] in ITEMS)) else ""


def split_words(name: str) -> list[str]:
    """Returns the words of a name in small letters: userId, USER_ID, "User ID" and userid are user and id."""
    words = [word.lower() for word in WORD.findall(name)]
    last = words[-1] if words else ""
    if last.endswith("id") and last[:-2] in USERS | ITEMS:
        return [*words[:-1], last[:-2], "id"]
    return words


def is_log(columns: Sequence[Column]) -> bool:
    """Returns whether a table plainly says who took what, and else only when, how good it is, and how it is called."""
    roles = _find_roles(columns)
    known = sum(map(len, roles.values())) == len(columns)
    single = all(len(roles[role]) == 1 for role in (USER, ITEM)) and all(len(own) <= 1 for own in roles.values())
    return known and single and all(_repeats(roles[role][0]) for role in (USER, ITEM))


def _find_roles(columns: Sequence[Column]) -> dict[str, list[Column]]:
    """Returns the columns of each role; a name of the item is the item where nothing else is."""
    roles: dict[str, list[Column]] = {role: [] for role in ROLES}
    for column in columns:
        if role := find_role(column.name):
            roles[role].append(column)
    named = [column for column in roles[TITLE] if split_words(column.name)[0] in ITEMS]
    if not roles[ITEM] and len(named) == 1:
        roles[ITEM] = named
        roles[TITLE] = [column for column in roles[TITLE] if column not in named]
    return roles


def _repeats(column: Column) -> bool:
    rows = min(column.rows, SAMPLED_ROWS) - column.missing
    return _may_be_id(column) and not column.constant and REPEATS * column.distinct <= rows


def _may_be_id(column: Column) -> bool:
    return column.kind in ("int", "float", "bytes") and not column.date


def choose_columns(
    path: Path, columns: Sequence[Column], user: str, item: str, dialect: Dialect | None = None
) -> InteractionColumns:
    """Chooses the columns by their names.

    Args:
        path: The table.
        columns: Its columns.
        user: Name of the column of the user; empty to choose.
        item: The same of the item.
        dialect: How a CSV file is written, as far as it is known.

    Raises:
        UsageError: A column is not there, or it is not clear which is meant.
        PipelineError: There are no rows.
    """
    _require_rows(path, columns)
    roles = _find_roles(columns)
    who, what = (
        _choose_id(columns, [column for column in roles[role] if column.name != other], name, role)
        for role, name, other in ((USER, user, item), (ITEM, item, user))
    )
    if who is what:
        raise UsageError(
            "One column cannot be both the user and the item.",
            expected="two different columns",
            received=f"{safe_name(who.name)} for both",
            action="correct --user or --item",
        )
    others = [column for column in columns if column not in (who, what)]
    rating, reasons = _choose_rating([column for column in others if column in roles[RATING] or _has_stars(column)])
    timed = [column for column in others if column.date or _has_seconds(path, column, dialect)]
    time, order, words = _choose_time(path, others, [*roles[TIME], *timed], dialect)
    title = next((column.name for column in others if column in roles[TITLE] and column.kind == "bytes"), "")
    return InteractionColumns(who.name, what.name, rating, time, title, order, reasons | words)


def _require_rows(path: Path, columns: Sequence[Column]) -> None:
    if not columns:
        raise PipelineError(
            f"{path} has no rows.",
            expected="a header with a column of users and one of items, and rows below it",
            received="an empty file, or a header only",
            action="name another file with --data",
        )


def _choose_id(columns: Sequence[Column], candidates: list[Column], name: str, role: str) -> Column:
    by_name = {column.name: column for column in columns}
    if name and name not in by_name:
        raise UsageError(
            f"There is no column {name!r}.",
            expected=f"--{role} with one of {list_names(list(by_name))}",
            received=name,
            action=did_you_mean(name, by_name) or f"name it with --{role} COLUMN",
        )
    chosen = [by_name[name]] if name else candidates
    if len(chosen) != 1:
        several = f"{list_names([column.name for column in chosen])} may all be it"
        raise UsageError(
            f"It is not clear which column names the {role}.",
            expected=f"a column called {role}_id, or --{role} with one of {list_names(list(by_name))}",
            received=several if chosen else "no column that is called so",
            action=f"name it with --{role} COLUMN",
        )
    if not _may_be_id(chosen[0]) or chosen[0].constant:
        kind = "the same value in every row" if chosen[0].constant else "dates" if chosen[0].date else "nested values"
        raise UsageError(
            f"The column {safe_name(chosen[0].name)} cannot name the {role}.",
            expected=f"the id of the {role} in each row, at least two different ones",
            received=kind,
            action=f"name another column with --{role}",
        )
    return chosen[0]


def _has_stars(column: Column) -> bool:
    """Returns whether a column without a name has ratings: whole or half stars, 10 at most."""
    if not NAMELESS.fullmatch(column.name) or column.kind not in ("int", "float"):
        return False
    halves = [2 * float(value) for value in column.values]
    return len(halves) >= FEWEST_STARS and all(half.is_integer() and 0 <= half <= MOST_HALVES for half in halves)


def _has_seconds(path: Path, column: Column, dialect: Dialect | None) -> bool:
    """Returns whether a column without a name has times as numbers."""
    nameless = column.kind == "int" and NAMELESS.fullmatch(column.name)
    return bool(nameless) and _counts_seconds(path, column.name, dialect)


def _choose_rating(candidates: list[Column]) -> tuple[str, dict[str, str]]:
    numbers = [column.name for column in candidates if column.kind in ("int", "float")]
    reasons = {column.name: "left out: its cells are no numbers" for column in candidates if column.name not in numbers}
    reasons |= dict.fromkeys(numbers[1:], f"left out: {safe_name(numbers[0])} is the rating" if numbers else "")
    return (numbers or [""])[0], reasons


def _choose_time(
    path: Path, others: list[Column], candidates: list[Column], dialect: Dialect | None
) -> tuple[str, str, dict[str, str]]:
    """Returns the first column of times, how its dates are written, and why others are not used."""
    reasons: dict[str, str] = {}
    for column in sorted((each for each in candidates if each in others), key=lambda each: not _says_when(each.name)):
        if column.constant:
            reasons[column.name] = "left out: the same in every row"
            continue
        if set(split_words(column.name)) & OF_THE_ITEM:
            reasons[column.name] = "left out: it says something of the item or the user, not when it was taken"
            continue
        orders = [order for _, order in timeline.find_time_columns(path, [column], dialect)]
        if orders or (column.kind in ("int", "float") and _counts_seconds(path, column.name, dialect)):
            return column.name, (orders or [""])[0], reasons
        reasons[column.name] = "left out: its cells are no times; write 2024-01-31 17:30 or seconds since 1970"
    return "", "", reasons


def _says_when(name: str) -> bool:
    """Returns whether a column is called like a time and nothing else: the play time of a game is none."""
    words = split_words(name)
    return words[-1:] == ["at"] or (len(words) == 1 and words[0] in TIMES)


def _counts_seconds(path: Path, name: str, dialect: Dialect | None) -> bool:
    """Returns whether numbers are times since 1970; those of a column called like a time at least give an order."""
    rows = itertools.islice(read_rows(path, [name], dialect), timeline.TRIED_ROWS)
    cells = [cells.get(name) for _, cells, fault in rows if not fault]
    numbers = [float(str(cell)) for cell in cells if not table.is_missing(cell) and not table.is_no_number(cell)]
    return bool(numbers) and (min(numbers) >= EARLIEST or _says_when(name))
