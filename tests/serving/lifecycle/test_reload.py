"""New lists of models in place of the old one: by an operator's call, or by the config file."""

from __future__ import annotations

import threading
import time

import pytest

from serving.core.models import ModelSpec
from serving.errors import Code, InvalidArgument, ServingError


def _label(**labels):
    return " ".join(f'version_labels {{ key: "{key}" value: {version} }}' for key, version in labels.items())


def test_a_new_list_takes_the_place_of_the_old_one(put, listed, make_life, wait_for, ask):
    for name in "abc":
        put(name, 1)
    life = make_life(listed("a", "b"))
    life.start_up()
    response = ask(life, listed("b", "c"))
    assert (0, "") == (response.status.error_code, response.status.error_message)
    wait_for(lambda: {"b": [1], "c": [1]} == life.models.available())
    wait_for(lambda: ["END"] == [one.state.name for one in life.models.statuses(ModelSpec("a"))])
    ask(life, listed("a"))
    wait_for(lambda: {"a": [1]} == life.models.available())


def test_an_empty_list_and_back_again(put, listed, make_life, ask):
    put("a", 1)
    life = make_life(listed("a"))
    life.start_up()
    held = life.models.acquire(ModelSpec("a"))
    ask(life, "model_config_list {}")
    assert {} == life.models.available()
    ask(life, listed("a"))
    assert {"a": [1]} == life.models.available()
    held.release()
    assert {"a": [1]} == life.models.available()


def test_a_base_path_that_moves(tmp_path, put, listed, make_life, wait_for, ask):
    put("a", 123)
    put("other", 123, 124)
    life = make_life(listed("a"))
    life.start_up()
    ask(life, listed("a").replace("/a", "/other"))
    wait_for(lambda: {"a": [124]} == life.models.available())


def test_a_new_model_that_cannot_be_loaded(put, listed, make_life, ask):
    put("a", 1)
    put("b", 2, content="bad")
    life = make_life(listed("a"))
    life.start_up()
    with pytest.raises(ServingError) as caught:
        ask(life, listed("a", "b"))
    assert caught.value.message.startswith("1 servable(s) did not become available: {{{name: b version: 2} due to")
    assert {"a": [1]} == life.models.available()


def test_a_new_model_without_versions_or_without_a_folder(tmp_path, put, listed, make_life, wait_for, ask):
    put("a", 1)
    life = make_life(listed("a"))
    life.start_up()
    life.start()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ServingError, match=r"1 servable.* did not become available: {{{name: empty} due to error"):
        ask(life, listed("empty"))
    with pytest.raises(InvalidArgument, match=r"Could not find base path .*/later for servable later"):
        ask(life, listed("later"))
    put("later", 1)
    wait_for(lambda: {"later": [1]} == life.models.available())


@pytest.mark.parametrize("text", ["", "custom_model_config {}"])
def test_only_a_list_of_models_can_be_loaded(put, listed, make_life, text, ask):
    put("a", 1)
    life = make_life(listed("a"))
    life.start_up()
    with pytest.raises(
        InvalidArgument,
        match=r"ServerModelConfig type not supported by HandleReloadConfigRequest. "
        "Only ModelConfigList is currently supported",
    ):
        ask(life, text)


def test_what_is_refused_changes_nothing(put, listed, make_life, ask):
    put("a", 1)
    life = make_life(listed("a"))
    life.start_up()
    other = listed("a").replace("tensorflow", "caffe")
    for text, expected in (
        (listed("a", "a"), "Illegal to list model a multiple times in config list"),
        (other, "Illegal to change a model's platform. For model a platform was tensorflow"),
    ):
        with pytest.raises(InvalidArgument, match=expected):
            ask(life, text)
    assert ["a"] == [one.name for one in life.configs]


def test_a_later_list_supersedes_one_that_is_still_loading(put, listed, make_life, wait_for, ask):
    put("a", 1)
    put("slow", 1, content="slow")
    life = make_life(listed("a"), load_threads=2)
    life.start_up()
    found = []

    def send():
        with pytest.raises(ServingError) as caught:
            ask(life, listed("slow"))
        found.append(caught.value.code)

    thread = threading.Thread(target=send)
    thread.start()
    wait_for(lambda: life.models.versions("slow"))
    ask(life, listed("a"))
    thread.join(20)
    assert [Code.ABORTED] == found
    assert {"a": [1]} == life.models.available()


def test_a_reload_ends_when_the_server_does(put, listed, make_life, wait_for, ask):
    put("slow", 1, content="slow")
    life = make_life("")
    life.start_up()
    found = []

    def send():
        try:
            ask(life, listed("slow"))
        except ServingError as error:
            found.append(error.code)

    thread = threading.Thread(target=send)
    thread.start()
    wait_for(lambda: life.models.versions("slow"))
    life.halt()
    thread.join(20)
    assert [Code.UNAVAILABLE] == found


def test_increases_of_the_metrics_that_were_asked_for(put, listed, make_life, ask):
    put("a", 1)
    life = make_life("")
    life.start_up()
    values = iter([{"x": 3, "y": 1}, {"x": 7, "y": 1, "z": 2}])
    response = ask(life, listed("a"), "x", "z", "unknown", counters=lambda: next(values))
    assert [("x", 4), ("z", 2)] == [(one.name, one.int64_value_increase) for one in response.metric]


def test_a_changed_file_is_applied(put, listed, make_life, wait_for):
    put("a", 1)
    put("b", 1)
    life = make_life(listed("a"), config_poll=0.05)
    life.start_up()
    life.start()
    life.file.write_text(listed("b", a=_label(stable=1)))
    wait_for(lambda: {"a": [1], "b": [1]} == life.models.available())
    assert {"stable": 1} == life.models.labels("a")


def test_a_broken_file_is_reported_once_and_the_old_list_stays(put, listed, make_life, wait_for, caplog):
    put("a", 1)
    put("b", 1)
    life = make_life(listed("a"))
    life.start_up()
    for text in ("nonsense {", listed("a", "a")):
        life.file.write_text(text)
        for _ in range(3):
            life._file.look()
    codes = [text.split(": ")[1] for text in caplog.messages if "config file was not applied" in text]
    assert ["INVALID_ARGUMENT"] * 2 == codes
    assert {"a": [1]} == life.models.available()
    life.file.write_text(listed("b"))
    life._file.look()
    wait_for(lambda: {"b": [1]} == life.models.available())


def test_a_file_that_did_not_change_leaves_an_operators_list(put, listed, make_life, ask):
    put("a", 1)
    put("b", 1)
    life = make_life(listed("a"))
    life.start_up()
    ask(life, listed("b"))
    life._file.look()
    assert ["b"] == [one.name for one in life.configs]


@pytest.mark.heavy
def test_polls_reloads_and_the_end_at_the_same_time(put, listed, make_life, ask):
    """No deadlock: everything that may happen at once does, many times."""
    for name in "abcd":
        put(name, 1, 2)
    life = make_life(listed("a"), poll_seconds=0.001, config_poll=0.001, load_threads=2, unload_threads=2)
    life.start_up()
    life.start()
    end = time.monotonic() + 1.0

    def send(names):
        while time.monotonic() < end:
            try:
                ask(life, listed(*names))
            except ServingError as error:
                assert error.code in {Code.ABORTED, Code.UNAVAILABLE}  # noqa: PT017 - either is fine, as is none

    threads = [threading.Thread(target=send, args=(names,)) for names in ("ab", "bc", "cd", "")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    ask(life, listed("a", "d"))
    assert {"a", "d"} <= set(life.models.available())
    life.stop()


def test_subscribers_get_a_new_list(put, listed, make_life, ask):
    put("a", 1)
    life, found = make_life(listed("a")), []
    life._reload._applied = lambda: found.append([one.name for one in life.configs])
    life.start_up()
    ask(life, "model_config_list {}")
    life.file.write_text(listed(a="logging_config {}"))
    life._file.look()
    assert [[], ["a"]] == found
    assert life.configs[0].logging is not None


def test_an_operators_list_outlives_one_of_the_file_that_was_still_loading(put, listed, make_life, ask):
    put("slow", 1, content="slow")
    put("a", 1)
    life = make_life("", load_threads=2)
    life.start_up()
    life.file.write_text(listed("slow"))
    life._file.look()
    ask(life, listed("a"))
    life._file.look()
    assert ["a"] == [one.name for one in life.configs]
