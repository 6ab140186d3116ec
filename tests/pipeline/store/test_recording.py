import pytest

from pipeline.store.layout import Workspace
from pipeline.store.recording import RecordingState


@pytest.fixture
def folder(tmp_path):
    found = Workspace(tmp_path).run("run-1")
    found.root.mkdir(parents=True)
    return found


def test_state_survives(folder):
    state = RecordingState(offset=7, uri="u", mlflow_run_id="r", model_version="2", complete=True)
    state.save(folder)
    assert state == RecordingState.load(folder)


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", '"x"'])
def test_what_cannot_be_read_begins_anew(folder, content):
    folder.recorded.write_text(content)
    assert RecordingState() == RecordingState.load(folder)


def test_keys_of_a_newer_version_are_passed_over(folder):
    folder.recorded.write_text('{"offset": 3, "colour": "blue"}')
    assert RecordingState(offset=3) == RecordingState.load(folder)


def test_problems_are_noted_once_and_stay_short():
    state = RecordingState()
    state.note("a\nb")
    state.note("a\nb")
    assert state.error == "a b"
    for number in range(100):
        state.note(f"{number} " * 100)
    assert len(state.error) < 3000
