"""The deployment as facts of its files; where Docker Compose is installed, it also has to accept them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
LASTING = [name for name, service in SERVICES.items() if service["restart"] == "unless-stopped"]
PUBLISHED = [name for name in SERVICES if name != "gateway"]  # whose whole purpose is to be reached
ONE_SHOT = [name for name in SERVICES if name not in LASTING]
PROFILES = sorted({profile for service in SERVICES.values() for profile in service.get("profiles", [])})
EXAMPLE = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()
SECRET_NAMES = {"postgres_password", "grafana_password", "authorization", "tls.pem"}


def every(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", [SERVICES[name] for name in names], ids=names)


def test_up_starts_the_servers_and_run_the_rest():
    plain = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert plain == {"postgres", "mlflow", "prepare", "serving", "balancer"}
    assert {name for name in ONE_SHOT if name in plain} == {"prepare"}


@every(*PUBLISHED)
def test_ports_are_published_on_loopback_only(service):
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_only_who_asks_for_the_gateway_opens_a_port_to_others():
    assert SERVICES["gateway"]["profiles"] == ["public"]
    (port,) = SERVICES["gateway"]["ports"]
    assert port == "${PUBLIC_ADDRESS:-0.0.0.0}:${PUBLIC_PORT:-443}:8443"


@every(*SERVICES)
def test_containers_are_hardened_and_their_logs_end(service):
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


@every(*LASTING)
def test_a_lasting_service_has_a_health_check(service):
    assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


@every(*SERVICES)
def test_nobody_starts_before_what_it_needs(service):
    for name, wish in service.get("depends_on", {}).items():
        expected = "service_healthy" if name in LASTING else "service_completed_successfully"
        assert wish["condition"] == expected


@every(*SERVICES)
def test_secrets_reach_containers_as_files_only(service):
    literal = [text for key, text in service.get("environment", {}).items() if "PASSWORD" in key]
    assert all(text.startswith("/run/secrets/") for text in literal)
    assert set(service.get("secrets", [])) <= SECRET_NAMES


def test_secrets_are_files_of_one_folder_without_which_nothing_starts():
    assert {"file": "${SECRETS:-}/tls.pem"} == COMPOSE["secrets"]["tls.pem"]
    assert set(COMPOSE["secrets"]) == SECRET_NAMES
    assert COMPOSE["x-secrets"].startswith("${SECRETS:?")
    assert EXAMPLE["SECRETS"] == ""


@every(*(name for name in SERVICES if not SERVICES[name]["image"].startswith("keraspipe/")))
def test_images_are_pinned_and_can_be_changed(service):
    variable, default = re.fullmatch(r"\$\{(\w+):-(.+)\}", service["image"]).groups()
    assert default == EXAMPLE[variable]
    assert re.search(r":v?\d+\.\d+", default)


def test_the_example_has_the_defaults_of_the_compose_file():
    stated = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "docker-compose.yml").read_text()))
    assert stated == EXAMPLE


def test_no_service_reaches_the_database_but_mlflow_and_maintenance():
    members = {name for name, service in SERVICES.items() if "database" in service.get("networks", [])}
    assert members == {"postgres", "mlflow", "backup", "restore", "migrate"}
    assert COMPOSE["networks"]["database"] == {"internal": True}


def test_servers_of_models_reach_nothing_but_who_asks_them():
    for name in ("serving", "embedded"):
        assert SERVICES[name]["networks"] == ["models"]
        assert "ports" not in SERVICES[name]
    assert COMPOSE["networks"]["models"] == {"internal": True}


@every("serving", "embedded")
def test_serving_reads_the_models_where_the_pipeline_writes_them(service):
    (mount,) = [volume for volume in service["volumes"] if isinstance(volume, dict)]
    assert mount["read_only"]
    assert f"models:{mount['target']}" in SERVICES["pipeline"]["volumes"]
    assert SERVICES["pipeline"]["environment"]["KERASPIPE_WORKSPACE"] + "/serving" == mount["target"]
    assert f"--model_config_file={mount['target']}/models.config" in service["command"]
    assert SERVICES["prepare"]["command"][-1] == f"{mount['target']}/models.config"


@every("serving", "embedded")
def test_flags_are_those_that_the_embedded_server_takes(service):
    from serving.config.command_line import parse

    assert parse([re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", flag) for flag in service["command"]])


def test_upstreams_server_is_given_upstreams_flags_only():
    ours = {"request-log", "request-log-rate", "insecure", "host", "workers"}
    assert ours.isdisjoint(flag.lstrip("-").split("=")[0] for flag in SERVICES["serving"]["command"])


def test_settings_are_those_that_the_pipeline_reads():
    read = (ROOT / "pipeline/settings.py").read_text()
    for name in ("pipeline", "trainer", "monitor"):
        ours = [key for key in SERVICES[name]["environment"] if key.startswith(("KERASPIPE_", "MLFLOW_"))]
        assert all(f'"{key}"' in read for key in ours)


def test_the_trainer_asks_for_gpus():
    (device,) = SERVICES["trainer"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_files_that_are_mounted_exist():
    mounts = [v for service in SERVICES.values() for v in service.get("volumes", []) if str(v).startswith("./")]
    assert mounts
    assert all((ROOT / mount.split(":")[0]).is_dir() for mount in mounts)


def test_files_that_servers_must_read_are_in_the_folder_that_is_mounted():
    named = [flag.split("=")[1] for flag in SERVICES["serving"]["command"] if "=/etc/serving/" in flag]
    assert len(named) == 2
    assert all((ROOT / "docker/serving" / Path(path).name).is_file() for path in named)


@every("backup", "restore")
def test_maintenance_names_a_script_that_is_mounted(service):
    assert (ROOT / "docker/maintenance" / Path(service["entrypoint"][1]).name).is_file()


def test_batching_parameters_can_be_read():
    from serving.config import files

    assert files.read_batching(ROOT / "docker/serving/batching.config").max_batch_size == 64


def test_the_first_configuration_of_serving_is_an_empty_list():
    from google.protobuf import text_format
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    config = text_format.Parse((ROOT / "docker/serving/models.config").read_text(), ModelServerConfig())
    assert config.WhichOneof("config") == "model_config_list"
    assert list(config.model_config_list.config) == []


def stages() -> dict[str, str]:
    """The text of each stage of the Dockerfile, by name."""
    parts = re.split(r"^FROM \S+ AS (\S+)\n", DOCKERFILE, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("target", sorted({s["build"]["target"] for s in SERVICES.values() if "build" in s}))
def test_images_end_without_root_and_without_uv(target):
    stage = stages()[target]
    assert re.findall(r"^USER (\S+)", stage, re.MULTILINE) == ["keraspipe"]
    assert "uv sync" not in stage


@pytest.mark.parametrize(
    ("target", "code"), [("pipeline", "pipeline"), ("trainer", "pipeline"), ("serving", "serving")]
)
def test_dependencies_come_before_code(target, code):
    stage = stages()[target]
    assert stage.index("/app/.venv") < stage.index(f"COPY {code}")
    assert "COPY pipeline" not in stages()["uv"]


def test_only_what_images_need_is_sent_to_the_engine():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    sent = {line[1:] for line in lines if line.startswith("!")}
    needed = {
        word.split("/")[0]
        for line in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
        for word in line.split()
    }
    assert sent == needed


def docker_compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    surroundings = {key: value for key, value in os.environ.items() if key not in EXAMPLE} | environment
    command = ["docker", "compose", "--project-directory", str(ROOT), "--env-file", os.devnull, *arguments]
    return subprocess.run(command, env=surroundings, cwd=ROOT, capture_output=True, text=True, check=False)


def has_compose() -> bool:
    return shutil.which("docker") is not None and docker_compose("version").returncode == 0


needs_compose = pytest.mark.skipif(not has_compose(), reason="docker compose is not installed here")


@pytest.mark.process
@needs_compose
@pytest.mark.parametrize("profile", [*PROFILES, "*"])
def test_compose_accepts_every_profile(profile, tmp_path):
    answer = docker_compose("--profile", profile, "config", "-q", SECRETS=str(tmp_path))
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.process
@needs_compose
@pytest.mark.parametrize("environment", [{}, {"SECRETS": ""}])
def test_compose_refuses_to_start_without_secrets_and_says_how_to_make_them(environment):
    answer = docker_compose("config", "-q", **environment)
    assert answer.returncode != 0
    assert "keraspipe secrets" in answer.stderr


@pytest.mark.process
@needs_compose
def test_the_example_with_secrets_is_a_complete_configuration(tmp_path):
    filled = tmp_path / ".env"
    filled.write_text((ROOT / ".env.example").read_text().replace("SECRETS=", f"SECRETS={tmp_path}", 1))
    answer = docker_compose("--env-file", str(filled), "--profile", "*", "config", "-q")
    assert (answer.returncode, answer.stderr) == (0, "")


def test_mlflow_names_the_database_driver_that_its_image_has():
    # SQLAlchemy 2.1 takes psycopg 3 for a bare postgresql://, and the server would not start.
    assert "postgresql+psycopg2://" in (ROOT / "docker/mlflow.sh").read_text()
