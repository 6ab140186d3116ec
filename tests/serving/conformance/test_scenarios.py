"""Scenarios of tensorflow_model_server's flags, with `python -m serving` in its place."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

ROOT = Path(__file__).parents[3]


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _command(*flags):
    return [sys.executable, "-m", "serving", *flags]


def _predict(target):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "half"
    request.inputs["x"].dtype = 1
    request.inputs["x"].float_val.append(2.0)
    request.inputs["x"].tensor_shape.dim.add(size=1)
    with grpc.insecure_channel(target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return list(stub.Predict(request, timeout=60).outputs["y"].float_val)


def test_unix_socket_and_channel_arguments(served, tmp_path, run_serving):
    """scn-50, scn-51: the socket answers beside the port, and gRPC's own arguments are passed on."""
    path, port = tmp_path / "x.sock", _free_port()
    flags = ["--model_name=half", f"--model_base_path={served / 'half'}", f"--grpc_socket_path={path}"]
    arguments = "--grpc_channel_arguments=grpc.max_connection_age_ms=2000,grpc.lb_policy_name=grpclb"
    with run_serving(f"--port={port}", arguments, *flags, errors=tmp_path / "err.txt") as (process, output):
        assert any(line.startswith("Running gRPC ModelServer at UNIX") for line in output), "the server has ended"
        assert [4.0] == _predict(f"unix:{path}")
        assert [4.0] == _predict(f"127.0.0.1:{port}")
        process.terminate()
        assert 0 == process.wait(60)
    assert not path.exists()


@pytest.mark.process
@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            ["--batching_parameters_file=x"],
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true.",
        ),
        (
            ["--enable_batching", "--batching_parameters_file=/nowhere/at/all"],
            "/nowhere/at/all",
        ),
    ],
)
def test_batching_files_that_cannot_be(served, flags, text):
    """scn-49."""
    result = subprocess.run(
        _command(f"--port={_free_port()}", "--model_name=half", f"--model_base_path={served / 'half'}", *flags),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert (255, True) == (result.returncode, text in result.stdout), result.stdout + result.stderr
