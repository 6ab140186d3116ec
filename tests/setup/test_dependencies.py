"""What the packages import is what pyproject.toml names: an image that lacks a package ends at its start."""

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = {"pipeline", "models", "serving"}
# Run on the user's side, not in the image.
CLIENTS = ("serving/client/", "serving/loadtest/")


def normalised(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def imports(package: str) -> dict[str, str]:
    """Top-level module -> a file that imports it, for every import that is not the standard library's or ours."""
    modules = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        if str(path.relative_to(ROOT)).startswith(CLIENTS):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.Constant) and node.value == "tensorflow_serving.":  # import_module(f"…{module}")
                names = [node.value]
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            modules |= {name.split(".")[0]: str(path.relative_to(ROOT)) for name in names}
    return {name: path for name, path in modules.items() if name not in OURS | sys.stdlib_module_names}


def undeclared(package: str, declared: set[str]) -> dict[str, str]:
    distributions = metadata.packages_distributions()
    return {
        name: path
        for name, path in imports(package).items()
        if not declared & {normalised(each) for each in distributions.get(name, [name])}
    }


def test_the_serving_image_has_what_the_server_imports():
    declared = {normalised(each) for each in PROJECT["dependency-groups"]["serving"]}
    assert undeclared("serving", declared) == {}


def test_the_serving_image_has_nothing_that_nobody_imports():
    modules = metadata.packages_distributions()
    imported = {normalised(each) for name in imports("serving") for each in modules[name]}
    assert {normalised(each) for each in PROJECT["dependency-groups"]["serving"]} - imported == set()


@pytest.mark.heavy
@pytest.mark.parametrize("package", ["pipeline", "models"])
def test_a_package_imports_what_is_declared_or_what_that_brings(package):
    extras = PROJECT["project"]["optional-dependencies"]
    listed = {normalised(each) for each in sum(extras.values(), PROJECT["project"]["dependencies"])} - {"pyfarmhash"}
    installed = {normalised(each.name) for each in metadata.distributions()}
    brought = {normalised(each) for name in listed & installed for each in metadata.requires(name) or []}
    assert undeclared(package, listed | brought | {"tensorflow-metadata"}) == {}  # TFDV's messages
