"""The files that a piece of code reaches through its imports, and a digest of each that a move does not change.

Read by `ast`, nothing is imported. Imports inside functions count, for they run; those under `if TYPE_CHECKING:` do
not. A text that names a module ("pipeline.steps.train.run_fn", or an f-string that begins with a package) counts as
an import of it.

A digest leaves out comments, docstrings, formatting, the import lines of the project's own modules and the names that
these bind to modules: moving a module changes no digest. In their place stands the content of the module that is
meant.
"""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.recipes import imports
from pipeline.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_OPEN, _CLOSE = (
    chr(0x27E8),
    chr(0x27E9),
)  # around a file that stands for a module; no source holds them, this one neither
_MODULE = re.compile(f"{_OPEN}(.*?){_CLOSE}")


@dataclass(frozen=True)
class Code:
    """A piece of code of the project, ready for digests.

    Attributes:
        imports: Files that it imports.
        on_demand: Files that a module's `__getattr__` imports, for whoever takes a name out of the module.
        names: What its import lines bind in addition to modules: file, name in it, name here.
        text: Its syntax tree without what computes nothing, files in place of the names of modules.
    """

    imports: frozenset[Path]
    on_demand: frozenset[Path]
    names: frozenset[tuple[Path, str, str]]
    text: str

    @property
    def sources(self) -> set[Path]:
        """Files that names are taken from."""
        modules = {Path(name) for name in _MODULE.findall(self.text) if name}
        return modules | {file for file, _, _ in self.names}

    @cached_property
    def own_digest(self) -> str:
        """Digest of the code without what it imports from the project, of which only the names count."""
        return self._digest(lambda _: "")

    def digest(self, root: Path = ROOT) -> str:
        """Digest of the code and, one step deep, of the modules that it names, wherever these lie."""
        return self._digest(lambda path: read_code(path, root).own_digest)

    def _digest(self, content: Callable[[Path], str]) -> str:
        lines = sorted(f"{content(path)} {name} {bound}" for path, name, bound in self.names)
        text = _MODULE.sub(lambda match: f"{_OPEN}{content(Path(match[1])) if match[1] else ''}{_CLOSE}", self.text)
        return _sha256("\n".join([*lines, text]))


def read_code(path: Path, root: Path = ROOT) -> Code:
    """A whole file; keraspipe's own as it was when this process first read it."""
    return (
        _read_once(path, root)
        if imports.is_project(path, root)
        else _read(path.read_text(encoding="utf-8"), path, root)
    )


@cache
def _read_once(path: Path, root: Path) -> Code:
    return _read(path.read_text(encoding="utf-8"), path, root)


@cache
def _read(text: str, path: Path, root: Path) -> Code:
    return analyze(ast.parse(text, str(path)).body, path, root)


def analyze(nodes: Sequence[ast.AST], path: Path, root: Path = ROOT) -> Code:
    """Reads the imports of syntax trees, and takes out what computes nothing: the trees are changed.

    Args:
        nodes: Statements or expressions of one file, with the import lines that they need.
        path: The file; where it is not the project's own, modules of its folder come first.
        root: Folder of the project's packages.
    """
    bindings = imports.Imports(nodes, path, root)
    for node in nodes:
        bindings.visit(node)
    normalizer = _Normalizer(bindings)
    text = "\n".join(ast.dump(node) for node in map(normalizer.visit, nodes) if node)
    return Code(frozenset(bindings.files), frozenset(bindings.on_demand), frozenset(bindings.names), text)


def import_closure(paths: Iterable[Path], root: Path = ROOT) -> frozenset[Path]:
    """The files and all that they import, through any number of steps."""
    files: set[Path] = set()
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        if path not in files:
            files.add(path)
            waiting += reachable_files(read_code(path, root), root)
            waiting += _package_files(path, root)
    return frozenset(files)


def reachable_files(code: Code, root: Path = ROOT) -> frozenset[Path]:
    """The files that a piece of code imports, and those that a module imports to give it a name."""
    return code.imports.union(*(read_code(file, root).on_demand for file in code.sources))


def _package_files(path: Path, root: Path) -> list[Path]:
    """The `__init__` files that run before one of the project's modules."""
    folders = path.relative_to(root).parents if imports.is_project(path, root) else ()
    return [file for folder in folders if (file := root / folder / "__init__.py").is_file()]


def digest_code(paths: Iterable[Path], root: Path = ROOT) -> str:
    """Digest of files, whatever their names and order; those without code, as many `__init__`, are left out."""
    codes = (read_code(path, root) for path in paths)
    return _sha256("\n".join(sorted(code.digest(root) for code in codes if code.text or code.names)))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class _Normalizer(ast.NodeTransformer):
    """Takes out docstrings, imports of the project and blocks for types, and puts files for names of modules."""

    def __init__(self, bindings: imports.Imports) -> None:
        self.found = bindings

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        if imports.is_type_checking(node):
            return [statement for statement in map(self.visit, node.orelse) if statement]
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        node.names = [alias for alias in node.names if not imports.locate(alias.name, self.found.folders)]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if imports.locate(self.found.absolute(node), self.found.folders) else node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._module(node, node.id)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        module = self._module(node, _dotted_name(node))
        return self.generic_visit(node) if module is node else module

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        module = self.found.parse_module(node.value)
        if module and isinstance(node.value, str):
            node.value = f"{_OPEN}{imports.locate(module, (self.found.root,))}{_CLOSE}{node.value[len(module) :]}"
        return node

    def _module(self, node: ast.expr, name: str) -> ast.expr:
        if name not in self.found.modules:
            return node
        return ast.Name(f"{_OPEN}{self.found.modules[name] or ''}{_CLOSE}", ast.Load())


def _dotted_name(node: ast.expr) -> str:
    """`a.b.c` as text; empty for any other expression."""
    if isinstance(node, ast.Attribute):
        base = _dotted_name(node.value)
        return f"{base}.{node.attr}" if base else ""
    return node.id if isinstance(node, ast.Name) else ""
