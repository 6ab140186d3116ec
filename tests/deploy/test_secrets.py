"""`keraspipe secrets`: what it makes, what it never touches, and that real programs take it."""

import base64
import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import cli
from pipeline.commands import secrets as command
from pipeline.deployment import env_file, tls
from pipeline.deployment import secrets as deployment_secrets
from pipeline.errors import PipelineError, UsageError

ROOT = Path(__file__).resolve().parents[2]
MADE = {"postgres_password", "grafana_password", "gateway_password", "gateway_token", "authorization"}
names = st.from_regex(r"[A-Z][A-Z0-9_]{0,9}", fullmatch=True)


@pytest.fixture
def secrets(tmp_path, capsys):
    """The command on a folder and an `.env` of its own."""

    def call(*arguments, env=tmp_path / ".env", folder=tmp_path / "secrets"):
        try:
            code = cli.main(["secrets", "--env", str(env), "--dir", str(folder), *arguments])
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    call.folder, call.env = tmp_path / "secrets", tmp_path / ".env"
    call.texts = lambda: {path.name: path.read_text() for path in call.folder.iterdir()}
    return call


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"keraspipe:{password}".encode()).decode()


def test_the_first_call_makes_all_and_says_where(secrets):
    code, out, err = secrets()
    texts = secrets.texts()
    assert (0, "") == (code, err)
    assert MADE == set(texts)
    assert {f"made     {secrets.folder / name}" for name in MADE} == set(out.splitlines()[:5])
    assert f"SECRETS={secrets.folder}" in secrets.env.read_text().splitlines()


def test_nothing_secret_is_printed(secrets):
    printed = "".join(secrets("--self-signed")[1:]) + "".join(secrets("--rotate", "gateway_token")[1:])
    words = [word for text in secrets.texts().values() for line in text.splitlines() for word in line.split()]
    assert not [word for word in words if len(word) > 16 and word in printed]


def test_passwords_are_32_random_bytes_each_its_own(secrets):
    secrets()
    texts = [text for name, text in secrets.texts().items() if name != "authorization"]
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in texts)
    assert 4 == len(set(texts))


def test_only_the_owner_enters_and_containers_can_read(secrets):
    secrets("--self-signed")
    assert 0o700 == mode(secrets.folder)
    assert {0o444} == {mode(path) for path in secrets.folder.iterdir()}


def test_a_folder_that_was_open_is_closed(secrets):
    secrets.folder.mkdir(mode=0o755)
    secrets()
    assert 0o700 == mode(secrets.folder)


def test_the_gateway_knows_the_password_and_the_token(secrets):
    secrets()
    texts = secrets.texts()
    expected = [basic(texts["gateway_password"]), f"Bearer {texts['gateway_token']}"]
    assert expected == texts["authorization"].splitlines()


def test_what_exists_is_kept(secrets):
    secrets("--self-signed")
    before = secrets.texts()
    code, out, _ = secrets("--self-signed", "--host", "models.example.org")
    assert 0 == code
    assert before == secrets.texts()
    assert {"kept"} == {line.split()[0] for line in out.splitlines()[:6]}


def test_an_own_authorization_gets_no_password_that_opens_nothing(secrets):
    secrets.folder.mkdir()
    (secrets.folder / "authorization").write_text("Bearer of-our-own-directory\n")
    secrets()
    assert {"postgres_password", "grafana_password", "authorization"} == set(secrets.texts())
    assert "Bearer of-our-own-directory\n" == secrets.texts()["authorization"]


@pytest.mark.parametrize("name", ["postgres_password", "grafana_password", "gateway_password", "gateway_token"])
def test_rotation_renews_one_and_says_what_else_to_do(secrets, name):
    secrets()
    before = secrets.texts()
    code, out, _ = secrets("--rotate", name)
    after = secrets.texts()
    changed = {key for key in after if after[key] != before[key]}
    assert 0 == code
    assert ({name, "authorization"} if name.startswith("gateway") else {name}) == changed
    assert "Next, if the stack has been started before:\n  docker compose " in out
    assert 0o444 == mode(secrets.folder / name)


def test_rotation_keeps_the_lines_that_somebody_has_added(secrets):
    secrets()
    path = secrets.folder / "authorization"
    path.chmod(0o644)
    path.write_text(path.read_text() + "Bearer of-a-colleague\n")
    secrets("--rotate", "gateway_password")
    texts = secrets.texts()
    expected = {basic(texts["gateway_password"]), f"Bearer {texts['gateway_token']}", "Bearer of-a-colleague"}
    assert expected == set(texts["authorization"].splitlines())


def test_a_password_is_added_to_an_own_authorization_when_asked(secrets):
    secrets.folder.mkdir()
    (secrets.folder / "authorization").write_text("Bearer of-our-own-directory\n")
    _, out, _ = secrets("--rotate", "gateway_password")
    texts = secrets.texts()
    expected = ["Bearer of-our-own-directory", basic(texts["gateway_password"])]
    assert expected == texts["authorization"].splitlines()
    assert "force-recreate gateway" in out


def test_rotation_of_what_is_not_there_makes_it(secrets):
    code, out, _ = secrets("--rotate", "postgres_password")
    assert 0 == code
    assert f"made     {secrets.folder / 'postgres_password'}" in out
    assert "ALTER ROLE" not in out


@pytest.mark.process
def test_the_printed_command_gives_the_database_the_new_password(secrets, tmp_path):
    secrets()
    _, out, _ = secrets("--rotate", "postgres_password")
    (line,) = [line for line in out.splitlines() if "ALTER ROLE" in line]
    # Stand-ins: docker runs here what it should run in the container, and psql shows what it is sent.
    programs = {"docker": 'shift 3; exec "$@"', "psql": 'echo "$@"; cat'}
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    there = line.replace("/run/secrets", str(secrets.folder))
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(there, shell=True, capture_output=True, text=True, env={"PATH": path}, check=True)
    new = (secrets.folder / "postgres_password").read_text()
    assert ["-U keraspipe mlflow", f"ALTER ROLE keraspipe PASSWORD '{new}'"] == done.stdout.splitlines()


def test_two_at_the_same_time_agree(tmp_path):
    folder, start = tmp_path / "secrets", threading.Barrier(4)

    def call(_):
        start.wait()
        deployment_secrets.make_secrets(folder)
        return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(".")}

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(call, range(4))
    assert MADE == set(first)
    assert all(first == other for other in others)


def test_what_a_killed_command_left_does_not_stop_the_next(secrets):
    secrets.folder.mkdir()
    (secrets.folder / ".gateway_token.0a1b2c3d").write_text("half")
    assert 0 == secrets()[0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--host", "a.example.org"), 2, "add --self-signed"),
        (("--rotate", "tls.pem"), 2, "add --self-signed"),
        (("--rotate", "password"), 2, "invalid choice"),
        (("--self-signed", "--host", "https://a.example.org"), 2, "no https://"),
        (("--self-signed", "--host", "a:443"), 2, "no port"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_usage_leaves_nothing(secrets, arguments, code, words):
    ended, out, err = secrets(*arguments)
    assert (code, "") == (ended, out)
    assert words in err
    assert not secrets.folder.exists()
    assert not secrets.env.exists()


def test_a_folder_of_other_things_stays_as_it_is(secrets, tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    (home / "thesis.tex").write_text("")
    code, _, err = secrets(folder=home)
    assert 2 == code
    assert "Received: thesis.tex" in err
    assert (0o755, ["thesis.tex"]) == (mode(home), [path.name for path in home.iterdir()])
    assert not secrets.env.exists()


def test_a_file_in_the_place_of_the_folder_is_an_error_in_words(secrets, tmp_path):
    (tmp_path / "secrets").write_text("")
    code, _, err = secrets()
    assert 1 == code
    assert "The secrets cannot be written." in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else_is_an_error_in_words(secrets):
    code, _, err = secrets(folder=Path("/etc/keraspipe-secrets"))
    assert 1 == code
    assert "Permission denied" in err


# .env


def test_a_new_env_is_the_example_with_the_folder(secrets):
    secrets()
    example = (ROOT / ".env.example").read_text()
    assert example.replace("SECRETS=\n", f"SECRETS={secrets.folder}\n") == secrets.env.read_text()


def test_every_other_line_and_the_permissions_of_env_stay(secrets):
    before = b"# mine\r\nREST_PORT=9000\r\nexport SECRETS='/old'  # where\r\nODD=\xff\r\nlast=1"
    secrets.env.write_bytes(before)
    secrets.env.chmod(0o600)
    secrets()
    expected = before.replace(b"export SECRETS='/old'  # where", f"SECRETS={secrets.folder}".encode())
    assert expected == secrets.env.read_bytes()
    assert 0o600 == mode(secrets.env)


def test_env_without_the_variable_gets_a_line(secrets):
    secrets.env.write_text("REST_PORT=9000")
    secrets()
    assert f"REST_PORT=9000\nSECRETS={secrets.folder}\n" == secrets.env.read_text()


def test_env_that_is_right_is_not_written(secrets):
    secrets()
    before = secrets.env.stat().st_ino
    secrets()
    assert before == secrets.env.stat().st_ino


def test_a_link_stays_a_link(secrets, tmp_path):
    target = tmp_path / "shared.env"
    target.write_text("A=1\n")
    secrets.env.symlink_to(target)
    secrets()
    assert secrets.env.is_symlink()
    assert f"A=1\nSECRETS={secrets.folder}\n" == target.read_text()


def test_the_folder_that_env_names_is_used_again(secrets, tmp_path, capsys):
    secrets.env.write_text(f"SECRETS='{tmp_path}/my secrets'\n")
    assert 0 == cli.main(["secrets", "--env", str(secrets.env)])
    assert MADE == {path.name for path in (tmp_path / "my secrets").iterdir()}
    assert f"SECRETS='{tmp_path}/my secrets'\n" == secrets.env.read_text()


def test_a_folder_only_docker_compose_knows_is_asked_for(secrets, capsys):
    secrets.env.write_text("SECRETS=${HOME}/secrets\n")
    assert 2 == cli.main(["secrets", "--env", str(secrets.env)])
    assert "--dir FOLDER" in capsys.readouterr().err


def test_the_checkout_can_be_moved_with_its_secrets():
    assert "./secrets" == command.env_value(ROOT / "secrets")
    assert ROOT / "secrets" == command.secrets_folder("SECRETS=./secrets\n") == command.secrets_folder("SECRETS=\n")
    assert "/srv/secrets" == command.env_value(Path("/srv/secrets"))


@given(
    st.dictionaries(names, st.text(st.characters(exclude_characters="'\\\r\n", exclude_categories=["Cs"])), max_size=4)
)
def test_what_is_assigned_is_parsed_again(values):
    text = "# a comment\n"
    for name, value in values.items():
        text = env_file.set_variable(text, name, value)
    assert values == env_file.parse_env(text)
    assert text.startswith("# a comment\n")


@given(st.text(), names)
def test_any_file_takes_an_assignment(text, name):
    assert "value" == env_file.parse_env(env_file.set_variable(text, name, "value"))[name]


@pytest.mark.parametrize("value", ["it's", "two\nlines", "end\\"])
def test_what_no_line_can_hold_is_refused(value):
    with pytest.raises(UsageError, match="single quotes"):
        env_file.set_variable("", "SECRETS", value)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A = b  # why", "b"),
        ("A=b#c", "b#c"),
        ("A=# why", ""),
        ("A='b # c' # why", "b # c"),
        (r'A="b\"\$c"', 'b"$c'),
        ("A=1\nA=2", "2"),
        ("export A=b\r", "b"),
    ],
)
def test_lines_mean_what_docker_compose_reads(line, value):
    assert {"A": value} == env_file.parse_env(line)


# the certificate


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """The folder of a certificate for models.example.org."""
    folder = tmp_path_factory.mktemp("tls") / "secrets"
    deployment_secrets.make_secrets(folder, lambda: tls.make_self_signed(["models.example.org", "10.1.2.3"]))
    return folder


def test_a_certificate_is_for_the_host_and_this_machine(signed):
    said = tls.read_certificate((signed / "tls.pem").read_text())
    assert ("models.example.org", "10.1.2.3", "localhost", "127.0.0.1") == said.hosts
    assert said.fits
    assert 398 >= (said.until - said.since).days


def test_clients_get_the_certificate_without_its_key(signed):
    assert "PRIVATE" not in (signed / "tls.crt").read_text()
    assert (signed / "tls.pem").read_text().startswith((signed / "tls.crt").read_text())


@pytest.mark.parametrize("name", ["models.example.org", "10.1.2.3", "localhost", "127.0.0.1"])
def test_a_client_that_trusts_it_gets_through(signed, name):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(signed / "tls.pem")
    client = ssl.create_default_context(cafile=signed / "tls.crt")
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # what Python 3.13 asks of everybody
    assert shaken(server, client, name)["subjectAltName"][0] == ("DNS", "models.example.org")


def test_a_client_that_asks_for_another_name_does_not(signed):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(signed / "tls.pem")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"other\.example\.org"):
        shaken(server, ssl.create_default_context(cafile=signed / "tls.crt"), "other.example.org")


def shaken(server: ssl.SSLContext, client: ssl.SSLContext, name: str):
    """The certificate that a client sees after the handshake of two ends without a network."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
            if not end.server_side:
                seen = end.getpeercert()
    return seen


def test_public_host_of_env_is_the_default(secrets):
    secrets.env.write_text("PUBLIC_HOST=models.example.org\n")
    secrets("--self-signed")
    assert "models.example.org" == tls.read_certificate(secrets.texts()["tls.pem"]).hosts[0]


def test_a_certificate_is_renewed_when_asked(secrets):
    secrets("--self-signed")
    before = secrets.texts()
    code, out, _ = secrets("--self-signed", "--rotate", "tls.pem", "--host", "b.example.org")
    after = secrets.texts()
    assert 0 == code
    assert {"tls.pem", "tls.crt"} == {name for name in after if after[name] != before[name]}
    assert "force-recreate gateway" in out


def test_without_cryptography_there_is_a_way(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(PipelineError, match="needs the package cryptography"):
        tls.make_self_signed([])


# real programs


HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend gateway
    bind fd@${{LISTENER}} ssl crt {folder}/tls.pem
    acl known req.hdr(authorization) -m str -f {folder}/authorization
    http-request return status 200 if known
    http-request deny deny_status 401
"""


@pytest.fixture
def gateway(signed, tmp_path):
    """HAProxy with the secrets; yields a function from a header's value to the status."""
    program = shutil.which("haproxy")
    if not program:
        pytest.skip("haproxy is not installed here")
    (tmp_path / "haproxy.cfg").write_text(HAPROXY.format(folder=signed))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        process = subprocess.Popen(
            [program, "-db", "-q", "-f", str(tmp_path / "haproxy.cfg")],
            env={"LISTENER": str(listener.fileno())},
            pass_fds=[listener.fileno()],
        )
        try:
            yield lambda header: asked(listener.getsockname()[1], signed, header)
        finally:
            process.terminate()
            process.wait()


def asked(port: int, folder: Path, header: str) -> int:
    import httpx

    trusted = ssl.create_default_context(cafile=folder / "tls.crt")
    headers = {"authorization": header} if header else {}
    return httpx.get(f"https://localhost:{port}/", headers=headers, verify=trusted, trust_env=False).status_code


@pytest.mark.process
def test_haproxy_takes_certificate_and_authorization(gateway, signed):
    password, token = ((signed / f"gateway_{name}").read_text() for name in ("password", "token"))
    assert [200, 200] == [gateway(basic(password)), gateway(f"Bearer {token}")]
    assert [401] * 4 == [gateway(""), gateway("Bearer"), gateway(f"Bearer {password}"), gateway(basic(token))]


@pytest.mark.process
def test_a_bare_checkout_needs_no_package(tmp_path):
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".env.example", tmp_path)
    # -S -I: neither this environment's packages nor its variables.
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from pipeline import cli; sys.exit(cli.main())"
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", code, "secrets"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)
    assert MADE == {path.name for path in (tmp_path / "secrets").iterdir()}
    assert "SECRETS=./secrets" in (tmp_path / ".env").read_text().splitlines()


def test_git_and_images_leave_secrets_out():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/secrets/", ".env"} <= set(ignored)
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert "*" == lines[0]
    assert not {"!secrets", "!.env", "!."} & set(lines)
