"""Spellings of a class: 1 and 1.0, yes and YES, é in one character or in two are the same name."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.features.truth import FALSE, TRUE, are_truth_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NUMBER = re.compile(r"[-+]?((0|[1-9]\d*)(\.\d*)?|\.\d+)(e[-+]?\d+)?", re.ASCII)  # of lower case; 007 is a code


def spelling_key(name: str) -> str:
    """Returns the same text for spellings that differ in case, blanks, Unicode form, or in how a number is written."""
    text = " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
    if NUMBER.fullmatch(text):
        number = float(text)
        return repr(number + 0.0) if math.isfinite(number) else text
    return unicodedata.normalize("NFKC", text)


@dataclass(frozen=True)
class Spellings:
    """Finds the declared class that a label means.

    Attributes:
        classes: Declared classes. Two that differ in their spelling only are two: then a label must be exact.
    """

    classes: tuple[str, ...]
    keys: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        counts = Counter(map(spelling_key, self.classes))
        keys = {spelling_key(name): name for name in self.classes if counts[spelling_key(name)] == 1}
        if len(self.classes) == 2 and are_truth_values(self.classes):  # noqa: PLR2004
            sides = {_say_truth(name): name for name in self.classes}
            keys = {spelling_key(word): sides[_say_truth(word)] for word in (*TRUE, *FALSE)} | keys
        object.__setattr__(self, "keys", keys)

    def find_class(self, label: str) -> str:
        """Returns the class that is spelled so, or nearly so; the label itself where there is none."""
        return label if label in self.classes else self.keys.get(spelling_key(label), label)


def merge_spellings(counts: Mapping[str, int]) -> tuple[Counter[str], dict[str, str]]:
    """Puts the rows of classes that differ in their spelling only together.

    The letters of an alphabet stay apart: where a and A are both there, nothing is merged by case; nor where a single
    class would be left. Labels that all say true or false are two classes in whatever words.

    Args:
        counts: Rows by label.

    Returns:
        Rows by class, and the class by label that is spelled otherwise. The most frequent spelling is that of the
        class, of numbers the shortest.
    """
    groups: dict[str, list[str]] = {}
    apart, truth = _has_alphabet(counts), are_truth_values(counts)
    keys = set(map(spelling_key, counts))
    single = len(keys) == 1 and not keys & {*TRUE, *FALSE} and not any(map(NUMBER.fullmatch, keys))
    for name in counts:
        key = _say_truth(name) if truth else name if apart and len(name) == 1 else spelling_key(name)
        key = unicodedata.normalize("NFKC", name).strip() if single else key
        groups.setdefault(key, []).append(name)
    merged: Counter[str] = Counter()
    other: dict[str, str] = {}
    for key, names in groups.items():
        chosen = min(names, key=lambda name: (len(name) if key[-1:].isdigit() else 0, -counts[name], name.swapcase()))
        merged[chosen] = sum(counts[name] for name in names)
        other |= {name: chosen for name in names if name != chosen}
    return merged, other


def _say_truth(name: str) -> str:
    return "true" if name.strip().casefold() in TRUE else "false"


def _has_alphabet(names: Iterable[str]) -> bool:
    letters = {name for name in names if len(name) == 1 and name.isalpha()}
    return any(letter.swapcase() in letters for letter in letters if letter.lower() not in {*TRUE, *FALSE})
