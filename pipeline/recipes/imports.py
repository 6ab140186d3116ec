"""The files that a module imports and the names that its imports bind, read by `ast` without importing."""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES = ("pipeline", "serving")
_DOTTED = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)+")


@cache
def is_project(path: Path, root: Path = ROOT) -> bool:
    """Returns whether a file belongs to keraspipe, not to a recipe."""
    return any(path.is_relative_to(root / package) for package in PACKAGES)


def folders(path: Path, root: Path = ROOT) -> tuple[Path, ...]:
    """Returns the folders in which the imports of a file are searched, as Python does for a recipe's own modules."""
    if is_project(path, root):
        return (root,)
    own = [_package_root(path), *_search_path()]
    return tuple(dict.fromkeys((path.parent, root, *(folder for folder in own if folder != ROOT))))


def _package_root(path: Path) -> Path:
    """Returns the folder of the outermost package that a file lies in; the file's folder if it is in none."""
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


@cache
def _search_path() -> tuple[Path, ...]:
    """Returns the folders of sys.path that are neither a library's nor keraspipe's: those of PYTHONPATH."""
    libraries = [Path(folder) for folder in sysconfig.get_paths().values()]
    places = [Path(entry).resolve() for entry in sys.path if entry and Path(entry).is_dir()]
    return tuple(
        place for place in places if not any(place.is_relative_to(folder) or folder == place for folder in libraries)
    )


@cache
def locate(name: str, within: tuple[Path, ...]) -> Path | None:
    """Returns the file of a dotted module name; None if it is not below one of the folders."""
    for folder in within:
        base = folder.joinpath(*name.split("."))
        for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
            if path.is_file():
                return path
    return None


class Imports(ast.NodeVisitor):
    """The imported files and bound names of some syntax trees.

    Attributes:
        files: The imported files.
        on_demand: Files that a module's `__getattr__` imports.
        names: Bound names except modules: file, name in it, name here.
        modules: Names bound to modules, dotted ones too, and their files; None if only types need them.
    """

    def __init__(self, nodes: Sequence[ast.AST], path: Path, root: Path) -> None:
        self.root, self.folders = root, folders(path, root)
        base = root if is_project(path, root) else _package_root(path)
        self.package = path.relative_to(base).parts[:-1] if path.is_relative_to(base) else ()
        self.files: set[Path] = set()
        self.on_demand: set[Path] = set()
        self.names: set[tuple[Path, str, str]] = set()
        self.modules: dict[str, Path | None] = {}
        self.runs = True
        self.defers = any(isinstance(node, ast.FunctionDef) and _is_lazy(node) for node in nodes)

    def visit_If(self, node: ast.If) -> None:
        """Binds names in blocks for type checkers, without adding files."""
        if is_type_checking(node):
            self.runs = False
            for child in node.body:
                self.visit(child)
            self.runs = True
            for child in node.orelse:
                self.visit(child)
        else:
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Collects the imports of a module's `__getattr__` separately."""
        if _is_lazy(node):
            files, self.files = self.files, set()
            self.generic_visit(node)
            self.on_demand |= self.files
            self.files = files
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        """Adds a and a.b for `import a.b`."""
        for alias in node.names:
            file = self._follow(alias.name)
            if file:
                self._bind(alias.asname or alias.name, file)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Adds for `from a import b` a module, or a name of one."""
        module = self.absolute(node)
        file = self._follow(module)
        for alias in node.names:
            inner = locate(f"{module}.{alias.name}", self.folders)
            if inner:
                self._follow(f"{module}.{alias.name}")
                self._bind(alias.asname or alias.name, inner)
            elif file and self.runs:
                self.names.add((file, alias.name, alias.asname or alias.name))

    def absolute(self, node: ast.ImportFrom) -> str:
        """Returns the absolute module of `from … import`."""
        base = self.package[: len(self.package) - node.level + 1] if node.level else ()
        return ".".join([*base, *([node.module] if node.module else [])])

    def visit_Name(self, node: ast.Name) -> None:
        """Stops here: a name imports nothing, and most of a tree are names."""

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Goes on to what has the attribute."""
        self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Follows a dotted name in a string: of a function that TFX loads, or of a module that a process runs."""
        module = self.parse_module(node.value)
        if module:
            self._follow_text(module)
            self._follow_text(f"{module}.__main__")  # `python -m`

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Follows all modules of a package if its name begins an f-string."""
        first = node.values[0] if node.values else None
        start = str(first.value) if isinstance(first, ast.Constant) else ""
        package = self.parse_module(start.rpartition(".")[0]) if len(node.values) > 1 else ""
        if package and start == f"{package}.":
            for path in sorted(self.root.joinpath(*package.split(".")).glob("*.py")):
                self._follow_text(f"{package}.{path.stem}")
        self.generic_visit(node)

    def parse_module(self, text: object) -> str:
        """Returns the module at the beginning of a dotted text; empty if it names none."""
        name = text if isinstance(text, str) and _DOTTED.fullmatch(text) else ""
        while "." in name and not locate(name, (self.root,)):
            name = name.rpartition(".")[0]
        return name if "." in name else ""

    def _follow(self, module: str) -> Path | None:
        """Adds the file of a module and of its parent packages; returns the module's file."""
        parts = module.split(".")
        paths = [locate(".".join(parts[: i + 1]), self.folders) for i in range(len(parts))]
        if self.runs:
            self.files.update(path for path in paths if path)
        return paths[-1]

    def _follow_text(self, module: str) -> None:
        """Follows a module name in a string, such as those of the table of a lazy `__getattr__`."""
        if not self.defers:
            self._follow(module)
        elif self.runs:
            self.on_demand.update(filter(None, [locate(module, self.folders)]))

    def _bind(self, name: str, file: Path) -> None:
        self.modules[name] = file if self.runs else self.modules.get(name)


def _is_lazy(node: ast.FunctionDef) -> bool:
    """Returns whether this is the `__getattr__` of a module, which has no self."""
    return node.name == "__getattr__" and not node.args.args[1:]


def is_type_checking(node: ast.If) -> bool:
    """Returns whether a block is for type checkers only."""
    name = node.test.attr if isinstance(node.test, ast.Attribute) else getattr(node.test, "id", "")
    return name == "TYPE_CHECKING"
