"""`keraspipe schema`: what changed in the data since the schema was frozen, and taking it over."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import console, subprocesses
from pipeline.errors import PipelineError
from pipeline.recipes import catalog

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings
    from pipeline.store.layout import Workspace


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "action", choices=("diff", "accept"), help="show the changes, or make the newest schema the accepted one"
    )
    parser.add_argument("name", metavar="NAME", help="a recipe")


def command(options: Namespace, settings: Settings) -> int:
    """Shows the difference, or makes the newest data's schema the frozen one."""
    source = catalog.find_recipe(options.name, settings)
    inferred = newest_schema(settings.workspace, source.name)
    subprocesses.configure_tensorflow()
    with console.redirect_output(Path(os.devnull)):
        from pipeline.steps import schema

        bound = schema.bind_schema(schema.read_schema(inferred), catalog.load_recipe(source.path).data)
        frozen = settings.workspace.schema(source.name)
        lines = schema.diff_schemas(frozen, bound)
        if options.action == "accept":
            schema.write_schema(bound, frozen)
    print("\n".join(lines) or f"The data of {source.name} have the accepted schema.")
    if options.action == "accept":
        print(f"Accepted: {frozen}")
    return 0


def newest_schema(workspace: Workspace, name: str) -> Path:
    """The schema inferred last from a recipe's data.

    Raises:
        PipelineError: No run has inferred a schema.
    """
    folder = workspace.recipe_artifacts(name) / "infer_schema" / "schema"
    paths = sorted(folder.glob("*/schema.pbtxt"), key=lambda path: int(path.parent.name))
    if not paths:
        raise PipelineError(
            f"The workspace has no schema of {name}.",
            expected="an earlier run that finished the step infer_schema",
            received=f"no schema in {folder}",
            action=f"run: keraspipe run {name} --until schema",
        )
    return paths[-1]
