"""Versions that come and go in quick succession, under requests."""

from __future__ import annotations

import threading

import pytest

from serving.core.models import Models, ModelSpec
from serving.lifecycle.watcher import Watcher
from serving.options import Loading, ModelConfig

SWAPS = 40


class Model:
    def __init__(self, path):
        self.path, self.closed = path, False

    def close(self):
        self.closed = True


@pytest.mark.heavy
def test_no_request_is_lost_over_many_swaps(tmp_path, wait_for):
    models = Models()
    (tmp_path / "1").mkdir()
    options = Loading(load_threads=2, unload_threads=2)
    watcher = Watcher(models, lambda: [ModelConfig("m", tmp_path)], Model, options)
    watcher.look()
    errors, counts, stop = [], [0] * 2, threading.Event()

    def keep_asking(mine):
        while not stop.is_set():
            try:
                with models.lease(ModelSpec("m")) as (_, model):
                    assert not model.closed
                    counts[mine] += 1
                    assert not model.closed
            except Exception as error:  # noqa: BLE001 - any one fails the test
                errors.append(error)

    threads = [threading.Thread(target=keep_asking, args=(one,)) for one in range(len(counts))]
    for thread in threads:
        thread.start()
    for version in range(2, SWAPS):
        (tmp_path / str(version)).mkdir()
        watcher.look()
        (tmp_path / str(version - 1)).rmdir()
    stop.set()
    for thread in threads:
        thread.join()
    watcher.stop()
    assert [] == errors
    assert all(counts)
    assert {"m": [SWAPS - 1]} == models.available()
    wait_for(lambda: SWAPS - 2 == [one.state.name for one in models.statuses(ModelSpec("m"))].count("END"))


def test_thousands_of_versions_are_one_load(tmp_path):
    for version in range(5000):
        (tmp_path / str(version)).mkdir()
    (tmp_path / "5000").write_text("no folder")
    loaded, models = [], Models()
    watcher = Watcher(models, lambda: [ModelConfig("m", tmp_path)], lambda path: loaded.append(path) or Model(path))
    watcher.look()
    watcher.look()
    watcher.stop()
    assert [tmp_path / "4999"] == loaded
