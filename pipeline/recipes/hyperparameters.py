"""Hyperparameters: their declaration, read from the recipe's text, and their values from the command line."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, UsageError, did_you_mean
from pipeline.recipe import Choice, Range, Widths

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.recipes.catalog import RecipeSource

TRUE, FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}
POSITIVE = {"epochs", "batch_size", "learning_rate"}  # nothing is learnt without these
RANGES = {kind.__name__: kind for kind in (Range, Choice, Widths)}


@dataclass(frozen=True)
class Field:
    """One hyperparameter.

    Attributes:
        name: Its name.
        type: "int", "float", "str", "bool", or "tuple[int, ...]" and the like.
        default: Its default value.
        range: The source text of the search range; empty if none is declared.
        comment: The comment on its line.
    """

    name: str
    type: str
    default: Any
    range: str = ""
    comment: str = ""


def fields(source: RecipeSource) -> dict[str, Field]:
    """Returns the hyperparameters that a recipe declares, in the order of its file.

    Raises:
        PipelineError: `params=` does not name a dataclass of the file whose defaults are literals.
    """
    call = source.keywords.get("params")
    # Arguments would override the defaults of the class, which the command line reads.
    name = None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args and not call.keywords:
        name = call.func.id
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            lines = source.text.splitlines()
            return {f.name: f for f in _fields(node, lines, source)}
    raise PipelineError(
        f"The hyperparameters of {source.path} cannot be read.",
        expected="params=Params() in RECIPE, with the frozen dataclass Params in the same file",
        received=f"params={ast.unparse(call)}" if call else "no params",
        action="`keraspipe show digits` prints a complete recipe",
    )


def _fields(node: ast.ClassDef, lines: list[str], source: RecipeSource) -> Iterable[Field]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.value is not None:
            try:
                default = ast.literal_eval(item.value)
            except ValueError:
                raise PipelineError(
                    f"The default of {item.target.id} in {source.path} is not a literal.",
                    expected="a number, text, truth value or tuple of these",
                    received=ast.unparse(item.value),
                    action="write the value itself; the file is read without being run",
                ) from None
            kind, declared = _annotation(item.annotation)
            comment = lines[(item.end_lineno or 1) - 1][item.end_col_offset or 0 :].partition("#")[2].strip()
            yield Field(item.target.id, kind, default, declared, comment)


def _annotation(node: ast.expr) -> tuple[str, str]:
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Annotated"):
        assert isinstance(node.slice, ast.Tuple)
        kind, *rest = node.slice.elts
        return ast.unparse(kind), ", ".join(ast.unparse(item) for item in rest)
    return ast.unparse(node), ""


def resolve(source: RecipeSource, assignments: Iterable[str]) -> dict[str, Any]:
    """Returns all hyperparameters of a recipe, with the values of `KEY=VALUE` assignments.

    Raises:
        UsageError: An assignment without `=`, an unknown key, a value of the wrong type, or one that cannot be used.
    """
    declared = fields(source)
    values = {name: field.default for name, field in declared.items()}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or key not in declared:
            raise UsageError(
                f"{source.name} has no hyperparameter {key!r}." if equals else f"--set {assignment} is not KEY=VALUE.",
                expected=f"KEY=VALUE with KEY one of {', '.join(declared)}",
                received=assignment,
                action=did_you_mean(key, declared) or f"see them with: keraspipe show {source.name}",
            )
        values[key] = parse_value(declared[key], text)
    for name, value in values.items():
        _require_usable(declared[name], value)
    return values


def _require_usable(field: Field, value: Any) -> None:
    """Raises a UsageError for a number that no training can use: no epochs, a negative rate, an infinite one."""
    least, beyond = lower_limit(field)
    numbers = [part for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, int | float)]
    if all(math.isfinite(part) and (part > least if beyond else part >= least) for part in numbers):
        return
    raise UsageError(
        f"The value of {field.name} cannot be used.",
        expected=f"{field.type} {'above' if beyond else 'of at least'} {least:g}, for instance "
        + format_assignment(field.name, field.default),
        received=format_assignment(field.name, value),
        action=f"correct --set {field.name}",
    )


def lower_limit(field: Field) -> tuple[float, bool]:
    """Returns the limit below which no value of a hyperparameter makes sense, and whether it is excluded itself.

    It is known for what every training needs, and follows from the search range: numbers on a logarithmic scale are
    positive, and those of a range without negative ones are not negative. A value outside the range itself is allowed.
    """
    declared = search_range(field)
    whole = "int" in field.type
    if isinstance(declared, Widths) or (isinstance(declared, Range) and whole and declared.low >= 1):
        return 1, False
    if field.name in POSITIVE or (isinstance(declared, Range) and declared.log):
        return (1, False) if whole else (0, True)
    return (0, False) if isinstance(declared, Range) and declared.low >= 0 else (-math.inf, False)


def outside_range(source: RecipeSource, values: dict[str, Any]) -> list[str]:
    """Returns one sentence for each number that lies outside the range that the recipe declares for searches."""
    ranges = {name: search_range(field) for name, field in fields(source).items() if name in values}
    return [
        f"{format_assignment(name, values[name])} is outside {declared.low:g} to {declared.high:g}, "
        "the range that the recipe declares."
        for name, declared in ranges.items()
        if isinstance(declared, Range) and not declared.low <= values[name] <= declared.high
    ]


def parse_value(field: Field, text: str) -> Any:
    """Parses the value of one hyperparameter.

    Raises:
        UsageError: The text is not of the declared type.
    """
    try:
        return _parse_text(field.type, text)
    except ValueError:
        raise UsageError(
            f"The value of {field.name} has the wrong type.",
            expected=f"{field.type}, for instance {field.name}={_format_value(field.default)}",
            received=f"{field.name}={text}",
            action="correct --set",
        ) from None


def search_range(field: Field) -> Range | Choice | Widths | None:
    """Returns the search range of a hyperparameter; None if none is declared.

    Raises:
        PipelineError: It is not a call with literal values.
    """
    if not field.range:
        return None
    try:
        call = ast.parse(field.range, mode="eval").body
        assert isinstance(call, ast.Call)
        kind = RANGES[ast.unparse(call.func).rpartition(".")[2]]
        keywords = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        result: Range | Choice | Widths = kind(*map(ast.literal_eval, call.args), **keywords)
    except (AssertionError, KeyError, TypeError, ValueError, SyntaxError):
        raise PipelineError(
            f"The search range of {field.name} cannot be read.",
            expected="Range(low, high), Range(low, high, log=True), Choice(value, …), Widths(fewest, most, low, high)",
            received=field.range,
            action="write one of these, with literal values, into its Annotated[…]",
        ) from None
    return result


def format_assignment(name: str, value: Any) -> str:
    """Formats KEY=VALUE so that `--set` parses the same value."""
    return f"{name}={_format_value(value)}"


def _parse_text(kind: str, text: str) -> Any:
    if kind.startswith("tuple["):
        item = kind.removeprefix("tuple[").removesuffix("]").partition(",")[0]
        return tuple(_parse_text(item, part.strip()) for part in text.strip("()[] ").split(",") if part.strip())
    if kind == "bool":
        if text.lower() not in TRUE | FALSE:
            raise ValueError(text)
        return text.lower() in TRUE
    if kind == "float":
        value = float(text)
        if value != value:  # noqa: PLR0124  (NaN is no hyperparameter)
            raise ValueError(text)
        return value
    if kind == "int":
        return int(text)
    return text


def _format_value(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
