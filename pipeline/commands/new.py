"""`keraspipe new`: a recipe for data of your own, as a person would have written it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands import _csv_options
from pipeline.console import align_columns
from pipeline.errors import UsageError
from pipeline.recipes import catalog
from pipeline.scaffold.target import TASKS
from pipeline.store import fileio

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.scaffold.render import Plan
    from pipeline.settings import Settings

MAX_ROWS, SHOWN_ROWS, SHOWN_USES = 100, 40, 12  # of the table of columns on the terminal
RECIPE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME", help="name of the new recipe")
    parser.add_argument(
        "--data",
        required=True,
        metavar="PATH",
        help="a table, also of who took what, conversations in OpenAI's format, a folder or archive of files per "
        "class, or pictures with boxes or masks",
    )
    parser.add_argument(
        "--target", default="", metavar="COLUMN", help="the column of a table to predict (default: found in the data)"
    )
    parser.add_argument(
        "--task",
        default="",
        choices=TASKS,
        metavar="TASK",
        help=f"{', '.join(TASKS)} (default: found in the data, but for translation)",
    )
    parser.add_argument(
        "--user",
        default="",
        metavar="COLUMN",
        help="who takes an item, in a table of interactions (default: by its name)",
    )
    parser.add_argument("--item", default="", metavar="COLUMN", help="what a user takes, likewise")
    parser.add_argument(
        "--base-model",
        default="",
        metavar="PATH",
        help="the language model to tune on conversations: a GGUF file, or a folder of safetensors or of Keras Hub "
        "(default: SmolLM2-135M-Instruct of the extra smollm2)",
    )
    parser.add_argument(
        "--context", type=int, default=0, metavar="TOKENS", help="tokens of a conversation at most (default: 1024)"
    )
    parser.add_argument("--truncate", action="store_true", help="leave out the oldest messages of longer conversations")
    _csv_options.arguments(parser)
    parser.add_argument("--out", metavar="DIR", help="default: the first folder of KERASPIPE_RECIPES, else models/")
    parser.add_argument("--force", action="store_true", help="overwrite a file of that name")


def command(options: Namespace, settings: Settings) -> int:
    """Inspects the data, writes the recipe, and prints the plan."""
    from pipeline.scaffold import inspect, render
    from pipeline.scaffold.structured.conversation import ChatOptions

    path = recipe_path(options, settings)
    data = Path(options.data).expanduser().absolute()
    dialect = _csv_options.read_dialect(options)
    chat = ChatOptions(options.base_model, options.context, options.truncate)
    plan = inspect.make_plan(data, options.target, options.task, dialect, options.user, options.item, chat)
    text = render.render_recipe(plan, options.name)
    with fileio.replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print("\n".join(format_plan(plan, path, settings)))
    return 0


def recipe_path(options: Namespace, settings: Settings) -> Path:
    """The file to write: in --out, else the first folder of KERASPIPE_RECIPES, else the catalogue.

    Raises:
        UsageError: The folder or the name is not valid, another recipe has it, or the file exists.
    """
    own = settings.recipe_folders[1:] or settings.recipe_folders
    folder = Path(options.out).expanduser().absolute() if options.out else own[0]
    path = folder / f"{options.name}.py"
    if folder.suffix == ".py":
        raise UsageError(
            "--out names a folder.",
            expected="the folder to write the recipe to",
            received=options.out,
            action=f"--out {folder.parent}; the file is called {path.name}",
        )
    if not RECIPE_NAME.fullmatch(options.name):
        raise UsageError(
            "This cannot be the name of a recipe.",
            expected="letters, digits and underscores, a letter first",
            received=options.name,
            action="choose another name",
        )
    other = catalog.recipe_paths(settings).get(options.name, path)
    if other != path:
        raise UsageError(
            f"A recipe {options.name} exists already.",
            expected="a name that no other recipe has",
            received=str(other),
            action="choose another name",
        )
    if path.exists() and not options.force:
        raise UsageError(
            f"{path} exists already.",
            expected="a new file",
            received="a file that may have been edited",
            action="choose another name, or overwrite it with --force",
        )
    return path


def format_plan(plan: Plan, path: Path, settings: Settings) -> list[str]:
    """Formats the plan for the terminal: data, decisions, and next steps."""
    known = path.parent in settings.recipe_folders
    run = f"keraspipe run {path.stem}" if known else f"KERASPIPE_RECIPES={path.parent} keraspipe run {path.stem}"
    return [
        *format_columns(plan),
        "",
        *plan.notes,
        *describe_names(plan),
        *describe_gate(plan),
        "",
        f"Written: {path}",
        f"Next: {run}",
    ]


def format_columns(plan: Plan) -> list[str]:
    """Formats what is made of each column or class: of very many the first ones, and how many others are used how."""
    rows, others = (plan.rows, []) if len(plan.rows) <= MAX_ROWS else (plan.rows[:SHOWN_ROWS], plan.rows[SHOWN_ROWS:])
    uses = Counter(row[-1] for row in others).most_common() if plan.head[-1] == "used as" else []
    counts = [f"  {count:,} x {use}" for use, count in uses[:SHOWN_USES]]
    more = sum(count for _, count in uses[SHOWN_USES:])
    lines = [f"and {len(others):,} more{':' * bool(uses)}", *counts] * bool(others) + [f"  {more:,} others"] * bool(
        more
    )
    return [*align_columns([plan.head, *rows]), *lines]


def describe_names(plan: Plan) -> list[str]:
    """Says which columns a client calls otherwise than the file does."""
    from pipeline.scaffold.render import list_texts, safe_name

    renamed = [f"{safe_name(old)} is {new}" for new, old in plan.facts.get("renamed", {}).items()]
    return [f"Names of inputs: {list_texts(renamed)}; files and requests may use both."] if renamed else []


def describe_gate(plan: Plan) -> list[str]:
    """Describes the gate."""
    bounds = plan.facts["bounds"]
    limits = [f"{name} at least {value:g}" for name, value in bounds.at_least.items()]
    limits += [f"{name} at most {value:g}" for name, value in bounds.at_most.items()]
    return [f"{bounds.baseline} The gate requires {', '.join(limits)}.".strip()]
