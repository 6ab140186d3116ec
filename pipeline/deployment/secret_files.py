"""The secrets of the stack: one file each, in a folder that only its owner may enter."""

from __future__ import annotations

import base64
import re
import secrets
from typing import TYPE_CHECKING

from pipeline import atomic, filelock
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FOLDER_MODE = 0o700
# Containers read the files as users of their own (postgres, 10001, haproxy), so the files are open to all. The folder
# keeps this machine's other users out; containers do not pass through it, the engine mounts the files themselves.
FILE_MODE = 0o444
RANDOM_BYTES = 32
USER = "keraspipe"  # who logs in at the gateway with the password
AUTHORIZATION = "authorization"  # values of the HTTP header that the gateway lets through, one a line
GATEWAY = {
    "gateway_password": lambda word: "Basic " + base64.b64encode(f"{USER}:{word}".encode()).decode(),
    "gateway_token": lambda word: f"Bearer {word}",
}
RANDOM = ("postgres_password", "grafana_password", *GATEWAY)
CERTIFICATE = "tls.pem"  # certificate and key in one file, as HAProxy reads them
TRUSTED = "tls.crt"  # the certificate alone, for clients: curl --cacert
NAMES = (*RANDOM, AUTHORIZATION, CERTIFICATE, TRUSTED)


def make(folder: Path, pair: Callable[[], tuple[str, str]] | None = None, rotate: str = "") -> dict[str, str]:
    """Makes the secrets that are missing, and the one to rotate anew.

    Args:
        folder: Where they lie; made if it is not there.
        pair: Makes certificate and key, both PEM; None for no certificate.
        rotate: The secret to replace, one of RANDOM or "tls.pem"; empty for none.

    Returns:
        "made", "kept" or "rotated" by the file's name.

    Raises:
        UsageError: The folder holds other things.
        OSError: It cannot be written.
    """
    _enter(folder)
    with filelock.lock(folder):  # two commands at once would each keep half of what the other made
        # Who has written `authorization` by hand gets no password beside it that opens nothing.
        own = (folder / AUTHORIZATION).exists()
        names = [
            name for name in RANDOM if name not in GATEWAY or not own or (folder / name).exists() or name == rotate
        ]
        done = {name: _random(folder, name, rotate=name == rotate) for name in names}
        done[AUTHORIZATION] = _authorization(folder, rotated=own and rotate in GATEWAY)
        if pair:
            done |= _certificate(folder, pair, rotate=rotate == CERTIFICATE)
    return done


def authorization(words: dict[str, str]) -> str:
    """The header's values for the words of GATEWAY, one a line."""
    return "".join(f"{value(words[name])}\n" for name, value in GATEWAY.items())


def _enter(folder: Path) -> None:
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    strange = sorted(path.name for path in folder.iterdir() if not _ours(path.name))
    if strange:  # somebody's home, or the checkout: closing it to all others would break things
        raise UsageError(
            f"{folder} holds other things than secrets.",
            expected="an empty folder, a new one, or one that keraspipe secrets has made",
            received=", ".join(strange[:3]) + (", …" if len(strange) > 3 else ""),  # noqa: PLR2004
            action="name another folder: keraspipe secrets --dir FOLDER",
        )
    folder.chmod(FOLDER_MODE)


def _ours(name: str) -> bool:
    rest = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}", name)  # of a command that was killed while it wrote
    return name in NAMES or bool(rest and rest[1] in NAMES)


def _random(folder: Path, name: str, *, rotate: bool) -> str:
    path = folder / name
    there = path.exists()
    if there and not rotate:
        return "kept"
    new = secrets.token_hex(RANDOM_BYTES)
    if name in GATEWAY:
        # Before the file: killed in between, the gateway knows a word that nobody has, and the next rotation mends it.
        _exchange(folder / AUTHORIZATION, GATEWAY[name](path.read_text().strip() if there else ""), GATEWAY[name](new))
    _write(path, new)
    return "rotated" if there else "made"


def _exchange(path: Path, old: str, new: str) -> None:
    """Replaces one line; those that somebody has added stay."""
    if path.exists():
        lines = [line for line in path.read_text().splitlines() if line != old]
        _write(path, "\n".join([*lines, new]) + "\n")


def _authorization(folder: Path, *, rotated: bool) -> str:
    path = folder / AUTHORIZATION
    if path.exists():
        return "rotated" if rotated else "kept"
    _write(path, authorization({name: (folder / name).read_text().strip() for name in GATEWAY}))
    return "made"


def _certificate(folder: Path, pair: Callable[[], tuple[str, str]], *, rotate: bool) -> dict[str, str]:
    there = (folder / CERTIFICATE).exists()
    if there and not rotate:
        return {CERTIFICATE: "kept"}
    certificate, key = pair()
    _write(folder / TRUSTED, certificate)
    _write(folder / CERTIFICATE, certificate + key)
    return dict.fromkeys((CERTIFICATE, TRUSTED), "rotated" if there else "made")


def _write(path: Path, text: str) -> None:
    with atomic.file(path) as beside:
        beside.write_text(text)
        beside.chmod(FILE_MODE)
