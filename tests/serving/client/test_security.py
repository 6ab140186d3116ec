"""Addresses, tokens and TLS."""

from __future__ import annotations

import asyncio
import http.server
import json
import shutil
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2

from serving.client.async_client import AsyncClient
from serving.client.client import Client
from serving.client.endpoint import parse_endpoint
from serving.errors import InvalidArgument, Unavailable

both_kinds = pytest.mark.parametrize("kind", ["sync", "async"])
AVAILABLE = {"model_version_status": [{"version": "3", "state": "AVAILABLE", "status": {"error_message": ""}}]}


def status(kind, address, **options):
    """The versions that a client of either kind sees."""
    if kind == "sync":
        with Client(address, attempts=1, **options) as client:
            return [one.version for one in client.status("m")]

    async def asked():
        async with AsyncClient(address, attempts=1, **options) as client:
            return [one.version for one in await client.status("m")]

    return asyncio.run(asked())


@pytest.mark.parametrize(
    ("address", "rest", "secure", "where", "host"),
    [
        ("http://a:8501", True, False, "http://a:8501", "a"),
        ("http://a", True, False, "http://a", "a"),
        ("https://a/team/", True, True, "https://a/team", "a"),
        ("HTTP://[::1]:8501/", True, False, "http://[::1]:8501", "::1"),
        ("grpc://a:1", False, False, "a:1", "a"),
        ("grpc://a", False, False, "a:8500", "a"),
        ("grpcs://a:1", False, True, "a:1", "a"),
        ("a:8500", False, False, "a:8500", "a"),
        ("[::1]:8500", False, False, "[::1]:8500", "::1"),
        ("unix:/tmp/s", False, False, "unix:/tmp/s", ""),
        ("unix:///tmp/s", False, False, "unix:///tmp/s", ""),
    ],
)
def test_addresses(address, rest, secure, where, host):
    found = parse_endpoint(address)
    assert (rest, secure, where, host) == (found.rest, found.secure, found.where, found.host)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "http://",
        "ftp://a:1",
        "grpc://a:1/x",
        "a:b",
        "a:0",
        "a:99999",
        "http://a?x=1",
        "http://a b",
        "unix:",
        "http://[::1",
    ],
)
def test_no_address(address):
    with pytest.raises(
        InvalidArgument, match=r"no address of a model server.\nExpected: http://HOST.*\nReceived: .*\n"
    ):
        Client(address)


def test_a_password_in_an_address_is_not_repeated():
    with pytest.raises(InvalidArgument) as caught:
        Client("http://me:secret@a:8501")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["http://10.0.0.1:8501", "10.0.0.1:8500", "grpc://example.org", "http://a.localhost.b"]
)
def test_a_token_does_not_leave_the_machine_unencrypted(address):
    with pytest.raises(InvalidArgument, match=r"unencrypted[\s\S]*Next: use TLS, or pass insecure=True") as caught:
        Client(address, token="secret")
    assert "secret" not in str(caught.value)
    Client(address, token="secret", insecure=True).close()


@pytest.mark.parametrize("token", ["a b", "secret\n", "sécret"])
def test_a_token_that_no_header_can_hold(token):
    with pytest.raises(InvalidArgument, match=r"The token cannot be sent") as caught:
        Client("https://a", token=token)
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1", "http://localhost:1", "[::1]:1", "unix:/s", "https://a", "grpcs://a"]
)
def test_a_token_may_go(address):
    Client(address, token="secret").close()


def test_certificates_need_tls_and_files(tmp_path):
    with pytest.raises(InvalidArgument, match=r"of no use without TLS"):
        Client("http://127.0.0.1:1", ca=tmp_path / "ca.pem")
    with pytest.raises(InvalidArgument, match=r"A certificate file is missing[\s\S]*Received: .*ca.pem"):
        Client("grpcs://127.0.0.1:1", ca=tmp_path / "ca.pem")
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(InvalidArgument, match=r"The certificate cannot be sent"):
        Client("https://127.0.0.1:1", ca=tmp_path / "ca.pem")


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Certificate and key of 127.0.0.1, signed by itself; also the client's."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate, and is not installed")
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", "req", "-x509", *kind, *names, *files], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.tokens.append(self.headers["Authorization"])
        body = json.dumps(AVAILABLE).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that breaks the handshake off is what some tests are about."""


@pytest.fixture
def rest(pem):
    """An HTTPS server that asks for a client certificate and notes tokens."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pem[0])
    context.load_cert_chain(*pem)
    context.verify_mode = ssl.CERT_REQUIRED
    server = _Server(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.tokens = []
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}", server.tokens
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def rpc(pem):
    """A gRPC server over TLS that asks for a client certificate and notes tokens."""
    certificate, key = (path.read_bytes() for path in pem)
    tokens = []

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(self.answered)

        def answered(self, _body, context):
            tokens.append(dict(context.invocation_metadata()).get("authorization"))
            reply = get_model_status_pb2.GetModelStatusResponse()
            reply.model_version_status.add(version=3, state=30)
            return reply.SerializeToString()

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
    credentials = grpc.ssl_server_credentials([(key, certificate)], certificate, require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield f"grpcs://127.0.0.1:{port}", tokens
    server.stop(0).wait()


@pytest.fixture(params=["rest", "rpc"])
def secure(request):
    return request.getfixturevalue(request.param)


@pytest.mark.process
@both_kinds
def test_tls_with_a_client_certificate_and_a_token(kind, secure, pem):
    address, tokens = secure
    assert [3] == status(kind, address, ca=pem[0], certificate=pem, token="secret")
    assert ["Bearer secret"] == tokens


@pytest.mark.process
@both_kinds
def test_an_unknown_authority(kind, secure, pem):
    with pytest.raises(Unavailable, match=r"does not answer[\s\S]*Next: pass ca=PATH"):
        status(kind, secure[0], certificate=pem)
    assert [] == secure[1]


@pytest.mark.process
@both_kinds
def test_no_client_certificate(kind, secure, pem):
    with pytest.raises(Unavailable):
        status(kind, secure[0], ca=pem[0])
    assert [] == secure[1]
