"""The text of a recipe from a plan: Python source as `ruff format` lays it out, safe whatever the data are called."""

from __future__ import annotations

import textwrap
import unicodedata
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dateutil.relativedelta import relativedelta

from pipeline.reports import templating
from pipeline.tables.calendar import UNITS, BusinessDays, month_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tables.calendar import Step

TEMPLATES = Path(__file__).parent / "templates"
DEFAULTS = {"regression": False, "column": "", "texts": (), "renamed": {}, "options": {}, "limits": {}}
LINE_WIDTH = 120
MAX_NAME_LENGTH = 40
MAX_LISTED = 4


def render_recipe(plan: Plan, name: str) -> str:
    """The recipe as Python source, laid out as `ruff format` lays it out.

    Args:
        plan: The plan.
        name: Name of the recipe.
    """
    facts = {
        **DEFAULTS,
        **plan.facts,
        "name": name,
        "recipe_names": import_names(plan),
        "words": wrap_words(plan.facts["words"]),
    }
    return templating.render_template(TEMPLATES / f"{plan.template}.py.jinja", facts, {"literal": literal})


def import_names(plan: Plan) -> str:
    """Returns what the recipe imports from `pipeline.recipe`, in ruff's order: constants, then names by letter."""
    bounds, classes = plan.facts["bounds"], plan.facts["classes"]
    needs_metric = bool(bounds.positive or bounds.balanced)
    split = "Time" if plan.template == "series" else str(plan.facts.get("split", "Hash")).partition("(")[0]
    names = {"Choice", "Gate", "Quick", "Range", "Recipe", split}
    names |= {"Metric"} if needs_metric or not classes else set()
    return ", ".join(["CLASSIFICATION"] * (needs_metric and bool(classes)) + sorted(names))


@dataclass(frozen=True)
class Plan:
    """Content for `render_recipe`, and the summary for the terminal.

    Attributes:
        template: Name of the template, such as "table", "text" or "chat".
        facts: The template's values by name.
        head: Names of the columns of `rows`.
        rows: The table: one row for each column of a table, or for each class.
        notes: Decisions, each with its reason and how to change it.
    """

    template: str
    facts: dict[str, Any]
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: list[str] = field(default_factory=list)


class Code(str):
    """Source that is written as it is."""

    __slots__ = ()


def literal_text(value: str) -> str:
    """A text in quotes: double ones, unless the text has more of these than of single ones."""
    mark = "'" if value.count('"') > value.count("'") else '"'
    return mark + "".join(_character(character, mark) for character in value) + mark


def _character(character: str, mark: str) -> str:
    if character in (mark, "\\"):
        return f"\\{character}"
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def literal(value: Any, indent: int = 0, used: int = 0) -> str:
    """A value as source.

    Args:
        value: Text, `Code`, number, truth value, None, or a tuple or dict of these.
        indent: Blanks before the line that the value stands on.
        used: Characters of that line, the blanks among them, that are not the value's.
    """
    line = _one_line(value)
    if not isinstance(value, tuple | dict) or not value or used + display_width(line) <= LINE_WIDTH:
        return line
    inner = indent + 4
    if isinstance(value, dict):
        keys = [f"{_one_line(key)}: " for key in value]
        items = [
            key + literal(item, inner, inner + display_width(key) + 1)
            for key, item in zip(keys, value.values(), strict=True)
        ]
    else:
        items = [literal(item, inner, inner + 1) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "()"
    return "\n".join([opening, *(f"{' ' * inner}{item}," for item in items), " " * indent + closing])


def _one_line(value: Any) -> str:
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        return literal_text(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_one_line(key)}: {_one_line(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_one_line, value)) + ("," if len(value) == 1 else "") + ")"
    return repr(value)


def display_width(line: str) -> int:
    """Columns that a line takes on a terminal: East Asian characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "FW" else 1
        for character in line
    )


def safe_name(name: str) -> str:
    """Returns a name that is safe in a comment or docstring: one line, no quotes of ours, no escapes, not too long."""
    text = (
        "".join(character if character.isprintable() else " " for character in name)
        .replace("\\", "/")
        .replace('"', "'")
    )
    text = " ".join(text.split()) or "(no name)"
    return text if len(text) <= MAX_NAME_LENGTH else text[: MAX_NAME_LENGTH - 1] + "…"


def list_names(names: list[str], most: int = MAX_LISTED) -> str:
    """The first names, and how many more there are."""
    return list_texts([safe_name(name) for name in names], most)


def list_texts(texts: list[str], most: int = MAX_LISTED) -> str:
    """The first texts, as they are, and how many more there are."""
    listed = ", ".join(texts[:most])
    return f"{listed} and {len(texts) - most} more" if len(texts) > most else listed


def wrap_words(words: str) -> str:
    """A paragraph in lines that are not too long."""
    return "\n".join(textwrap.wrap(words, LINE_WIDTH, break_long_words=False, break_on_hyphens=False))


def draw_diagram(lines: list[tuple[str, str]], end: str) -> str:
    """A diagram: rows of (what goes in, what is done to it), and what they meet in."""
    left, right = (max(len(line[part]) for line in lines) for part in (0, 1))
    last = len(lines) - 1
    corners = "─" if not last else "┐" + "┤" * (last - 1) + "┴"
    rows = [
        f"    {name:<{left}} ─ {way} ".ljust(left + right + 8, "─") + corner
        for (name, way), corner in zip(lines, corners, strict=True)
    ]
    return "\n".join([*rows[:-1], f"{rows[-1]}─ {end}" if last else f"    {lines[0][0]} ─ {lines[0][1]} ─ {end}"])


def step_source(step: Step) -> str:
    """Returns a step as Python source."""
    if isinstance(step, relativedelta):
        return f"relativedelta(months={month_count(step)})"
    if isinstance(step, BusinessDays):
        return "BusinessDays()" if step == BusinessDays() else f'BusinessDays(week="{step.week}")'
    for (_, several), duration in UNITS.items():
        if step % duration == timedelta(0):
            return f"timedelta({several}={step // duration})"
    return f"timedelta(seconds={step.total_seconds()!r})"


def step_class(step: Step) -> str:
    """Returns the name of a step's class, which a recipe imports."""
    if isinstance(step, BusinessDays):
        return "BusinessDays"
    return "relativedelta" if isinstance(step, relativedelta) else "timedelta"
