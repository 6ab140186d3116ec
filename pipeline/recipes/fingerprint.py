"""Digests of the code that the result of a step depends on, so that the cache is valid exactly while it is unchanged.

A step is `pipeline/steps/NAME.py`. Its digest covers all files that this one imports, directly and indirectly; the
arguments of the recipe that these files read, with the statements and files that they need; the hyperparameters that
its hooks read; and the lock file of the dependencies. All of these are found by reading the code, not from a list.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter, defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline import recipe
from pipeline.recipes import hyperparameter_reads, import_closure, imports, recipe_reads
from pipeline.settings import ROOT
from pipeline.store import hashing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.recipes.catalog import RecipeSource

PREPROCESS, PARAMS_POSITION = "preprocess", 1  # (inputs, p): the hooks that run before training
PREPROCESSING = (PREPROCESS, "preprocess_targets")
PLAIN_DECORATORS = {"dataclass", "cache", "lru_cache", "function", "contextmanager"}  # keep nothing elsewhere
FINDING_NAMES = {"globals", "eval", "exec", "vars"}
IGNORED_ARGUMENTS = ("gate", "quick", "explained")  # arguments of a recipe that change no result of a full run


def step_digest(source: RecipeSource, step: str, params: dict[str, Any], root: Path = ROOT) -> str:
    """Returns the digest of everything that the result of a step depends on, in addition to its inputs.

    Args:
        source: The recipe.
        step: The step's name.
        params: All hyperparameters and their values.
        root: Folder of keraspipe's packages.
    """
    return hashing.digest([code_digest(source, step, root), step_params(source, step, params, root)])


def code_digest(source: RecipeSource, step: str, root: Path = ROOT) -> str:
    """Returns the digest of the code that a step runs: keraspipe's, the recipe's part, and the lock file."""
    code = import_closure.analyze(_step_nodes(source, step, root), source.path, root)
    files = import_closure.import_closure([_step_file(step, root), *import_closure.reachable_files(code, root)], root)
    return hashing.digest([_lock_digest(root), code.digest(root), import_closure.digest_code(files, root)])


def run_digest(source: RecipeSource, entry: str, root: Path = ROOT) -> str:
    """Returns the digest of all code of a run: the imports of its entry and of the recipe, and the lock file.

    Args:
        source: The recipe.
        entry: Dotted name of the module that executes the run.
        root: Folder of keraspipe's packages.
    """
    code, files = _analyze_recipe(source, root), run_files(source, entry, root)
    return hashing.digest([_lock_digest(root), code.digest(root), import_closure.digest_code(files, root)])


def run_files(source: RecipeSource, entry: str, root: Path = ROOT) -> frozenset[Path]:
    """Returns the files that a run imports, without the recipe's own file; see `run_digest`."""
    start = imports.locate(entry, (root,))
    assert start, entry
    reachable = import_closure.reachable_files(_analyze_recipe(source, root), root)
    return import_closure.import_closure([start, *reachable], root)


def result_digest(source: RecipeSource, defaults: dict[str, Any]) -> str:
    """Returns the digest of a recipe's own code and files without its gate, and of its default hyperparameters.

    Of keraspipe only the imported names count, so that moving a module there changes nothing.
    """
    roots = [
        ast.keyword(name, value) for name, value in sorted(source.keywords.items()) if name not in IGNORED_ARGUMENTS
    ]
    nodes: list[ast.AST] = (
        [*roots, *_reachable_statements(source.tree, roots)] if source.keywords else [*source.tree.body]
    )
    code = import_closure.analyze(_strip_params(source, nodes), source.path)
    own = [import_closure.read_code(path).own_digest for path in recipe_files(source) if path != source.path]
    return hashing.digest([code.own_digest, sorted(own), defaults])


def recipe_digest(source: RecipeSource) -> str:
    """Returns the digest of the text of a recipe's file and of its own imported files."""
    return hashing.digest({path.name: path.read_text() for path in recipe_files(source)})


def recipe_files(source: RecipeSource) -> list[Path]:
    """Returns the recipe's file and those that it imports from its folder or project, without keraspipe's."""
    files = import_closure.import_closure(import_closure.reachable_files(_analyze_recipe(source, ROOT)))
    return sorted({source.path, *(path for path in files if not imports.is_project(path))})


def step_params(source: RecipeSource, step: str, params: dict[str, Any], root: Path = ROOT) -> dict[str, Any]:
    """Returns the hyperparameters that a step depends on; all of them if that is unknown."""
    parts = _recipe_parts(_step_file(step, root), root)
    if source.keywords and "params" not in parts:
        return {}
    # Training itself reads some of them: epochs, batch_size, class_weight.
    if not source.keywords or "build" in parts or PREPROCESS not in source.keywords:
        return params
    scope = hyperparameter_reads.Scope(source.tree, source.path, root)
    hooks = [source.keywords[name] for name in PREPROCESSING if name in source.keywords]
    reads = [hyperparameter_reads.follow_hook(hook, PARAMS_POSITION, scope, _params_class(source)) for hook in hooks]
    if any(names is None for names in reads):
        return params
    names = set().union(*(names or () for names in reads))
    return {name: params[name] for name in sorted(names & params.keys())}


def _step_file(step: str, root: Path) -> Path:
    return root / "pipeline" / "steps" / f"{step}.py"


@cache
def _recipe_parts(entry: Path, root: Path) -> frozenset[str]:
    """Returns the parts of a recipe that a step reads: "data", "gate.slices"."""
    files = import_closure.import_closure([entry], root)
    return recipe_reads.find_parts((path.stem, import_closure.read_code(path, root).source) for path in files)


@cache
def _lock_digest(root: Path) -> str:
    return hashing.digest((root / "uv.lock").read_text())


def _analyze_recipe(source: RecipeSource, root: Path) -> import_closure.Code:
    return import_closure.analyze(copy.deepcopy(source.tree.body), source.path, root)


def _params_class(source: RecipeSource) -> ast.ClassDef | None:
    call = source.keywords.get("params")
    name = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""
    return next((node for node in source.tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)


def _step_nodes(source: RecipeSource, step: str, root: Path) -> list[ast.AST]:
    """Returns the parts of RECIPE that a step reads, and the statements that these depend on."""
    if not source.keywords:
        return copy.deepcopy([*source.tree.body])
    parts = sorted(_recipe_parts(_step_file(step, root), root))
    roots = [ast.keyword(part, value) for part in parts for value in _declared_values(source, part)]
    return _strip_params(source, [*roots, *_reachable_statements(source.tree, roots)])


def _declared_values(source: RecipeSource, part: str) -> list[ast.expr]:
    """Returns the values of "name" or "name.field"; all of the name if no plain class declares the field."""
    name, _, inner = part.partition(".")
    value = source.keywords.get(name)
    if value is None:
        return []
    fields = _plain_fields(value) if inner else ()
    if inner not in fields:
        return [value]
    assert isinstance(value, ast.Call)
    arguments = dict(zip(fields, value.args, strict=False)) | {
        word.arg: word.value for word in value.keywords if word.arg
    }
    return [arguments[inner]] if inner in arguments else []


def _plain_fields(value: ast.expr) -> tuple[str, ...]:
    """Returns the fields of a declaration such as `Gate(…)`; empty if the whole declaration counts."""
    call = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and all(k.arg for k in value.keywords)
    declaration = getattr(recipe, value.func.id, None) if call else None  # type: ignore[attr-defined]
    return tuple(getattr(declaration, "__dataclass_fields__", ()))


def _strip_params(source: RecipeSource, nodes: list[ast.AST]) -> list[ast.AST]:
    """Copies nodes without the hyperparameters' fields, which count as values, and without unused imports."""
    nodes, params = copy.deepcopy(nodes), _params_class(source)
    declarations = sum(isinstance(node, ast.keyword) and node.arg == "params" for node in nodes)
    for node in nodes:
        # A second use, such as `Digits(size=Params().size)`, takes the defaults from the class.
        is_params = params and isinstance(node, ast.ClassDef) and node.name == params.name
        if params and is_params and declarations == sum(_count_names(other)[params.name] for other in nodes):
            node.body = [item for item in node.body if not isinstance(item, ast.AnnAssign)]  # type: ignore[attr-defined]
    unused = _count_names(source.tree).keys() - sum((_count_names(node) for node in nodes), Counter()).keys()
    return [node for node in nodes if not isinstance(node, ast.Import | ast.ImportFrom) or _narrow_import(node, unused)]


def _narrow_import(node: ast.Import | ast.ImportFrom, unused: set[str]) -> bool:
    """Removes unused names from an import line; returns whether any are left."""
    node.names = [alias for alias in node.names if (alias.asname or alias.name.partition(".")[0]) not in unused]
    return bool(node.names)


def _is_for_effect(node: ast.stmt, used: Counter[str], collecting: set[str]) -> bool:
    """Returns whether a statement always counts.

    It binds no name, or imports a name that the file never uses, or a decorator or a base class may keep what it binds.
    """
    names = set(hyperparameter_reads.bound_names(node))
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        keeps = {ast.unparse(item).partition("(")[0].rpartition(".")[2] for item in node.decorator_list}
        bases = {base.id for base in getattr(node, "bases", []) if isinstance(base, ast.Name)}
        return bool(keeps - PLAIN_DECORATORS or bases & collecting)
    return not names or (isinstance(node, ast.Import | ast.ImportFrom) and not names & used.keys())


def _collecting_classes(tree: ast.Module) -> set[str]:
    """Returns the classes that hear of their subclasses."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    methods = {node.name: {getattr(item, "name", "") for item in node.body} for node in classes}
    return {node.name for node in classes if "__init_subclass__" in methods[node.name] or node.keywords}


def _finds_by_text(tree: ast.Module) -> bool:
    """Returns whether a file may reach its names as text, so that all of it counts."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    modules = any(isinstance(node, ast.Attribute) and node.attr == "modules" for node in ast.walk(tree))
    return bool(names & FINDING_NAMES) or (modules and "sys" in names)


def _count_names(node: ast.AST) -> Counter[str]:
    return Counter(n.id for n in ast.walk(node) if isinstance(n, ast.Name))


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _reachable_statements(tree: ast.Module, roots: Iterable[ast.AST]) -> list[ast.AST]:
    """Returns the top-level statements that the roots depend on by name, in the order of the file."""
    defined = defaultdict(list)  # a name may be bound more than once: X = …; X = f(X)
    for node in tree.body:
        for name in hyperparameter_reads.bound_names(node):
            defined[name].append(node)
    used, collecting, all_count = _count_names(tree), _collecting_classes(tree), _finds_by_text(tree)
    statements: list[ast.AST] = [
        node for node in tree.body if (all_count or _is_for_effect(node, used, collecting)) and not _is_docstring(node)
    ]
    waiting = [*roots, *statements]
    while waiting:
        for name in _count_names(waiting.pop()):
            new = [node for node in defined[name] if node not in statements]
            statements += new
            waiting += new
    return [node for node in tree.body if node in statements]
