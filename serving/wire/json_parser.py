"""Parses JSON requests as TensorFlow Serving does.

Its grammar is wider than the standard: NaN and infinities are numbers, text after the first value is ignored, the first
of two equal keys wins, nesting has no limit, bytes that are not UTF-8 pass. `orjson` reads what is standard; the parser
below reads the rest, and words the errors (RapidJSON's texts and byte offsets).
"""

# ruff: noqa: PLR2004 - the numbers are those of UTF-16's surrogates and of 64 bits

from __future__ import annotations

import math
import re
from typing import Any, NoReturn

import orjson

from serving.errors import InvalidArgument
from serving.wire import json_long

_SPACE = re.compile(rb"[ \t\r\n]*")
_PLAIN = re.compile(rb'"([^"\\\x00-\x1f]*)"')
_RUN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX = re.compile(rb"[0-9a-fA-F]{0,4}")
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SPECIAL = re.compile(rb"(-?)(?:(NaN)|Infinity|Inf)")
_WORDS = {b"t": (b"true", True), b"f": (b"false", False), b"n": (b"null", None)}
_ESCAPES = dict(zip(b'"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True))
_BOM = b"\xef\xbb\xbf"
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"([ \t\r\n]*:)?', re.DOTALL)
_TOO_DEEP = "depth limit exceeded"  # of `orjson`: 1,024 levels
_DEEPEST = 1_000_000  # levels; no request has a use for them, and a compressed one of 100 KB could ask for 100 million


def loads(body: bytes) -> Any:
    """Parse a request body.

    Args:
        body: The bytes as they came.

    Returns:
        dict, list, str, int, float, bool or None. Integers fit int64 or uint64, larger ones are floats;
        bytes that are not UTF-8 stay in the strings as surrogate escapes.

    Raises:
        InvalidArgument: `JSON Parse error: ... at offset: N`.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if len(body) > json_long.LEAST and error.msg.startswith(_TOO_DEEP):  # so is it for the standard parser
            json_long.refuse_depth()
        return _parse_slowly(body)
    return _parse_slowly(body) if _has_twins(body, value) else value


def _parse_slowly(body: bytes) -> Any:
    return parse(body) if len(body) <= json_long.LEAST else json_long.parse(body)


def _has_twins(body: bytes, value: Any) -> bool:
    """Whether a key came twice: the fast parser takes the last one."""
    # Each key takes a colon: as many keys as colons means that no key came twice.
    colons = body.count(b":")
    if isinstance(value, dict) and colons == len(value):
        return False
    keys = _count_keys(value)
    return colons != keys and keys != sum(1 for match in _STRING.finditer(body) if match[1])


def _count_keys(value: Any) -> int:
    """How many members all objects in `value` have; level by level, as nesting may be deep."""
    count, level = 0, [value]
    while level:
        objects: list[dict[str, Any]] = [item for item in level if isinstance(item, dict)]
        lists = [item for item in level if isinstance(item, list)]
        count += sum(map(len, objects))
        level = [inner for item in objects for inner in item.values() if isinstance(inner, (dict, list))]
        level += [inner for item in lists for inner in item if isinstance(inner, (dict, list))]
    return count


def parse(body: bytes) -> Any:
    """Parse with the whole grammar; as `loads`, without the fast path."""
    if not body:
        raise InvalidArgument("JSON Parse error: The document is empty")
    return _Parser(body).document()


class _Parser:
    """An iterative parser: open containers are kept on an explicit stack."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 3 if body.startswith(_BOM) else 0
        self.stack: list[dict[str, Any] | list[Any]] = []
        self.keys: list[str] = []

    def document(self) -> Any:
        if not self._peek():
            self._fail("The document is empty.")
        while True:
            value, closed = self._open_or_scalar()
            while closed:
                if not self.stack:
                    return value
                self._add(value)
                value, closed = self._after_item()

    def _open_or_scalar(self) -> tuple[Any, bool]:
        """The next value; an opened container counts as closed when it is empty."""
        char = self._peek()
        if char == b"{":
            return self._open({}, b"}")
        if char == b"[":
            return self._open([], b"]")
        return self._scalar(char), True

    def _open(self, container: dict[str, Any] | list[Any], end: bytes) -> tuple[Any, bool]:
        self.at += 1
        if self._peek() == end:
            self.at += 1
            return container, True
        if len(self.stack) == _DEEPEST:
            self._fail("Terminate parsing due to Handler error.")
        self.stack.append(container)
        if isinstance(container, dict):
            self._key()
        return container, False

    def _add(self, value: Any) -> None:
        container = self.stack[-1]
        if isinstance(container, dict):
            container.setdefault(self.keys.pop(), value)
        else:
            container.append(value)

    def _after_item(self) -> tuple[Any, bool]:
        """Past a comma: not closed; past the end of the container: the container, closed."""
        char, container = self._peek(), self.stack[-1]
        is_object = isinstance(container, dict)
        if char == b",":
            self.at += 1
            if is_object:
                self._key()
            return None, False
        if char != (b"}" if is_object else b"]"):
            end = "} after an object member." if is_object else "] after an array element."
            self._fail(f"Missing a comma or {end}")
        self.at += 1
        return self.stack.pop(), True

    def _key(self) -> None:
        if self._peek() != b'"':
            self._fail("Missing a name for object member.")
        self.keys.append(self._string())
        if self._peek() != b":":
            self._fail("Missing a colon after a name of object member.")
        self.at += 1

    def _scalar(self, char: bytes) -> Any:
        if char == b'"':
            return self._string()
        if char in _WORDS:
            return self._word(*_WORDS[char])
        return self._number()

    def _word(self, word: bytes, value: Any) -> Any:
        for expected in word:
            if self.body[self.at : self.at + 1] != bytes([expected]):
                self._fail("Invalid value.")
            self.at += 1
        return value

    def _number(self) -> int | float:
        special = _SPECIAL.match(self.body, self.at)
        if special:
            self.at = special.end()
            return math.nan if special[2] else math.copysign(math.inf, -1 if special[1] else 1)
        match = _NUMBER.match(self.body, self.at)
        if not match:
            self.at += self.body[self.at : self.at + 1] == b"-"
            self._fail("Invalid value.")
        self._check_finished(match)
        value = float(match[0]) if match[1] or match[2] else json_long.read_integer(match[0])
        if math.isinf(value):
            self._fail("Number too big to be stored in double.")
        self.at = match.end()
        return value

    def _check_finished(self, match: re.Match[bytes]) -> None:
        rest = self.body[match.end() : match.end() + 2]
        if rest[:1] == b"." and not match[1] and not match[2]:
            self.at = match.end() + 1
            self._fail("Miss fraction part in number.")
        if rest[:1] in (b"e", b"E") and not match[2]:
            self.at = match.end() + (2 if rest[1:] in (b"+", b"-") else 1)
            self._fail("Miss exponent in number.")

    def _string(self) -> str:
        match = _PLAIN.match(self.body, self.at)
        if match:
            self.at = match.end()
            return match[1].decode("utf-8", "surrogateescape")
        return self._string_with_escapes()

    def _string_with_escapes(self) -> str:
        start, parts = self.at, []
        self.at += 1
        while True:
            run = _RUN.match(self.body, self.at)
            assert run is not None
            parts.append(run[0])
            self.at = run.end()
            char = self.body[self.at : self.at + 1]
            if char == b'"':
                self.at += 1
                return b"".join(parts).decode("utf-8", "surrogateescape")
            if char != b"\\":
                self._fail_unclosed(char, start)
            parts.append(self._escape().encode())

    def _fail_unclosed(self, char: bytes, start: int) -> NoReturn:
        if char in (b"", b"\0"):
            self.at = start
            self._fail("Missing a closing quotation mark in string.")
        self._fail("Invalid encoding in string.")

    def _escape(self) -> str:
        start = self.at
        letter = self.body[self.at + 1 : self.at + 2]
        if letter == b"u":
            return self._unicode(start)
        if not letter or letter[0] not in _ESCAPES:
            self._fail("Invalid escape character in string.")
        self.at += 2
        return _ESCAPES[letter[0]]

    def _unicode(self, start: int) -> str:
        high = self._hex(start)
        if 0xD800 <= high <= 0xDFFF:
            low = self._hex(start) if self.body[self.at : self.at + 2] == b"\\u" else 0
            if high > 0xDBFF or not 0xDC00 <= low <= 0xDFFF:
                self.at = start
                self._fail("The surrogate pair in string is invalid.")
            return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
        return chr(high)

    def _hex(self, start: int) -> int:
        digits = _HEX.match(self.body, self.at + 2)
        if not digits or len(digits[0]) < 4:
            self.at = start
            self._fail("Incorrect hex digit after \\u escape in string.")
        self.at = digits.end()
        return int(digits[0], 16)

    def _peek(self) -> bytes:
        """The next byte that is no white space; empty at the end."""
        space = _SPACE.match(self.body, self.at)
        assert space is not None
        self.at = space.end()
        return self.body[self.at : self.at + 1]

    def _fail(self, text: str) -> NoReturn:
        raise InvalidArgument(f"JSON Parse error: {text} at offset: {self.at}")
