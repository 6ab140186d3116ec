"""Names that the inputs of a served model can have, and the names of columns as such."""

from __future__ import annotations

import keyword
import re
import unicodedata
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

RESERVED_NAMES = {"names", "numbers", "words", "next"}  # by the templates of recipes, and by the label of a series
# Latin letters that Unicode takes apart into no simpler one.
LATIN = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
    | {"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "\u0131": "i"}
)
WORDS = {*map(str.lower, keyword.kwlist), "self"}  # no parameter can have such a name


def is_input_name(name: str) -> bool:
    """Returns whether a model's input can have this name: letters, digits and underscores, and no word of Python."""
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name, re.ASCII) is not None and name.lower() not in WORDS


def require_input_names(names: Collection[str]) -> None:
    """Raises a PipelineError if TensorFlow cannot export a model with inputs of these names.

    It makes parameters of them, in small letters.
    """
    small = [name.lower() for name in names]
    wrong = [name for name in names if not is_input_name(name) or small.count(name.lower()) > 1]
    if wrong:
        raise PipelineError(
            f"No model can have {'an input' if len(wrong) == 1 else 'inputs'} {', '.join(wrong)}.",
            expected="letters, digits and underscores, a letter first; no word of Python such as class or self; names "
            "that differ in more than capital letters",
            received=", ".join(names),
            action="rename them in the recipe: data=RenamedColumns(Csv(…), {NEW_NAME: NAME_IN_THE_FILE, …})",
        )


def make_identifiers(names: Iterable[str]) -> dict[str, str]:
    """A different identifier for each name, in their order; a name that is one keeps it.

    TensorFlow replaces other characters in the names of a signature by underscores and makes the names of its
    parameters of them, in small letters: names that become the same, and words of Python, are an error there.
    """
    names = list(names)
    result: dict[str, str] = {}
    used = set(RESERVED_NAMES)
    for name in names:
        if is_input_name(name) and name.lower() not in used:
            result[name] = name
            used.add(name.lower())
    for name in names:
        if name not in result:
            result[name] = _make_unique(_clean(name), used)
            used.add(result[name].lower())
    return {name: result[name] for name in names}


def _clean(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.translate(LATIN)).encode("ascii", "ignore").decode()
    cleaned = re.sub(r"[^A-Za-z0-9]+", "_", letters).strip("_")
    identifier = cleaned if cleaned[:1].isalpha() else f"column_{cleaned}".rstrip("_")
    return identifier if is_input_name(identifier) else f"{identifier}_"


def _make_unique(name: str, used: set[str]) -> str:
    number = 2
    free = name
    while free.lower() in used:
        free, number = f"{name}_{number}", number + 1
    return free
