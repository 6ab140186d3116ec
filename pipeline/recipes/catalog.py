"""Finds recipes in `models/` and in the folders of KERASPIPE_RECIPES, by file name.

Only `load_recipe` and `pin_recipe` import a recipe, and with it Keras, which takes seconds; all else reads its text.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import linecache
import sys
import types
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError, UsageError, describe_cause

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe import Recipe
    from pipeline.settings import Settings

from pipeline.errors import did_you_mean


@dataclass(frozen=True)
class Heading:
    """What the docstring of a recipe says about it."""

    docstring: str

    def field(self, name: str) -> str:
        """Returns the rest of the line that begins with `name` and a colon; empty without one."""
        lines = [line for line in self.docstring.splitlines() if line.startswith(f"{name}: ")]
        return lines[0].partition(": ")[2] if lines else ""

    @property
    def task(self) -> str:
        """The kind of model, such as "image classification"."""
        return self.field("Task").rstrip(".")

    @property
    def data(self) -> str:
        """The name of its data set."""
        return self.field("Data").partition(",")[0].rstrip(".")

    @property
    def title(self) -> str:
        """The first line."""
        return self.docstring.partition("\n")[0].rstrip(".")


@dataclass(frozen=True)
class RecipeSource:
    """A recipe as text.

    Attributes:
        name: File name without `.py`.
        path: The file.
        text: Its source.
        tree: Its syntax tree.
        keywords: The arguments of `RECIPE = Recipe(…)`.
    """

    name: str
    path: Path
    text: str
    tree: ast.Module
    keywords: dict[str, ast.expr]

    @property
    def heading(self) -> Heading:
        """The module docstring of the recipe."""
        return Heading(ast.get_docstring(self.tree) or "")


def recipe_paths(settings: Settings) -> dict[str, Path]:
    """Returns recipe files by name; an earlier folder takes precedence."""
    recipes: dict[str, Path] = {}
    for folder in settings.recipe_folders:
        for path in sorted(folder.glob("*.py")):
            if not path.name.startswith("_") and not path.is_dir():
                recipes.setdefault(path.stem, path)
    return dict(sorted(recipes.items()))


def find_recipe(name: str, settings: Settings) -> RecipeSource:
    """Finds a recipe by name and reads its text.

    Raises:
        UsageError: There is no recipe of that name.
        PipelineError: The file is not a recipe.
    """
    recipes = recipe_paths(settings)
    if name not in recipes:
        raise UsageError(
            f"There is no recipe {name!r}.",
            expected=f"one of {', '.join(recipes)}",
            received=name,
            action=did_you_mean(name, recipes) or "list them with: keraspipe models",
        )
    return read_recipe(recipes[name])


def read_recipe(path: Path) -> RecipeSource:
    """Reads a recipe file without importing it.

    Raises:
        PipelineError: Syntax error, not UTF-8, or no `RECIPE = Recipe(…)`.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, str(path))
    except UnicodeDecodeError as error:
        raise PipelineError(
            f"The recipe {path} is not text in UTF-8.",
            expected="a Python file in UTF-8",
            received=str(error),
            action=f"save {path} in UTF-8",
        ) from error
    except SyntaxError as error:
        raise PipelineError(
            f"The recipe {path} has a syntax error in line {error.lineno}: {error.msg}.",
            expected="a Python file",
            received=(error.text or "").strip(),
            action=f"correct line {error.lineno} of {path}",
        ) from error
    return RecipeSource(path.stem, path, text, tree, _recipe_keywords(tree, path))


def read_heading(path: Path) -> Heading:
    """Reads the docstring of a recipe file from its byte code, a tenth of the time of `read_recipe` if Python keeps it.

    Raises:
        PipelineError: As `read_recipe`.
    """
    with contextlib.suppress(SyntaxError, ValueError):
        code = SourceFileLoader(path.stem, str(path)).get_code(path.stem)
        if code and "RECIPE" in code.co_names:
            return Heading(inspect.cleandoc(str(code.co_consts[0])) if "__doc__" in code.co_names else "")
    return read_recipe(path).heading  # says what is wrong


def _recipe_keywords(tree: ast.Module, path: Path) -> dict[str, ast.expr]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "RECIPE" for target in targets):
            value = getattr(node, "value", None)
            return {k.arg: k.value for k in value.keywords if k.arg} if isinstance(value, ast.Call) else {}
    raise PipelineError(
        f"The recipe {path} declares no RECIPE.",
        expected="RECIPE = Recipe(data=…, params=…, preprocess=…, build=…) at the top level of the file",
        received="top-level names " + (", ".join(sorted(_defined_names(tree))) or "none"),
        action="add RECIPE; `keraspipe show digits` prints a complete recipe",
    )


def _defined_names(tree: ast.Module) -> set[str]:
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def load_recipe(path: Path) -> Recipe:
    """Imports a recipe file and returns its RECIPE, or the pinned one.

    Raises:
        PipelineError: The file fails on import or has no Recipe.
    """
    return _PINNED.get(path) or _execute(path, path.read_text(encoding="utf-8"))


def pin_recipe(source: RecipeSource) -> Recipe:
    """Imports a recipe from its text, and makes `load_recipe` return the same from now on.

    A run's steps load the recipe by its path; a file that is edited meanwhile must not change a run whose digest was
    computed before.

    Raises:
        PipelineError: As `load_recipe`.
    """
    recipe = _PINNED[source.path] = _execute(source.path, source.text)
    return recipe


_PINNED: dict[Path, Recipe] = {}


def _execute(path: Path, text: str) -> Recipe:
    """Returns the RECIPE of a text; reads and writes no bytecode, which could belong to another text."""
    from pipeline.recipe import Recipe

    module = types.ModuleType(f"keraspipe_recipe_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look up their module when the class is created
    linecache.cache[str(path)] = (
        len(text),
        None,
        text.splitlines(keepends=True),
        str(path),
    )  # for tracebacks, autograph
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # modules next to the recipe, as for `python FILE`
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 - the user's own file
        recipe = module.RECIPE
    except (Exception, SystemExit) as error:
        raise PipelineError(
            f"The recipe {path} fails on import.",
            expected="a file that imports and declares RECIPE",
            received=describe_cause(error),
            action=f"try it alone: .venv/bin/python {path}",
        ) from error
    if not isinstance(recipe, Recipe):
        raise PipelineError(
            f"RECIPE in {path} is not a recipe.",
            expected="pipeline.recipe.Recipe",
            received=type(recipe).__name__,
            action="assign a pipeline.recipe.Recipe to RECIPE in that file",
        )
    return recipe
