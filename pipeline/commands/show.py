"""`keraspipe show`: a recipe's docstring, hyperparameters and gate, read from its text."""

from __future__ import annotations

import ast
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipeline.commands._common import add_json
from pipeline.recipes import catalog, hyperparameters

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.recipes.catalog import RecipeSource
    from pipeline.settings import Settings


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME", help="a recipe")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Shows one recipe."""
    source = catalog.find_recipe(options.name, settings)
    if options.json:
        print(json.dumps(to_dict(source), indent=1))
    else:
        print("\n".join(format_lines(source)))
    return 0


def to_dict(source: RecipeSource) -> dict[str, Any]:
    """The recipe as JSON."""
    return {
        "name": source.name,
        "path": str(source.path),
        "docstring": source.heading.docstring,
        "params": [asdict(field) for field in hyperparameters.fields(source).values()],
        "gate": read_gate(source),
    }


def read_gate(source: RecipeSource) -> dict[str, Any]:
    """The gate's literal arguments; a computed argument is returned as its source."""
    values = {}
    for keyword in getattr(source.keywords.get("gate"), "keywords", []):
        try:
            values[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError:
            values[keyword.arg] = ast.unparse(keyword.value)
    return values


def format_lines(source: RecipeSource) -> list[str]:
    """Formats the recipe for the terminal."""
    declared = hyperparameters.fields(source).values()
    width = max((len(field.name) for field in declared), default=0)
    table = [
        f"  {field.name:<{width}}  {field.default!s:<32}  {field.type:<15}  {field.range or field.comment}".rstrip()
        for field in declared
    ]
    bounds = [f"  {name}: {value}" for name, value in read_gate(source).items()]
    return [
        source.heading.docstring,
        "",
        "Hyperparameters (--set KEY=VALUE):",
        *table,
        "",
        "Gate:",
        *bounds,
        "",
        str(source.path),
    ]
