"""The secrets of the stack: one file each, in a folder that only its owner may enter; and what is wrong with them."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.deployment.doctor import Finding
from pipeline.errors import UsageError
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path


FOLDER_MODE = 0o700
# Containers read the files as users of their own (postgres, 10001, haproxy), so the files are open to all. The folder
# keeps this machine's other users out; containers do not pass through it, the engine mounts the files themselves.
FILE_MODE = 0o444
RANDOM_BYTES = 32
GATEWAY_USER = "keraspipe"  # who logs in at the gateway with the password
AUTHORIZATION_FILE = "authorization"  # values of the HTTP header that the gateway lets through, one a line
GATEWAY_SECRETS = {
    "gateway_password": lambda word: "Basic " + base64.b64encode(f"{GATEWAY_USER}:{word}".encode()).decode(),
    "gateway_token": lambda word: f"Bearer {word}",
}
CERTIFICATE_FILE = "tls.pem"  # certificate and key in one file, as HAProxy reads them
TRUSTED_FILE = "tls.crt"  # the certificate alone, for clients: curl --cacert
MIN_SECRET_LENGTH = 16  # characters; those of `keraspipe secrets` have 64
MAKE_COMMAND = "keraspipe secrets"
RANDOM_SECRETS = ("postgres_password", "grafana_password", *GATEWAY_SECRETS)
SECRET_FILES = (*RANDOM_SECRETS, AUTHORIZATION_FILE, CERTIFICATE_FILE, TRUSTED_FILE)


def make_secrets(folder: Path, pair: Callable[[], tuple[str, str]] | None = None, rotate: str = "") -> dict[str, str]:
    """Makes the secrets that are missing, and the one to rotate anew.

    Args:
        folder: Their folder, which is created if it does not exist.
        pair: Makes certificate and key, both PEM; None for no certificate.
        rotate: The secret to replace, one of RANDOM or "tls.pem"; empty for none.

    Returns:
        "made", "kept" or "rotated" by the file's name.

    Raises:
        UsageError: The folder holds other things.
        OSError: It cannot be written.
    """
    _prepare_folder(folder)
    with fileio.lock(folder):  # two commands at once would each keep half of what the other made
        # With a hand-written `authorization`, a new password would be of no use, so none is made.
        own = (folder / AUTHORIZATION_FILE).exists()
        names = [
            name
            for name in RANDOM_SECRETS
            if name not in GATEWAY_SECRETS or not own or (folder / name).exists() or name == rotate
        ]
        done = {name: _make_random(folder, name, rotate=name == rotate) for name in names}
        done[AUTHORIZATION_FILE] = _make_authorization(folder, rotated=own and rotate in GATEWAY_SECRETS)
        if pair:
            done |= _make_certificate(folder, pair, rotate=rotate == CERTIFICATE_FILE)
    return done


def authorization_lines(words: dict[str, str]) -> str:
    """The header's values for the words of GATEWAY, one a line."""
    return "".join(f"{value(words[name])}\n" for name, value in GATEWAY_SECRETS.items())


def _prepare_folder(folder: Path) -> None:
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    strange = sorted(path.name for path in folder.iterdir() if not _is_secret_file(path.name))
    if strange:  # somebody's home, or the checkout: closing it to all others would break things
        raise UsageError(
            f"{folder} holds other things than secrets.",
            expected="an empty folder, a new one, or one that keraspipe secrets has made",
            received=", ".join(strange[:3]) + (", …" if len(strange) > 3 else ""),  # noqa: PLR2004
            action="name another folder: keraspipe secrets --dir FOLDER",
        )
    folder.chmod(FOLDER_MODE)


def _is_secret_file(name: str) -> bool:
    rest = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}", name)  # of a command that was killed while it wrote
    return name in SECRET_FILES or bool(rest and rest[1] in SECRET_FILES)


def _make_random(folder: Path, name: str, *, rotate: bool) -> str:
    path = folder / name
    there = path.exists()
    if there and not rotate:
        return "kept"
    new = secrets.token_hex(RANDOM_BYTES)
    if name in GATEWAY_SECRETS:
        # Before the file: killed in between, the gateway knows a word that nobody has, and the next rotation mends it.
        _replace_line(
            folder / AUTHORIZATION_FILE,
            GATEWAY_SECRETS[name](path.read_text().strip() if there else ""),
            GATEWAY_SECRETS[name](new),
        )
    _write_secret(path, new)
    return "rotated" if there else "made"


def _replace_line(path: Path, old: str, new: str) -> None:
    """Replaces one line; those that somebody has added stay."""
    if path.exists():
        lines = [line for line in path.read_text().splitlines() if line != old]
        _write_secret(path, "\n".join([*lines, new]) + "\n")


def _make_authorization(folder: Path, *, rotated: bool) -> str:
    path = folder / AUTHORIZATION_FILE
    if path.exists():
        return "rotated" if rotated else "kept"
    _write_secret(path, authorization_lines({name: (folder / name).read_text().strip() for name in GATEWAY_SECRETS}))
    return "made"


def _make_certificate(folder: Path, pair: Callable[[], tuple[str, str]], *, rotate: bool) -> dict[str, str]:
    there = (folder / CERTIFICATE_FILE).exists()
    if there and not rotate:
        return {CERTIFICATE_FILE: "kept"}
    certificate, key = pair()
    _write_secret(folder / TRUSTED_FILE, certificate)
    _write_secret(folder / CERTIFICATE_FILE, certificate + key)
    return dict.fromkeys((CERTIFICATE_FILE, TRUSTED_FILE), "rotated" if there else "made")


def _write_secret(path: Path, text: str) -> None:
    with fileio.replace_file(path) as temporary:
        temporary.write_text(text)
        temporary.chmod(FILE_MODE)


# By profile; empty: always.
NEEDED_SECRETS = {
    "": ("postgres_password",),
    "monitoring": ("grafana_password",),
    "public": (AUTHORIZATION_FILE, CERTIFICATE_FILE),
}


@dataclass(frozen=True)
class SecretsFolder:
    """State of the folder on the disk.

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


def read_folder(path: Path) -> SecretsFolder:
    """Reads the folder."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        files = {
            file.name: (stat.S_IMODE(file.stat().st_mode), _read_text(file))
            for file in path.iterdir()
            if file.is_file()
        }
    except FileNotFoundError:
        return SecretsFolder(path)
    except OSError as error:
        return SecretsFolder(path, 0, error.strerror or str(error))
    return SecretsFolder(path, mode, "", files)


def _read_text(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace")


def secret_findings(folder: SecretsFolder | None, profiles: AbstractSet[str]) -> list[Finding]:
    """One for each thing that is wrong, or one for all; None: `.env` names no folder."""
    if folder is None:
        return [_failure("secrets", "SECRETS is not set in .env", MAKE_COMMAND)]
    if folder.mode is None:
        return [_failure("secrets", f"there is no folder {folder.path}", MAKE_COMMAND)]
    if folder.problem:
        return [
            _failure(
                "secrets",
                f"{folder.path}: {folder.problem}",
                f"{MAKE_COMMAND} --dir FOLDER, or be the user who made them",
            )
        ]
    names = [name for profile, names in NEEDED_SECRETS.items() if profile in {"", *profiles} for name in names]
    wrong = [finding for name in names if (finding := secret_finding(folder, name))]
    if folder.mode & 0o077:
        open_to = f"others may look into {folder.path} (mode {folder.mode:04o})"
        wrong.insert(0, _failure("secrets", open_to, f"chmod 700 {folder.path}"))
    return wrong or [Finding("secrets", ok=True, found=str(folder.path))]


def unknown_folder_finding(named: str) -> Finding:
    """Only docker compose knows the folder, because its name holds a variable."""
    fix = "write the folder into .env as it is called: keraspipe secrets --dir FOLDER"
    return Finding("secrets", ok=False, found=f"not looked at: SECRETS={named}", fix=fix, essential=False)


def secret_finding(folder: SecretsFolder, name: str) -> Finding | None:
    """What is wrong with one of them; None if nothing is."""
    if name not in folder.files:
        return _failure(name, "missing", f"{MAKE_COMMAND} --self-signed" if name == CERTIFICATE_FILE else MAKE_COMMAND)
    mode, text = folder.files[name]
    if not mode & stat.S_IROTH:
        state = f"mode {mode:04o}: the container's user cannot read it (the folder keeps others out)"
        return _failure(name, state, f"chmod 444 {folder.path / name}")
    if name == CERTIFICATE_FILE:
        return None  # has findings of its own
    if name == AUTHORIZATION_FILE:
        return _authorization_finding(folder.path / name, text)
    return _password_finding(name, text.strip())


def _password_finding(name: str, text: str) -> Finding | None:
    if len(text) >= MIN_SECRET_LENGTH:
        return None
    state = f"{len(text)} characters, fewer than {MIN_SECRET_LENGTH}" if text else "empty"
    return _failure(name, state, f"{MAKE_COMMAND} --rotate {name}")


def _authorization_finding(path: Path, text: str) -> Finding | None:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    fix = f"rm -f {path} && {MAKE_COMMAND}"
    if not lines:
        return _failure(AUTHORIZATION_FILE, "empty: nobody gets in", fix)
    weak = sum(len(parse_credential(line)) < MIN_SECRET_LENGTH for line in lines)
    state = f"{weak} of {len(lines)} lines are neither Basic nor Bearer with at least {MIN_SECRET_LENGTH} characters"
    return _failure(AUTHORIZATION_FILE, state, fix) if weak else None


def parse_credential(line: str) -> str:
    """The password or token in a value of the header Authorization; empty if it holds none."""
    scheme, _, rest = line.partition(" ")
    if scheme == "Bearer":
        return rest.strip()
    try:
        pair = base64.b64decode(rest if scheme == "Basic" else "", validate=True)
    except binascii.Error:
        return ""
    return pair.decode("utf-8", "replace").partition(":")[2]


def _failure(name: str, state: str, fix: str) -> Finding:
    return Finding(name, ok=False, found=state, fix=fix)
