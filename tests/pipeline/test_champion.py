"""The live model, its versions, and what a server is told of them."""

from __future__ import annotations

import pytest

from pipeline import champion, models_config, savedmodel
from pipeline.champion import Champion

ONE = Champion(1, "digest", "plain-1")


def publish(workspace, name, *versions):
    for version in versions:
        champion.model_path(workspace, name, version).mkdir(parents=True)


def test_champion_round_trip(tmp_path):
    publish(tmp_path, "plain", 1)
    champion.write(tmp_path, "plain", ONE)
    assert ONE == champion.read(tmp_path, "plain")


def test_no_champion_without_a_record_or_a_directory(tmp_path):
    assert champion.read(tmp_path, "plain") is None
    champion.write(tmp_path, "plain", ONE)
    assert champion.read(tmp_path, "plain") is None


def test_versions_are_numbers_in_their_order(tmp_path):
    publish(tmp_path, "plain", 10, 9, 1)
    (tmp_path / "serving" / "plain" / ".11.abc").mkdir()
    (tmp_path / "serving" / "plain" / "12").write_text("a file")
    assert [1, 9, 10] == champion.versions(tmp_path, "plain")
    assert [] == champion.versions(tmp_path, "absent")


def test_models_config_names_what_is_published(tmp_path):
    publish(tmp_path, "one", 1)
    publish(tmp_path, "two", 3)
    (tmp_path / "serving" / "empty").mkdir()
    models_config.write(tmp_path)
    text = (tmp_path / "serving" / "models.config").read_text()
    expected = models_config.text(["one", "two"], str(tmp_path / "serving"))
    assert expected == text
    assert 2 == text.count("config {")
    assert f'base_path: "{tmp_path}/serving/two"' in text


def test_models_config_of_nothing():
    assert "model_config_list {\n}\n" == models_config.text([], "/models")


@pytest.mark.parametrize("change", ["content", "name", "more", "less"])
def test_digest_of_a_saved_model_sees_every_change(tmp_path, change):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "variables" / "a").write_bytes(b"weights")
    before = savedmodel.digest(tmp_path)
    assert before == savedmodel.digest(tmp_path)
    if change == "content":
        (tmp_path / "variables" / "a").write_bytes(b"Weights")
    elif change == "name":
        (tmp_path / "variables" / "a").rename(tmp_path / "variables" / "b")
    elif change == "more":
        (tmp_path / "variables" / "b").write_bytes(b"")
    else:
        (tmp_path / "variables" / "a").unlink()
    assert before != savedmodel.digest(tmp_path)


def test_digest_of_a_saved_model_is_that_of_its_files_wherever_they_lie(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "two" / "assets").mkdir()  # an empty folder is nothing
    assert savedmodel.digest(tmp_path / "one") == savedmodel.digest(tmp_path / "two")
