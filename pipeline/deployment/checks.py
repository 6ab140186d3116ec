"""What is wrong with this machine as a host of the stack: `keraspipe deploy check`.

The findings are pure functions in the other modules of this folder; here their input is read from the machine.
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
from pipeline.deployment.secrets import CERTIFICATE_FILE
from pipeline.errors import PipelineError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

FOLDER_VARIABLES = ("DATA", "BACKUPS")
OWN_IMAGE = "keraspipe/mlflow"
PROJECT_LABEL = "com.docker.compose.project"
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
    compose = _read_text(root / "docker-compose.yml")
    wanted = choose_profiles(profiles, parse_profiles(compose))
    example = _read_text(root / ".env.example")
    written = env_file.parse_env(_read_text(env)) if env.exists() else None
    values = {**env_file.parse_env(example), **{name: value for name, value in (written or {}).items() if value}}
    answer, info = engine.docker_info()
    running = bool(info.get("ServerVersion"))
    return [
        *engine.engine_findings(answer, info),
        *(_room_findings(info, values) if running else []),
        *(engine.gpu_findings(engine.read_cards(info), values) if wanted & GPU_PROFILES else []),
        *_environment_findings(root, env, written, env_file.find_used(compose) | set(env_file.parse_env(example))),
        *(_secret_findings(root, values, wanted) if written is not None else []),
        *_port_findings(values, wanted, running=running),
        *(
            _check_configuration(root, env, wanted)
            if answer.code != engine.NOT_INSTALLED and values.get("SECRETS")
            else []
        ),
    ]


def parse_profiles(compose: str) -> set[str]:
    """The profiles of a docker-compose.yml."""
    lists = re.findall(r"^ +profiles: \[(.+)\]", compose, re.MULTILINE)
    return {name.strip(" \"'") for line in lists for name in line.split(",")}


def choose_profiles(profiles: Sequence[str], known: AbstractSet[str]) -> set[str]:
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


def _read_text(path: Path) -> str:
    try:
        return env_file.read_env(path)
    except OSError as error:
        raise PipelineError(
            f"{path} cannot be read.",
            expected="the checkout of keraspipe, and an .env that this user may read",
            received=error.strerror,
            action="run it in the checkout: .venv/bin/keraspipe deploy check",
        ) from error


def _room_findings(info: Mapping[str, Any], values: Mapping[str, str]) -> list[Finding]:
    """Platform, memory and disk of the engine; the disk only if it is one of this machine."""
    findings = [engine.platform_finding(info), doctor.memory(int(info.get("MemTotal") or 0))]
    root = Path(str(info.get("DockerRootDir") or "/nowhere"))
    if root.exists():
        image = f"{OWN_IMAGE}:{values.get('TAG', 'local')}"
        built = bool(engine.run_command("docker", "images", "--quiet", image).out.strip())
        findings.append(engine.disk_finding(shutil.disk_usage(root).free, str(root), built))
    return findings


def _environment_findings(
    root: Path, env: Path, written: Mapping[str, str] | None, known: AbstractSet[str]
) -> list[Finding]:
    if written is None:
        return [env_file.missing_finding(env)]
    named = {name: written[name] for name in FOLDER_VARIABLES if written.get(name)}
    folders = [
        env_file.folder_finding(name, path, _folder_owner(_resolve_path(root, path))) for name, path in named.items()
    ]
    return [*env_file.variable_findings(env, written, known), *(finding for finding in folders if finding)]


def _resolve_path(root: Path, named: str) -> Path:
    """A path as docker compose takes it from `.env`."""
    return root / Path(named).expanduser()


def _folder_owner(folder: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        status = folder.stat()
        return (status.st_uid, stat.S_IMODE(status.st_mode)) if stat.S_ISDIR(status.st_mode) else None
    return None


def _secret_findings(root: Path, values: Mapping[str, str], wanted: AbstractSet[str]) -> list[Finding]:
    named = values.get("SECRETS", "")
    if "$" in named:
        return [secrets.unknown_folder_finding(named)]
    folder = secrets.read_folder(_resolve_path(root, named)) if named else None
    findings = secrets.secret_findings(folder, wanted)
    if "public" in wanted and folder and CERTIFICATE_FILE in folder.files:
        findings += tls.tls_findings(folder.files[CERTIFICATE_FILE][1], values.get("PUBLIC_HOST", "localhost"))
    return findings


def _port_findings(values: Mapping[str, str], wanted: AbstractSet[str], *, running: bool) -> list[Finding]:
    numbers = env_file.choose_ports(values, wanted)
    stack = f"label={PROJECT_LABEL}={values.get('COMPOSE_PROJECT_NAME', 'keraspipe')}"
    listing = engine.run_command("docker", "ps", "--filter", stack, "--format", "{{.Ports}}").out if running else ""
    return env_file.port_findings(
        numbers, env_file.find_holders(numbers.values()), env_file.parse_published_ports(listing)
    )


def _check_configuration(root: Path, env: Path, wanted: AbstractSet[str]) -> list[Finding]:
    named = [word for profile in sorted(wanted) for word in ("--profile", profile)]
    files = ["--project-directory", str(root), "--file", str(root / "docker-compose.yml"), "--env-file", str(env)]
    answer = engine.run_command("docker", "compose", *files, *named, "config", "--quiet")
    return [configuration_finding(answer)]


def configuration_finding(answer: engine.CommandResult) -> Finding:
    """Whether docker compose accepts docker-compose.yml with this `.env`."""
    ok = answer.code == 0
    fix = "correct what it names in .env, or docker-compose.yml; then: docker compose config --quiet"
    return Finding("configuration", ok, "accepted" if ok else answer.error or "refused", "" if ok else fix)
