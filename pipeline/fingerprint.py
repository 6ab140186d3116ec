"""Digests of code and data: what a result depends on, so that it is reused exactly as long as that stays the same."""

from __future__ import annotations

import ast
import copy
import hashlib
import json
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline import atomic
from pipeline.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pipeline.catalogue import Source

STEP_CODE = (
    "datasets",
    "judging",
    "steps",
    "training",
    "atomic.py",
    "catalogue.py",
    "dag.py",
    "optimizer.py",
    "recipe.py",
    "savedmodel.py",
    "verdict.py",
)

# Which arguments of RECIPE the result of each step depends on, beside those of the steps before it.
STEP_KEYWORDS = {
    "ingest": ("data", "split", "quick", "bad_share"),
    "schema": ("data",),
    "transform": ("data", "params", "preprocess"),  # params: for properties computed from hyperparameters
    "train": (
        "data",
        "params",
        "augment",
        "augmented",
        "build",
        "fine_tune",
        "finish",
        "outputs",
        "signatures",
    ),
    "score": ("data", "metrics", "score", "needs"),
}


def of(value: Any) -> str:
    """Digest of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


@cache
def of_project() -> str:
    """Digest of the lock file and of all code but the recipes."""
    return _of_code([ROOT / "pipeline", ROOT / "serving"])


@cache
def of_steps() -> str:
    """Digest of the lock file and of the code that the results of the steps depend on.

    What only shows, tracks or serves is left out, so that editing it repeats no training.
    """
    folder = ROOT / "pipeline"
    return _of_code([folder / name for name in STEP_CODE])


def _of_code(roots: list[Path]) -> str:
    result = hashlib.sha256((ROOT / "uv.lock").read_bytes())
    for root in roots:
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            result.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return result.hexdigest()


def of_recipe(source: Source) -> str:
    """Digest of a recipe's file and of the files of its own that it imports."""
    return of({path.name: path.read_text() for path in own_files(source)})


def own_files(source: Source) -> list[Path]:
    """The recipe's file, and the files beside it or in the project that it imports, without keraspipe's own."""
    found, waiting = [], [source.path]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.append(path)
            waiting += _imported(ast.parse(path.read_text()), path)
    return sorted(found)


def _imported(tree: ast.Module, path: Path) -> Iterator[Path]:
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.partition(".")[0] not in ("pipeline", "serving"):  # of_project covers these
                for folder in (path.parent, ROOT):
                    candidate = (folder / name.replace(".", "/")).with_suffix(".py")
                    if candidate.is_file():
                        yield candidate


def of_step(source: Source, step: str, params: dict[str, Any]) -> str:
    """Digest of what a step takes from a recipe: its code, without comments, and the hyperparameters it reads."""
    if not source.keywords:
        return of([of_recipe(source), params])
    bare = _Bare(_params_class(source))
    code = [ast.dump(bare.visit(copy.deepcopy(node))) for node in _needed(source, step)]
    read = read_params(source, step, params)
    own = [path.read_text() for path in own_files(source) if path != source.path]
    return of([code, read, own, step])


def read_params(source: Source, step: str, params: dict[str, Any]) -> dict[str, Any]:
    """The hyperparameters that a step depends on; all of them where that cannot be told."""
    if step == "train" or not source.keywords:
        return params
    return {name: params[name] for name in _read(_needed(source, step), params)}


def _params_class(source: Source) -> str:
    call = source.keywords.get("params")
    return call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""


class _Bare(ast.NodeTransformer):
    """Takes out what computes nothing: docstrings, and the fields of the hyperparameters, which come in as values."""

    def __init__(self, params_class: str) -> None:
        self.params_class = params_class

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if node.name == self.params_class:
            node.body = [item for item in node.body if not isinstance(item, ast.AnnAssign)]
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if _is_text(node) else self.generic_visit(node)


def _needed(source: Source, step: str) -> list[ast.AST]:
    """The arguments of RECIPE that a step depends on, and the statements that these depend on."""
    roots = [source.keywords[name] for name in STEP_KEYWORDS[step] if name in source.keywords]
    return [*roots, *_reachable(source.tree, roots)]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _reachable(tree: ast.Module, roots: Iterable[ast.AST]) -> list[ast.AST]:
    """Top-level statements that the roots depend on through the names they use, in the order of the file."""
    defined = defaultdict(list)  # a name may be bound more than once: X = …; X = f(X)
    for node in tree.body:
        for name in _defined(node):
            defined[name].append(node)
    kept: list[ast.AST] = [node for node in tree.body if not list(_defined(node)) and not _is_text(node)]
    waiting = [*roots, *kept]
    while waiting:
        for name in {n.id for n in ast.walk(waiting.pop()) if isinstance(n, ast.Name)}:
            new = [node for node in defined[name] if node not in kept]
            kept += new
            waiting += new
    return [node for node in tree.body if node in kept]


def _defined(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name.partition(".")[0]) for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))


def _read(nodes: list[ast.AST], params: dict[str, Any]) -> list[str]:
    """Hyperparameters that code reads as attributes of some name; all of them where that cannot be seen."""
    functions = [n for node in nodes for n in ast.walk(node) if isinstance(n, ast.FunctionDef | ast.Lambda)]
    handed_on = False
    read = set()
    for function in functions:
        attributes = [n for n in ast.walk(function) if isinstance(n, ast.Attribute)]
        read |= {n.attr for n in attributes if n.attr in params}
        arguments = {argument.arg for argument in [*function.args.posonlyargs, *function.args.args][1:]}
        owners = {id(n.value) for n in attributes}
        names = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id in arguments]
        handed_on |= any(id(n) not in owners for n in names)
    return sorted(params) if handed_on else sorted(read)


def stamps(paths: Iterable[Path]) -> list[tuple[str, int, int, int]]:
    """Path, size and times of every file below the paths: equal stamps, equal content."""
    found = []
    for root in paths:
        for path in [root, *sorted(root.rglob("*"))] if root.is_dir() else [root]:
            status = path.stat()
            size = 0 if path.is_dir() else status.st_size
            # ctime cannot be set back, so a file replaced with its old date is noticed too.
            found.append((str(path), size, status.st_mtime_ns, status.st_ctime_ns))
    return found


def of_data(paths: list[Path], memory: Path) -> str:
    """Digest of the content of all files below the paths; read again only when a stamp differs.

    Args:
        paths: Files and folders.
        memory: File that remembers the digest of the last stamps.
    """
    key = of(stamps(paths))
    known = atomic.read_json(memory, {})
    if known.get("stamps") != key:
        known = {"stamps": key, "digest": _content(paths)}
        atomic.write_json(memory, known)
    return str(known["digest"])


def _content(paths: list[Path]) -> str:
    result = hashlib.sha256()
    for root in paths:
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                with path.open("rb") as file:
                    inner = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
                result.update(f"{path.relative_to(root)}\0{inner}\n".encode())
    return result.hexdigest()
