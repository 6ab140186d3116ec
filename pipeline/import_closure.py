"""Which files a piece of code reaches through its imports, and a digest of each that a move does not change.

Read by `ast`, nothing is imported. Imports inside functions count, for they run; those under `if TYPE_CHECKING:` do
not. A text that names a module ("pipeline.steps.train.run_fn", or an f-string that begins with a package) counts as an
import of it.

A digest leaves out comments, docstrings, formatting, the import lines of the project's own modules and the names that
these bind to modules: `atomic.write` and `fileio.write` are the same after a pure move. In their place stands the
content of the module that is meant.
"""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

PACKAGES = ("pipeline", "serving")
_DOTTED = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)+")
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
        names: What its import lines bind beside modules: file, name in it, name here.
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

    @property
    def alone(self) -> str:
        """Digest of the code without what it imports from the project, of which only the names count."""
        return self._digest(lambda _: "")

    def digest(self, root: Path = ROOT) -> str:
        """Digest of the code and, one step deep, of the modules that it names, wherever these lie."""
        return self._digest(lambda path: read(path, root).alone)

    def _digest(self, content: Callable[[Path], str]) -> str:
        lines = sorted(f"{content(path)} {name} {bound}" for path, name, bound in self.names)
        text = _MODULE.sub(lambda match: f"{_OPEN}{content(Path(match[1])) if match[1] else ''}{_CLOSE}", self.text)
        return _sha("\n".join([*lines, text]))


def read(path: Path, root: Path = ROOT) -> Code:
    """A whole file; keraspipe's own as it was when this process first read it."""
    return _read_once(path, root) if is_project(path, root) else _read(path.read_text(encoding="utf-8"), path, root)


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
        path: The file; where it is not the project's own, modules beside it are found first.
        root: Folder of the project's packages.
    """
    imports = _Imports(path, root)
    for node in nodes:
        imports.visit(node)
    computing = _Computing(imports)
    text = "\n".join(ast.dump(node) for node in map(computing.visit, nodes) if node)
    return Code(frozenset(imports.files), frozenset(imports.on_demand), frozenset(imports.names), text)


def closure(paths: Iterable[Path], root: Path = ROOT) -> frozenset[Path]:
    """The files and all that they import, through any number of steps."""
    files: set[Path] = set()
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        if path not in files:
            files.add(path)
            waiting += reach(read(path, root), root)
            waiting += _packages(path, root)
    return frozenset(files)


def reach(code: Code, root: Path = ROOT) -> frozenset[Path]:
    """The files that a piece of code imports, and those that a module imports to give it a name."""
    return code.imports.union(*(read(file, root).on_demand for file in code.sources))


def _packages(path: Path, root: Path) -> list[Path]:
    """The `__init__` files that run before one of the project's modules."""
    folders = path.relative_to(root).parents if is_project(path, root) else ()
    return [file for folder in folders if (file := root / folder / "__init__.py").is_file()]


def digest(paths: Iterable[Path], root: Path = ROOT) -> str:
    """Digest of files, whatever their names and order."""
    return _sha("\n".join(sorted(read(path, root).digest(root) for path in paths)))


def is_project(path: Path, root: Path = ROOT) -> bool:
    """Whether a file is keraspipe's own, and no recipe's."""
    return any(path.is_relative_to(root / package) for package in PACKAGES)


def folders(path: Path, root: Path = ROOT) -> tuple[Path, ...]:
    """Where the imports of a file are looked for."""
    return (root,) if is_project(path, root) else (path.parent, root)


@cache
def locate(name: str, within: tuple[Path, ...]) -> Path | None:
    """The file of a dotted module name; None where it is not below one of the folders."""
    for folder in within:
        base = folder.joinpath(*name.split("."))
        for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
            if path.is_file():
                return path
    return None


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class _Imports(ast.NodeVisitor):
    """What imports lead to and bind.

    Attributes:
        files: The files.
        on_demand: Those of a module's `__getattr__`.
        names: What is bound beside modules: file, name in it, name here.
        modules: Names bound to modules, dotted ones too, and the files; None where only types need them.
    """

    def __init__(self, path: Path, root: Path) -> None:
        self.root, self.folders = root, folders(path, root)
        self.package = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
        self.files: set[Path] = set()
        self.on_demand: set[Path] = set()
        self.names: set[tuple[Path, str, str]] = set()
        self.modules: dict[str, Path | None] = {}
        self.runs = True

    def visit_If(self, node: ast.If) -> None:
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
        if node.name == "__getattr__" and not node.args.args[1:]:  # a module's, which has no self
            files, self.files = self.files, set()
            self.generic_visit(node)
            self.on_demand, self.files = self.files, files
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            file = self._follow(alias.name)
            if file:
                self._bind(alias.asname or alias.name, file)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
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
        """The module of `from … import`, without dots in front."""
        base = self.package[: len(self.package) - node.level + 1] if node.level else ()
        return ".".join([*base, *([node.module] if node.module else [])])

    def visit_Constant(self, node: ast.Constant) -> None:
        module = self.named(node.value)
        if module:
            self._follow(module)
            self._follow(f"{module}.__main__")  # `python -m`

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        first = node.values[0] if node.values else None
        start = str(first.value) if isinstance(first, ast.Constant) else ""
        package = self.named(start.rpartition(".")[0]) if len(node.values) > 1 else ""
        if package and start == f"{package}.":
            for path in sorted(self.root.joinpath(*package.split(".")).glob("*.py")):
                self._follow(f"{package}.{path.stem}")
        self.generic_visit(node)

    def named(self, text: object) -> str:
        """The module at the beginning of a dotted text; empty if it names none."""
        name = text if isinstance(text, str) and _DOTTED.fullmatch(text) else ""
        while "." in name and not locate(name, (self.root,)):
            name = name.rpartition(".")[0]
        return name if "." in name else ""

    def _follow(self, module: str) -> Path | None:
        """The file of a module, which counts with the packages that hold it."""
        parts = module.split(".")
        paths = [locate(".".join(parts[: i + 1]), self.folders) for i in range(len(parts))]
        if self.runs:
            self.files.update(path for path in paths if path)
        return paths[-1]

    def _bind(self, name: str, file: Path) -> None:
        self.modules[name] = file if self.runs else self.modules.get(name)


def is_type_checking(node: ast.If) -> bool:
    """Whether a block is for type checkers alone."""
    return ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING"


class _Computing(ast.NodeTransformer):
    """Takes out docstrings, imports of the project and blocks for types, and puts files for names of modules."""

    def __init__(self, imports: _Imports) -> None:
        self.imports = imports

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        if is_type_checking(node):
            return [kept for kept in map(self.visit, node.orelse) if kept]
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        node.names = [alias for alias in node.names if not locate(alias.name, self.imports.folders)]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if locate(self.imports.absolute(node), self.imports.folders) else node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._module(node, node.id)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        module = self._module(node, _dotted(node))
        return self.generic_visit(node) if module is node else module

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        module = self.imports.named(node.value)
        if module and isinstance(node.value, str):
            node.value = f"{_OPEN}{locate(module, (self.imports.root,))}{_CLOSE}{node.value[len(module) :]}"
        return node

    def _module(self, node: ast.expr, name: str) -> ast.expr:
        if name not in self.imports.modules:
            return node
        return ast.Name(f"{_OPEN}{self.imports.modules[name] or ''}{_CLOSE}", ast.Load())


def _dotted(node: ast.expr) -> str:
    """`a.b.c` as text; empty for any other expression."""
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return node.id if isinstance(node, ast.Name) else ""
