"""TensorFlow Serving's configuration files in text form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.config import files
from serving.config.command_line import parse
from serving.config.files import SslConfig
from serving.config.from_flags import from_binary_flags, from_workspace_flags
from serving.config.security_flags import Environment
from serving.errors import InvalidArgument, NotFound
from serving.options import Batching

UPSTREAM_EXAMPLE = """
# Of tensorflow/serving's guide
max_batch_size { value: 128 }
batch_timeout_micros { value: 0 }
max_enqueued_batches { value: 1000000 }
num_batch_threads { value: 8 }
"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "config.txt"
        path.write_text(text)
        return path

    return write


def test_batching_parameters_of_the_guide(file):
    path = file(UPSTREAM_EXAMPLE)
    expected = Batching(128, 0, 1000000, 8)
    assert expected == files.read_batching(path)
    line = parse(["--model_base_path=m", "--enable_batching", f"--batching_parameters_file={path}"])
    assert expected == from_binary_flags(line, Environment()).options.batching


positive = st.integers(1, 2**63 - 1)


@given(
    st.builds(
        Batching,
        max_batch_size=positive,
        timeout_micros=st.integers(0, 2**63 - 1),
        max_enqueued_batches=positive,
        threads=positive,
        allowed_batch_sizes=st.lists(positive, max_size=3).map(tuple),
        pad_variable_length_inputs=st.booleans(),
        split_large_batches=st.booleans(),
        max_execution_batch_size=positive,
    )
)
def test_batching_parameters_are_read_back(tmp_path_factory, batching):
    wrapped = {
        "max_batch_size": batching.max_batch_size,
        "batch_timeout_micros": batching.timeout_micros,
        "max_enqueued_batches": batching.max_enqueued_batches,
        "num_batch_threads": batching.threads,
        "enable_large_batch_splitting": batching.split_large_batches,
        "max_execution_batch_size": batching.max_execution_batch_size,
    }
    lines = [f"{name} {{ value: {value} }}" for name, value in wrapped.items()]
    lines += [f"allowed_batch_sizes: {size}" for size in batching.allowed_batch_sizes]
    lines += [f"pad_variable_length_inputs: {batching.pad_variable_length_inputs}"]
    path = tmp_path_factory.getbasetemp() / "batching.txt"
    path.write_text("\n".join(lines))
    assert batching == files.read_batching(path)


def test_batching_parameters_that_say_nothing(file):
    assert Batching() == files.read_batching(file(""))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        ("num_batch_threads { value: -1 }", "num_batch_threads must be positive; was -1"),
        ("max_batch_size: 4", "Invalid protobuf file: '.*config.txt'"),
        ("max_batch_sixe { value: 4 }", 'no field named "max_batch_sixe"'),
    ],
)
def test_wrong_batching_parameters(file, text, words):
    with pytest.raises(InvalidArgument, match=words):
        files.read_batching(file(text))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('prometheus_config { enable: true path: "/m" }', "/m"),
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ('prometheus_config { enable: false path: "/m" }', None),
        ("", None),
    ],
)
def test_monitoring(file, text, path):
    config = file(text)
    assert path == files.read_monitoring_path(config)
    line = parse([f"--monitoring_config_file={config}"])
    assert path == from_workspace_flags(line, Environment(), list).options.monitoring_path


def test_ssl(file):
    text = 'server_key: "KEY\\nk" server_cert: "CERT" custom_ca: "CA" client_verify: true'
    assert SslConfig(b"KEY\nk", b"CERT", b"CA", client_verify=True) == files.read_ssl_config(file(text))
    plain = files.read_ssl_config(file('server_key: "K" server_cert: "C"'))
    assert SslConfig(b"K", b"C", None, client_verify=False) == plain


def test_ssl_without_a_key(file):
    with pytest.raises(InvalidArgument, match="server_key must be set"):
        files.read_ssl_config(file('server_cert: "C"'))


@pytest.mark.parametrize("read", [files.read_batching, files.read_monitoring_path, files.read_ssl_config])
def test_a_file_that_cannot_be_read(read, tmp_path):
    with pytest.raises(NotFound, match="absent; No such file or directory"):
        read(tmp_path / "absent")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidArgument, match="Invalid protobuf file"):
        read(tmp_path / "binary")
