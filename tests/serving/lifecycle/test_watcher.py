"""The watch over version folders and the loads it asks for, with models that load in no time."""

from __future__ import annotations

import logging
import shutil
import threading

import pytest

from serving.core.models import Models, ModelSpec
from serving.errors import InvalidArgument, NotFound
from serving.lifecycle.watcher import Watcher
from serving.options import Loading, ModelConfig

HOUR = 3600.0


class Model:
    """A loaded version that counts how often it was freed."""

    def __init__(self, path):
        self.path, self.closed = path, 0

    def close(self):
        self.closed += 1


class Disk:
    """Version folders, and a loader that does what a test wants of each."""

    def __init__(self, base):
        self.base, self.models, self.configs = base, Models(), []
        self.loaded, self.gates = [], {}

    def put(self, name, *versions, content="good"):
        for version in versions:
            folder = self.base / name / str(version)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "saved_model.pb").write_text(content)

    def load(self, path):
        key = f"{path.parent.name}/{path.name}"
        self.loaded.append(key)
        if key in self.gates:
            assert self.gates[key].wait(20)
        if (path / "saved_model.pb").read_text() != "good":
            raise InvalidArgument("broken")
        return Model(path)

    def add(self, name, **policy):
        self.configs.append(ModelConfig(name, self.base / name, **policy))

    def states(self, name="m"):
        return {number: one.state.name for number, one in self.models.versions(name).items()}


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path)
    yield made
    for gate in made.gates.values():
        gate.set()


@pytest.fixture
def watch(disk):
    """Makes a watcher; stopped at the end."""
    made = []

    def make(**loading):
        options = {"max_retries": 0, "retry_seconds": HOUR, **loading}
        made.append(Watcher(disk.models, lambda: disk.configs, disk.load, Loading(**options)))
        return made[-1]

    yield make
    for gate in disk.gates.values():
        gate.set()
    for one in made:
        one.stop()


@pytest.mark.parametrize(
    ("policy", "loaded"),
    [({}, ["m/9"]), ({"latest": 2}, ["m/9", "m/5"]), ({"latest": 0}, ["m/9", "m/5", "m/3"]), ({"specific": ()}, [])],
)
def test_the_highest_version_is_loaded_first(disk, watch, policy, loaded):
    disk.put("m", 3, 9, 5)
    disk.add("m", **policy)
    watch().look()
    assert loaded == disk.loaded


def test_a_broken_version_leaves_the_old_one_and_a_good_one_replaces_it(disk, watch, wait_for):
    disk.put("m", 1)
    disk.add("m")
    watcher = watch()
    watcher.look()
    disk.put("m", 2, content="bad")
    watcher.look()
    assert {1: "AVAILABLE", 2: "END"} == disk.states()
    assert {"m/2": "INVALID_ARGUMENT: broken"} == disk.models.list_errors()
    disk.put("m", 3)
    watcher.look()
    wait_for(lambda: disk.states() == {1: "END", 2: "END", 3: "AVAILABLE"})


def test_the_old_version_serves_until_the_new_one_is_loaded(disk, watch, wait_for):
    disk.put("m", 1)
    disk.add("m")
    watcher = watch()
    watcher.look()
    disk.gates["m/2"] = threading.Event()
    disk.put("m", 2)
    watcher.poll()
    wait_for(lambda: "m/2" in disk.loaded)
    watcher.poll()
    assert {1: "AVAILABLE", 2: "LOADING"} == disk.states()
    disk.gates["m/2"].set()
    wait_for(lambda: disk.states() == {1: "END", 2: "AVAILABLE"})


def test_a_request_keeps_its_version_until_it_is_done(disk, watch, wait_for, caplog):
    disk.put("m", 1)
    disk.add("m")
    watcher = watch()
    watcher.look()
    lease = disk.models.acquire(ModelSpec("m"))
    shutil.rmtree(disk.base / "m" / "1")
    with caplog.at_level(logging.INFO):
        watcher.look()
    assert {1: "UNLOADING"} == disk.states()
    assert 0 == lease.model.closed
    assert "m version 1 is no longer served, requests in flight: 1" in caplog.messages
    with pytest.raises(NotFound, match=r"Servable not found for request: Latest\(m\)"):
        disk.models.acquire(ModelSpec("m"))
    lease.release()
    wait_for(lambda: disk.states() == {1: "END"})
    assert 1 == lease.model.closed


def test_a_version_that_comes_back_while_its_old_self_is_still_used(disk, watch):
    disk.put("m", 1)
    disk.add("m")
    watcher = watch()
    watcher.look()
    lease = disk.models.acquire(ModelSpec("m"))
    shutil.rmtree(disk.base / "m" / "1")
    watcher.look()
    disk.put("m", 1)
    watcher.look()
    assert {1: "AVAILABLE"} == disk.states()
    lease.release()
    assert {1: "AVAILABLE"} == disk.states()


def test_a_broken_version_is_tried_again_and_holds_up_no_other(disk, watch):
    disk.put("m", 7, content="bad")
    disk.put("good", 1)
    disk.add("m")
    disk.add("good")
    watcher = watch(max_retries=5)
    watcher.look()
    watcher.look()
    assert ({7: "LOADING"}, {1: "AVAILABLE"}) == (disk.states(), disk.states("good"))
    assert {"m/7": "INVALID_ARGUMENT: broken"} == disk.models.list_errors()
    assert 1 == disk.loaded.count("m/7")


def test_retries_are_counted(disk, watch, wait_for):
    disk.put("m", 7, content="bad")
    disk.add("m")
    watch(max_retries=3, retry_seconds=0.01).look()
    wait_for(lambda: disk.states() == {7: "END"})
    assert 4 == disk.loaded.count("m/7")


def test_a_retry_may_succeed(disk, watch, wait_for):
    disk.put("m", 7, content="bad")
    disk.add("m")
    watch(max_retries=10**6, retry_seconds=0.01).look()
    wait_for(lambda: len(disk.loaded) > 2)
    disk.put("m", 7)
    wait_for(lambda: disk.states() == {7: "AVAILABLE"})
    assert {} == disk.models.list_errors()


def test_a_version_that_goes_away_is_tried_no_more(disk, watch):
    disk.put("m", 7, content="bad")
    disk.add("m")
    watcher = watch(max_retries=5)
    watcher.look()
    shutil.rmtree(disk.base / "m" / "7")
    watcher.look()
    assert {7: "END"} == disk.states()
    assert {"m/7": "INVALID_ARGUMENT: broken"} == disk.models.list_errors()
    disk.put("m", 7)
    watcher.look()
    assert {7: "AVAILABLE"} == disk.states()


def test_a_version_that_goes_away_while_it_is_loaded_is_thrown_away(disk, watch, wait_for):
    disk.put("m", 7)
    disk.add("m", latest=0)
    disk.gates["m/7"] = threading.Event()
    watcher = watch()
    watcher.poll()
    wait_for(lambda: disk.loaded)
    disk.configs.clear()
    watcher.poll()
    disk.gates["m/7"].set()
    wait_for(lambda: disk.states() == {7: "END"})
    assert {} == disk.models.list_errors()


@pytest.mark.parametrize("retries", [0, 5])
def test_a_mended_version_is_tried_at_once(disk, watch, retries):
    disk.put("m", 7, content="bad")
    disk.add("m")
    watcher = watch(max_retries=retries)
    watcher.look()
    disk.put("m", 7)
    watcher.look()  # sees that something changed; it may be in the middle of a copy
    assert 1 == len(disk.loaded)
    watcher.look()
    assert {7: "AVAILABLE"} == disk.states()


def test_a_missing_base_path_leaves_every_model_as_it_is(disk, watch, wait_for, caplog):
    disk.put("m", 1)
    disk.put("other", 1)
    disk.add("m")
    disk.add("other")
    watcher = watch()
    watcher.look()
    (disk.base / "other").rename(disk.base / "away")
    disk.put("m", 2)
    watcher.look()
    watcher.look()
    assert ({1: "AVAILABLE"}, {1: "AVAILABLE"}) == (disk.states(), disk.states("other"))
    [text] = [one for one in caplog.messages if one.startswith("Cannot read the list of models")]
    assert text.endswith(f"Could not find base path {disk.base / 'other'} for servable other")
    (disk.base / "away").rename(disk.base / "other")
    watcher.look()
    wait_for(lambda: disk.states() == {1: "END", 2: "AVAILABLE"})


def test_a_model_folder_that_may_be_missing(disk, watch):
    disk.put("m", 1)
    disk.add("m", optional=True)
    disk.add("never", optional=True)
    watcher = watch()
    watcher.look()
    assert {"m": [1]} == disk.models.available()
    shutil.rmtree(disk.base / "m")
    watcher.look()
    assert {} == disk.models.available()


def test_several_are_loaded_at_a_time(disk, watch, wait_for):
    disk.put("m", 1, 2, 3)
    disk.add("m", latest=0)
    disk.gates = {f"m/{version}": threading.Event() for version in (1, 2, 3)}
    watch(load_threads=2).poll()
    wait_for(lambda: sorted(disk.loaded) == ["m/2", "m/3"])
    disk.gates["m/2"].set()
    wait_for(lambda: len(disk.loaded) == 3)


def test_an_unexpected_error_ends_the_version_not_the_watch(disk, watch):
    disk.put("m", 1)
    disk.put("good", 1)
    (disk.base / "m" / "1" / "saved_model.pb").unlink()
    disk.add("m")
    disk.add("good")
    watch().look()
    assert ({1: "END"}, {1: "AVAILABLE"}) == (disk.states(), disk.states("good"))
    assert disk.models.list_errors()["m/1"].startswith("INTERNAL: ")


def test_a_version_between_two_looks_is_found(disk):
    """A request that looks at a new version too early, and at the old one too late, looks again."""
    from serving.core.servable import Servable

    old, new = Servable("m", 1, disk.base), Servable("m", 2, disk.base)
    disk.models.add(old)
    disk.models.add(new)

    def swap_meanwhile():
        new.lease = lease
        new.publish(Model(disk.base))
        disk.models.retire(old)

    old.publish(Model(disk.base))
    new.lease, lease = swap_meanwhile, new.lease  # the first look comes too early
    assert 2 == disk.models.acquire(ModelSpec("m")).servable.version
