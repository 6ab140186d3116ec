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
ONE_SHOT = [name for name in SERVICES if name not in LASTING]
PROFILES = sorted({profile for service in SERVICES.values() for profile in service.get("profiles", [])})
EXAMPLE = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()
SECRET = "open-sesame-4711"


def every(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", [SERVICES[name] for name in names], ids=names)


def test_up_starts_the_servers_and_run_the_rest():
    assert {"postgres", "mlflow", "serving"} == set(LASTING)
    assert {name for name in ONE_SHOT if "profiles" in SERVICES[name]} == {"pipeline", "trainer"}


@every(*SERVICES)
def test_ports_are_published_on_loopback_only(service):
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@every(*SERVICES)
def test_containers_are_hardened_and_their_logs_end(service):
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


@every(*(name for name in SERVICES if "build" not in SERVICES[name]))
def test_images_are_pinned_and_can_be_changed(service):
    variable, default = re.fullmatch(r"\$\{(\w+):-(.+)\}", service["image"]).groups()
    assert default == EXAMPLE[variable]
    assert re.search(r":\d+\.\d+", default)


def test_the_example_has_the_defaults_of_the_compose_file():
    stated = dict(re.findall(r"\$\{(\w+):-([^}]+)\}", (ROOT / "docker-compose.yml").read_text()))
    assert stated == {key: value for key, value in EXAMPLE.items() if key != "POSTGRES_PASSWORD"}


def test_the_example_has_no_password():
    assert EXAMPLE["POSTGRES_PASSWORD"] == ""


def test_no_service_reaches_the_database_but_mlflow():
    members = [name for name, service in SERVICES.items() if "database" in service.get("networks", [])]
    assert members == ["postgres", "mlflow"]
    assert COMPOSE["networks"]["database"] == {"internal": True}


def test_serving_reads_the_models_where_the_pipeline_writes_them():
    (mount,) = [volume for volume in SERVICES["serving"]["volumes"] if isinstance(volume, dict)]
    assert mount["read_only"]
    assert f"models:{mount['target']}" in SERVICES["pipeline"]["volumes"]
    assert SERVICES["pipeline"]["environment"]["KERASPIPE_WORKSPACE"] + "/serving" == mount["target"]
    assert f"--model_config_file={mount['target']}/models.config" in SERVICES["serving"]["command"]
    assert SERVICES["prepare"]["command"][-1] == f"{mount['target']}/models.config"


def test_settings_are_those_that_the_pipeline_reads():
    read = (ROOT / "pipeline/settings.py").read_text()
    for name in ("pipeline", "trainer"):
        ours = [key for key in SERVICES[name]["environment"] if key.startswith(("KERASPIPE_", "MLFLOW_"))]
        assert all(f'"{key}"' in read for key in ours)


def test_the_trainer_asks_for_gpus():
    (device,) = SERVICES["trainer"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_files_that_are_mounted_exist():
    mounts = [v for service in SERVICES.values() for v in service.get("volumes", []) if str(v).startswith("./")]
    assert mounts
    assert all((ROOT / mount.split(":")[0]).is_file() for mount in mounts)


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


@pytest.mark.parametrize("target", ["pipeline", "trainer"])
def test_dependencies_come_before_code(target):
    stage = stages()[target]
    assert stage.index("/app/.venv") < stage.index("COPY pipeline")
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


@needs_compose
@pytest.mark.parametrize("profile", [*PROFILES, "*"])
def test_compose_accepts_every_profile(profile):
    answer = docker_compose("--profile", profile, "config", "-q", POSTGRES_PASSWORD=SECRET)
    assert (answer.returncode, answer.stderr) == (0, "")


@needs_compose
@pytest.mark.parametrize("environment", [{}, {"POSTGRES_PASSWORD": ""}])
def test_compose_refuses_to_start_without_a_password_and_says_how_to_make_one(environment):
    answer = docker_compose("config", "-q", **environment)
    assert answer.returncode != 0
    assert "openssl rand -hex 32" in answer.stderr


@needs_compose
def test_no_container_is_told_the_password():
    config = yaml.safe_load(docker_compose("--profile", "*", "config", POSTGRES_PASSWORD=SECRET).stdout)
    assert SECRET not in yaml.safe_dump(config["services"])


@needs_compose
def test_the_example_with_a_password_is_a_complete_configuration(tmp_path):
    filled = tmp_path / ".env"
    filled.write_text((ROOT / ".env.example").read_text().replace("PASSWORD=", f"PASSWORD={SECRET}", 1))
    answer = docker_compose("--env-file", str(filled), "--profile", "*", "config", "-q")
    assert (answer.returncode, answer.stderr) == (0, "")


def test_mlflow_names_the_database_driver_that_its_image_has():
    # SQLAlchemy 2.1 takes psycopg 3 for a bare postgresql://, and the server would not start.
    assert "postgresql+psycopg2://" in (ROOT / "docker/mlflow.sh").read_text()
