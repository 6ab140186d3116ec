"""Renders the Jinja templates of reports; a template that ends in `.html.jinja` is escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def render_template(
    path: Path, facts: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]] | None = None
) -> str:
    """Renders a template with the facts.

    Args:
        path: The template.
        facts: Values by the names that the template uses.
        filters: Functions by the names after `|`.

    Raises:
        jinja2.UndefinedError: The template uses a name that is not among the facts.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(path.parent),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(path.name).render(facts)
