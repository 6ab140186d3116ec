"""`keraspipe secrets`: passwords, tokens and certificate of the docker compose stack, as files."""

from __future__ import annotations

import os
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.deployment import env_file, secrets, tls
from pipeline.errors import PipelineError, UsageError
from pipeline.settings import ROOT

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings

VARIABLE = "SECRETS"
ROTATED = (*secrets.RANDOM, secrets.CERTIFICATE)
# The database and Grafana keep the password of their first start; a container keeps the file it was started with.
ALTER = "echo \"ALTER ROLE keraspipe PASSWORD '$(cat /run/secrets/postgres_password)'\" | psql -U keraspipe mlflow"
GATEWAY = ("docker compose --profile public up -d --force-recreate gateway",)
AFTER = {
    "postgres_password": (
        "docker compose up -d --wait --force-recreate postgres",
        f"docker compose exec postgres sh -c {shlex.quote(ALTER)}",
        "docker compose up -d --wait --force-recreate mlflow",
    ),
    "grafana_password": (
        "docker compose exec -T grafana grafana cli admin reset-admin-password --password-from-stdin < {path}",
    ),
    **dict.fromkeys((*secrets.GATEWAY, secrets.CERTIFICATE), GATEWAY),
}


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--dir", type=Path, metavar="FOLDER", help="default: SECRETS of .env, or secrets/")
    parser.add_argument("--env", type=Path, metavar="FILE", default=ROOT / ".env", help="default: the checkout's .env")
    parser.add_argument("--self-signed", action="store_true", help="also a certificate for the profile public")
    parser.add_argument(
        "--host", action="append", default=[], metavar="NAME", help="that it is for; default: PUBLIC_HOST of .env"
    )
    parser.add_argument("--rotate", choices=ROTATED, metavar="NAME", default="", help=f"renew {', '.join(ROTATED)}")


def command(options: Namespace, _settings: Settings) -> int:
    """Makes what is missing and names the folder in `.env`; prints paths, never a secret."""
    _check(options)
    try:
        return _make(options)
    except OSError as error:
        raise PipelineError(
            "The secrets cannot be written.",
            expected="a folder and a file that this user may write",
            received=str(error),
            action="name others: keraspipe secrets --dir FOLDER --env FILE",
        ) from error


def _check(options: Namespace) -> None:
    if options.host and not options.self_signed:
        raise UsageError("--host is the name in a new certificate.", action="add --self-signed")
    if options.rotate == secrets.CERTIFICATE and not options.self_signed:
        raise UsageError(
            "A certificate of your own is renewed where you got it.",
            action="replace tls.pem by certificate and key in one file, or add --self-signed",
        )
    for host in options.host:
        tls.checked(host)


def _make(options: Namespace) -> int:
    text = settings_text(options.env)
    folder = Path(os.path.abspath(options.dir or folder_of(text)))  # noqa: PTH100  (resolve() would follow links)
    hosts = options.host or [env_file.parse(text).get("PUBLIC_HOST") or "localhost"]
    pair = partial(tls.self_signed, hosts) if options.self_signed else None
    changed = env_file.assign(text, VARIABLE, written(folder))
    done = secrets.make(folder, pair, options.rotate)
    for name, word in done.items():
        print(f"{word:<8} {folder / name}")
    if changed != text or not options.env.exists():
        env_file.write(options.env, changed)
        print(f"{'wrote':<8} {VARIABLE}={written(folder)} into {options.env}")
    print("\n".join(_next(done, options.rotate, folder)))
    return 0


def settings_text(env: Path) -> str:
    """What `.env` says, or the example where there is none yet."""
    example = ROOT / ".env.example"
    if env.exists():
        return env_file.read(env)
    return env_file.read(example) if example.exists() else ""


def folder_of(text: str) -> Path:
    """The folder that `.env` names, which docker compose takes from the checkout; else `secrets`.

    Raises:
        UsageError: Only docker compose knows which folder that is.
    """
    named = env_file.parse(text).get(VARIABLE) or "secrets"
    if "$" in named or named.startswith("~"):
        raise UsageError(
            f"{VARIABLE} in .env holds a variable.",
            expected="a folder as it is called",
            received=named,
            action="say which it is: keraspipe secrets --dir FOLDER",
        )
    return ROOT / named


def written(folder: Path) -> str:
    """The folder as `.env` names it: from the checkout if it lies in it, so that both can be moved together."""
    return f"./{folder.relative_to(ROOT)}" if folder.is_relative_to(ROOT) else str(folder)


def _next(done: dict[str, str], rotate: str, folder: Path) -> list[str]:
    if "rotated" in done.values():
        path = shlex.quote(str(folder / rotate))
        return [
            "Next, if the stack has been started before:",
            *(f"  {line.format(path=path)}" for line in AFTER[rotate]),
        ]
    return ["Next: keraspipe deploy check"]
