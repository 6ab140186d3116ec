"""The start of a server's models, and labels."""

from __future__ import annotations

import threading

import pytest

from serving.core.models import Models, ModelSpec
from serving.errors import Code, FailedPrecondition, InvalidArgument, NotFound, ServingError
from serving.lifecycle.manager import ServableManager
from serving.options import Loading, ServeOptions, Session

ALL = "model_version_policy { all {} }"


def _label(**labels):
    return " ".join(f'version_labels {{ key: "{key}" value: {version} }}' for key, version in labels.items())


def test_a_start_waits_for_all_that_is_wanted(put, listed, make_life):
    put("a", 1, 2)
    put("b", 7)
    life = make_life(listed("b", a=ALL), must_start=True)
    life.start_up()
    assert {"a": [1, 2], "b": [7]} == life.models.available()


def test_a_start_that_must_succeed(put, listed, make_life):
    put("a", 1)
    put("b", 3, content="bad")
    life = make_life(listed("a", "b"), must_start=True, max_retries=2, retry_seconds=0.01)
    with pytest.raises(ServingError) as caught:
        life.start_up()
    assert Code.UNKNOWN == caught.value.code
    assert (
        "1 servable(s) did not become available: {{{name: b version: 3} due to error: INVALID_ARGUMENT: broken}, }"
        == caught.value.message
    )


def test_a_start_that_need_not_succeed_waits_for_no_retry(put, listed, make_life):
    put("a", 1)
    put("b", 3, content="bad")
    life = make_life(listed("a", "b"), max_retries=5, retry_seconds=3600.0)
    life.start_up()
    assert ({"a": [1]}, {"b/3": "INVALID_ARGUMENT: broken"}) == (life.models.available(), life.models.list_errors())


def test_a_start_that_must_succeed_waits_for_the_first_version(tmp_path, put, listed, make_life, wait_for):
    life = make_life(listed("a"), must_start=True)
    thread = threading.Thread(target=life.start_up)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()  # not even the base path is there
    put("a", 3)
    thread.join(20)
    assert {"a": [3]} == life.models.available()


def test_a_model_that_wants_no_version_holds_up_no_start(put, listed, make_life):
    put("a", 1)
    life = make_life(listed(a="model_version_policy { specific {} }"), must_start=True)
    life.start_up()
    with pytest.raises(NotFound, match="Could not find any versions of model a"):
        life.models.statuses(ModelSpec("a"))


@pytest.mark.parametrize("content", ["bad", None])
def test_a_start_ends_promptly_when_it_is_asked_to(put, listed, make_life, content):
    if content:
        put("a", 1, content=content)
    life = make_life(listed("a"), must_start=True, max_retries=5, retry_seconds=3600.0)
    thread = threading.Thread(target=life.start_up)
    thread.start()
    life.halt()
    thread.join(20)
    assert not thread.is_alive()


def test_no_look_at_all(put, listed, make_life):
    put("a", 1)
    life = make_life(listed("a"), poll_seconds=-1.0)
    life.start_up()
    life.start()
    assert {} == life.models.available()


def test_labels_of_the_start(put, listed, make_life):
    put("a", 1, 2)
    life = make_life(listed(a=ALL + _label(stable=1, canary=2)))
    life.start_up()
    versions = [life.models.acquire(ModelSpec("a", label=label)).servable.version for label in ("stable", "canary")]
    assert [1, 2] == versions
    with pytest.raises(InvalidArgument, match="Unrecognized servable version label: other"):
        life.models.acquire(ModelSpec("a", label="other"))


def test_a_label_of_a_version_that_is_not_there(put, listed, make_life):
    put("a", 1)
    text = listed(a=_label(ahead=9))
    with pytest.raises(
        FailedPrecondition,
        match="Request to assign label to version 9 of model a, which is not currently available for inference",
    ):
        make_life(text).start_up()
    life = make_life(text, labels_ahead=True)
    life.start_up()
    with pytest.raises(NotFound, match=r"Servable not found for request: Specific\(a, 9\)"):
        life.models.acquire(ModelSpec("a", label="ahead"))


def test_ahead_of_its_version_a_label_may_be_new_or_stay_but_not_move(put, listed, make_life, ask):
    put("a", 1)
    life = make_life(listed(a=_label(known=1)), labels_ahead=True)
    life.start_up()
    ask(life, listed(a=_label(known=1, new=999)))
    assert {"known": 1, "new": 999} == life.models.labels("a")
    ask(life, listed(a=_label(known=1, new=999)))
    with pytest.raises(FailedPrecondition, match="Request to assign label to version 5 of model a"):
        ask(life, listed(a=_label(known=5)))
    assert {"known": 1, "new": 999} == life.models.labels("a")


def test_labels_are_set_before_anything_is_loaded(put, listed, make_life, ask):
    put("a", 1, 2)
    life = make_life(listed("a"))
    life.start_up()
    with pytest.raises(FailedPrecondition, match="version 1 of model a, which is not currently available"):
        ask(life, listed(a=ALL + _label(old=1)))
    ask(life, listed(a=ALL + _label(new=2)))
    ask(life, listed(a=ALL))
    assert {} == life.models.labels("a")


def test_the_options_reach_the_loads(tmp_path, monkeypatch):
    from serving.lifecycle import manager as module

    found = []
    monkeypatch.setattr(module, "LoadedModel", lambda *arguments: found.append(arguments))
    folder = tmp_path / "m" / "1"
    folder.mkdir(parents=True)
    session = Session(intra_threads=3)
    options = ServeOptions(tmp_path, session=session, loading=Loading(tags=("serve", "gpu"), warmup=False))
    one = ServableManager(Models(), options)
    one.start_up()
    one.stop()
    assert [(folder, session, ("serve", "gpu"))] == found


def test_what_loads_need_is_imported_before_their_threads(put, listed, make_life, monkeypatch):
    from serving.lifecycle import manager as module

    put("a", 1)
    life, found = make_life(listed("a"), must_start=True), []
    monkeypatch.setattr(module.protos, "load", lambda name: found.append((name, life.models.names())))
    life.start_up()
    assert [("apis.prediction_log_pb2", [])] == found
