"""Finds the parts of a recipe that some files read: `split` and `bad_share` of a `Recipe`, for instance.

By `ast`: names annotated as `Recipe`, results of functions annotated so, and names assigned from these. If a recipe is
used in a way that cannot be followed, all its parts count.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from typing import TYPE_CHECKING

from pipeline.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PARTS = frozenset(field.name for field in dataclasses.fields(Recipe))
_TYPE = re.compile(rf"\b{Recipe.__name__}\b")
_PASS_THROUGH = (ast.BoolOp, ast.IfExp, ast.NamedExpr)
# A function that returns a recipe has this annotation; functions that pass it on are analyzed themselves.
_HARMLESS = (ast.Return, ast.If, ast.Compare, ast.Expr, *_PASS_THROUGH)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def find_parts(files: Iterable[Path]) -> frozenset[str]:
    """Returns the fields of `Recipe` that the files read, such as "data" and "gate.slices"; all if unknown."""
    texts = [(path.stem, path.read_text(encoding="utf-8")) for path in files]
    return _Reads([(stem, ast.parse(text)) for stem, text in texts if "recipe" in text.lower()]).parts()


class _Reads:
    """The uses of recipes in an import closure.

    Attributes:
        makers: Functions that return a recipe, as "file.function".
        takers: Functions with a recipe as argument, and classes with one as field.
        holders: Attributes that are a recipe.
    """

    def __init__(self, trees: list[tuple[str, ast.Module]]) -> None:
        self.trees = trees
        self.makers: set[str] = set()
        self.takers: set[str] = {"isinstance"}
        self.holders: set[str] = set()
        for stem, tree in trees:
            for node in ast.walk(tree):
                self._declare(node, stem)

    def _declare(self, node: ast.AST, stem: str) -> None:
        if isinstance(node, Function):
            self.makers |= {f"{stem}.{node.name}"} if _is_recipe(node.returns) else set()
            self.takers |= {node.name} if any(_is_recipe(arg.annotation) for arg in _arguments(node)) else set()
        elif isinstance(node, ast.ClassDef):
            fields = set(_annotated_names(node.body))
            self.holders |= fields
            self.takers |= {node.name} if fields else set()

    def parts(self) -> frozenset[str]:
        """Returns the fields that are read."""
        parts: set[str] = set()
        for stem, tree in self.trees:
            self.origins = dict(_origins(tree, stem))
            for node in tree.body:
                for scope in node.body if isinstance(node, ast.ClassDef) else [node]:
                    parts |= self._in(scope)
        return frozenset(part for part in parts if part.partition(".")[0] in PARTS)

    def _in(self, scope: ast.AST) -> set[str]:
        """Returns the fields read in a function, including nested ones, or in a statement."""
        names, parents = self._names(scope), {child: parent for parent, child in _edges(scope)}
        uses = (self._use(parent, parents) for child, parent in parents.items() if self._yields(child, names))
        return set().union(*uses)

    def _names(self, scope: ast.AST) -> set[str]:
        """Returns the names bound to a recipe in a scope."""
        nodes = list(ast.walk(scope))
        names = {arg.arg for node in nodes if isinstance(node, ast.arg) and _is_recipe((arg := node).annotation)}
        names |= set(_annotated_names(nodes))
        before = -1
        while before != len(names):
            before = len(names)
            pairs = (pair for node in nodes for pair in assignments(node))
            names |= {identifier(target) for target, value in pairs if self._yields(value, names)}
        return names - {""}

    def _yields(self, node: ast.AST, names: set[str]) -> bool:
        if isinstance(node, ast.Call):
            return self._origin(node.func) in self.makers
        if isinstance(node, ast.Attribute):
            return node.attr in self.holders and isinstance(node.ctx, ast.Load)
        if isinstance(node, _PASS_THROUGH):
            return any(self._yields(child, names) for child in ast.iter_child_nodes(node))
        return isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load)

    def _origin(self, function: ast.expr) -> str:
        """Returns the called function as "file.function"."""
        if not isinstance(function, ast.Attribute):
            return self.origins.get(identifier(function), "")
        owner = _last_identifier(function.value)
        return f"{self.origins.get(owner, owner).rpartition('.')[2]}.{function.attr}"

    def _use(self, parent: ast.AST, parents: dict[ast.AST, ast.AST]) -> set[str]:
        """Returns the fields that the expression around a recipe may read."""
        if isinstance(parent, ast.Attribute):
            outer = parents.get(parent)
            return {f"{parent.attr}.{outer.attr}" if isinstance(outer, ast.Attribute) else parent.attr}
        if isinstance(parent, ast.Call):
            return set() if _last_identifier(parent.func) in self.takers else set(PARTS)
        if isinstance(parent, ast.Assign | ast.AnnAssign):
            return set() if all(self._keeps(target) for target, _ in assignments(parent)) else set(PARTS)
        return set() if isinstance(parent, _HARMLESS) else set(PARTS)

    def _keeps(self, target: ast.expr) -> bool:
        """Returns whether an assignment target is followed: a name, an annotated attribute, or a dict of recipes."""
        return isinstance(target, ast.Name | ast.Subscript) or _last_identifier(target) in self.holders


def assignments(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yields targets and values of an assignment; those of equally long tuples one by one."""
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value:
        targets = [node.target]
    else:
        return
    for target in targets:
        assert isinstance(node.value, ast.expr)
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            yield from zip(target.elts, node.value.elts, strict=False)
        else:
            yield target, node.value


def _edges(parent: ast.AST, around: ast.AST | None = None) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yields each node and its parent: for a keyword's value the call, for an assigned tuple the statement."""
    for child in ast.iter_child_nodes(parent):
        yield around or parent, child
        inner = isinstance(child, ast.keyword) or (isinstance(child, ast.Tuple) and isinstance(parent, ast.Assign))
        yield from _edges(child, parent if inner else None)


def _origins(tree: ast.Module, stem: str) -> Iterator[tuple[str, str]]:
    """Yields functions and imported names of a file, each with its module: "catalog.load_recipe"."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node.name, f"{stem}.{node.name}"
        elif isinstance(node, ast.Import):
            yield from ((alias.asname, alias.name) for alias in node.names if alias.asname)
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").rpartition(".")[2]
            yield from ((alias.asname or alias.name, f"{module}.{alias.name}") for alias in node.names)


def _annotated_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yields the names that are annotated as a recipe."""
    for node in nodes:
        if isinstance(node, ast.AnnAssign) and _is_recipe(node.annotation):
            yield identifier(node.target)


def _is_recipe(annotation: ast.expr | None) -> bool:
    return annotation is not None and bool(_TYPE.search(ast.unparse(annotation)))


def _arguments(node: Function) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def identifier(node: ast.expr) -> str:
    """Returns the name that an expression is; empty where it is no plain name."""
    return node.id if isinstance(node, ast.Name) else ""


def _last_identifier(node: ast.expr) -> str:
    """Returns the last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else identifier(node)
