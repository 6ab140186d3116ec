import pytest

from pipeline.tracking.state import FILE, State


def test_state_survives(tmp_path):
    state = State(offset=7, uri="u", mlflow_run_id="r", model_version="2", complete=True)
    state.save(tmp_path)
    assert state == State.load(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", '"x"'])
def test_what_cannot_be_read_begins_anew(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    assert State() == State.load(tmp_path)


def test_keys_of_a_newer_version_are_passed_over(tmp_path):
    (tmp_path / FILE).write_text('{"offset": 3, "colour": "blue"}')
    assert State(offset=3) == State.load(tmp_path)


def test_problems_are_noted_once_and_stay_short():
    state = State()
    state.note("a\nb")
    state.note("a\nb")
    assert state.error == "a b"
    for number in range(100):
        state.note(f"{number} " * 100)
    assert len(state.error) < 3000
