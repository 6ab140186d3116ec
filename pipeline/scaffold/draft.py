"""The text of a recipe from a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import template
from pipeline.scaffold.literal import literal
from pipeline.scaffold.prose import wrapped

if TYPE_CHECKING:
    from pipeline.scaffold.plan import Plan

TEMPLATES = Path(__file__).parent / "templates"


def text(plan: Plan, name: str) -> str:
    """The recipe as Python source, laid out as `ruff format` lays it out.

    Args:
        plan: What was decided.
        name: Of the recipe.
    """
    facts = {
        **DEFAULTS,
        **plan.facts,
        "name": name,
        "recipe_names": imports(plan),
        "words": wrapped(plan.facts["words"]),
    }
    return template.rendered(TEMPLATES / f"{plan.template}.py.jinja", facts, {"literal": literal})


DEFAULTS = {"regression": False, "column": "", "texts": (), "renamed": {}}


def imports(plan: Plan) -> str:
    """What the recipe takes from `pipeline.recipe`, in ruff's order: constants, then names by letter."""
    bounds, classes = plan.facts["bounds"], plan.facts["classes"]
    judged = bool(bounds.positive or bounds.balanced)
    split = "Time" if plan.template == "series" else str(plan.facts.get("split", "Hash")).partition("(")[0]
    names = {"Choice", "Gate", "Quick", "Range", "Recipe", split}
    names |= {"Metric"} if judged or not classes else set()
    return ", ".join(["CLASSIFICATION"] * (judged and bool(classes)) + sorted(names))
