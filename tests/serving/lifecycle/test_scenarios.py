"""A real server over a config file: new lists over gRPC, canary versions, a file that changes, a failing start."""

from __future__ import annotations

import shutil
import signal
import threading

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

LOADING = {"poll_seconds": 0.1, "config_poll_seconds": 0.1, "retry_seconds": 0.05, "max_retries": 1}


def _config(base, *models):
    """A `model_config_list` of names, or of names with more lines."""
    listed = [model if isinstance(model, tuple) else (model, "") for model in models]
    return (
        "model_config_list { "
        + " ".join(
            f'config {{ name: "{name}" base_path: "{base}/{name}" model_platform: "tensorflow" {extra} }}'
            for name, extra in listed
        )
        + " }"
    )


def _label(name, version):
    return f' version_labels {{ key: "{name}" value: {version} }}'


class Fleet:
    """A server over a config file, with its gRPC services."""

    def __init__(self, running, base, file, channel):
        self.running, self.base, self.file = running, base, file
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def reload(self, *models, text=None):
        request = model_management_pb2.ReloadConfigRequest()
        text_format.Parse(_config(self.base, *models) if text is None else text, request.config)
        return self.models.HandleReloadConfigRequest(request, timeout=60)

    def refused(self, *models, text=None):
        with pytest.raises(grpc.RpcError) as caught:
            self.reload(*models, text=text)
        return caught.value.code(), caught.value.details()

    def states(self, name):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        kind = get_model_status_pb2.ModelVersionStatus.State
        try:
            found = self.models.GetModelStatus(request, timeout=20).model_version_status
        except grpc.RpcError as error:
            assert grpc.StatusCode.NOT_FOUND == error.code()  # noqa: PT017 - anything else is no answer
            return {}
        return {one.version: kind.Name(one.state) for one in found}

    def version(self, name, label=None):
        """The version that answers, or the error's text."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = name
        if label:
            request.model_spec.version_label = label
        request.inputs["x"].dtype = 1
        request.inputs["x"].tensor_shape.dim.add(size=1)
        request.inputs["x"].float_val.append(2.0)
        try:
            return self.predictions.Predict(request, timeout=20).model_spec.version.value
        except grpc.RpcError as error:
            return error.details()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, saved, run_server):
    """Serves `a` and `b`; `c` and the versions 123 and 124 of `two` lie ready."""
    base = tmp_path_factory.mktemp("fleet")
    for name in ("a/1", "b/1", "c/1", "two/123", "two/124"):
        shutil.copytree(saved / "linear_1", base / name)
    file = base / "models.config"
    file.write_text(_config(base, "a", "b"))
    with (
        run_server(base, model_config_file=str(file), loading=LOADING) as running,
        grpc.insecure_channel(running.grpc) as channel,
    ):
        yield Fleet(running, base, file, channel)


def test_a_new_list_is_answered_when_it_is_served(fleet, wait_for):
    response = fleet.reload("b", "c")
    assert 0 == response.status.error_code
    assert (1, 1) == (fleet.version("b"), fleet.version("c"))
    wait_for(lambda: fleet.states("a") == {1: "END"})
    assert "Servable not found for request: Latest(a)" == fleet.version("a")
    fleet.reload(text="model_config_list {}")
    wait_for(lambda: fleet.states("c") == {1: "END"})
    fleet.reload("a", "b")
    assert (1, 1) == (fleet.version("a"), fleet.version("b"))


def test_lists_that_are_refused(fleet):
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    fleet.reload("a")
    assert (invalid, "Illegal to list model a multiple times in config list") == fleet.refused("a", "a")
    relative = _config(fleet.base, "x").replace(f"{fleet.base}/x", "rel/x")
    assert (
        invalid,
        "Expected model x to have an absolute path or URI; got base_path()=rel/x",
    ) == fleet.refused(text=relative)
    other = _config(fleet.base, "a").replace('"tensorflow"', '"other"')
    assert (
        invalid,
        "Illegal to change a model's platform. For model a platform was tensorflow and new platform requested is other",
    ) == fleet.refused(text=other)
    code, text = fleet.refused(text="custom_model_config {}")
    assert invalid == code
    assert text.startswith("ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList")
    assert 1 == fleet.version("a")


def test_a_model_that_cannot_be_loaded_is_reported(fleet):
    broken = fleet.base / "broken" / "5"
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    code, text = fleet.refused("a", "broken")
    assert grpc.StatusCode.UNKNOWN == code
    assert text.startswith("1 servable(s) did not become available: {{{name: broken version: 5} due to error: ")
    assert (1, {5: "END"}) == (fleet.version("a"), fleet.states("broken"))


def test_canary_promotion(fleet, wait_for):
    both = "model_version_policy { specific { versions: 123 versions: 124 } }"
    fleet.reload(("two", both))
    wait_for(lambda: fleet.states("two") == {123: "AVAILABLE", 124: "AVAILABLE"})
    fleet.reload(("two", both + _label("stable", 123) + _label("canary", 124)))
    assert (123, 124) == (fleet.version("two", "stable"), fleet.version("two", "canary"))
    assert (
        grpc.StatusCode.FAILED_PRECONDITION,
        "Request to assign label to version 125 of model two, which is not currently available for inference",
    ) == fleet.refused(("two", both + _label("stable", 125)))
    fleet.reload(("two", both + _label("stable", 124)))
    assert 124 == fleet.version("two", "stable")
    assert "Unrecognized servable version label: canary" == fleet.version("two", "canary")
    fleet.reload(("two", ""))
    wait_for(lambda: fleet.states("two") == {123: "END", 124: "AVAILABLE"})


def test_the_config_file_is_followed(fleet, wait_for):
    fleet.file.write_text("nonsense {")
    fleet.reload("a")
    fleet.file.write_text(_config(fleet.base, "c", ("two", "model_version_policy { all {} }")))
    wait_for(lambda: (fleet.version("c"), fleet.version("two")) == (1, 124))
    wait_for(lambda: fleet.states("a") == {1: "END"})


def test_a_base_path_that_is_away_changes_nothing(fleet, saved, wait_for):
    fleet.reload("b", "c")
    away = fleet.base / "away"
    (fleet.base / "c").rename(away)
    shutil.copytree(saved / "linear_2", fleet.base / "b" / ".2")
    (fleet.base / "b" / ".2").rename(fleet.base / "b" / "2")
    threading.Event().wait(0.5)
    assert (1, 1) == (fleet.version("b"), fleet.version("c"))
    away.rename(fleet.base / "c")
    wait_for(lambda: fleet.version("b") == 2)


# The start of tensorflow_model_server's stand-in


@pytest.fixture
def start(tmp_path, run_serving):
    """Starts it with a socket, and with flags."""
    return lambda *flags: run_serving("--port=0", f"--grpc_socket_path={tmp_path}/grpc.sock", *flags)


def test_a_broken_config_file_stops_the_start(start, tmp_path):
    file = tmp_path / "models.config"
    file.write_text("this is no config {")
    with start(f"--model_config_file={file}") as (process, output):
        out = output.read()
        code = process.wait(timeout=60)
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig" in out
    assert 0 != code


def test_a_model_that_cannot_be_loaded_stops_the_start(start, tmp_path):
    broken = tmp_path / "m" / "2"
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    flags = ("--model_name=m", f"--model_base_path={tmp_path / 'm'}", "--max_num_load_retries=0")
    with start(*flags) as (process, output):
        out = output.read()
        code = process.wait(timeout=60)
    assert (
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: "
        "{{{name: m version: 2} due to error: "
    ) in out
    assert 255 == code


def test_a_start_that_waits_for_a_retry_can_be_stopped(start, tmp_path):
    broken = tmp_path / "m" / "2"
    broken.mkdir(parents=True)
    with start("--model_name=m", f"--model_base_path={tmp_path / 'm'}") as (process, output):
        lines = []
        for line in output:
            lines.append(line)
            if "next attempt in 60.0 s" in line:
                break
        process.send_signal(signal.SIGTERM)
        output.read()
        code = process.wait(timeout=30)
    assert "m version 2 cannot be loaded, next attempt in 60.0 s" in lines[-1]
    assert 0 == code
