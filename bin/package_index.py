# ruff: noqa: INP001  (a script, run before there is any environment)
"""Reads the user's package index out of pip's configuration, and fetches pip from it where Python has none.

Only the standard library: Debian splits venv and pip from Python, and then there is nothing else.

    python3.11 bin/package_index.py url            prints the index, or nothing where it is PyPI
    python3.11 bin/package_index.py certificates   prints the file of certificates to trust, or nothing
    python3.11 bin/package_index.py fetch FOLDER   prints the path of pip's wheel, which Python can run from
"""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import ssl
import sys
import urllib.request
from pathlib import Path
from typing import NoReturn
from urllib.parse import urljoin

PYPI = "https://pypi.org/simple"
# Pinned with its digest: it runs before anything could check it.
WHEEL = "pip-25.3-py3-none-any.whl"
SHA256 = "9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd"
TIMEOUT_S = 60


def config_files() -> list[Path]:
    """Pip's configuration files, the strongest last."""
    home = Path.home()
    user = Path(os.environ.get("XDG_CONFIG_HOME", home / ".config")) / "pip/pip.conf"
    named = os.environ.get("PIP_CONFIG_FILE")
    return [Path("/etc/pip.conf"), home / ".pip/pip.conf", user, *([Path(named)] if named else [])]


def setting(key: str) -> str:
    """A setting of pip, as pip would find it: the environment, then the files; empty if unset."""
    parser = configparser.RawConfigParser()
    parser.read(config_files())
    of_files = [parser.get(part, key, fallback="") for part in ("install", "global")]
    return next((value for value in (os.environ.get(_variable(key), ""), *of_files) if value), "")


def _variable(key: str) -> str:
    return "PIP_" + key.upper().replace("-", "_")


def index() -> str:
    """The address of the package index."""
    return setting("index-url") or PYPI


def fetch(folder: Path) -> Path:
    """Download pip's wheel into `folder`; exits with a message when it cannot be had."""
    page = f"{index().rstrip('/')}/pip/"
    try:
        link = re.search(rf'href="([^"]*/{re.escape(WHEEL)})', _get(page).decode())
        if link is None:
            _fail(f"{page} has no {WHEEL}.")
        data = _get(urljoin(page, link.group(1)))
    except OSError as error:
        _fail(f"{page} cannot be reached: {error}.")
    if hashlib.sha256(data).hexdigest() != SHA256:
        _fail(f"{WHEEL} of {page} is damaged. Expected: sha256 {SHA256}.")
    (folder / WHEEL).write_bytes(data)
    return folder / WHEEL


def _get(url: str) -> bytes:
    context = ssl.create_default_context(cafile=setting("cert") or None)
    request = urllib.request.Request(url, headers={"Accept": "text/html"})  # noqa: S310  (the user's own index)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:  # noqa: S310
        return bytes(answer.read())


def _fail(what: str) -> NoReturn:
    action = "install Debian's python3-venv, or uv (https://docs.astral.sh/uv), and repeat."
    sys.exit(f"setup: {what}\n       Next: {action}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["url"]:
            print(index() if index().rstrip("/") != PYPI else "")
        case ["certificates"]:
            print(setting("cert"))
        case ["fetch", folder]:
            print(fetch(Path(folder)))
        case _:
            sys.exit(__doc__)
