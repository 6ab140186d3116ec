"""What the flags come to: the server's options, warnings and refusals."""

from __future__ import annotations

import operator
from pathlib import Path

import pytest
import yaml

from serving.config.command_line import parse
from serving.config.flags import FlagError
from serving.config.from_flags import from_binary_flags, from_workspace_flags
from serving.config.security_flags import Environment
from serving.errors import InvalidArgument, NotFound
from serving.options import Batching, Generation, Limits, Loading, RequestLog, Security, ServeOptions, Session

ROOT = Path(__file__).resolve().parents[3]
MODEL = "--model_base_path=/models/m"
QUIET = Environment()


def plan(*arguments, environment=QUIET):
    return from_binary_flags(parse([MODEL, *arguments]), environment)


def options(*arguments, environment=QUIET):
    return plan(*arguments, environment=environment).options


def test_defaults_of_the_binary():
    expected = ServeOptions(
        model=("default", Path("/models/m")),
        rest_port=None,
        grpc_port=8500,
        monitoring_path=None,
        loading=Loading(must_start=True),
        security=Security(control_open=True),  # as upstream, on this machine
    )
    assert expected == options()
    assert () == plan().warnings


def test_defaults_of_keraspipe():
    assert ServeOptions(source=list) == from_workspace_flags(parse([]), QUIET, list).options


def test_keraspipe_serves_another_source_of_models():
    found = from_workspace_flags(parse([MODEL, "--model-name=m"]), QUIET, list).options
    assert ServeOptions(model=("m", Path("/models/m"))) == found
    with pytest.raises(FlagError, match="Names and another source"):
        from_workspace_flags(parse([MODEL, "digits"]), QUIET, list)


@pytest.mark.parametrize(
    ("flag", "field", "value"),
    [
        ("--port=9000", "grpc_port", 9000),
        ("--grpc-port=0", "grpc_port", 0),
        ("--rest_api_port=9001", "rest_port", 9001),
        ("--rest_api_port=0", "rest_port", None),
        ("--rest-port=0", "rest_port", 0),
        ("--grpc_socket_path=/tmp/s", "grpc_socket", Path("/tmp/s")),
        ("--rest_api_num_threads=3", "threads", 3),
        ("--threads=3", "threads", 3),
        ("--rest_api_timeout_in_ms=1500", "rest_timeout_seconds", 1.5),
        ("--rest_api_timeout_in_ms=0", "rest_timeout_seconds", 365.0 * 24 * 3600),
        ("--rest_api_enable_cors_support", "cors", True),
        ("--enable_batching=false", "batching", False),
        ("--no-adaptive-batching", "batching", False),
        ("--enable_batching", "batching", Batching()),
        ("--enable_per_model_batching_parameters", "per_model_batching", True),
        ("--enable_grpc_healthcheck_service", "health_service", True),
        ("--enable_serialization_as_tensor_content", "tensor_content", True),
        ("--grpc_channel_arguments=a.b=2000,c=x=y", "grpc_arguments", (("a.b", 2000), ("c", "x=y"))),
        ("--grpc_channel_arguments=a=2147483648", "grpc_arguments", (("a", "2147483648"),)),
        ("--file_system_poll_wait_seconds=-1", "loading.poll_seconds", -1.0),
        ("--file_system_poll_wait_seconds=0", "loading.poll_seconds", 0.0),
        ("--model_config_file_poll_wait_seconds=5", "loading.config_poll_seconds", 5.0),
        ("--max_num_load_retries=0", "loading.max_retries", 0),
        ("--load_retry_interval_micros=2500000", "loading.retry_seconds", 2.5),
        ("--load_retry_interval_micros=-1", "loading.retry_seconds", 0.0),
        ("--num_load_threads=4", "loading.load_threads", 4),
        ("--num_unload_threads=2", "loading.unload_threads", 2),
        ("--saved_model_tags=serve,gpu", "loading.tags", ("serve", "gpu")),
        ("--saved_model_tags=", "loading.tags", ("serve",)),
        ("--enable_model_warmup=false", "loading.warmup", False),
        ("--num_request_iterations_for_warmup=3", "loading.warmup_iterations", 3),
        ("--num_request_iterations_for_warmup=0", "loading.warmup_iterations", 1),
        ("--allow_version_labels_for_unavailable_models", "loading.labels_ahead", True),
        ("--enable_signature_method_name_check", "loading.check_methods", True),
        ("--tensorflow_session_parallelism=2", "session", Session(2, 2)),
        ("--tensorflow_intra_op_parallelism=3", "session", Session(3, 0)),
        ("--tensorflow_session_config_file=/c", "session.config_file", Path("/c")),
        ("--per_process_gpu_memory_fraction=0.5", "session.gpu_memory_fraction", 0.5),
        ("--ssl_config_file=/s", "security.grpc_ssl_config_file", Path("/s")),
        ("--workers=3", "workers", 3),
        ("--drain-seconds=1.5", "drain_seconds", 1.5),
        ("--max-request-mb=0.5", "limits", Limits(request_bytes=2**19)),
        ("--max_concurrent_requests=7", "limits", Limits(concurrent=7)),
        ("--max-waiting-answers=7", "generation", Generation(waiting=7)),
        ("--answer-timeout=7", "generation", Generation(timeout_s=7.0)),
        ("--max-memory-mb=3", "limits", Limits(memory_bytes=3 * 2**20)),
        ("--request-log=/l", "request_log", RequestLog(Path("/l"))),
        ("--host=::1", "host", "::1"),
    ],
)
def test_a_flag_arrives_in_its_option(flag, field, value):
    assert value == operator.attrgetter(field)(options(flag))
    changed = field.partition(".")[0]
    default = options()
    assert [] == [n for n in vars(default) if n != changed and getattr(default, n) != getattr(options(flag), n)]


def test_the_request_log_in_full():
    found = options("--request-log=/l", "--request-log-rate=1", "--request-log-file-mb=2", "--request_log_total_mb=3")
    assert RequestLog(Path("/l"), 1.0, 2 * 2**20, 3 * 2**20) == found.request_log
    with pytest.raises(FlagError, match="--request-log-rate has nothing to act on"):
        options("--request-log-rate=1")


def test_a_config_file_makes_name_and_path_ignored():
    found = options("--model_config_file=/c/models.config", "--model_name=m")
    assert (None, Path("/c/models.config")) == (found.model, found.model_config_file)


def test_no_model_is_wrong_usage():
    with pytest.raises(FlagError, match="There is no model to serve"):
        from_binary_flags(parse(["--port=1"]), QUIET)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            ["--batching_parameters_file=/b"],
            InvalidArgument,
            r"^server_options.batching_parameters_file is set without setting server_options.enable_batching to true.$",
        ),
        (["--port=0"], InvalidArgument, "At least one of server_options.grpc_port or server_options.grpc_socket_path"),
        (
            [f"--tensorflow_{kind}_parallelism=2" for kind in ("session", "intra_op", "inter_op")],
            InvalidArgument,
            "tensorflow_session_parallelism",
        ),
        (["--monitoring_config_file=/absent"], NotFound, "/absent; No such file"),
        (["--enable_batching", "--batching_parameters_file=/absent"], NotFound, "/absent; No such file"),
        (["--use_alts_credentials"], FlagError, "TLS"),
        (["--model_base_path=gs://b/m"], FlagError, "Received: gs://b/m"),
        (["--rest_api_port=8500"], FlagError, "cannot share a port"),
        (["--rest_api_port=1", "--rest-port=1"], FlagError, "both say the port"),
        (["--grpc_channel_arguments=a"], FlagError, "KEY=VALUE"),
        (["--enable_batching", "true"], FlagError, "'true' is no flag"),
        (["--tls-client-ca=/ca"], FlagError, "TLS is incomplete"),
        (["--tls-key=/key"], FlagError, "only --tls-key"),
        (["--tls-key=/key", "--tls-certificate=/absent"], FlagError, "Received: /absent"),
        (["--token-file=/absent"], FlagError, "No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_does_not_go_together(arguments, error, words):
    with pytest.raises(error, match=words):
        plan(*arguments)


def test_a_socket_alone_is_enough():
    assert (None, Path("/s")) == (
        (found := options("--port=0", "--grpc_socket_path=/s")).grpc_port,
        found.grpc_socket,
    )


@pytest.mark.parametrize(
    "flag",
    [
        "--platform_config_file=/p",
        "--prefer_tflite_model",
        "--xla_cpu_compilation_enabled",
        "--xla_gpu_compilation_enabled",
        "--thread_pool_factory_config_file=/t",
        "--mixed_precision=bfloat16",
    ],
)
def test_what_cannot_be_honoured_is_said(flag):
    (warning,) = plan(flag).warnings
    assert warning.startswith(f"{flag.partition('=')[0]} is not supported and has no effect: ")
    assert options() == options(flag)


@pytest.mark.parametrize(
    "flag",
    ["--flush_filesystem_caches=false", "--enable_profiler=false", "--num_tflite_pools=2", "--grpc_max_threads=1"],
)
def test_what_cannot_change_an_answer_is_taken_in_silence(flag):
    assert plan() == plan(flag)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_beyond_this_machine_it_needs_a_token(host, tmp_path):
    with pytest.raises(FlagError, match="Next: pass --token-file FILE or set KERASPIPE_SERVING_TOKEN"):
        options(f"--host={host}")
    with pytest.raises(FlagError, match=f"Received: host {host} and no token"):
        options(environment=Environment(host=host))
    token = tmp_path / "token"
    token.write_text("secret\n")
    guarded = plan(f"--host={host}", f"--token-file={token}")
    assert (host, Security(token="secret")) == (guarded.options.host, guarded.options.security)
    assert "in clear" in guarded.warnings[0]


def test_the_environment_comes_after_the_command_line(tmp_path):
    token = tmp_path / "token"
    token.write_text("of-the-line")
    environment = Environment(host="0.0.0.0", token="of-the-environment", insecure=True)
    assert ("0.0.0.0", Security(token="of-the-environment", insecure=True)) == (
        (found := options(environment=environment)).host,
        found.security,
    )
    found = options("--host=127.0.0.1", f"--token-file={token}", "--insecure=false", environment=environment)
    assert ("127.0.0.1", Security(token="of-the-line")) == (found.host, found.security)


def test_the_command_line_of_the_compose_file():
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["serving"]
    folder = ROOT / "docker" / "serving"
    line = [text.replace("/etc/serving", str(folder)) for text in service["command"]]
    found = from_binary_flags(parse(line), Environment(host="0.0.0.0", insecure=True)).options
    assert (8500, 8501) == (found.grpc_port, found.rest_port)
    assert Path("/workspace/serving/models.config") == found.model_config_file
    assert Loading(config_poll_seconds=5.0, labels_ahead=True, must_start=True) == found.loading
    assert "/monitoring/prometheus/metrics" == found.monitoring_path


@pytest.mark.parametrize(("text", "received"), [("\n", "nothing"), ("two words", "other letters"), ("a\nb", "other")])
def test_a_token_is_one_word_and_is_never_shown(tmp_path, text, received):
    token = tmp_path / "token"
    token.write_text(text)
    with pytest.raises(FlagError, match=f"Received: {received}") as error:
        options(f"--token-file={token}")
    assert not text.strip() or text not in str(error.value)


def test_a_blank_token_of_the_environment_is_none():
    assert "" == options(environment=Environment(token=" \n")).security.token
    with pytest.raises(FlagError, match="There is no token in KERASPIPE_SERVING_TOKEN"):
        options(environment=Environment(token="two words"))


def test_calls_that_change_what_is_served_need_a_token_of_their_own(tmp_path):
    token = tmp_path / "token"
    token.write_text("secret\n")
    assert options().security.control_open
    assert not options(f"--token-file={token}").security.control_open
    assert not options("--host=0.0.0.0", "--insecure").security.control_open
    assert "secret" == options(f"--control-token-file={token}").security.control_token
    assert "other" == options(environment=Environment(control_token="other")).security.control_token
    assert "secret" not in repr(options(f"--control-token-file={token}"))
