"""Counts the values of one column in bounded memory: what they are, how many differ, and which are odd."""

from __future__ import annotations

import hashlib
import heapq
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.features import dates
from pipeline.formats import table
from pipeline.tables.dialect import plain_number
from pipeline.tables.number_forms import MISSING_TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_VALUES = 100  # distinct values that are stored
MAX_ODD = 20  # different odd texts in a column of numbers or dates
ODD_SHARE = 0.05  # of its values
SKETCH_SIZE = 1024  # stored hashes: an error of about 3 %
# A number with its unit: "4 GB", "1.5l", "50.1k".
UNIT = r"[-+]?(\d+[.,]\d+ ?|\d+ )[A-Za-z\u00b0\u00b5]{1,4}[23\u00b2\u00b3]?(/[A-Za-z]{1,3})?|[-+]?\d+ ?[kKM]"
WITH_UNIT = re.compile(UNIT, re.ASCII)
# Digits with other characters, which no kind accepts: "12,5", "$3", "40 %", "3/4/2024".
FIGURES = re.compile(rf"[\W_]*\d[\d\W_]*|{UNIT}", re.ASCII)
CURRENCY = (
    r"(?:[%$\u20ac\u00a3\u00a5\u20b9\u20bd\u20a9\u20ba\u20b4\u0e3f]|USD|EUR|GBP|JPY|CNY|CHF|AUD|CAD|INR|SEK|NOK|DKK|PLN"
    r"|CZK|HUF|BRL|MXN|TRY|KRW|RUB|ZAR|Rs\.?|kr\.?|z\u0142)"
)
# What is surely an amount, a date or a hexadecimal number, and no name of a category such as 10-20. Accountants write
# (12) for -12, and SAP 12.50-.
MEASURE = re.compile(
    rf"[-+]?{CURRENCY} ?[-+]?[\d.,]+|[-+]?[\d.,]+ ?{CURRENCY}|\({CURRENCY}? ?[\d.,]*\d ?{CURRENCY}?\)"
    rf"|[\d.,]*[.,]\d+ ?{CURRENCY}?-|\d{{1,2}}/\d{{1,2}}/(\d{{2}}|\d{{4}})( .*)?|[-+]?0[xX][\da-fA-F]+",
    re.ASCII,
)
INTEGER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)  # 007 is a code, not a number


class DistinctSketch:
    """Counts distinct values in bounded memory: the smallest hashes are as dense as all hashes.

    Source: Z. Bar-Yossef et al., Counting distinct elements in a data stream, RANDOM 2002, algorithm 1.
    """

    def __init__(self) -> None:
        self.hashes: set[int] = set()
        self.heap: list[int] = []  # the same hashes negated, the largest on top

    def add(self, text: str) -> None:
        """Adds a value; a repeated one changes nothing."""
        content = text.encode(errors="surrogatepass")
        hashed = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
        if hashed in self.hashes or (len(self.heap) == SKETCH_SIZE and hashed > -self.heap[0]):
            return
        self.hashes.add(hashed)
        heapq.heappush(self.heap, -hashed)
        if len(self.heap) > SKETCH_SIZE:
            self.hashes.remove(-heapq.heappop(self.heap))

    @property
    def count(self) -> int:
        """The number of distinct values; exact if it is below the number of stored hashes."""
        return len(self.heap) if len(self.heap) < SKETCH_SIZE else round((SKETCH_SIZE - 1) * 2**64 / -self.heap[0])


@dataclass
class OddCells:
    """Cells that are not of the kind that most of a column are of: the first different ones, and how many."""

    count: int = 0
    texts: Counter[str] = field(default_factory=Counter)

    def add(self, text: str, count: int) -> None:
        """Adds cells with the same text."""
        self.count += count
        if text in self.texts or len(self.texts) <= MAX_ODD:
            self.texts[text] += count

    def are_few(self, present: int) -> bool:
        """Whether the column is nevertheless of that kind: a few odd cells are missing values."""
        return self.count <= ODD_SHARE * present and len(self.texts) <= MAX_ODD


@dataclass
class Forms:
    """Whether cells have a form, or are plain numbers: in one column $5 may stand next to 7.

    Attributes:
        pattern: Of the form.
        fits: Whether all cells so far have it, or are numbers.
        seen: Whether one has it.
    """

    pattern: re.Pattern[str]
    fits: bool = True
    seen: bool = False

    def add(self, text: str, *, number: bool) -> None:
        """Adds a cell."""
        if self.fits and not number:
            self.fits = bool(self.pattern.fullmatch(text))
            self.seen = True

    @property
    def all(self) -> bool:
        """Whether it is a column of them."""
        return self.fits and self.seen


@dataclass
class ColumnTally:
    """Statistics of one column; values as text.

    Attributes:
        decimal: What begins the decimals in texts of numbers; "." if empty.
        thousands: What groups digits there, if anything.
        texts: Texts that mean a missing value.
        missing: Cells without a value.
        present: Cells of the sample with one.
        lists: Of these, lists and objects.
        blank: Of these, texts that stand for no number: "-", "n/a".
    """

    decimal: str = ""
    thousands: str = ""
    texts: tuple[str, ...] = MISSING_TEXTS
    missing: int = 0
    present: int = 0
    blank: int = 0
    words: int = 0
    steps: int = 0  # whole numbers that are one more than that of the row before
    integer: bool = True
    figures: bool = True
    measured: Forms = field(default_factory=lambda: Forms(MEASURE))
    with_units: Forms = field(default_factory=lambda: Forms(WITH_UNIT))
    lists: int = 0
    rising: bool = True
    last: float = float("-inf")
    lengths: set[int] = field(default_factory=set)  # of lists of numbers
    values: dict[str, None] = field(default_factory=dict)
    sketch: DistinctSketch = field(default_factory=DistinctSketch)
    no_numbers: OddCells = field(default_factory=OddCells)
    no_dates: OddCells = field(default_factory=OddCells)
    blanks: Counter[str] = field(default_factory=Counter)
    absent: Counter[str] = field(default_factory=Counter)  # texts that mean a missing value

    def add(self, block: list[Any], *, sampled: bool) -> None:
        """Adds the next rows of the column."""
        cells = [raw for raw in block if not table.is_missing(raw, self.texts)]
        self.missing += len(block) - len(cells)
        self.absent.update(raw for raw in block if isinstance(raw, str) and raw in self.texts)
        if sampled:
            self.present += len(cells)
            texts = list(self._texts(cells))
            self.words += sum(len(text.split()) for text in texts)
            for text, count in Counter(texts).items():
                self._add_value(text, count)
            self._check_order(texts)

    @property
    def nested(self) -> bool:
        """Whether it is a column of lists or objects; rows with a few of them among other values cannot be used."""
        return self.lists > ODD_SHARE * self.present

    @property
    def number(self) -> bool:
        """Whether it is a column of numbers; a few odd cells are missing values."""
        numbers = self.present - self.lists - self.blank - self.no_numbers.count
        return numbers > 0 and self.no_numbers.are_few(self.present - self.blank)

    @property
    def date(self) -> bool:
        """Whether it is a column of dates; a few odd cells are missing values."""
        return self.present > self.no_dates.count and self.no_dates.are_few(self.present)

    def _texts(self, cells: list[Any]) -> Iterator[str]:
        for raw in cells:
            if isinstance(raw, list | dict):
                self.lists += 1
                numbers = isinstance(raw, list) and all(isinstance(x, int | float | None) for x in raw)
                self.lengths.add(len(raw) if numbers else -1)
            elif isinstance(raw, str):
                plain = plain_number(raw, self.decimal, self.thousands)
                yield plain if plain != raw and _fits(plain, "float") else raw
            else:
                yield table.to_text(raw).decode(errors="replace")

    def _add_value(self, text: str, count: int) -> None:
        number = _fits(text, "float") and not is_code(text)
        value = _short_number(text) if number else text  # 1 and 1.0 are one value
        self.sketch.add(value)
        if len(self.values) <= MAX_VALUES:
            self.values[value] = None
        if not number:
            self._add_text(text, count)
        elif self.integer:
            self.integer = _fits(text, "int") and bool(INTEGER.fullmatch(text.strip()))
        if len(self.no_dates.texts) > MAX_ODD or dates.iso(text) is None:  # with so many it is no column of dates
            self.no_dates.add(text, count)
        for forms in (self.measured, self.with_units):
            forms.add(text, number=number)
        self.figures = self.figures and not text.isdigit() and bool(FIGURES.fullmatch(text))

    def _add_text(self, text: str, count: int) -> None:
        if table.is_no_number(text):
            self.blank += count
            self.blanks[text] += count
        else:
            self.no_numbers.add(text, count)

    def _check_order(self, texts: list[str]) -> None:
        for cell in texts if self.integer and not self.no_numbers.count and not self.blank else ():
            self.rising = self.rising and int(cell) > self.last
            self.steps += int(cell) == self.last + 1
            self.last = int(cell)


def _fits(text: str, kind: str) -> bool:
    try:
        table.to_value(text, kind)
    except table.FAILURES:
        return False
    return True


def _short_number(text: str) -> str:
    value = float(text)
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else text.strip()


def is_code(text: str) -> bool:
    """Returns whether digits are a name, as they begin with 0: 007."""
    return bool(re.match(r"\s*-?0\d", text, re.ASCII))
