"""Finds the parts of a recipe that some files read: `split` and `bad_share` of a `Recipe`, for instance.

By `ast`: names annotated as `Recipe`, results of functions annotated so, and names assigned from these. If a recipe is
used in a way that cannot be followed, all its parts count.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from functools import cache
from typing import TYPE_CHECKING

from pipeline.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PARTS = frozenset(field.name for field in dataclasses.fields(Recipe))
_TYPE = re.compile(rf"\b{Recipe.__name__}\b")
_PASS_THROUGH = (ast.BoolOp, ast.IfExp, ast.NamedExpr)
# A function that returns a recipe has this annotation; functions that pass it on are analyzed themselves.
_WORD = re.compile(r"\w+")
_HARMLESS = (ast.Return, ast.If, ast.Compare, ast.Expr, *_PASS_THROUGH)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def find_parts(files: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Returns the fields of `Recipe` that files read, such as "data" and "gate.slices"; all if unknown.

    Args:
        files: The name without ending and the text of each.
    """
    files = [(stem, text) for stem, text in files if "recipe" in text.lower()]
    known = Declarations().union(*(_parse(stem, text).declared for stem, text in files))
    parts = frozenset().union(*(_find_parts(stem, text, known.within(_words(text))) for stem, text in files))
    return frozenset(part for part in parts if part.partition(".")[0] in PARTS)


@dataclasses.dataclass(frozen=True)
class Declarations:
    """What files declare to be a recipe.

    Attributes:
        makers: Functions that return a recipe, as "file.function".
        takers: Functions with a recipe as argument, and classes with one as field.
        holders: Attributes that are a recipe.
    """

    makers: frozenset[str] = frozenset()
    takers: frozenset[str] = frozenset({"isinstance"})
    holders: frozenset[str] = frozenset()

    def union(self, *others: Declarations) -> Declarations:
        """Returns the declarations of all."""
        return Declarations(
            self.makers.union(*(other.makers for other in others)),
            self.takers.union(*(other.takers for other in others)),
            self.holders.union(*(other.holders for other in others)),
        )

    def within(self, words: frozenset[str]) -> Declarations:
        """Returns those that a text of these words may name, so that the rest changes nothing that is known of it."""
        makers = frozenset(maker for maker in self.makers if maker.rpartition(".")[2] in words)
        return Declarations(makers, self.takers & words, self.holders & words)


@dataclasses.dataclass(frozen=True)
class _Module:
    """A file: its syntax tree, what it declares, and its functions and imported names as "file.function"."""

    tree: ast.Module
    declared: Declarations
    origins: dict[str, str]


@cache
def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text))


@cache
def _parse(stem: str, text: str) -> _Module:
    tree = ast.parse(text)
    definitions = (node for node in ast.walk(tree) if isinstance(node, Function | ast.ClassDef))
    declared = Declarations().union(*(_declare(node, stem) for node in definitions))
    return _Module(tree, declared, dict(_origins(tree, stem)))


def _declare(node: Function | ast.ClassDef, stem: str) -> Declarations:
    name = frozenset({node.name})
    if isinstance(node, ast.ClassDef):
        holders = frozenset(_annotated_names(node.body))
        return Declarations(takers=name if holders else frozenset(), holders=holders)
    takes = any(_is_recipe(arg.annotation) for arg in _arguments(node))
    makers = frozenset({f"{stem}.{node.name}"} if _is_recipe(node.returns) else ())
    return Declarations(makers, name if takes else frozenset())


@cache
def _find_parts(stem: str, text: str, known: Declarations) -> frozenset[str]:
    module = _parse(stem, text)
    return _Reads(known, module.origins).parts(module.tree)


@dataclasses.dataclass(frozen=True)
class _Reads:
    """The uses of recipes in a file."""

    known: Declarations
    origins: dict[str, str]

    def parts(self, tree: ast.Module) -> frozenset[str]:
        """Returns the attributes that are read."""
        scopes = (scope for node in tree.body for scope in (node.body if isinstance(node, ast.ClassDef) else [node]))
        return frozenset().union(*map(self._in, scopes))

    def _in(self, scope: ast.AST) -> set[str]:
        """Returns the fields read in a function, including nested ones, or in a statement."""
        nodes = list(ast.walk(scope))
        names = self._names(nodes)
        recipes = {node for node in nodes if self._yields(node, names)}
        parents = {child: parent for parent, child in _edges(scope)} if recipes else {}
        return set().union(*(self._use(parent, parents) for child, parent in parents.items() if child in recipes))

    def _names(self, nodes: list[ast.AST]) -> set[str]:
        """Returns the names bound to a recipe in the nodes of a scope."""
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
            return self._origin(node.func) in self.known.makers
        if isinstance(node, ast.Attribute):
            return node.attr in self.known.holders and isinstance(node.ctx, ast.Load)
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
            return set() if _last_identifier(parent.func) in self.known.takers else set(PARTS)
        if isinstance(parent, ast.Assign | ast.AnnAssign):
            return set() if all(self._keeps(target) for target, _ in assignments(parent)) else set(PARTS)
        return set() if isinstance(parent, _HARMLESS) else set(PARTS)

    def _keeps(self, target: ast.expr) -> bool:
        """Returns whether an assignment target is followed: a name, an annotated attribute, or a dict of recipes."""
        return isinstance(target, ast.Name | ast.Subscript) or _last_identifier(target) in self.known.holders


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
    if isinstance(annotation, ast.Name):  # most are, and quickly compared
        return annotation.id == Recipe.__name__
    return annotation is not None and bool(_TYPE.search(ast.unparse(annotation)))


def _arguments(node: Function) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def identifier(node: ast.expr) -> str:
    """Returns the name that an expression is; empty where it is no plain name."""
    return node.id if isinstance(node, ast.Name) else ""


def _last_identifier(node: ast.expr) -> str:
    """Returns the last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else identifier(node)
