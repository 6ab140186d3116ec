"""What is served follows the registry: promoted and rolled back under load, labels, canaries, MLflow's own page."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from pipeline.registry import promotion
from pipeline.store import fileio
from pipeline.store.layout import Workspace
from serving.client.client import Client
from serving.errors import ServingError

NAME = "digits"
PATIENCE_S = 120  # where the machine is busy


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Three models that answer with their version: x + 1, x + 2, x + 3."""
    import tensorflow as tf

    class Shift(tf.Module):
        def __init__(self, by):
            super().__init__()
            self.by = tf.Variable(by, dtype=tf.float32)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def predict(self, x):
            return {"y": x + self.by}

    base = tmp_path_factory.mktemp("saved")
    for version in (1, 2, 3):
        module = Shift(version)
        tf.saved_model.save(module, str(base / str(version)), signatures={"serving_default": module.predict})
    return base


def published(workspace, saved, *versions):
    """Versions as runs leave them: directory, run's record, and for the first one the alias."""

    for version in versions:
        shutil.copytree(saved / str(version), Workspace(workspace).model(NAME, version))
        folder = Workspace(workspace).run(f"{NAME}-{version}").root
        folder.mkdir(parents=True)
        result = {"run_id": folder.name, "recipe": NAME, "model_version": version, "steps": [{"name": "publish"}]}
        fileio.write_json(folder / "result.json", result)
    promotion.promote(Workspace(workspace), f"{NAME}@{versions[0]}")


def read(stream, until):
    lines = []
    while not lines or until not in lines[-1]:
        lines.append(stream.readline())
        assert lines[-1], "the server has ended"
    return lines


@contextlib.contextmanager
def serving(keraspipe, *arguments):
    """`keraspipe serve`: the addresses of REST and gRPC, and afterwards what it said at its end."""
    process = keraspipe.fork("serve", "--rest-port", "0", "--grpc-port", "0", *arguments)
    ended = {}
    try:
        lines = read(process.stdout, "gRPC")
        rest, rpc = (line.split()[1] for line in lines[-2:])
        yield rest.removesuffix("/v1/models/NAME:predict"), rpc, ended
    finally:
        process.send_signal(signal.SIGTERM)
        ended["out"], ended["err"] = process.communicate(timeout=60)
    assert 0 == process.returncode, ended["err"]


def version(client, name=NAME, **which):
    """The version that answers, by its answer."""
    return int(client.predict(name, {"x": np.zeros(1, np.float32)}, timeout_s=30, **which)["y"][0])


def waited(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


class Witness(threading.Thread):
    """Asks again and again, and keeps each version that answered after another one."""

    def __init__(self, address, **which):
        super().__init__(daemon=True)
        self.address, self.which, self.seen, self.done, self.error = address, which, [], threading.Event(), None
        self.start()

    def run(self):
        try:
            with Client(self.address) as client:
                while not self.done.is_set():
                    answered = version(client, **self.which)
                    if self.seen[-1:] != [answered]:
                        self.seen.append(answered)
        except Exception as error:  # noqa: BLE001 - the test fails with it
            self.error = error

    def saw(self, answered):
        waited(lambda: self.seen[-1:] == [answered] or self.error)


@pytest.mark.long
def test_promoted_and_rolled_back_under_load(keraspipe, saved):
    published(keraspipe.workspace, saved, 1, 2)
    assert 0 == keraspipe("challenger", f"{NAME}@2").code
    with serving(keraspipe) as (rest, rpc, _):
        witnesses = [Witness(rest), Witness(rpc), Witness(rest, label="champion"), Witness(rpc, label="champion")]
        load = ("--rate", "40", "--duration", "20", "--json")
        loads = [
            keraspipe.fork("loadtest", NAME, "--url", rest, *load),
            keraspipe.fork("loadtest", NAME, "--grpc", rpc, *load),
        ]
        for witness in witnesses:
            witness.saw(1)
        changes = [("promote", NAME, 2), ("rollback", NAME, 1)]
        for command, name, expected in changes:
            assert expected == keraspipe(command, name, "--json").json["champion"]
            for witness in witnesses:
                witness.saw(expected)
        results = [json.loads(one.communicate(timeout=PATIENCE_S)[0]) for one in loads]
        for witness in witnesses:
            witness.done.set()
            witness.join()
    assert [None] * 4 == [witness.error for witness in witnesses]
    assert [[1, 2, 1]] * 4 == [witness.seen for witness in witnesses]
    assert [0, 0] == [result["failed"] for result in results]
    assert [0, 0] == [one.returncode for one in loads]


def test_only_what_has_an_alias_is_served(keraspipe, saved):
    published(keraspipe.workspace, saved, 1, 3)
    with serving(keraspipe, NAME) as (rest, rpc, _), Client(rest) as client:
        assert 1 == version(client)
        with pytest.raises(Exception, match="Servable not found"):
            version(client, version=3)
        promotion.challenge(Workspace(keraspipe.workspace), f"{NAME}@3")
        waited(lambda: has(rest, f"{NAME}-challenger"))
        assert (1, 3) == (version(client), version(client, f"{NAME}-challenger", label="challenger"))
        answer = keraspipe("predict", f"{NAME}@1", "5", "--grpc", rpc, "--json")
        assert {"predictions": [{"y": 6.0}]} == answer.json
        promotion.withdraw(Workspace(keraspipe.workspace), NAME)
        waited(lambda: not has(rest, f"{NAME}-challenger"))


def has(rest, name):
    try:
        with urllib.request.urlopen(f"{rest}/v1/models/{name}", timeout=30) as answer:
            states = json.load(answer)["model_version_status"]
    except urllib.error.HTTPError:
        return False
    return any(one["state"] == "AVAILABLE" for one in states)


def test_a_server_that_polls_models_config_follows_with_its_labels(keraspipe, saved, tmp_path):
    """The labels' rules are TensorFlow Serving's here: they move to versions only that are available."""
    published(keraspipe.workspace, saved, 1, 2, 3)
    config = keraspipe.workspace / "serving" / "models.config"
    flags = [f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1", "--rest-port=0", "--port=0"]
    flags += ["--allow_version_labels_for_unavailable_models=true", f"--grpc_socket_path={tmp_path / 'rpc'}"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "serving", *flags], stderr=log, stdout=log, text=True)
    try:
        address = f"unix:{tmp_path / 'rpc'}"
        with Client(address) as client:
            client.wait_until_ready(NAME, timeout_s=PATIENCE_S)
            witness = Witness(address)
            for command, text, expected in (
                ("promote", f"{NAME}@2", 2),
                ("promote", f"{NAME}@3", 3),
                ("rollback", NAME, 2),
                ("rollback", NAME, 1),
            ):
                assert 0 == keraspipe(command, text).code
                witness.saw(expected)
                waited(lambda expected=expected: labelled(client) == expected)
            promotion.challenge(Workspace(keraspipe.workspace), f"{NAME}@3")
            client.wait_until_ready(f"{NAME}-challenger", timeout_s=PATIENCE_S)
            assert (1, 3) == (version(client), version(client, f"{NAME}-challenger"))
            witness.done.set()
            witness.join()
        assert (None, [1, 2, 3, 2, 1]) == (witness.error, witness.seen)
    finally:
        process.terminate()
        process.wait(60)


def labelled(client):
    """The version behind label `champion`; 0 while that has not moved yet to the one that is served."""
    try:
        return version(client, label="champion")
    except ServingError:
        return 0


def test_a_canary_of_both_transports_and_its_report(keraspipe, saved):
    published(keraspipe.workspace, saved, 1, 2)
    promotion.challenge(Workspace(keraspipe.workspace), f"{NAME}@2")
    inputs = [np.full(1, number, np.float32) for number in range(200)]
    with serving(keraspipe, "--canary", f"{NAME}=30%") as (rest, rpc, ended):
        for address in (rest, rpc):
            with Client(address) as client:
                waited(lambda: has(rest, f"{NAME}-challenger"))
                first, again = ([float(client.predict(NAME, {"x": x})["y"][0] - x[0]) for x in inputs] for _ in "ab")
                assert first == again  # by the request's hash, not by chance
                assert 30 <= first.count(2.0) <= 90
                assert 1 == version(client, label="champion") == version(client, version=1)
        with urllib.request.urlopen(f"{rest}/canary") as answer:
            report = json.load(answer)[NAME]
        with urllib.request.urlopen(f"{rest}/monitoring/prometheus/metrics") as answer:
            page = answer.read().decode()
    sides = report["champion"], report["challenger"]
    assert (0.3, 800) == (report["share"], sum(side["requests"] for side in sides))
    assert [([1], 0), ([2], 0)] == [(side["versions"], side["errors"]) for side in sides]
    assert all(0 < side["p50_ms"] <= side["p99_ms"] for side in sides)
    count = sides[1]["requests"]
    assert f'keraspipe_canary_requests_total{{model="{NAME}",side="challenger",version="2",code="OK"}} {count}' in page
    assert f"Canary {NAME}: challenger version 2: {count} requests, 0 errors, p50 " in ended["err"]


def test_what_a_side_cannot_read_is_an_error_of_that_side(keraspipe, saved):
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    published(keraspipe.workspace, saved, 1, 2)
    promotion.challenge(Workspace(keraspipe.workspace), f"{NAME}@2")
    with serving(keraspipe, "--canary", f"{NAME}=30%") as (rest, rpc, _), grpc.insecure_channel(rpc) as channel:
        waited(lambda: has(rest, f"{NAME}-challenger"))
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for number in range(50):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                urllib.request.urlopen(
                    f"{rest}/v1/models/{NAME}:predict", json.dumps({"inputs": {"renamed": [number]}}).encode()
                )
            asked = predict_pb2.PredictRequest()
            asked.model_spec.name = NAME
            asked.inputs["renamed"].float_val.append(number)
            with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
                stub.Predict(asked)
        with urllib.request.urlopen(f"{rest}/canary") as answer:
            report = json.load(answer)[NAME]
    sides = report["champion"], report["challenger"]
    assert [side["requests"] for side in sides] == [side["errors"] for side in sides]
    assert 100 == sum(side["errors"] for side in sides)
    assert 10 <= sides[1]["errors"] <= 50
    assert [[1], [2]] == [side["versions"] for side in sides]


def test_whom_the_challenger_answered_never_goes_back(keraspipe, saved):
    published(keraspipe.workspace, saved, 1, 2)
    promotion.challenge(Workspace(keraspipe.workspace), f"{NAME}@2")
    with serving(keraspipe, "--canary", f"{NAME}=100%") as (rest, rpc, _):
        waited(lambda: has(rest, f"{NAME}-challenger"))
        witnesses = [Witness(rest), Witness(rpc)]
        for witness in witnesses:
            witness.saw(2)
        promotion.promote(Workspace(keraspipe.workspace), NAME)
        waited(lambda: not has(rest, f"{NAME}-challenger"))
        promotion.rollback(Workspace(keraspipe.workspace), NAME)
        for witness in witnesses:
            witness.saw(1)
            witness.done.set()
            witness.join()
    assert [(None, [2, 1])] * 2 == [(witness.error, witness.seen) for witness in witnesses]


def test_grpc_answers_name_the_model_that_was_asked_and_the_version_that_answered(keraspipe, saved):
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    published(keraspipe.workspace, saved, 1, 2)
    promotion.challenge(Workspace(keraspipe.workspace), f"{NAME}@2")
    request = predict_pb2.PredictRequest()
    request.model_spec.name = NAME
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=1)
    request.inputs["x"].float_val.append(0.0)
    with serving(keraspipe, "--canary", f"{NAME}=100%") as (rest, rpc, _), grpc.insecure_channel(rpc) as channel:
        waited(lambda: has(rest, f"{NAME}-challenger"))
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
        assert (NAME, 2) == (answer.model_spec.name, answer.model_spec.version.value)
        promotion.withdraw(Workspace(keraspipe.workspace), NAME)
        waited(lambda: not has(rest, f"{NAME}-challenger"))
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
        assert (NAME, 1) == (answer.model_spec.name, answer.model_spec.version.value)
