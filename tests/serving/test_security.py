"""Tokens and TLS on both transports, with the clients that people use and with raw sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from types import SimpleNamespace

import grpc
import pytest
import trustme

from serving.client.client import Client
from serving.errors import Code, InvalidArgument, ServingError, Unauthenticated, Unavailable
from serving.loadtest import generator
from serving.loadtest.generator import run
from serving.loadtest.request import target_for_model
from serving.loadtest.target import Load
from serving.options import Security
from serving.security import grpc_credentials, rest_tls_context, rest_token_check, token_check

TOKEN = "correct-horse"


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Files of an authority, of the server and a client that it signed, and of a stranger."""
    folder = tmp_path_factory.mktemp("pem")
    authority, stranger = trustme.CA(), trustme.CA()
    files = SimpleNamespace(ca=folder / "ca.pem", stranger=folder / "stranger.pem")
    authority.cert_pem.write_to_path(files.ca)
    stranger.cert_pem.write_to_path(files.stranger)
    issued = {
        "server": authority.issue_cert("127.0.0.1", "localhost"),
        "client": authority.issue_cert("client"),
        "intruder": stranger.issue_cert("client"),
    }
    for name, one in issued.items():
        chain, key = folder / f"{name}.pem", folder / f"{name}.key"
        for blob in one.cert_chain_pems:
            blob.write_to_path(chain, append=True)
        one.private_key_pem.write_to_path(key)
        setattr(files, name, (chain, key))
    return files


@pytest.fixture(scope="module")
def guarded(run_server, served):
    """A server with a token, without TLS."""
    with run_server(served, security={"token": TOKEN}, health_service=True) as running:
        yield running


@pytest.fixture(scope="module")
def mutual(run_server, served, pem):
    """A server with a token, TLS and client certificates."""
    certificate, key = map(str, pem.server)
    security = {"token": TOKEN, "certificate": certificate, "key": key, "client_ca": str(pem.ca)}
    with run_server(served, security=security) as running:
        yield running


@pytest.fixture(scope="module")
def configured(run_server, served, pem, tmp_path_factory):
    """A server with TensorFlow Serving's own file for TLS on gRPC."""
    path = tmp_path_factory.mktemp("ssl") / "ssl.txt"
    certificate, key = (file.read_text() for file in pem.server)
    path.write_text(f"server_key: {json.dumps(key)}\nserver_cert: {json.dumps(certificate)}\n")
    with run_server(served, security={"grpc_ssl_config_file": str(path)}) as running:
        yield running


def ask(running, path, authorization=None, method="GET", body=None):
    """Status and body of a raw request."""
    connection = http.client.HTTPConnection(running.rest.removeprefix("http://"), timeout=60)
    with contextlib.closing(connection):
        headers = {} if authorization is None else {"Authorization": authorization}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())


def addresses(running, secure=""):
    return [running.rest, f"grpc{secure}://{running.grpc}"]


WRONG = [
    None,
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    f"Basic {TOKEN}",
    TOKEN,
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    "Bearer \xe9\xff",
]


@pytest.mark.parametrize("authorization", WRONG)
@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/half",
        "/v1/models/nothing/metadata",
        "/models",
        "/models/half/openapi.json",
        "/monitoring/prometheus/metrics",
        "/nowhere",
        "/healthz?",
        "/HEALTHZ",
    ],
)
def test_rest_without_the_token(guarded, path, authorization):
    status, body, headers = ask(guarded, path, authorization)
    assert (401, "Bearer") == (status, headers["WWW-Authenticate"])
    assert ["error"] == list(json.loads(body))
    assert TOKEN not in body.decode()


@pytest.mark.parametrize("path", ["/monitoring/prometheus/metrics", "/models", "/v1/", "/nowhere"])
@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "POST", "PUT", "TRACE"])
def test_no_method_goes_around_the_token(guarded, method, path):
    assert 401 == ask(guarded, path, method=method)[0]


@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_rest_with_the_token(guarded, authorization):
    body = json.dumps({"instances": [2.0]})
    assert 200 == ask(guarded, "/v1/models/half:predict", authorization, "POST", body)[0]
    assert 200 == ask(guarded, "/monitoring/prometheus/metrics", authorization)[0]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_need_no_token(guarded, path):
    assert 200 == ask(guarded, path)[0]


def test_a_browser_may_ask_whether_it_may_ask(guarded):
    connection = http.client.HTTPConnection(guarded.rest.removeprefix("http://"), timeout=60)
    with contextlib.closing(connection):
        connection.request("OPTIONS", "/v1/models/half:predict", headers={"Origin": "https://example.org"})
        assert 200 == connection.getresponse().status


def test_a_body_without_the_token_is_not_read(guarded):
    connection = http.client.HTTPConnection(guarded.rest.removeprefix("http://"), timeout=60)
    with contextlib.closing(connection):
        connection.putrequest("POST", "/v1/models/half:predict")
        connection.putheader("Content-Length", str(2**30))
        connection.endheaders()
        assert 401 == connection.getresponse().status


@pytest.mark.parametrize("authorization", [None, "", "Bearer", f"Basic {TOKEN}", "Bearer wrong"])
@pytest.mark.parametrize(
    "method",
    [
        "tensorflow.serving.PredictionService/Predict",
        "tensorflow.serving.ModelService/GetModelStatus",
        "tensorflow.serving.ModelService/HandleReloadConfigRequest",
        "nothing.Like/This",
    ],
)
def test_grpc_without_the_token(guarded, method, authorization):
    metadata = [] if authorization is None else [("authorization", authorization)]
    with grpc.insecure_channel(guarded.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{method}")(b"", timeout=60, metadata=metadata)
    assert grpc.StatusCode.UNAUTHENTICATED is caught.value.code()
    assert TOKEN not in caught.value.details()


def test_clients_with_and_without_the_token(guarded):
    for address in addresses(guarded):
        with Client(address, token=TOKEN) as client:
            assert [3.0] == client.predict("half", {"x": [0.0]})["y"].tolist()
        for wrong in ("", "wrong"):
            with Client(address, token=wrong, attempts=1) as client, pytest.raises(Unauthenticated):
                client.predict("half", {"x": [0.0]})


def test_clients_with_tls_a_certificate_and_a_token(mutual, pem):
    assert mutual.rest.startswith("https://")
    for address in addresses(mutual, "s"):
        with Client(address, token=TOKEN, ca=pem.ca, certificate=pem.client) as client:
            assert [3.0] == client.predict("half", {"x": [0.0]})["y"].tolist()
        with (
            Client(address, token="wrong", ca=pem.ca, certificate=pem.client, attempts=1) as client,
            pytest.raises(Unauthenticated),
        ):
            client.status("half")


@pytest.mark.parametrize("who", ["nobody", "intruder"])
def test_clients_without_a_certificate_of_the_authority(mutual, pem, who):
    certificate = getattr(pem, who, None)
    for address in addresses(mutual, "s"):
        with (
            Client(address, token=TOKEN, ca=pem.ca, certificate=certificate, attempts=1) as client,
            pytest.raises(Unavailable),
        ):
            client.status("half")


def test_clients_that_do_not_trust_the_server(mutual, pem):
    for address in addresses(mutual, "s"):
        with (
            Client(address, token=TOKEN, ca=pem.stranger, certificate=pem.client, attempts=1) as client,
            pytest.raises(Unavailable),
        ):
            client.status("half")


def test_old_tls_is_not_spoken(mutual, pem):
    host, port = mutual.rest.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=pem.ca)
    context.load_cert_chain(*pem.client)
    with contextlib.closing(http.client.HTTPSConnection(host, int(port), context=context, timeout=60)) as connection:
        connection.request("GET", "/healthz")
        assert connection.sock.version() in {"TLSv1.2", "TLSv1.3"}
        assert 200 == connection.getresponse().status
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(SimpleNamespace(rest=f"http://{host}:{port}"), "/healthz")


def test_tensorflow_servings_file_is_about_grpc_only(configured, pem):
    rest, rpc = addresses(configured, "s")
    assert rest.startswith("http://")
    with Client(rest) as client:
        assert client.status("half")
    with Client(rpc, ca=pem.ca) as client:
        assert [3.0] == client.predict("half", {"x": [0.0]})["y"].tolist()
    with Client(f"grpc://{configured.grpc}", attempts=1) as client, pytest.raises(ServingError):
        client.status("half")


def test_load_over_tls(configured, pem):
    target = target_for_model("half", grpc=addresses(configured, "s")[1], ca=str(pem.ca))
    generator.check_target(target)
    result = run(target, Load(concurrency=2, duration_s=0.2, warmup_s=0))
    assert {} == result.errors
    assert result.requests > 0


# The checks themselves.


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer \udcff", "Bearer é", "Bearer x y"])
def test_whatever_is_sent_is_compared(authorization):
    assert not token_check("x")(authorization)


def test_no_token_lets_everyone_in():
    assert token_check("")("")
    assert rest_token_check("")("DELETE", b"/anything", "")


def test_a_server_without_tls():
    assert (None, None) == (rest_tls_context(Security()), grpc_credentials(Security()))


@pytest.mark.parametrize("given", [("certificate",), ("key",), ("client_ca",), ("certificate", "client_ca")])
def test_half_of_tls_is_an_error_and_not_none(pem, given):
    files = {"certificate": pem.server[0], "key": pem.server[1], "client_ca": pem.ca}
    security = Security(**{name: files[name] for name in given})
    for make in (rest_tls_context, grpc_credentials):
        with pytest.raises(InvalidArgument, match=rf"Received: only {', '.join(given)}\n"):
            make(security)


def _broken(pem, tmp_path):
    text = tmp_path / "text.pem"
    text.write_text("no PEM")
    return {
        "the key of another": {"certificate": pem.server[0], "key": pem.client[1]},
        "no certificate": {"certificate": text, "key": pem.server[1]},
        "no key": {"certificate": pem.server[0], "key": text},
        "no file": {"certificate": tmp_path / "none.pem", "key": pem.server[1]},
        "no authority": {"certificate": pem.server[0], "key": pem.server[1], "client_ca": text},
    }


@pytest.mark.parametrize("case", ["the key of another", "no certificate", "no key", "no file", "no authority"])
def test_broken_files_end_the_start(pem, tmp_path, case):
    for make in (rest_tls_context, grpc_credentials):
        with pytest.raises(InvalidArgument, match=r"TLS cannot be set up\.\nExpected: .*\nReceived: .*\nNext: "):
            make(Security(**_broken(pem, tmp_path)[case]))


def test_a_key_with_a_password_does_not_ask_the_terminal(pem, tmp_path):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(pem.server[1].read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(InvalidArgument, match=r"without a password"):
        rest_tls_context(Security(certificate=pem.server[0], key=locked))


def test_tensorflow_servings_file_with_a_broken_key(pem, tmp_path):
    path = tmp_path / "ssl.txt"
    certificate = json.dumps(pem.server[0].read_text())
    path.write_text(f"server_key: 'x'\nserver_cert: {certificate}\n")
    with pytest.raises(InvalidArgument, match=r"TLS cannot be set up"):
        grpc_credentials(Security(grpc_ssl_config_file=path))


@pytest.mark.parametrize("extra", ["client_verify: true", "custom_ca: {ca}\nclient_verify: true", "custom_ca: {ca}"])
def test_tensorflow_servings_file_with_authorities(pem, tmp_path, extra, monkeypatch):
    path = tmp_path / "ssl.txt"
    certificate, key, authority = (json.dumps(file.read_text()) for file in (*pem.server, pem.ca))
    path.write_text(f"server_key: {key}\nserver_cert: {certificate}\n{extra.format(ca=authority)}\n")
    system = SimpleNamespace(cafile=str(pem.ca))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: system)
    assert isinstance(grpc_credentials(Security(grpc_ssl_config_file=path)), grpc.ServerCredentials)
    if "custom_ca" not in extra:
        system.cafile = None
        with pytest.raises(InvalidArgument, match=r"custom_ca"):
            grpc_credentials(Security(grpc_ssl_config_file=path))


@pytest.fixture(scope="module")
def controlled(run_server, served):
    """A server with a token for all, and one for calls that change what is served."""
    with run_server(served, security={"token": TOKEN, "control_token": "control"}) as running:
        yield running


def _list_of(base, prefix=""):
    log = (
        f' logging_config {{ log_collector_config {{ type: "tfrecord" filename_prefix: "{prefix}" }} }}'
        if prefix
        else ""
    )
    return (
        f'model_config_list {{ config {{ name: "half" base_path: "{base}/half" model_platform: "tensorflow" {log} }} }}'
    )


def test_what_is_served_changes_with_a_token_of_its_own_only(controlled, guarded, served):
    for running, token in ((controlled, TOKEN), (guarded, TOKEN)):
        with Client(running.grpc, token=token) as client:
            with pytest.raises(
                ServingError, match="a token of their own: start the server with --control-token"
            ) as caught:
                client.reload(_list_of(served))
            assert Code.PERMISSION_DENIED is caught.value.code
            assert [2] == [one.version for one in client.status("half")]
    with Client(controlled.grpc, token="control") as client:
        client.reload(_list_of(served))
        with pytest.raises(Unauthenticated):
            client.status("half")


def test_no_call_names_a_folder_outside_those_of_the_start(controlled, served, tmp_path):
    with Client(controlled.grpc, token="control") as client:
        for config in (_list_of(tmp_path), _list_of(f"{served}/../other"), _list_of(served, str(tmp_path / "log"))):
            with pytest.raises(
                InvalidArgument, match=r"another folder[\s\S]*Expected: below[\s\S]*Received: [\s\S]*Next: "
            ):
                client.reload(config)
    assert not (tmp_path / "log").exists()
