"""The files that a piece of code imports, directly and indirectly, and digests that do not change when a module moves.

Files are read by `ast` and not imported. Imports inside functions count; those under `if TYPE_CHECKING:` do not. A
string that names a module ("pipeline.steps.train.run_fn", or an f-string that begins with a package) counts as an
import of it.

A digest leaves out comments, docstrings, formatting, the import lines of the project's own modules and the names that
these bind to modules: moving a module changes no digest. Instead they contain the digest of the module's content.
"""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.recipes import imports
from pipeline.settings import ROOT
from pipeline.store import hashing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_OPEN, _CLOSE = (
    chr(0x27E8),
    chr(0x27E9),
)  # around a file in place of a module; no name has them, and in texts they are escaped
STAMPS: dict[Path, hashing.Stamp] = {}  # of each file just before this process last read it
_MODULE = re.compile(f"{_OPEN}(.*?){_CLOSE}")


@dataclass(frozen=True)
class Code:
    """A piece of code of the project, normalized for digests.

    Attributes:
        imports: Files that it imports.
        on_demand: Files that a module's `__getattr__` imports when a name of the module is used.
        names: Names that its import lines bind, except modules: file, name in it, name here.
        text: Its syntax tree without docstrings and the like, and with files instead of names of modules.
        source: The text of a whole file; not part of the digests.
    """

    imports: frozenset[Path]
    on_demand: frozenset[Path]
    names: frozenset[tuple[Path, str, str]]
    text: str
    source: str = ""

    @property
    def sources(self) -> set[Path]:
        """Files that names are imported from."""
        modules = {Path(name) for name in _MODULE.findall(self.text) if name}
        return modules | {file for file, _, _ in self.names}

    @cached_property
    def own_digest(self) -> str:
        """The digest of the code; of imports from the project only the names count."""
        return self._digest(lambda _: "")

    def digest(self, root: Path = ROOT) -> str:
        """Returns the digest of the code and of the modules that it imports directly, independent of their paths.

        Modules that are imported on demand count where a name of theirs is used; see `reachable_files`.
        """
        return self._digest(lambda path: "" if path in self.on_demand else read_code(path, root).own_digest)

    def _digest(self, content: Callable[[Path], str]) -> str:
        lines = sorted(f"{content(path)} {name} {bound}" for path, name, bound in self.names)
        text = _MODULE.sub(lambda match: f"{_OPEN}{content(Path(match[1])) if match[1] else ''}{_CLOSE}", self.text)
        return _sha256("\n".join([*lines, text]))


def read_code(path: Path, root: Path = ROOT) -> Code:
    """Reads a file; keraspipe's own as it was when this process first read it."""
    return _read_once(path, root) if imports.is_project(path, root) else _read_now(path, root)


@cache
def _read_once(path: Path, root: Path) -> Code:
    return _read_now(path, root)


def _read_now(path: Path, root: Path) -> Code:
    STAMPS[path] = hashing.stamp(path)
    return _analyze_text(path.read_text(encoding="utf-8"), path, root)


@cache
def _analyze_text(text: str, path: Path, root: Path) -> Code:
    return replace(analyze(ast.parse(text, str(path)).body, path, root), source=text)


def analyze(nodes: Sequence[ast.AST], path: Path, root: Path = ROOT) -> Code:
    """Reads the imports of syntax trees, and normalizes the trees in place.

    Args:
        nodes: Statements or expressions of one file, with the import lines that they need.
        path: The file; if it is not the project's own, modules of its folder take precedence.
        root: Folder of the project's packages.
    """
    bindings = imports.Imports(nodes, path, root)
    for node in nodes:
        bindings.visit(node)
    text = "\n".join(map(ast.dump, _Normalizer(bindings).visit_all(nodes)))
    return Code(frozenset(bindings.files), frozenset(bindings.on_demand), frozenset(bindings.names), text)


def import_closure(paths: Iterable[Path], root: Path = ROOT) -> frozenset[Path]:
    """Returns the files and all that they import, directly and indirectly."""
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
    """Returns the files that code imports, and those that modules import on demand for its names."""
    return code.imports.union(*(read_code(file, root).on_demand for file in code.sources))


def _package_files(path: Path, root: Path) -> list[Path]:
    """Returns the `__init__` files that run before one of the project's modules."""
    folders = path.relative_to(root).parents if imports.is_project(path, root) else ()
    return [file for folder in folders if (file := root / folder / "__init__.py").is_file()]


def digest_code(paths: Iterable[Path], root: Path = ROOT) -> str:
    """Returns the digest of files, independent of names and order; files without code, as `__init__`, are omitted."""
    codes = (read_code(path, root) for path in paths)
    return _sha256("\n".join(sorted(code.digest(root) for code in codes if code.text or code.names)))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class _Normalizer(ast.NodeTransformer):
    """Removes docstrings, imports of the project and blocks for types; replaces names of modules by files."""

    def __init__(self, bindings: imports.Imports) -> None:
        self.imports = bindings

    def visit_all(self, nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
        """Returns what remains of each; of a block for types that may be several statements."""
        for node in nodes:
            remaining = self.visit(node)
            yield from remaining if isinstance(remaining, list) else [remaining] if remaining else []

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        if imports.is_type_checking(node):
            return list(self.visit_all(node.orelse))
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        node.names = [alias for alias in node.names if not imports.locate(alias.name, self.imports.folders)]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if imports.locate(self.imports.absolute(node), self.imports.folders) else node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._module(node, node.id)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        module = self._module(node, _dotted_name(node))
        return self.generic_visit(node) if module is node else module

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        module = self.imports.parse_module(node.value)
        if module and isinstance(node.value, str):
            rest = _escape(node.value[len(module) :])
            node.value = f"{_OPEN}{imports.locate(module, (self.imports.root,))}{_CLOSE}{rest}"
        elif isinstance(node.value, str):
            node.value = _escape(node.value)
        return node

    def _module(self, node: ast.expr, name: str) -> ast.expr:
        if name not in self.imports.modules:
            return node
        return ast.Name(f"{_OPEN}{self.imports.modules[name] or ''}{_CLOSE}", ast.Load())


def _escape(text: str) -> str:
    return text.replace(_OPEN, "\\u27e8").replace(_CLOSE, "\\u27e9")


def _dotted_name(node: ast.expr) -> str:
    """Returns `a.b.c` as text; empty for any other expression."""
    if isinstance(node, ast.Attribute):
        base = _dotted_name(node.value)
        return f"{base}.{node.attr}" if base else ""
    return node.id if isinstance(node, ast.Name) else ""
