"""`keraspipe deploy check`: each finding from plain facts; where docker is installed, also its real answers."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline import cli
from pipeline.deployment import checks, engine, env_file, secrets, tls
from pipeline.deployment.engine import CommandResult
from pipeline.deployment.secrets import SecretsFolder, make_secrets
from pipeline.errors import PipelineError, UsageError

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
EXAMPLE = env_file.parse_env((ROOT / ".env.example").read_text())
GIB = 1024**3
NOW = datetime(2026, 6, 1, tzinfo=UTC)
PLUGINS = [{"Name": "buildx", "Version": "v0.17.1"}, {"Name": "compose", "Version": "v2.29.7"}]
INFO = {
    "ServerVersion": "27.3.1",
    "OSType": "linux",
    "Architecture": "x86_64",
    "Runtimes": {"runc": {}},
    "ClientInfo": {"Plugins": PLUGINS},
}
SILENT = INFO | {"ServerVersion": ""}
PASSWORD = "0123456789abcdef" * 4
BASIC = "Basic a2VyYXNwaXBlOjAxMjM0NTY3ODlhYmNkZWY="  # keraspipe:0123456789abcdef


def wrong(findings):
    return [finding.name for finding in findings if not finding.ok]


def test_what_is_wrong_has_a_fix_and_what_is_right_has_none():
    found = [
        *engine.engine_findings(CommandResult(0), INFO),
        *engine.engine_findings(CommandResult(1), {}),
        *engine.gpu_findings(engine.Cards("550.54.14", (7.5,), runtime=False), EXAMPLE),
        *env_file.port_findings({"A": 1, "B": 1, "C": 2}, {}, set()),
        *secrets.secret_findings(SecretsFolder(Path("/s"), 0o755), {"public"}),
        *env_file.variable_findings(Path("/e"), {"REST_PRT": "1", "REST_PORT": "x"}, {"REST_PORT"}),
        checks.configuration_finding(CommandResult(0)),
        checks.configuration_finding(CommandResult(15, err="no\n")),
    ]
    assert len(found) > 15
    assert all(finding.ok == (not finding.fix) for finding in found)


# the engine


def test_a_sound_engine():
    assert [] == wrong(engine.engine_findings(CommandResult(0), INFO))


def test_no_docker_is_one_finding():
    (found,) = engine.engine_findings(CommandResult(engine.NOT_INSTALLED), {})
    assert ("docker", "not installed", False) == (found.name, found.found, found.ok)


@pytest.mark.parametrize(
    ("error", "words", "fix"),
    [
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
            "systemctl start docker",
        ),
        (
            "WARNING: no config\npermission denied while trying to connect to the Docker daemon socket at unix:///x",
            "this user may not use it",
            "usermod -aG docker",
        ),
        (
            "Error response from daemon: client version 1.50 is too new. Maximum supported API version is 1.43",
            "Maximum supported API version is 1.43",
            "docker info",
        ),
        ("", "does not say its version", "docker info"),
    ],
    ids=["stopped", "permission", "API", "mute"],
)
def test_an_engine_that_does_not_answer(error, words, fix):
    found = engine.daemon_finding(CommandResult(1, err=error), SILENT)
    assert not found.ok
    assert words in found.found
    assert fix in found.fix


@pytest.mark.parametrize(
    ("version", "ok"), [("23.0.0", True), ("28.2.2", True), ("26.1.5+dfsg1", True), ("20.10.24", False)]
)
def test_the_engine_is_new_enough(version, ok):
    assert ok == engine.daemon_finding(CommandResult(0), INFO | {"ServerVersion": version}).ok


@pytest.mark.parametrize(
    ("version", "ok"),
    [("v2.24.0", True), ("2.26.1-4", True), ("v5.0.1", True), ("v2.23.3", False), ("1.29.2", False), ("", False)],
)
def test_compose_is_new_enough(version, ok):
    plugins = [{"Name": "compose", "Version": version}]
    assert ok == engine.compose_finding({"ClientInfo": {"Plugins": plugins}}).ok


@pytest.mark.parametrize("info", [{}, {"ClientInfo": None}, {"ClientInfo": {"Plugins": None}}])
def test_missing_plugins_are_named(info):
    assert ["docker compose", "docker buildx"] == wrong([engine.compose_finding(info), engine.buildx_finding(info)])


@pytest.mark.parametrize(
    ("system", "processor", "ok", "essential"),
    [
        ("linux", "x86_64", True, False),
        ("linux", "aarch64", False, False),
        ("windows", "x86_64", False, True),
    ],
)
def test_platform(system, processor, ok, essential):
    found = engine.platform_finding({"OSType": system, "Architecture": processor})
    assert (ok, essential) == (found.ok, found.essential)


@pytest.mark.parametrize(
    ("free", "built", "ok"), [(13, False, True), (11, False, False), (11, True, True), (1, True, False)]
)
def test_less_disk_is_needed_once_the_images_are_there(free, built, ok):
    assert ok == engine.disk_finding(free * GIB, "/var/lib/docker", built).ok


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "code", "out", "error"),
    [
        (("sh", "-c", "echo a; echo b >&2; echo '' >&2; exit 3"), 3, "a\n", "b"),
        (("keraspipe-no-such-program",), engine.NOT_INSTALLED, "", ""),
        (("sh", "-c", r"printf '\377'"), 0, "\ufffd", ""),
    ],
    ids=["fails", "missing", "bytes"],
)
def test_ask_tells_how_a_command_ended(command, code, out, error):
    answer = engine.run_command(*command)
    assert (code, out, error) == (answer.code, answer.out, answer.error)


# GPUs


@pytest.mark.parametrize(
    ("cards", "values", "names"),
    [
        (engine.Cards("550.54.14", (9.0, 9.0), runtime=True), {"GPU_COUNT": "2"}, []),
        (engine.Cards("550.54.14", (9.0,), runtime=True), {"GPU_COUNT": "all"}, []),
        (engine.Cards(None, (), runtime=False), {}, ["GPU driver", "GPU runtime"]),
        (engine.Cards("", (), runtime=True), {}, ["GPU driver"]),
        (engine.Cards("470.57.02", (9.0,), runtime=True), {}, ["GPU driver"]),
        (engine.Cards("550.54.14", (9.0,), runtime=False), {}, ["GPU runtime"]),
        (engine.Cards("550.54.14", (9.0,), runtime=True), {"GPU_COUNT": "2"}, ["GPU count"]),
        (
            engine.Cards("550.54.14", (9.0, 7.5), runtime=True),
            {"GPU_MIXED_PRECISION": "mixed_bfloat16"},
            ["GPU precision"],
        ),
        (engine.Cards("550.54.14", (7.5,), runtime=True), {"GPU_MIXED_PRECISION": "mixed_float16"}, []),
    ],
    ids=["two", "all", "none", "mute", "old driver", "no runtime", "too many", "old card", "old card, float16"],
)
def test_gpus(cards, values, names):
    found = engine.gpu_findings(cards, values)
    assert names == wrong(found)
    assert ["GPU precision"] == [finding.name for finding in found if not finding.essential] or not cards.driver


@pytest.mark.parametrize(("text", "expected"), [("8.6\n9.0\n", (8.6, 9.0)), ("", ()), ("[N/A]\n", ())])
def test_what_nvidia_smi_prints(text, expected):
    assert expected == engine.parse_capabilities(text)


@pytest.mark.process
def test_the_runtime_is_found_in_what_docker_says():
    assert engine.read_cards({"Runtimes": {"nvidia": {}}}).runtime


# ports


def test_ports_are_those_of_the_profiles():
    assert {"MLFLOW_PORT": 5000, "REST_PORT": 8501, "GRPC_PORT": 8500} == env_file.choose_ports(EXAMPLE, set())
    assert {"PROMETHEUS_PORT", "GRAFANA_PORT"} < set(env_file.choose_ports(EXAMPLE, {"monitoring"}))
    assert "PUBLIC_PORT" in env_file.choose_ports(EXAMPLE, {"public"})


def test_the_compose_file_publishes_these_ports_in_these_profiles():
    published = {
        name: (service.get("profiles") or [""])[0]
        for service in COMPOSE["services"].values()
        for port in service.get("ports", [])
        for name in re.findall(r"\$\{(\w+_PORT):-", port)
    }
    assert env_file.PORT_PROFILES == published


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("65535", 65535), ("0", None), ("65536", None), ("", None), ("٣", None), ("-1", None)],
)
def test_a_port_is_a_number(text, expected):
    assert expected == env_file.parse_port(text)


def test_whoever_holds_a_port_is_named_unless_it_is_this_stack():
    found = env_file.port_findings(
        {"A": 1, "B": 2, "C": 3}, {1: "nginx (process 7)", 2: "docker-proxy (process 8)"}, {2}
    )
    shown = ["A: taken by nginx (process 7)", "B: this stack", "C: free"]
    assert ["port 1"] == wrong(found)
    assert shown == [finding.found for finding in found]


def test_two_variables_with_one_port():
    found = env_file.port_findings({"MLFLOW_PORT": 5000, "REST_PORT": 5000}, {}, set())
    assert "REST_PORT: taken by MLFLOW_PORT" == found[1].found
    assert [True, False] == [finding.ok for finding in found]


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ("127.0.0.1:5000->5000/tcp\n5432/tcp\n\n", {5000}),
        ("127.0.0.1:8500-8501->8500-8501/tcp, 0.0.0.0:443->8443/tcp, [::]:443->8443/tcp", {8500, 8501, 443}),
        ("", set()),
    ],
)
def test_the_ports_that_docker_lists(listing, expected):
    assert expected == env_file.parse_published_ports(listing)


@pytest.mark.parametrize("installed", [True, False], ids=["psutil", "no psutil"])
def test_only_a_listener_holds_a_port(monkeypatch, installed):
    if not installed:
        monkeypatch.setitem(sys.modules, "psutil", None)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert {} == env_file.find_holders([port])
        bound.listen()
        assert [port] == list(env_file.find_holders([port]))


# .env


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("REST_PORT", ["1", "65535", ""], ["http", "0", "65536", "85 01", "127.0.0.1:8501"]),
        ("SERVING_IMAGE", ["a/b:1.2", "r:5000/a:1", "a@sha256:00"], ["a/b", "r:5000/a", "a:latest", "a:"]),
        ("TAG", ["local", "v1.2_3-x"], ["a b", "a/b", "-a"]),
        ("NODES", ["1", "12"], ["0", "two", "1.5", "-1"]),
        ("GPU_COUNT", ["all", "1"], ["0", "some", "-1"]),
        ("GPU_MIXED_PRECISION", ["float32", "mixed_float16"], ["bf16", "float16"]),
        ("REQUEST_LOG_RATE", ["0", "1", "0.1", "1.0", ".5"], ["1.1", "10%", "2", "-0.1", "nan"]),
        ("PROMETHEUS_RETENTION", ["30d", "1h30m", "500ms"], ["30", "30 days", "d"]),
        ("PUBLIC_ADDRESS", ["0.0.0.0", "10.1.2.3", "[::]"], ["localhost", "0.0.0", "eth0"]),
        ("PUBLIC_HOST", ["localhost", "a.example.org", "10.1.2.3"], ["https://a", "a:443", "a b", "-a"]),
    ],
)
def test_values(name, good, bad):
    path = Path("/checkout/.env")
    assert [] == [value for value in good if env_file.value_finding(name, value, path)]
    assert [] == [value for value in bad if not env_file.value_finding(name, value, path)]
    assert f"correct {name} in {path}" == env_file.value_finding(name, bad[0], path).fix


def test_what_docker_compose_replaces_is_left_to_it():
    assert env_file.value_finding("REST_PORT", "${MY_PORT:-8501}", Path(".env")) is None


@pytest.mark.heavy
@given(st.text(), st.sampled_from(sorted(EXAMPLE)))
def test_any_value_gets_an_answer(value, name):
    found = env_file.value_finding(name, value, Path(".env"))
    assert found is None or not found.ok


def test_the_example_is_sound():
    known = env_file.find_used(COMPOSE_TEXT) | set(EXAMPLE)
    (found,) = env_file.variable_findings(Path(".env.example"), EXAMPLE, known)
    assert found.ok


def test_the_compose_file_uses_what_the_example_has():
    stated = set(EXAMPLE) - env_file.find_used(COMPOSE_TEXT)
    assert not stated


@pytest.mark.parametrize(
    ("name", "words"),
    [("REST_PROT", "did you mean REST_PORT?"), ("QQQ", "remove the line"), ("COMPOSE_PROJECT_NAME", "")],
)
def test_unknown_names_are_worth_a_note(name, words):
    (found,) = env_file.variable_findings(Path(".env"), {name: "1"}, {"REST_PORT", "GRPC_PORT"})
    assert words in found.fix
    assert found.ok or not found.essential
    assert bool(words) != found.ok


@pytest.mark.parametrize(
    ("name", "value", "owner", "ok"),
    [
        ("DATA", "data", None, None),
        ("DATA", "/srv/data", (0, 0o755), True),
        ("DATA", "/srv/data", (0, 0o700), False),
        ("DATA", "./data", None, False),
        ("DATA", "/srv/data", (10001, 0o700), True),
        ("BACKUPS", "/srv/backups", (0, 0o755), False),
        ("BACKUPS", "/srv/backups", (10001, 0o700), True),
        ("BACKUPS", "/srv/backups", (0, 0o777), True),
    ],
)
def test_folders_that_the_images_use(name, value, owner, ok):
    found = env_file.folder_finding(name, value, owner)
    assert ok == (found.ok if found else None)


# secrets


def held(**files):
    return SecretsFolder(Path("/s"), 0o700, "", {name.replace("__", "."): file for name, file in files.items()})


@pytest.mark.parametrize(
    ("folder", "profiles", "found"),
    [
        (None, (), "SECRETS is not set in .env"),
        (SecretsFolder(Path("/s")), (), "there is no folder /s"),
        (SecretsFolder(Path("/s"), 0, "Permission denied"), (), "/s: Permission denied"),
        (held(), (), "missing"),
        (held(postgres_password=(0o444, "")), (), "empty"),
        (held(postgres_password=(0o444, "\n")), (), "empty"),
        (held(postgres_password=(0o444, "short")), (), "5 characters, fewer than 16"),
        (held(postgres_password=(0o400, PASSWORD)), (), "mode 0400: the container's user cannot read it"),
        (
            SecretsFolder(Path("/s"), 0o755, "", {"postgres_password": (0o444, PASSWORD)}),
            (),
            "others may look into /s (mode 0755)",
        ),
        (held(postgres_password=(0o444, PASSWORD)), ("monitoring",), "missing"),
        (held(postgres_password=(0o444, PASSWORD), tls__pem=(0o444, "")), ("public",), "missing"),
        (
            held(postgres_password=(0o444, PASSWORD), tls__pem=(0o444, ""), authorization=(0o444, "# none\n")),
            ("public",),
            "empty: nobody gets in",
        ),
        (
            held(
                postgres_password=(0o444, PASSWORD), tls__pem=(0o444, ""), authorization=(0o444, f"{BASIC}\nBearer x\n")
            ),
            ("public",),
            "1 of 2 lines are neither",
        ),
    ],
)
def test_secrets_that_are_not_right(folder, profiles, found):
    (finding,) = secrets.secret_findings(folder, set(profiles))
    assert found in finding.found
    assert not finding.ok


def test_secrets_that_no_profile_needs_are_not_missed():
    (found,) = secrets.secret_findings(held(postgres_password=(0o444, PASSWORD)), {"gpu"})
    assert found.ok


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (BASIC, "0123456789abcdef"),
        (f"Bearer {PASSWORD}", PASSWORD),
        ("Basic !", ""),
        ("Basic", ""),
        ("Digest x", ""),
        (PASSWORD, ""),
    ],
)
def test_the_word_in_a_header(line, word):
    assert word == secrets.parse_credential(line)


@pytest.mark.heavy
@given(st.text())
def test_any_header_gets_an_answer(line):
    assert isinstance(secrets.parse_credential(line), str)


def test_what_keraspipe_secrets_makes_is_sound(tmp_path):
    make_secrets(tmp_path / "secrets", lambda: tls.make_self_signed(["a.example.org"]))
    folder = secrets.read_folder(tmp_path / "secrets")
    found = secrets.secret_findings(folder, {"monitoring", "public"})
    found += tls.tls_findings(folder.files["tls.pem"][1], "a.example.org")
    assert ["secrets", "tls.pem"] == [finding.name for finding in found if finding.ok]


# tls.pem


def said(hosts=("a.example.org",), days=100, fits=True):
    return tls.Certificate(hosts, NOW - timedelta(days=1), NOW + timedelta(days=days), fits)


@pytest.mark.parametrize(
    ("certificate", "words", "essential"),
    [
        (said(), None, True),
        (said(days=13), "expires on 2026-06-14", False),
        (said(days=-0.5), "expired on 2026-05-31", True),
        (said(hosts=("b.example.org", "10.1.2.3")), "for b.example.org, 10.1.2.3, not for a.example.org", True),
        (said(hosts=()), "for nobody, not for a.example.org", True),
        (said(fits=False), "the key is not the certificate's", True),
    ],
    ids=["good", "soon", "expired", "other host", "no host", "other key"],
)
def test_certificates(certificate, words, essential):
    found = tls.certificate_finding(certificate, "a.example.org", NOW)
    assert (words is None, essential) == (found.ok, found.essential)
    assert (words or "for a.example.org until 2026-09-09") == found.found


def test_a_certificate_of_the_future():
    later = tls.Certificate(("a",), NOW + timedelta(days=1), NOW + timedelta(days=9), fits=True)
    assert "not valid before 2026-06-02" == tls.certificate_finding(later, "a", NOW).found


@pytest.mark.parametrize(
    ("hosts", "host", "covered"),
    [
        (("*.example.org",), "A.example.org", True),
        (("*.example.org",), "a.b.example.org", False),
        (("*.example.org",), "example.org", False),
        (("10.1.2.3",), "10.1.2.3", True),
        ((), "a", False),
    ],
)
def test_stars_stand_for_one_label(hosts, host, covered):
    assert covered == tls.covers(hosts, host)


def test_a_file_without_its_key_or_with_another(tmp_path):
    (first, _), (_, other) = tls.make_self_signed(["a"]), tls.make_self_signed(["a"])
    assert ["not a certificate and its key, both PEM"] == [found.found for found in tls.tls_findings(first, "a")]
    assert ["not a certificate and its key, both PEM"] == [found.found for found in tls.tls_findings("", "a")]
    assert ["the key is not the certificate's"] == [found.found for found in tls.tls_findings(first + other, "a")]


def test_without_cryptography_it_is_a_note(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    (found,) = tls.tls_findings("", "a")
    assert (False, False) == (found.ok, found.essential)


# the whole


def test_profiles_are_those_of_the_compose_file():
    expected = {name for service in COMPOSE["services"].values() for name in service.get("profiles", [])}
    assert expected == checks.parse_profiles(COMPOSE_TEXT) == checks.choose_profiles(["*"], expected)
    assert {"gpu"} == checks.choose_profiles(["gpu"], expected)
    with pytest.raises(UsageError, match=r"did you mean public\?"):
        checks.choose_profiles(["pubic"], expected)


def test_another_folder_is_an_error_in_words(tmp_path):
    with pytest.raises(PipelineError, match="run it in the checkout"):
        checks.examine(tmp_path, tmp_path / ".env", [])


@pytest.fixture
def checkout(tmp_path):
    """The files that the check reads, with secrets."""
    for name in ("docker-compose.yml", ".env.example"):
        shutil.copy(ROOT / name, tmp_path)
    make_secrets(tmp_path / "secrets", lambda: tls.make_self_signed(["a.example.org"]))
    text = env_file.set_variable((tmp_path / ".env.example").read_text(), "SECRETS", "./secrets")
    (tmp_path / ".env").write_text(env_file.set_variable(text, "PUBLIC_HOST", "a.example.org"))
    return tmp_path


@pytest.fixture
def no_docker(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def names(findings):
    return {finding.name: finding.ok for finding in findings}


def test_without_docker_all_else_is_looked_at(checkout, no_docker):
    found = names(checks.examine(checkout, checkout / ".env", ["public"]))
    assert {"docker": False, ".env": True, "secrets": True, "tls.pem": True}.items() <= found.items()
    assert len(env_file.choose_ports(EXAMPLE, {"public"})) == len([name for name in found if name.startswith("port ")])


def test_without_env_there_is_one_thing_to_do(checkout, no_docker):
    (checkout / ".env").unlink()
    found = {finding.name: finding for finding in checks.examine(checkout, checkout / ".env", [])}
    assert "keraspipe secrets   (makes it from .env.example)" == found[".env"].fix
    assert "secrets" not in found


def test_a_folder_that_only_docker_compose_knows_is_a_note(checkout, no_docker):
    (checkout / ".env").write_text("SECRETS=${HOME}/secrets\n")
    (found,) = [found for found in checks.examine(checkout, checkout / ".env", ["public"]) if found.name == "secrets"]
    assert (False, False) == (found.ok, found.essential)


def test_folders_of_env_are_taken_from_the_checkout(checkout, no_docker):
    (checkout / "sets").mkdir(mode=0o755)
    (checkout / ".env").write_text("DATA=./sets\nBACKUPS=./none\n")
    found = names(checks.examine(checkout, checkout / ".env", []))
    assert (True, False) == (found["DATA"], found["BACKUPS"])


def test_ports_of_env_count(checkout, no_docker):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (checkout / ".env").write_text(env_file.set_variable((checkout / ".env").read_text(), "REST_PORT", str(port)))
        found = names(checks.examine(checkout, checkout / ".env", []))
    assert found[f"port {port}"] is False


def test_the_command_prints_for_people_and_machines(checkout, no_docker, monkeypatch, capsys):
    monkeypatch.setattr("pipeline.commands.deploy.ROOT", checkout)
    env = ["--env", str(checkout / ".env")]
    assert 1 == cli.main(["deploy", "check", *env])
    text = capsys.readouterr().out
    assert "wrong  docker" in text
    assert "fix: install Docker Engine" in text
    assert 1 == cli.main(["deploy", "check", *env, "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert {"name": "docker", "ok": False, "essential": True}.items() <= answer["findings"][0].items()


@pytest.mark.parametrize("arguments", [["deploy"], ["deploy", "chek"], ["deploy", "check", "--profile", "pubic"]])
def test_wrong_usage_ends_with_two(arguments, capsys):
    try:
        code = cli.main(arguments)
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    assert (2, "") == (code, captured.out)
    assert "Next: " in captured.err


# real answers

needs_docker = pytest.mark.skipif(not shutil.which("docker"), reason="docker is not installed here")
needs_compose = pytest.mark.skipif(
    engine.run_command("docker", "compose", "version").code != 0, reason="docker compose is not installed here"
)


@pytest.mark.process
@needs_docker
def test_an_engine_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    answer, info = engine.docker_info()
    found = engine.daemon_finding(answer, info)
    assert f"Cannot connect to the Docker daemon at unix://{tmp_path}/docker.sock." == found.found
    assert "systemctl start docker" in found.fix


@pytest.mark.process
@needs_docker
def test_this_machine_is_examined(checkout):
    found = names(checks.examine(checkout, checkout / ".env", ["*"]))
    assert {"engine", "docker compose", "docker buildx", "GPU driver", "GPU runtime", "secrets"} <= set(found)


@pytest.mark.process
@needs_compose
def test_docker_compose_accepts_what_keraspipe_secrets_makes(checkout):
    assert names(checks.examine(checkout, checkout / ".env", ["*"]))["configuration"]


@pytest.mark.process
@needs_compose
def test_what_docker_compose_says_is_passed_on(checkout):
    (checkout / ".env").write_text(env_file.set_variable((checkout / ".env").read_text(), "REST_PORT", "http"))
    found = {finding.name: finding for finding in checks.examine(checkout, checkout / ".env", [])}
    assert "http" in found["configuration"].found
    assert not found["configuration"].ok
    assert not found["REST_PORT"].ok


@pytest.mark.process
@needs_compose
@pytest.mark.parametrize("folder", ["secrets", "my secrets", "a#b", "a$b", 'a"b', "a\\b"])
def test_docker_compose_reads_the_folder_that_is_written(tmp_path, folder):
    wanted = tmp_path / folder
    (tmp_path / "compose.yml").write_text(
        "name: t\nservices: {a: {image: a, secrets: [s]}}\nsecrets: {s: {file: '${SECRETS}/s'}}\n"
    )
    (tmp_path / ".env").write_text(env_file.set_variable("", "SECRETS", str(wanted)))
    command = ["docker", "compose", "--file", str(tmp_path / "compose.yml"), "config", "--format", "json"]
    environment = {name: value for name, value in os.environ.items() if name != "SECRETS"}
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path, env=environment)
    read = json.loads(done.stdout)["secrets"]["s"]["file"]
    assert str(wanted / "s") == read.replace("$$", "$")  # `config` writes what it could read again
