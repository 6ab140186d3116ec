import tempfile

import pytest

from pipeline.tracking import model_registry
from pipeline.tracking.follower import prewarm


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_rehearsal_saves_for_nothing_and_leaves_nothing(scratch, monkeypatch):
    saved = []
    save = model_registry.save_pyfunc
    monkeypatch.setattr(
        model_registry, "save_pyfunc", lambda path, model: saved.append(save(path, model) or sorted(path.iterdir()))
    )
    assert len(list(prewarm())) == 3
    assert "MLmodel" in {path.name for path in saved[0]}
    assert list(scratch.iterdir()) == []


def test_what_fails_in_a_rehearsal_is_left_to_the_real_thing(scratch, monkeypatch):
    def full(*_):
        raise OSError(28, "no space left on the device")

    monkeypatch.setattr(model_registry, "save_pyfunc", full)
    assert len(list(prewarm())) == 3


def test_nothing_is_rehearsed_before_its_turn(scratch, monkeypatch):
    monkeypatch.setattr(model_registry, "save_pyfunc", lambda *_: pytest.fail("rehearsed too early"))
    parts = prewarm()
    next(parts)
    next(parts)
    parts.close()
