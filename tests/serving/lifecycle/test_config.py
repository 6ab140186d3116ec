"""The models' config: policies, labels, and what cannot be."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tensorflow_serving.config import model_server_config_pb2

from serving.config import version_folders
from serving.config.models import from_config_message, model_source, read_config_message
from serving.errors import InvalidArgument
from serving.options import ServeOptions


def _model(name, extra="", path="/models", platform='model_platform: "tensorflow"'):
    return f'config {{ name: "{name}" base_path: "{path}" {platform} {extra} }}'


@pytest.fixture
def parse(tmp_path):
    def write_and_read(*models, served=()):
        file = tmp_path / "models.config"
        file.write_text(f"model_config_list {{ {' '.join(models)} }}")
        return from_config_message(read_config_message(file), served)

    return write_and_read


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("", [42]),
        ("latest {}", [42]),
        ("latest { num_versions: 2 }", [42, 17]),
        ("latest { num_versions: 9 }", [42, 17, 12]),
        ("all {}", [42, 17, 12]),
        ("specific { versions: 12 versions: 42 versions: 99 }", [42, 12]),
        ("specific {}", []),
    ],
)
def test_version_policies(parse, policy, wanted):
    [one] = parse(_model("a", f"model_version_policy {{ {policy} }}" if policy else ""))
    assert wanted == one.select([12, 42, 17])
    assert (policy != "specific {}") == one.wants_any


def test_labels_and_logging_are_kept(parse):
    [one, other] = parse(
        _model("a", 'version_labels { key: "l" value: 3 } logging_config { sampling_config { sampling_rate: 0.5 } }'),
        _model("b"),
    )
    assert ({"l": 3}, {}) == (one.labels, other.labels)
    assert 0.5 == one.logging.sampling_config.sampling_rate
    assert other.logging is None


@pytest.mark.parametrize(
    ("models", "text"),
    [
        ([_model("a"), _model("a")], "Illegal to list model a multiple times in config list"),
        (
            [_model("a", path="rel/x")],
            r"Expected model a to have an absolute path or URI; got base_path\(\)=rel/x",
        ),
        ([_model("a", platform='model_platform: "caffe"')], "Model a requests unsupported platform caffe"),
        ([_model("a", platform="")], "Illegal setting neither ModelServerConfig::model_type"),
        ([_model("a", "model_type: TENSORFLOW")], "Illegal setting both ModelServerConfig::model_type"),
        ([_model("a", platform="model_type: OTHER")], "ModelServerConfig::model_type choice 2 not supported"),
        ([_model("")], "has no name"),
    ],
)
def test_what_cannot_be(parse, models, text):
    with pytest.raises(InvalidArgument, match=text):
        parse(*models)


def test_the_old_way_to_name_the_platform(parse):
    assert ["a"] == [one.name for one in parse(_model("a", platform="model_type: TENSORFLOW"))]


def test_the_platform_of_a_served_model_cannot_change(parse):
    with pytest.raises(
        InvalidArgument,
        match=r"Illegal to change a model's platform. For model a platform was tensorflow and new platform "
        "requested is caffe",
    ):
        parse(_model("a", platform='model_platform: "caffe"'), served=["a"])


def test_a_custom_config_is_refused():
    message = model_server_config_pb2.ModelServerConfig()
    message.custom_model_config.SetInParent()
    with pytest.raises(InvalidArgument, match="Missing custom_model_config_loader"):
        from_config_message(message)


@pytest.mark.parametrize("content", [b"nonsense {", b"\xff\xfe", None])
def test_a_file_that_cannot_be_read(tmp_path, content):
    file = tmp_path / "models.config"
    if content is not None:
        file.write_bytes(content)
    text = "Error parsing text-format tensorflow.serving.ModelServerConfig" if content else "cannot be read"
    with pytest.raises(InvalidArgument, match=text):
        model_source(ServeOptions(model_config_file=file))


def test_a_single_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [one] = model_source(ServeOptions(model=("m", Path("here"))))()
    assert ("m", tmp_path / "here", False) == (one.name, one.base_path, one.optional)


def test_the_models_of_a_folder(tmp_path):
    for folder in ("a/1", "b/notes", ".hidden/1", "c/007"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "d").touch()
    assert ["a", "c"] == [one.name for one in model_source(ServeOptions(tmp_path))()]
    assert ["b", "x"] == [one.name for one in model_source(ServeOptions(tmp_path, names=("b", "x")))()]


def test_names_of_version_folders(tmp_path):
    for name in ("7", "0042", "-1", "1.0", " 3", "9223372036854775807", "9223372036854775808", "１"):  # noqa: RUF001
        (tmp_path / name).mkdir()
    (tmp_path / "5").touch()
    assert {7: "7", 42: "0042", 2**63 - 1: "9223372036854775807"} == version_folders.list_versions(tmp_path)


def test_of_two_folders_with_one_number_one_wins_with_one_warning(tmp_path, caplog):
    for name in ("001", "0001", "1"):
        (tmp_path / name).mkdir()
    with caplog.at_level(logging.WARNING):
        assert {1: "1"} == version_folders.list_versions(tmp_path)
        assert {1: "1"} == version_folders.list_versions(tmp_path)
    assert 1 == len([text for text in caplog.messages if "Duplicate version directories" in text])
