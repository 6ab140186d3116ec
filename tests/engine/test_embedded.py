"""The profile `embedded`: the embedded server takes over the same ports."""

import base64

import pytest


@pytest.fixture(scope="module")
def embedded(stack, published):
    stack.compose("--profile", "embedded", "up", "--detach", "--wait", "--scale", "serving=0", "embedded", "balancer")
    yield stack
    stack.compose("up", "--detach", "--wait", "serving", "balancer")
    stack.compose("--profile", "embedded", "rm", "--force", "--stop", "embedded")


def test_it_answers_on_the_same_ports(embedded, digit_image, client, wait_for):
    assert [] == embedded.compose("ps", "--quiet", "serving").split()
    encoded = base64.b64encode(digit_image.read_bytes()).decode()
    body = {"instances": [{"image_bytes": {"b64": encoded}}]}
    wait_for(lambda: embedded.get("REST_PORT", "/v1/models/digits:predict", body)["predictions"], "REST")
    with client(embedded.grpc) as predict:
        assert [b"0"] == list(predict("digits", digit_image.read_bytes()).outputs["label"].string_val)


def test_it_keeps_a_sample_of_the_requests(embedded, load, wait_for):
    listed = "find /workspace/request-log -type f -size +0"
    with load() as asked:
        wait_for(lambda: asked.failures or embedded.inside("embedded", listed), "a file of the request log")
    assert [] == asked.failures
