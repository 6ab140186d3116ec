"""`keraspipe schema`: what changed in the data since the schema was frozen, and taking it over."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipeline import catalogue
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from pipeline.settings import Settings


def command(options: Namespace, settings: Settings) -> int:
    """Shows the difference, or makes the newest data's schema the frozen one."""
    name = catalogue.source(options.name, settings).name
    frozen, newest = _frozen(settings, name), _newest(settings, name)
    lines = difference(frozen.read_text(), newest.read_text()) if frozen.exists() else []
    if options.action == "diff":
        print("\n".join(lines) or f"The schema of {name} is as it was frozen.")
        return 0
    return _accept(settings, name, newest, lines)


def difference(frozen: str, newest: str) -> list[str]:
    """Changed lines between two schemas in text format."""
    import difflib

    return list(difflib.unified_diff(frozen.splitlines(), newest.splitlines(), "frozen", "newest data", lineterm=""))


def _accept(settings: Settings, name: str, newest: Path, lines: list[str]) -> int:
    from pipeline import atomic

    with atomic.file(_frozen(settings, name)) as beside:
        beside.write_text(newest.read_text())
    print(f"Accepted: the schema of {name} is now that of the newest data ({len(lines)} changed lines).")
    return 0


def _frozen(settings: Settings, name: str) -> Path:
    return settings.workspace / "schemas" / name / "schema.pbtxt"


def _newest(settings: Settings, name: str) -> Path:
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "0")
    folder = settings.workspace / "artifacts" / name / "schema" / "candidate"
    found = sorted(folder.glob("*/schema.pbtxt"), key=lambda path: int(path.parent.name))
    if not found:
        raise PipelineError(
            f"The workspace knows no schema of {name}.",
            expected="a run of it that came as far as the schema",
            received=f"nothing below {folder}",
            action=f"run: keraspipe run {name} --until schema",
        )
    return found[-1]
