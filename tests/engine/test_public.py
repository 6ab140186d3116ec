"""The profile `public`: one port with TLS, which answers nobody without a password or a token."""

import base64
import json
import ssl
import urllib.error
import urllib.request

import pytest

from serving.client.client import Client
from serving.errors import Unauthenticated


@pytest.fixture(scope="module")
def gateway(stack, published):
    """(path, authorization, body, headers) -> status and text over TLS."""
    stack.compose("--profile", "public", "up", "--detach", "--wait", "gateway")
    trusted = ssl.create_default_context(cafile=str(stack.folder / "secrets/tls.crt"))

    def ask(path: str, authorization: str = "", body: dict | None = None, **headers: str) -> tuple[int, str]:
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Authorization": authorization, **headers}
        request = urllib.request.Request(f"https://localhost:{stack.ports['PUBLIC_PORT']}{path}", data, sent)
        try:
            with urllib.request.urlopen(request, context=trusted, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    yield ask
    stack.compose("--profile", "public", "rm", "--stop", "--force", "gateway")


def secret(stack, name: str) -> str:
    return (stack.folder / "secrets" / name).read_text().strip()


@pytest.fixture(scope="module")
def basic(stack):
    return "Basic " + base64.b64encode(f"keraspipe:{secret(stack, 'gateway_password')}".encode()).decode()


@pytest.fixture(scope="module")
def bearer(stack):
    return f"Bearer {secret(stack, 'gateway_token')}"


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic a2VyYXNwaXBlOndyb25n"])
@pytest.mark.parametrize("path", ["/", "/api/2.0/mlflow/experiments/get?experiment_id=0", "/v1/models/digits"])
def test_nobody_gets_in_without_a_password(gateway, path, authorization):
    status, text = gateway(path, authorization)
    assert 401 == status
    assert "gateway_password" in text


def test_mlflow_answers_who_knows_the_password(gateway, basic):
    status, text = gateway("/api/2.0/mlflow/experiments/get?experiment_id=0", basic)
    assert (200, "Default") == (status, json.loads(text)["experiment"]["name"])


@pytest.mark.parametrize(("origin", "status"), [("gateway.test", 200), ("elsewhere.test", 403)])
def test_a_browser_changes_things_from_mlflows_own_page_only(stack, gateway, basic, origin, status):
    port = stack.ports["PUBLIC_PORT"]
    headers = {"Host": f"gateway.test:{port}", "Origin": f"https://{origin}:{port}"}
    body = {"name": f"made from {origin}"}
    assert status == gateway("/ajax-api/2.0/mlflow/experiments/create", basic, body, **headers)[0]


def test_rest_answers_who_has_the_token(gateway, bearer, digit_image):
    encoded = base64.b64encode(digit_image.read_bytes()).decode()
    body = {"instances": [{"image_bytes": {"b64": encoded}}]}
    status, text = gateway("/v1/models/digits:predict", bearer, body)
    assert (200, "0") == (status, json.loads(text)["predictions"][0]["label"])


def test_grpc_answers_who_has_the_token(stack, gateway, bearer, digit_image):
    address, trusted = f"grpcs://localhost:{stack.ports['PUBLIC_PORT']}", stack.folder / "secrets/tls.crt"
    inputs = {"image_bytes": [digit_image]}
    with Client(address, token=bearer.removeprefix("Bearer "), ca=trusted) as client:
        assert b"0" == client.predict("digits", inputs)["label"][0]
    with Client(address, token="wrong", ca=trusted) as client, pytest.raises(Unauthenticated):
        client.predict("digits", inputs, timeout_s=10)
