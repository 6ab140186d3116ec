"""`keraspipe serve`: its options, without a server."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.commands import serve
from pipeline.registry.serving_config import WorkspaceModels
from pipeline.settings import ROOT
from pipeline.store import champions
from pipeline.store.champions import ModelVersion
from pipeline.store.layout import Workspace
from serving.options import Batching, ServeOptions

HEAVY = {"tensorflow", "grpc", "numpy", "httptools", "google.protobuf"}


@pytest.fixture
def started(tmp_path, monkeypatch, capfd):
    """The command line in this process; what it would start, or its exit code and output."""
    plans = []

    def start(options, ready):
        plans.append(options)
        rest = "http://127.0.0.1:8501" if options.rest_port is not None else None
        rpc = "127.0.0.1:8500" if options.grpc_port is not None else None
        ready(types.SimpleNamespace(rest=rest, grpc=rpc, models={"digits": [1, 2]}, failed={"other/3": "broken"}))
        return 0

    monkeypatch.setattr(serve, "start_server", start)
    for name in ("KERASPIPE_DEBUG", "KERASPIPE_SERVING_HOST", "KERASPIPE_SERVING_TOKEN", "KERASPIPE_SERVING_INSECURE"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments):
        try:
            code = cli.main(["serve", "--workspace", str(tmp_path), *arguments])
        except SystemExit as end:
            code = end.code
        out, err = capfd.readouterr()
        return code, out, err

    call.workspace, call.plans = tmp_path, plans
    return call


def publish(workspace, name):
    Workspace(workspace).model(name, 1).mkdir(parents=True)
    champions.set_champion(Workspace(workspace), name, ModelVersion(1, "digest", f"{name}-1"))


def test_defaults(started):
    code, out, err = started()
    assert 0 == code
    assert [ServeOptions(source=WorkspaceModels(Workspace(started.workspace)))] == started.plans
    expected = [
        "Serving digits (version 2)",
        "  REST  http://127.0.0.1:8501/v1/models/NAME:predict",
        "  gRPC  127.0.0.1:8500",
    ]
    assert expected == out.splitlines()
    assert "Not served: other/3: broken\n" == err


def test_names_and_flags_of_both_kinds(started):
    publish(started.workspace, "digits")
    code, _, err = started("digits", "--rest-port", "0", "--port=9000", "--enable_batching", "--max_request-mb=1")
    assert 0 == code, err
    (options,) = started.plans
    assert (WorkspaceModels(Workspace(started.workspace), ("digits",)), 0, 9000, Batching()) == (
        options.source,
        options.rest_port,
        options.grpc_port,
        options.batching,
    )
    assert 2**20 == options.limits.request_bytes


def test_another_source_of_models(started):
    assert 0 == started("--model_base_path=/models/m", "--model_name=m", "--rest_api_port=0")[0]
    (options,) = started.plans
    assert ((), ("m", Path("/models/m")), None) == (options.names, options.model, options.rest_port)
    assert options.source is None
    assert not options.loading.must_start


def test_a_transport_that_is_off_is_not_announced(started):
    _, out, _ = started("--rest_api_port=0", "--port=0", "--grpc_socket_path=/tmp/s")
    assert ["Serving digits (version 2)", "  gRPC  unix:/tmp/s"] == out.splitlines()


def test_a_warning_goes_to_the_terminal(started):
    code, _, err = started("--mixed_precision=bfloat16")
    assert 0 == code
    assert "keraspipe serve: warning: --mixed_precision is not supported and has no effect: " in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rest-prot=1"], "There is no flag --rest-prot; did you mean --rest-port"),
        (["--rest-port=x"], "--rest-port cannot be read.\nExpected: a whole number from 0 to 65535\nReceived: 'x'"),
        (["digits", "--model_base_path=/m"], "Names and another source of models do not go together."),
        (["digits"], "No model 'digits' is published in "),
        (["--canary=digits"], "--canary cannot be read."),
        (["--canary=digits=101%"], "with a share of 0% to 100%, or 0 to 1\nReceived: digits=101%"),
        (["--canary=digits=x%"], "--canary cannot be read."),
        (["--canary=digits=1%"], "No model 'digits' is published in "),
        (["--host=0.0.0.0"], "Everyone who can reach 0.0.0.0 could use the models."),
    ],
    ids=["unknown", "value", "names", "model", "no share", "too much", "no number", "no model", "host"],
)
def test_wrong_usage_starts_nothing(started, arguments, words):
    code, out, err = started(*arguments)
    assert (2, "", []) == (code, out, started.plans)
    assert words in err
    assert "\nNext: " in err


def test_a_canary(started):
    publish(started.workspace, "digits")
    publish(started.workspace, "xor")
    code, _, err = started("--canary", "digits=10%", "--canary=xor=0.25")
    assert 0 == code, err
    (options,) = started.plans
    assert {"digits": 0.1, "xor": 0.25} == options.canary
    assert "keraspipe serve: warning: digits has no challenger; until then the champion answers all requests" in err
    assert ["Canary digits: champion no request", "Canary digits: challenger no request"] == err.splitlines()[-4:-2]


def test_what_a_start_fails_with_is_one_of_our_errors(started):
    code, out, err = started("--batching_parameters_file=/b")
    assert (1, "") == (code, out)
    assert err.startswith("keraspipe: server_options.batching_parameters_file is set without")


def test_help_has_our_flags_first_and_ends_with_an_example(started):
    code, out, _ = started("--help")
    assert 0 == code
    places = [out.index(part) for part in ("--workspace=DIR", "--rest-port=PORT", "tensorflow_model_server", "--port=")]
    assert sorted(places) == places
    assert "example: keraspipe serve digits --rest-port 8501" == out.splitlines()[-1]
    assert started("--version")[1].startswith("keraspipe ModelServer: ")


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "absent"),
    [(["serve", "--help"], HEAVY), (["--help"], {*HEAVY, "serving", "pipeline.commands.serve"})],
    ids=["serve", "others"],
)
def test_nothing_is_imported_before_it_is_needed(arguments, absent):
    code = f"""
import sys
from pipeline import cli
try:
    cli.main({arguments})
except SystemExit:
    pass
print("\\nMODULES", *sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set() == absent & set(done.stdout.rpartition("\nMODULES ")[2].split())


def test_version_whose_decoder_is_unchecked_is_named(started):
    publish(started.workspace, "digits")
    node = b"\n\x0cdecode_image\x12\x0bDecodeImage"
    (Workspace(started.workspace).model("digits", 1) / "saved_model.pb").write_bytes(node)
    code, _, err = started()
    assert 0 == code
    assert "warning: digits@1 decodes whatever is sent" in err
    assert "keraspipe run digits" in err


def test_a_workspace_that_can_only_be_read_has_its_log_elsewhere(tmp_path, monkeypatch, capsys):
    with serve._open_log(Workspace(tmp_path)) as log:
        assert log == Workspace(tmp_path).serve_log
    monkeypatch.setattr(serve.os, "access", lambda *_: False)  # root may write to any folder but a read-only mount
    with serve._open_log(Workspace(tmp_path)) as log:
        assert (False, True) == (log.is_relative_to(tmp_path), log.exists())
    assert f"{tmp_path} cannot be written; it is served as it is, the log is {log}" in capsys.readouterr().err
    assert not log.exists()
