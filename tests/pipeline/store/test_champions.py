"""The live model, its versions, and what a server is told of them."""

from __future__ import annotations

import shutil

import pytest

from pipeline.errors import PipelineError
from pipeline.registry import serving_config
from pipeline.store import champions, fileio
from pipeline.store.champions import ModelVersion, RegistryEntry
from pipeline.store.layout import Workspace
from serving.config import models

ONE = ModelVersion(1, "digest", "plain-1")


def publish(workspace, name, *versions):
    for version in versions:
        Workspace(workspace).model(name, version).mkdir(parents=True)


def links(workspace):
    folders = (Workspace(workspace).live_links).iterdir()
    return {folder.name: {link.name for link in folder.iterdir()} for folder in folders}


def test_champion_round_trip(tmp_path):
    publish(tmp_path, "plain", 1)
    champions.set_champion(Workspace(tmp_path), "plain", ONE)
    assert ONE == champions.read_champion(Workspace(tmp_path), "plain")


def test_no_champion_without_a_record_or_a_directory(tmp_path):
    assert champions.read_champion(Workspace(tmp_path), "plain") is None
    champions.set_champion(Workspace(tmp_path), "plain", ONE)
    assert champions.read_champion(Workspace(tmp_path), "plain") is None


def test_versions_are_numbers_in_their_order(tmp_path):
    publish(tmp_path, "plain", 10, 9, 1)
    (tmp_path / "serving" / "plain" / ".11.abc").mkdir()
    (tmp_path / "serving" / "plain" / "12").write_text("a file")
    assert [1, 9, 10] == champions.versions(Workspace(tmp_path), "plain")
    assert [] == champions.versions(Workspace(tmp_path), "absent")


def test_a_record_of_the_first_format_is_read(tmp_path):
    publish(tmp_path, "plain", 1)
    Workspace(tmp_path).champion("plain").parent.mkdir()
    Workspace(tmp_path).champion("plain").write_text('{"version": 1, "digest": "digest", "run_id": "plain-1"}')
    assert RegistryEntry(ONE) == champions.current_entry(Workspace(tmp_path), "plain")


def test_standing_round_trip(tmp_path):
    publish(tmp_path, "plain", 1, 2, 3)
    whole = RegistryEntry(ONE, ModelVersion(3, "c", "plain-3"), (ModelVersion(2, "b", "plain-2"), ONE))
    for found in (whole, RegistryEntry(challenger=ONE), RegistryEntry(quick=ONE)):
        champions.save_entry(Workspace(tmp_path), "plain", found)
        assert found == champions.current_entry(Workspace(tmp_path), "plain")
    assert ["plain"] == champions.recipe_names(Workspace(tmp_path))


def test_a_version_of_a_quick_run_is_not_served(tmp_path):
    publish(tmp_path, "plain", 1, 2)
    workspace = Workspace(tmp_path)
    champions.set_champion(workspace, "plain", ONE)
    champions.set_alias(workspace, "plain", "quick", ModelVersion(2, "b", "plain-2"))
    entry = champions.current_entry(workspace, "plain")
    assert ({"champion": 1}, 2) == (entry.aliases, entry.quick.version)
    serving_config.write_config(workspace)
    assert workspace.models_config.read_text().count("config {") == 1
    assert [1] == [model.specific[0] for model in serving_config.WorkspaceModels(workspace)()]


def test_a_record_that_cannot_be_read_is_an_error_in_words(tmp_path):
    champions.save_entry(Workspace(tmp_path), "plain", RegistryEntry(ONE))
    Workspace(tmp_path).champion("plain").write_text('{"version": 1}')
    with pytest.raises(PipelineError, match=r"plain.json is damaged"):
        champions.read_champion(Workspace(tmp_path), "plain")


def test_servers_see_one_version_per_alias(tmp_path):
    publish(tmp_path, "one", 1)
    publish(tmp_path, "two", 3, 4, 5)
    champions.save_entry(Workspace(tmp_path), "one", RegistryEntry(ONE))
    champions.save_entry(
        Workspace(tmp_path), "two", RegistryEntry(ModelVersion(3, "a", "two-3"), ModelVersion(4, "b", "two-4"))
    )
    serving_config.write_config(Workspace(tmp_path))
    assert {"one": {"1"}, "two": {"3"}, "two-challenger": {"4"}} == links(tmp_path)
    found = {one.name: one for one in models.read_config_file(tmp_path / "serving" / "models.config")}
    expected = {"one": {"champion": 1}, "two": {"champion": 3}, "two-challenger": {"challenger": 4}}
    assert expected == {name: one.labels for name, one in found.items()}
    for name, version in (("one", 1), ("two", 3), ("two-challenger", 4)):
        recipe = name.partition("-")[0]
        seen = found[name].base_path / str(version)
        assert Workspace(tmp_path).model(recipe, version) == seen.resolve()


def test_what_a_kill_has_left_is_repaired(tmp_path):
    publish(tmp_path, "two", 3, 4)
    champions.save_entry(
        Workspace(tmp_path), "two", RegistryEntry(ModelVersion(3, "a", "two-3"), ModelVersion(4, "b", "two-4"))
    )
    serving_config.write_config(Workspace(tmp_path))
    whole = links(tmp_path), (tmp_path / "serving" / "models.config").read_text()
    live = Workspace(tmp_path).live_links
    (live / "two" / "4").symlink_to("../../two/4")
    (live / "two-challenger" / "4").unlink()
    (tmp_path / "serving" / "models.config").unlink()
    serving_config.write_config(Workspace(tmp_path))
    assert whole == (links(tmp_path), (tmp_path / "serving" / "models.config").read_text())


def test_links_that_a_copy_has_followed_are_links_again(tmp_path):
    publish(tmp_path / "first", "two", 3, 4)
    first, second = Workspace(tmp_path / "first"), Workspace(tmp_path / "second")
    champions.save_entry(first, "two", RegistryEntry(ModelVersion(3, "a", "two-3"), ModelVersion(4, "b", "two-4")))
    serving_config.write_config(first)
    shutil.copytree(first.root, second.root)
    champions.save_entry(second, "two", RegistryEntry(ModelVersion(4, "b", "two-4")))
    serving_config.write_config(second)
    assert {"two": {"4"}, "two-challenger": set()} == links(second.root)
    assert second.model("two", 4) == (second.live_links / "two" / "4").resolve()
    assert second.model("two", 3).is_dir()


def test_a_folder_of_links_stays_when_its_last_version_goes(tmp_path):
    publish(tmp_path, "two", 3, 4)
    champions.save_entry(
        Workspace(tmp_path), "two", RegistryEntry(ModelVersion(3, "a", "two-3"), ModelVersion(4, "b", "two-4"))
    )
    serving_config.write_config(Workspace(tmp_path))
    champions.save_entry(Workspace(tmp_path), "two", RegistryEntry(ModelVersion(3, "a", "two-3")))
    serving_config.write_config(Workspace(tmp_path))
    assert {"two": {"3"}, "two-challenger": set()} == links(tmp_path)
    assert ["two"] == [one.name for one in models.read_config_file(tmp_path / "serving" / "models.config")]


def test_models_config_of_nothing():
    assert "model_config_list {\n}\n" == serving_config.render_config({}, "/models")


@pytest.mark.parametrize("change", ["content", "name", "more", "less"])
def test_digest_of_a_saved_model_sees_every_change(tmp_path, change):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "variables" / "a").write_bytes(b"weights")
    before = fileio.digest_folder(tmp_path)
    assert before == fileio.digest_folder(tmp_path)
    if change == "content":
        (tmp_path / "variables" / "a").write_bytes(b"Weights")
    elif change == "name":
        (tmp_path / "variables" / "a").rename(tmp_path / "variables" / "b")
    elif change == "more":
        (tmp_path / "variables" / "b").write_bytes(b"")
    else:
        (tmp_path / "variables" / "a").unlink()
    assert before != fileio.digest_folder(tmp_path)


def test_digest_of_a_saved_model_is_that_of_its_files_wherever_they_lie(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "two" / "assets").mkdir()  # an empty folder is nothing
    assert fileio.digest_folder(tmp_path / "one") == fileio.digest_folder(tmp_path / "two")
