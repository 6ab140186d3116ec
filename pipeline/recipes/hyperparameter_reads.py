"""Finds the hyperparameters that a function of a recipe reads, by data-flow analysis of its argument `p`.

`p` is followed into functions, methods and properties, of the recipe and of files of the project, by position and by
keyword, through aliases and into nested functions. If it is used in any other way, all hyperparameters may be read.
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from pipeline.recipes import imports
from pipeline.recipes.recipe_reads import assignments, identifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Function = ast.FunctionDef | ast.Lambda
READERS = ("property", "cached_property", "cache", "lru_cache", "function")  # decorators that leave arguments unchanged
OPAQUE_CALLS = {"locals", "vars", "globals", "eval", "exec", "super"}  # read local names dynamically


class EscapeError(Exception):
    """The hyperparameters are used in a way that cannot be followed."""


@dataclass(frozen=True)
class Scope:
    """A file whose functions may be called.

    Attributes:
        tree: Its syntax tree.
        path: The file.
        root: Folder of the project's packages.
    """

    tree: ast.Module
    path: Path
    root: Path

    def function(self, name: str) -> tuple[Function, Scope]:
        """Returns the function of a name, bound once at the top of the file or imported.

        Raises:
            EscapeError: There is none, or the name is bound more than once.
        """
        node = self._binding(name)
        if isinstance(node, ast.ImportFrom):
            return self._module(node, "").function(_original_name(node, name))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            return node.value, self
        if not isinstance(node, ast.FunctionDef) or not _is_plain(node):
            raise EscapeError
        return node, self

    def inside(self, module: str, name: str) -> tuple[Function, Scope]:
        """Returns the function of an imported module.

        Raises:
            EscapeError: There is none.
        """
        node = self._binding(module)
        if not isinstance(node, ast.ImportFrom):
            raise EscapeError
        return self._module(node, f".{_original_name(node, module)}").function(name)

    def _binding(self, name: str) -> ast.stmt:
        """Returns the only statement at the top of the file that binds a name."""
        nodes = [node for node in self.tree.body if name in _top_level_names(node)]
        if len(nodes) != 1:
            raise EscapeError
        return nodes[0]

    def _module(self, node: ast.ImportFrom, inner: str) -> Scope:
        path = imports.locate(f"{node.module}{inner}", imports.folders(self.path, self.root))
        if node.level or not path:
            raise EscapeError
        return _scope(path, path.read_text(encoding="utf-8"), self.root)


@cache
def _scope(path: Path, text: str, root: Path) -> Scope:
    return Scope(ast.parse(text), path, root)


@dataclass
class Reads:
    """The hyperparameters that are read.

    Attributes:
        params: The class of the hyperparameters; None if unknown.
        names: The names of those that are read.
    """

    params: ast.ClassDef | None
    names: set[str] = field(default_factory=set)
    _seen: set[tuple[int, str]] = field(default_factory=set)

    def follow(self, function: Function, argument: str, scope: Scope) -> None:
        """Adds the hyperparameters that a function reads from one of its arguments.

        Raises:
            EscapeError: The argument is used in a way that cannot be followed.
        """
        if (id(function), argument) not in self._seen:
            self._seen.add((id(function), argument))
            _Flow(self, function, argument, scope).run()

    def member(self, name: str) -> ast.FunctionDef | None:
        """Returns a method or property of the hyperparameters; None for a plain value.

        Raises:
            EscapeError: The class has no such member.
        """
        for item in self.params.body if self.params else []:
            if isinstance(item, ast.FunctionDef) and item.name == name:
                if not _is_plain(item):
                    break
                return item
            if isinstance(item, ast.AnnAssign | ast.Assign) and name in bound_names(item):
                return None
        raise EscapeError


class _Flow:
    """Follows one argument through one function."""

    def __init__(self, reads: Reads, function: Function, argument: str, scope: Scope) -> None:
        self.reads, self.function, self.scope = reads, function, scope
        body = function.body if isinstance(function.body, list) else [function.body]
        self.nodes = [node for statement in body for node in ast.walk(statement)]
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.nested = {node.name: node for node in self.nodes if isinstance(node, ast.FunctionDef)}
        assigned = (node for node in self.nodes if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign))
        self.local = Counter(
            [*positional_parameters(function), *(name for node in assigned for name in bound_names(node))]
        )
        self.aliases = self._aliases({argument})

    def run(self) -> None:
        for node in self.nodes:
            if isinstance(node, ast.Global | ast.Nonlocal) or (isinstance(node, ast.Name) and node.id in OPAQUE_CALLS):
                raise EscapeError
            if self._is_alias(node):
                self._use(node, self.parents.get(node))

    def _aliases(self, names: set[str]) -> set[str]:
        before = 0
        while before != len(names):
            before = len(names)
            for node in self.nodes:
                for target, value in assignments(node):
                    if isinstance(target, ast.Name) and isinstance(value, ast.Name) and value.id in names:
                        names = names | {target.id}
        return names

    def _is_alias(self, node: ast.AST | None) -> bool:
        return isinstance(node, ast.Name) and node.id in self.aliases and isinstance(node.ctx, ast.Load)

    def _use(self, node: ast.AST, around: ast.AST | None) -> None:
        if isinstance(around, ast.keyword):
            keyword, around = around, self.parents[around]
            self._enter(around, keyword.arg)
        elif isinstance(around, ast.Attribute) and isinstance(around.ctx, ast.Load):
            self._attribute(around)
        elif isinstance(around, ast.Call) and node in around.args:
            self._enter(around, around.args.index(node))
        elif not self._is_assigned(node, around):
            raise EscapeError

    def _is_assigned(self, node: ast.AST, around: ast.AST | None) -> bool:
        """Returns whether the node is only assigned to another name, which is followed as well."""
        if isinstance(around, ast.Tuple):
            around = self.parents.get(around)
        if not isinstance(around, ast.Assign | ast.AnnAssign):
            return False
        targets = [target for target, value in assignments(around) if value is node]
        return bool(targets) and all(isinstance(target, ast.Name) for target in targets)

    def _attribute(self, node: ast.Attribute) -> None:
        member = self.reads.member(node.attr)
        if member:
            self.reads.follow(member, positional_parameters(member)[0], self.scope)
        else:
            self.reads.names.add(node.attr)

    def _enter(self, call: ast.AST, place: int | str | None) -> None:
        """Follows the argument into a called function, by position or by keyword."""
        if not isinstance(call, ast.Call) or place is None or any(isinstance(arg, ast.Starred) for arg in call.args):
            raise EscapeError
        if isinstance(call.func, ast.Name) and call.func.id == "getattr" and "getattr" not in self.local:
            self._getattr(call)
            return
        function, scope, skipped = self._callee(call.func)
        names = positional_parameters(function)
        if isinstance(place, int):
            place = names[place + skipped] if place + skipped < len(names) else None
        if place not in (*names, *(arg.arg for arg in function.args.kwonlyargs)):
            raise EscapeError
        self.reads.follow(function, str(place), scope)

    def _getattr(self, call: ast.Call) -> None:
        name = call.args[1] if len(call.args) > 1 else None
        if not isinstance(name, ast.Constant) or not self._is_alias(call.args[0]):
            raise EscapeError
        try:
            self._attribute(ast.Attribute(call.args[0], str(name.value), ast.Load()))
        except EscapeError:
            if len(call.args) == 2 or self.reads.params is None:  # noqa: PLR2004  (without a default)
                raise

    def _callee(self, function: ast.expr) -> tuple[Function, Scope, int]:
        """Returns the called function, its file, and the number of arguments before those of the call (`self`)."""
        if isinstance(function, ast.Name):
            if function.id in self.nested and self.local[function.id] == 1 and _is_plain(self.nested[function.id]):
                return self.nested[function.id], self.scope, 0
            if function.id not in self.local:
                return *self.scope.function(function.id), 0
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            if self._is_alias(function.value):
                member = self.reads.member(function.attr)
                if member:
                    return member, self.scope, 1
            elif function.value.id not in self.local:
                return *self.scope.inside(function.value.id, function.attr), 0
        raise EscapeError


def follow_hook(hook: ast.expr, position: int, scope: Scope, params: ast.ClassDef | None) -> frozenset[str] | None:
    """Returns the hyperparameters that a hook of a recipe reads; None if unknown, so that all count.

    Args:
        hook: The hook in `RECIPE = Recipe(…)`: a name or a lambda.
        position: Index of its argument with the hyperparameters.
        scope: The recipe's file.
        params: The class of the hyperparameters.
    """
    reads = Reads(params)
    try:
        function, origin = (hook, scope) if isinstance(hook, ast.Lambda) else scope.function(identifier(hook))
        reads.follow(function, positional_parameters(function)[position], origin)
    except (EscapeError, IndexError):
        return None
    return frozenset(reads.names)


def positional_parameters(function: Function) -> list[str]:
    """Returns the names of the arguments that can be passed by position."""
    return [arg.arg for arg in [*function.args.posonlyargs, *function.args.args]]


def bound_names(node: ast.AST) -> Iterator[str]:
    """Yields the names that a statement, a function or a target binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name.partition(".")[0]) for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg


def _top_level_names(statement: ast.stmt) -> set[str]:
    """Returns the names that a statement at the top of a file binds, including those under an `if` or `try`."""
    compound = isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While | ast.Match)
    return {name for node in (ast.walk(statement) if compound else [statement]) for name in bound_names(node)}


def _original_name(node: ast.ImportFrom, name: str) -> str:
    """Returns the name in the module that it is imported from."""
    return next(alias.name for alias in node.names if name == (alias.asname or alias.name))


def _is_plain(function: ast.FunctionDef) -> bool:
    """Returns whether all decorators pass the arguments on unchanged."""
    words = [ast.unparse(item).partition("(")[0].rpartition(".")[2] for item in function.decorator_list]
    return all(word in READERS for word in words)
