"""`python -m serving`, the process: command lines of scripts, output, exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import types
import urllib.request
from pathlib import Path

import grpc
import pytest

from serving import __main__ as binary
from serving.options import ServeOptions
from serving.process.start import start_server
from serving.wire import protos

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"tensorflow", "grpc", "numpy", "httptools", "google.protobuf"}


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def run(*arguments, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KERASPIPE_")}
    return subprocess.run(  # noqa: PLW1510 - the exit code is compared
        [sys.executable, "-m", "serving", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**kept, **environment},
        timeout=60,
    )


@contextlib.contextmanager
def started(log, *arguments):
    """The process, after its last line of readiness."""
    with log.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving", *arguments], stdout=subprocess.PIPE, stderr=err, text=True, cwd=ROOT
        )
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        assert lines[1], f"{lines}\n{log.read_text()[-3000:]}"
        yield process, lines
    finally:
        process.kill()
        process.communicate()


def ask(url, body=None):
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None)
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.read().decode()


def predict(port, model, values):
    predict_pb2 = protos.load("apis.predict_pb2")
    services = protos.load("apis.prediction_service_pb2_grpc")
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=len(values))
    request.inputs["x"].float_val.extend(values)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = services.PredictionServiceStub(channel).Predict(request, timeout=20)
    return list(answer.outputs["y"].float_val)


@pytest.mark.process
def test_the_command_line_of_a_script(served, tmp_path):
    """The one of upstream's container: both APIs, the name and the path; a drain at the end."""
    rpc, rest = free_ports(2)
    arguments = [f"--port={rpc}", f"--rest_api_port={rest}", "--model_name=m", f"--model_base_path={served / 'half'}"]
    with started(tmp_path / "err.txt", *arguments) as (process, lines):
        assert f"Running gRPC ModelServer at 127.0.0.1:{rpc} ...\n" == lines[0]
        assert f"Exporting HTTP/REST API at:localhost:{rest} ...\n" == lines[1]
        body = json.loads(ask(f"http://127.0.0.1:{rest}/v1/models/m:predict", {"instances": [1.0, 2.0]}))
        assert {"predictions": [3.5, 4.0]} == body
        assert [3.5, 4.0] == predict(rpc, "m", [1.0, 2.0])
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(timeout=40)
    log = (tmp_path / "err.txt").read_text()
    assert " INFO keraspipe.serving: " in log
    assert "Traceback" not in log


def test_the_command_line_of_a_compose_file(served, tmp_path, run_serving):
    """A config file, metrics and a flag that cannot be honoured; Ctrl-C at the end."""
    rpc, rest = free_ports(2)
    (tmp_path / "models.config").write_text(
        f'model_config_list {{ config {{ name: "m" base_path: "{served / "half"}" model_platform: "tensorflow" '
        "model_version_policy { specific { versions: 1 } } } }"
    )
    (tmp_path / "monitoring.config").write_text('prometheus_config { enable: true path: "/metrics" }')
    arguments = [
        f"--port={rpc}",
        f"--rest_api_port={rest}",
        f"--model_config_file={tmp_path / 'models.config'}",
        "--model_config_file_poll_wait_seconds=5",
        "--allow_version_labels_for_unavailable_models=true",
        f"--monitoring_config_file={tmp_path / 'monitoring.config'}",
        "--tensorflow_intra_op_parallelism=1",
        "--prefer_tflite_model=true",
    ]
    with run_serving(*arguments, errors=tmp_path / "err.txt") as (process, output):
        assert f"Running gRPC ModelServer at 127.0.0.1:{rpc} ...\n" == output.readline()
        assert f"Exporting HTTP/REST API at:localhost:{rest} ...\n" == output.readline()
        body = json.loads(ask(f"http://127.0.0.1:{rest}/v1/models/m:predict", {"instances": [1.0]}))
        assert {"predictions": [2.5]} == body
        assert ":tensorflow:serving:request_count" in ask(f"http://127.0.0.1:{rest}/metrics")
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(timeout=40)
    warned = [line for line in (tmp_path / "err.txt").read_text().splitlines() if "--prefer_tflite_model" in line]
    assert 1 == len(warned)


def test_a_model_that_cannot_be_loaded_fails_the_start(saved, tmp_path, run_serving):
    shutil.copytree(saved / "linear_1", tmp_path / "m" / "7")
    (tmp_path / "m" / "7" / "saved_model.pb").write_bytes(b"broken")
    rpc, rest = free_ports(2)
    ports = [f"--port={rpc}", f"--rest_api_port={rest}"]
    flags = [*ports, "--model_name=m", f"--model_base_path={tmp_path / 'm'}", "--max_num_load_retries=0"]
    with run_serving(*flags, errors=tmp_path / "err.txt") as (process, output):
        out = output.read()
        code = process.wait(timeout=60)
    expected = (
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: "
        "{{{name: m version: 7} due to error: "
    )
    assert (255, expected) == (code, out[: len(expected)]), (tmp_path / "err.txt").read_text()[-2000:]
    assert "Running" not in out


@pytest.mark.process
def test_options_that_do_not_fit_fail_the_start_as_upstream():
    done = run("--model_base_path=m", "--batching_parameters_file=b")
    expected = (
        "Failed to start server. Error: INVALID_ARGUMENT: server_options.batching_parameters_file is set "
        "without setting server_options.enable_batching to true.\n"
    )
    assert (255, expected, "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.process
def test_a_taken_port_fails_the_start():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = run("--model_base_path=m", f"--port={port}")
    assert 255 == done.returncode
    assert done.stdout.startswith("Failed to start server. Error: ALREADY_EXISTS: The gRPC server cannot listen at")


@pytest.mark.process
def test_beyond_this_machine_it_does_not_start_by_accident():
    done = run("--model_base_path=m", KERASPIPE_SERVING_HOST="0.0.0.0")
    assert (2, "") == (done.returncode, done.stdout)
    assert "Next: pass --token-file FILE or set KERASPIPE_SERVING_TOKEN" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model_base_pth=m"], "There is no flag --model_base_pth; did you mean --model_base_path"),
        (["--port=x", "--model_base_path=m"], "--port cannot be read.\nExpected: a whole number from 0 to 65535"),
        ([], "There is no model to serve.\nExpected: --model_base_path=DIR or --model_config_file=FILE"),
    ],
    ids=["unknown", "value", "nothing"],
)
def test_wrong_usage_starts_nothing(capsys, arguments, words):
    assert 2 == binary.main(arguments)
    out, err = capsys.readouterr()
    assert "" == out
    assert f"python -m serving: {words}" in err
    assert "\nNext: python -m serving --help" in err


def test_help_and_version(capsys):
    assert 0 == binary.main(["--help"])
    text = capsys.readouterr().out
    assert "--rest_api_port=PORT" in text
    assert text.splitlines()[-1].startswith("example: python -m serving --rest_api_port=8501 ")
    assert 0 == binary.main(["--version"])
    assert capsys.readouterr().out.startswith("keraspipe ModelServer: ")


@pytest.mark.process
def test_help_imports_nothing_heavy():
    code = "import sys; from serving.__main__ import main; main(['-h']); print('\\nMODULES', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set() == HEAVY & set(done.stdout.rpartition("\nMODULES ")[2].split())


@pytest.mark.process
def test_help_for_a_reader_that_leaves():
    done = subprocess.run(  # noqa: PLW1510 - the exit code is printed
        ["bash", "-c", f"{sys.executable} -m serving --help | head -1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert ("usage: python -m serving [--FLAG=VALUE]...\n0\n", "") == (done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["Running gRPC ModelServer at 127.0.0.1:8500 ..."]),
        (
            ["--rest_api_port=8501"],
            ["Running gRPC ModelServer at 127.0.0.1:8500 ...", "Exporting HTTP/REST API at:localhost:8501 ..."],
        ),
        (["--port=0", "--grpc_socket_path=/s"], ["Running gRPC ModelServer at UNIX socket /s ..."]),
    ],
    ids=["grpc", "both", "socket"],
)
def test_one_line_for_each_transport(monkeypatch, capsys, arguments, expected):
    def serve(options, ready):
        rest = "http://127.0.0.1:8501" if options.rest_port else None
        ready(types.SimpleNamespace(rest=rest, grpc="127.0.0.1:8500" if options.grpc_port else None))
        return 0

    monkeypatch.setattr(binary, "start_server", serve)
    monkeypatch.delenv("KERASPIPE_SERVING_HOST", raising=False)
    assert 0 == binary.main(["--model_base_path=m", *arguments])
    assert expected == capsys.readouterr().out.splitlines()


def test_several_workers_are_started_elsewhere(monkeypatch):
    calls = []
    workers = types.ModuleType("serving.process.supervisor")
    workers.serve_with_workers = lambda *arguments: calls.append(arguments) or 7
    monkeypatch.setitem(sys.modules, "serving.process.supervisor", workers)
    options = ServeOptions(workers=2)
    assert 7 == start_server(options, print)
    assert [(options, print)] == calls
