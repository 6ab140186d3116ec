"""What is wrong with the secrets: missing, empty, too short, or open to others."""

from __future__ import annotations

import base64
import binascii
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.deployment.secret_files import AUTHORIZATION, CERTIFICATE
from pipeline.doctor import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

SHORTEST = 16  # characters; those of `keraspipe secrets` have 64
# By profile; empty: always.
NEEDED = {"": ("postgres_password",), "monitoring": ("grafana_password",), "public": (AUTHORIZATION, CERTIFICATE)}
MAKE = "keraspipe secrets"


@dataclass(frozen=True)
class Held:
    """The folder as it lies on the disk.

    Attributes:
        path: The folder.
        mode: Its permissions; None if it is not there.
        problem: Why it cannot be read; empty if it can.
        files: Permissions and text by name.
    """

    path: Path
    mode: int | None = None
    problem: str = ""
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)


def held(path: Path) -> Held:
    """Reads the folder."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        files = {
            file.name: (stat.S_IMODE(file.stat().st_mode), _text(file)) for file in path.iterdir() if file.is_file()
        }
    except FileNotFoundError:
        return Held(path)
    except OSError as error:
        return Held(path, 0, error.strerror or str(error))
    return Held(path, mode, "", files)


def _text(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace")


def findings(folder: Held | None, profiles: AbstractSet[str]) -> list[Finding]:
    """One for each thing that is wrong, or one for all; None: `.env` names no folder."""
    if folder is None:
        return [_wrong("secrets", "SECRETS is not set in .env", MAKE)]
    if folder.mode is None:
        return [_wrong("secrets", f"there is no folder {folder.path}", MAKE)]
    if folder.problem:
        return [
            _wrong("secrets", f"{folder.path}: {folder.problem}", f"{MAKE} --dir FOLDER, or be the user who made them")
        ]
    names = [name for profile, names in NEEDED.items() if profile in {"", *profiles} for name in names]
    wrong = [found for name in names if (found := judged(folder, name))]
    if folder.mode & 0o077:
        open_to = f"others may look into {folder.path} (mode {folder.mode:04o})"
        wrong.insert(0, _wrong("secrets", open_to, f"chmod 700 {folder.path}"))
    return wrong or [Finding("secrets", ok=True, found=str(folder.path))]


def unknown(named: str) -> Finding:
    """Only docker compose knows the folder, because its name holds a variable."""
    fix = "write the folder into .env as it is called: keraspipe secrets --dir FOLDER"
    return Finding("secrets", ok=False, found=f"not looked at: SECRETS={named}", fix=fix, essential=False)


def judged(folder: Held, name: str) -> Finding | None:
    """What is wrong with one of them; None if nothing is."""
    if name not in folder.files:
        return _wrong(name, "missing", f"{MAKE} --self-signed" if name == CERTIFICATE else MAKE)
    mode, text = folder.files[name]
    if not mode & stat.S_IROTH:
        found = f"mode {mode:04o}: the container's user cannot read it (the folder keeps others out)"
        return _wrong(name, found, f"chmod 444 {folder.path / name}")
    if name == CERTIFICATE:
        return None  # has findings of its own
    if name == AUTHORIZATION:
        return _authorization(folder.path / name, text)
    return _password(name, text.strip())


def _password(name: str, text: str) -> Finding | None:
    if len(text) >= SHORTEST:
        return None
    found = f"{len(text)} characters, fewer than {SHORTEST}" if text else "empty"
    return _wrong(name, found, f"{MAKE} --rotate {name}")


def _authorization(path: Path, text: str) -> Finding | None:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    fix = f"rm -f {path} && {MAKE}"
    if not lines:
        return _wrong(AUTHORIZATION, "empty: nobody gets in", fix)
    weak = sum(len(word(line)) < SHORTEST for line in lines)
    found = f"{weak} of {len(lines)} lines are neither Basic nor Bearer with at least {SHORTEST} characters"
    return _wrong(AUTHORIZATION, found, fix) if weak else None


def word(line: str) -> str:
    """The password or token in a value of the header Authorization; empty if it holds none."""
    scheme, _, rest = line.partition(" ")
    if scheme == "Bearer":
        return rest.strip()
    try:
        pair = base64.b64decode(rest if scheme == "Basic" else "", validate=True)
    except binascii.Error:
        return ""
    return pair.decode("utf-8", "replace").partition(":")[2]


def _wrong(name: str, found: str, fix: str) -> Finding:
    return Finding(name, ok=False, found=found, fix=fix)
