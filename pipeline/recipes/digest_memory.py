"""Remembers the digest of a run's code: a run of which nothing has changed is answered without parsing the code again.

The digest holds while all that it was computed from is the same: the recipe's text, the stamps (size and times) of all
files that a run imports, and the names in their folders, where another file could come first.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pipeline.recipes import fingerprint, import_closure
from pipeline.settings import ROOT
from pipeline.store import fileio, hashing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.recipes.catalog import RecipeSource

LOCK = ROOT / "uv.lock"


def run_digest(source: RecipeSource, entry: str, memory: Path) -> str:
    """Returns `fingerprint.run_digest`; computes it only if something that it depends on has changed.

    Args:
        source: The recipe.
        entry: Dotted name of the module that executes the run.
        memory: File of this recipe's last digest.
    """
    basis = hashing.digest([entry, str(source.path), source.text, str(ROOT)])
    known = _recall(memory)
    if known.get("basis") == basis and _holds(known):
        return str(known["digest"])
    lock = hashing.stamp(LOCK)
    digest = fingerprint.run_digest(source, entry)
    files = fingerprint.run_files(source, entry)
    # Stamps of the moment before each file was read: an edit since then makes the entry useless, not wrong.
    stamps = {str(LOCK): lock} | {str(path): import_closure.STAMPS[path] for path in files}
    names = _names({source.path.parent, *(path.parent for path in files)})
    with suppress(OSError):  # a workspace that cannot be written is an error of the run, in its own words
        fileio.write_json(memory, {"basis": basis, "digest": digest, "stamps": stamps, "names": names})
    return digest


def _recall(memory: Path) -> dict[str, Any]:
    try:
        known = fileio.read_json(memory, {})
    except ValueError:  # damaged
        return {}
    return known if isinstance(known, dict) else {}


def _holds(known: dict[str, Any]) -> bool:
    try:
        unchanged = all([*hashing.stamp(ROOT / path)] == stamp for path, stamp in known["stamps"].items())
        return unchanged and known["names"] == _names(ROOT / folder for folder in known["names"])
    except (OSError, KeyError, TypeError):
        return False


def _names(folders: Iterable[Path]) -> dict[str, str]:
    """Returns a digest of the modules and packages in each folder."""
    return {
        str(folder): hashing.digest(
            sorted(
                path.name
                for path in folder.iterdir()
                if path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists())
            )
        )
        for folder in folders
    }
