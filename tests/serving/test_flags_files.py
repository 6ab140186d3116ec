"""TensorFlow Serving's configuration files in text form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import batching_config, monitoring_config, ssl_config
from serving.environment import Environment
from serving.errors import InvalidArgument, NotFound
from serving.flags.line import parse
from serving.flags.options import of_binary, of_workspace
from serving.options import Batching
from serving.ssl_config import SslConfig

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
    assert expected == batching_config.read(path)
    line = parse(["--model_base_path=m", "--enable_batching", f"--batching_parameters_file={path}"])
    assert expected == of_binary(line, Environment()).options.batching


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
    assert batching == batching_config.read(path)


def test_batching_parameters_that_say_nothing(file):
    assert Batching() == batching_config.read(file(""))


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
        batching_config.read(file(text))


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
    assert path == monitoring_config.read(config)
    line = parse([f"--monitoring_config_file={config}"])
    assert path == of_workspace(line, Environment(), list).options.monitoring_path


def test_ssl(file):
    text = 'server_key: "KEY\\nk" server_cert: "CERT" custom_ca: "CA" client_verify: true'
    assert SslConfig(b"KEY\nk", b"CERT", b"CA", client_verify=True) == ssl_config.read(file(text))
    plain = ssl_config.read(file('server_key: "K" server_cert: "C"'))
    assert SslConfig(b"K", b"C", None, client_verify=False) == plain


def test_ssl_without_a_key(file):
    with pytest.raises(InvalidArgument, match="server_key must be set"):
        ssl_config.read(file('server_cert: "C"'))


@pytest.mark.parametrize("read", [batching_config.read, monitoring_config.read, ssl_config.read])
def test_a_file_that_cannot_be_read(read, tmp_path):
    with pytest.raises(NotFound, match="absent; No such file or directory"):
        read(tmp_path / "absent")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidArgument, match="Invalid protobuf file"):
        read(tmp_path / "binary")
