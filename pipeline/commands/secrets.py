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

FOLDER_VARIABLE = "SECRETS"
ROTATABLE = (*secrets.RANDOM_SECRETS, secrets.CERTIFICATE_FILE)
# The database and Grafana keep the password of their first start; a container keeps the file it was started with.
ALTER = "echo \"ALTER ROLE keraspipe PASSWORD '$(cat /run/secrets/postgres_password)'\" | psql -U keraspipe mlflow"
RESTART_GATEWAY = ("docker compose --profile public up -d --force-recreate gateway",)
AFTER_ROTATION = {
    "postgres_password": (
        "docker compose up -d --wait --force-recreate postgres",
        f"docker compose exec postgres sh -c {shlex.quote(ALTER)}",
        "docker compose up -d --wait --force-recreate mlflow",
    ),
    "grafana_password": (
        "docker compose exec -T grafana grafana cli admin reset-admin-password --password-from-stdin < {path}",
    ),
    **dict.fromkeys((*secrets.GATEWAY_SECRETS, secrets.CERTIFICATE_FILE), RESTART_GATEWAY),
}


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--dir", type=Path, metavar="FOLDER", help="default: SECRETS of .env, or secrets/")
    parser.add_argument("--env", type=Path, metavar="FILE", default=ROOT / ".env", help="default: the checkout's .env")
    parser.add_argument("--self-signed", action="store_true", help="also create a certificate for the profile public")
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="host name in the certificate (default: PUBLIC_HOST of .env); may be repeated",
    )
    parser.add_argument("--rotate", choices=ROTATABLE, metavar="NAME", default="", help=f"renew {', '.join(ROTATABLE)}")


def command(options: Namespace, _settings: Settings) -> int:
    """Creates missing secrets and writes the folder into `.env`; prints paths, never a secret."""
    _check(options)
    try:
        return _make_secrets(options)
    except OSError as error:
        raise PipelineError(
            "The secrets cannot be written.",
            expected="a folder and a file that this user may write",
            received=str(error),
            action="choose others: keraspipe secrets --dir FOLDER --env FILE",
        ) from error


def _check(options: Namespace) -> None:
    if options.host and not options.self_signed:
        raise UsageError("--host is the name in a new certificate.", action="add --self-signed")
    if options.rotate == secrets.CERTIFICATE_FILE and not options.self_signed:
        raise UsageError(
            "keraspipe can renew self-signed certificates only.",
            action="get a new certificate, and store it with its key in tls.pem; or add --self-signed",
        )
    for host in options.host:
        tls.check_host(host)


def _make_secrets(options: Namespace) -> int:
    text = read_env_text(options.env)
    folder = Path(os.path.abspath(options.dir or secrets_folder(text)))  # noqa: PTH100  (resolve() would follow links)
    hosts = options.host or [env_file.parse_env(text).get("PUBLIC_HOST") or "localhost"]
    pair = partial(tls.make_self_signed, hosts) if options.self_signed else None
    changed = env_file.set_variable(text, FOLDER_VARIABLE, env_value(folder))
    done = secrets.make_secrets(folder, pair, options.rotate)
    for name, word in done.items():
        print(f"{word:<8} {folder / name}")
    if changed != text or not options.env.exists():
        env_file.write_env(options.env, changed)
        print(f"{'wrote':<8} {FOLDER_VARIABLE}={env_value(folder)} into {options.env}")
    print("\n".join(_next_steps(done, options.rotate, folder)))
    return 0


def read_env_text(env: Path) -> str:
    """Reads `.env`, or the example if there is none yet."""
    example = ROOT / ".env.example"
    if env.exists():
        return env_file.read_env(env)
    return env_file.read_env(example) if example.exists() else ""


def secrets_folder(text: str) -> Path:
    """The folder that `.env` names, which docker compose takes from the checkout; else `secrets`.

    Raises:
        UsageError: Only docker compose knows which folder that is.
    """
    named = env_file.parse_env(text).get(FOLDER_VARIABLE) or "secrets"
    if "$" in named or named.startswith("~"):
        raise UsageError(
            f"{FOLDER_VARIABLE} in .env contains a variable.",
            expected="the path of a folder without $ and ~",
            received=named,
            action="give the path: keraspipe secrets --dir FOLDER",
        )
    return ROOT / named


def env_value(folder: Path) -> str:
    """Returns the folder as `.env` names it: relative if it is in the checkout, so that both can be moved together."""
    return f"./{folder.relative_to(ROOT)}" if folder.is_relative_to(ROOT) else str(folder)


def _next_steps(done: dict[str, str], rotate: str, folder: Path) -> list[str]:
    if "rotated" in done.values():
        path = shlex.quote(str(folder / rotate))
        return [
            "Next, if the stack has been started before:",
            *(f"  {line.format(path=path)}" for line in AFTER_ROTATION[rotate]),
        ]
    return ["Next: keraspipe deploy check"]
