"""What is wrong with this machine as a host of the stack: `keraspipe deploy check`.

The findings are pure functions of facts, in the files beside; this one reads the facts off the machine.
"""

from __future__ import annotations

import re
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.deployment import doctor, engine, env_file, secrets, tls
from pipeline.deployment.doctor import Finding
from pipeline.deployment.secrets import CERTIFICATE
from pipeline.errors import PipelineError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

FOLDERS = ("DATA", "BACKUPS")
OWN_IMAGE = "keraspipe/mlflow"
LABEL = "com.docker.compose.project"
GPU_PROFILES = {"gpu", "multi-gpu"}


def examine(root: Path, env: Path, profiles: Sequence[str]) -> list[Finding]:
    """All checks.

    Args:
        root: Folder of docker-compose.yml.
        env: The file `.env`; it may be missing.
        profiles: Of docker-compose.yml; "*" is all.

    Raises:
        UsageError: There is no such profile.
        PipelineError: There is no docker-compose.yml, or a file cannot be read.
    """
    compose = _text(root / "docker-compose.yml")
    wanted = chosen(profiles, declared(compose))
    example = _text(root / ".env.example")
    written = env_file.parse(_text(env)) if env.exists() else None
    values = {**env_file.parse(example), **{name: value for name, value in (written or {}).items() if value}}
    answer, info = engine.information()
    running = bool(info.get("ServerVersion"))
    return [
        *engine.findings(answer, info),
        *(_engine_room(info, values) if running else []),
        *(engine.gpu_findings(engine.cards(info), values) if wanted & GPU_PROFILES else []),
        *_environment(root, env, written, env_file.used(compose) | set(env_file.parse(example))),
        *(_secrets(root, values, wanted) if written is not None else []),
        *_ports(values, wanted, running=running),
        *(_configuration(root, env, wanted) if answer.code != engine.MISSING and values.get("SECRETS") else []),
    ]


def declared(compose: str) -> set[str]:
    """The profiles of a docker-compose.yml."""
    lists = re.findall(r"^ +profiles: \[(.+)\]", compose, re.MULTILINE)
    return {name.strip(" \"'") for line in lists for name in line.split(",")}


def chosen(profiles: Sequence[str], known: AbstractSet[str]) -> set[str]:
    """The profiles by name.

    Raises:
        UsageError: There is no such profile.
    """
    for name in profiles:
        if name not in {"*", *known}:
            raise UsageError(
                f"docker-compose.yml has no profile {name!r}.",
                expected=", ".join([*sorted(known), "or * for all"]),
                received=name,
                action=did_you_mean(name, known) or "keraspipe deploy check --help",
            )
    return set(known) if "*" in profiles else set(profiles)


def _text(path: Path) -> str:
    try:
        return env_file.read(path)
    except OSError as error:
        raise PipelineError(
            f"{path} cannot be read.",
            expected="the checkout of keraspipe, and an .env that this user may read",
            received=error.strerror,
            action="run it in the checkout: .venv/bin/keraspipe deploy check",
        ) from error


def _engine_room(info: Mapping[str, Any], values: Mapping[str, str]) -> list[Finding]:
    """Platform, memory and disk of the engine; the disk only if it is one of this machine."""
    found = [engine.platform(info), doctor.memory(int(info.get("MemTotal") or 0))]
    root = Path(str(info.get("DockerRootDir") or "/nowhere"))
    if root.exists():
        image = f"{OWN_IMAGE}:{values.get('TAG', 'local')}"
        built = bool(engine.ask("docker", "images", "--quiet", image).out.strip())
        found.append(engine.disk(shutil.disk_usage(root).free, str(root), built))
    return found


def _environment(root: Path, env: Path, written: Mapping[str, str] | None, known: AbstractSet[str]) -> list[Finding]:
    if written is None:
        return [env_file.missing(env)]
    named = {name: written[name] for name in FOLDERS if written.get(name)}
    folders = [env_file.folder(name, path, _owner(_path(root, path))) for name, path in named.items()]
    return [*env_file.variable_findings(env, written, known), *(found for found in folders if found)]


def _path(root: Path, named: str) -> Path:
    """A path as docker compose takes it from `.env`."""
    return root / Path(named).expanduser()


def _owner(folder: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = folder.stat()
        return (found.st_uid, stat.S_IMODE(found.st_mode)) if stat.S_ISDIR(found.st_mode) else None
    return None


def _secrets(root: Path, values: Mapping[str, str], wanted: AbstractSet[str]) -> list[Finding]:
    named = values.get("SECRETS", "")
    if "$" in named:
        return [secrets.unknown(named)]
    folder = secrets.held(_path(root, named)) if named else None
    found = secrets.findings(folder, wanted)
    if "public" in wanted and folder and CERTIFICATE in folder.files:
        found += tls.findings(folder.files[CERTIFICATE][1], values.get("PUBLIC_HOST", "localhost"))
    return found


def _ports(values: Mapping[str, str], wanted: AbstractSet[str], *, running: bool) -> list[Finding]:
    numbers = env_file.wanted(values, wanted)
    stack = f"label={LABEL}={values.get('COMPOSE_PROJECT_NAME', 'keraspipe')}"
    listing = engine.ask("docker", "ps", "--filter", stack, "--format", "{{.Ports}}").out if running else ""
    return env_file.port_findings(numbers, env_file.holders(numbers.values()), env_file.published(listing))


def _configuration(root: Path, env: Path, wanted: AbstractSet[str]) -> list[Finding]:
    named = [word for profile in sorted(wanted) for word in ("--profile", profile)]
    files = ["--project-directory", str(root), "--file", str(root / "docker-compose.yml"), "--env-file", str(env)]
    answer = engine.ask("docker", "compose", *files, *named, "config", "--quiet")
    return [configuration(answer)]


def configuration(answer: engine.Answer) -> Finding:
    """Whether docker compose accepts docker-compose.yml with this `.env`."""
    ok = answer.code == 0
    fix = "correct what it names in .env, or docker-compose.yml; then: docker compose config --quiet"
    return Finding("configuration", ok, "accepted" if ok else answer.error or "refused", "" if ok else fix)
