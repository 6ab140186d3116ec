"""The command line of tensorflow_model_server and ours: how flags are written, and their values."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.config import flags
from serving.config.command_line import help_text, parse
from serving.config.flags import FlagError
from serving.config.from_flags import from_binary_flags
from serving.config.security_flags import Environment

# tensorflow/serving's flags with their defaults; 0 where it computes one from the processors.
UPSTREAM = {
    "port": 8500,
    "grpc_socket_path": "",
    "rest_api_port": 0,
    "rest_api_num_threads": 0,
    "rest_api_timeout_in_ms": 30000,
    "rest_api_enable_cors_support": False,
    "enable_batching": False,
    "batching_parameters_file": "",
    "enable_per_model_batching_parameters": False,
    "allow_version_labels_for_unavailable_models": False,
    "model_config_file": "",
    "model_config_file_poll_wait_seconds": 0,
    "model_name": "default",
    "model_base_path": "",
    "num_load_threads": 0,
    "num_unload_threads": 0,
    "max_num_load_retries": 5,
    "load_retry_interval_micros": 60000000,
    "file_system_poll_wait_seconds": 1,
    "flush_filesystem_caches": True,
    "tensorflow_session_parallelism": 0,
    "tensorflow_intra_op_parallelism": 0,
    "tensorflow_inter_op_parallelism": 0,
    "tensorflow_session_config_file": "",
    "use_alts_credentials": False,
    "ssl_config_file": "",
    "platform_config_file": "",
    "per_process_gpu_memory_fraction": 0.0,
    "saved_model_tags": "serve",
    "grpc_channel_arguments": "",
    "grpc_max_threads": 0,
    "enable_model_warmup": True,
    "num_request_iterations_for_warmup": 0,
    "version": False,
    "monitoring_config_file": "",
    "remove_unused_fields_from_bundle_metagraph": True,
    "prefer_tflite_model": False,
    "num_tflite_pools": 0,
    "num_tflite_interpreters_per_pool": 1,
    "enable_signature_method_name_check": False,
    "xla_cpu_compilation_enabled": False,
    "xla_gpu_compilation_enabled": False,
    "enable_profiler": True,
    "thread_pool_factory_config_file": "",
    "mixed_precision": "",
    "skip_initialize_tpu": False,
    "enable_grpc_healthcheck_service": False,
    "enable_serialization_as_tensor_content": False,
}


def value_of(flag):
    if isinstance(flag.default, bool):
        return st.booleans()
    if isinstance(flag.default, int):
        return st.integers(flag.least, flag.most)
    if isinstance(flag.default, float):
        return st.floats(flag.least, flag.most, allow_nan=False, allow_infinity=False)
    return st.text()


@st.composite
def flags_with_values(draw):
    flag = draw(st.sampled_from(list(flags.FLAGS_BY_KEY.values())))
    return flag, draw(value_of(flag))


@given(flags_with_values(), st.data())
def test_a_value_is_read_back_however_the_flag_is_written(pair, data):
    flag, value = pair
    parts = [data.draw(st.sampled_from("-_")) + part for part in flag.key.split("_")]
    written = data.draw(st.sampled_from(["-", "--"])) + "".join(parts)[1:]
    text = str(value)
    apart = not flag.is_switch and not (isinstance(value, str) and text.startswith("-")) and data.draw(st.booleans())
    line = parse([written, text] if apart else [f"{written}={text}"])
    assert {flag.key: value} == line
    assert value == line[flag.key]


@given(
    st.sampled_from([flag for flag in flags.FLAGS_BY_KEY.values() if not isinstance(flag.default, str)]),
    st.text().filter(lambda text: not re.fullmatch(r"[-+0-9.eE_\s]*|(?i:true|false)", text)),
)
def test_what_is_no_value_is_refused_by_name(flag, text):
    with pytest.raises(FlagError) as error:
        parse([f"--{flag.name}={text}"])
    assert all(part in str(error.value) for part in (f"--{flag.name} ", "Expected: ", f"Received: {text!r}"))


@pytest.mark.parametrize("text", ["8500.0", "1e3", "1_000", " 1", "٣", "", "65536", "-1"])
def test_a_port_is_a_plain_number(text):
    with pytest.raises(FlagError, match="a whole number from 0 to 65535"):
        parse([f"--port={text}"])


@pytest.mark.parametrize(
    ("text", "value"), [("", True), ("=true", True), ("=1", True), ("=True", True), ("=false", False), ("=0", False)]
)
def test_booleans(text, value):
    assert value is parse([f"--enable_batching{text}"])["enable_batching"]


def test_a_switch_takes_nothing_after_it():
    line = parse(["--insecure", "digits", "--", "--name"])
    assert ("digits", "--name") == line.names
    assert line["insecure"]


def test_the_last_of_two_counts():
    assert 2 == parse(["--port=1", "--port=2"])["port"]


def test_every_flag_of_upstream_has_its_default():
    assert UPSTREAM == {flag.name: flag.default for flag in flags.TF_SERVING_FLAGS}
    assert [] == [name for name, default in UPSTREAM.items() if parse([])[name] != default]


@pytest.mark.parametrize("name", sorted(set(UPSTREAM) - {"model_base_path"}))
def test_every_flag_of_upstream_can_be_given_its_default(name):
    line = parse(["--model_base_path=m", f"--{name}={UPSTREAM[name]}"])
    assert () == from_binary_flags(line, Environment()).warnings


@pytest.mark.parametrize(
    ("written", "close"),
    [
        ("--rest_api_prot=1", "--rest_api_port"),
        ("--model_nmae=m", "--model_name"),
        ("--max-reqest-mb", "--max-request-mb"),
        ("-portt", "--port"),
    ],
)
def test_an_unknown_flag_names_the_close_one(written, close):
    with pytest.raises(FlagError, match=f"There is no flag {written.partition('=')[0]}; did you mean {close}"):
        parse([written])


def test_an_unknown_flag_that_is_close_to_none():
    with pytest.raises(FlagError, match=r"There is no flag --qqqqqqqqqqqq\.$"):
        parse(["--qqqqqqqqqqqq=1"])


@pytest.mark.parametrize("arguments", [["--port"], ["--port", "--rest_api_port=1"]], ids=["last", "before a flag"])
def test_a_flag_without_its_value(arguments):
    with pytest.raises(FlagError, match=r"--port has no value.\nExpected: --port=PORT"):
        parse(arguments)


def test_the_help_has_a_line_for_every_flag_and_ends_with_an_example():
    text = help_text("usage", "What it does.", "command --port=1")
    listed = re.findall(r"^  --([\w-]+)", text, re.MULTILINE)
    assert [flag.name for flag in (*flags.OWN_FLAGS, *flags.TF_SERVING_FLAGS)] == listed
    assert "example: command --port=1" == text.splitlines()[-1]
