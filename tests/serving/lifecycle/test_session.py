"""TensorFlow's session: options, tags, deadlines, and what is private in it."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest

from serving.core import session as core_session
from serving.core.session import ModelSession, RunMode
from serving.errors import Code, DeadlineExceeded, InvalidArgument, ServingError
from serving.options import Session


def _names(one, signature="serving_default"):
    definition = one.signature_defs[signature]
    return [[info.name for info in infos.values()] for infos in (definition.inputs, definition.outputs)]


@pytest.fixture(scope="module")
def echo(saved):
    made = ModelSession(saved / "echo", Session())
    yield made
    made.close()


_WAYS = ["_shared_call", "_callable_call", "_plain_call"]


@pytest.fixture(params=range(3), ids=_WAYS)
def way(request, monkeypatch):
    """What of TensorFlow's private parts there still is; without them, all works as well."""
    for name in _WAYS[: request.param]:
        monkeypatch.setattr(core_session, name, lambda *_: None)
    return request.param


def test_tensorflow_still_has_what_makes_calls_fast(echo):
    options = core_session.import_tensorflow().compat.v1.RunOptions()
    assert core_session._shared_call(echo._session, *_names(echo), options) is not None
    assert core_session._callable_call(echo._session, *_names(echo), options) is not None


def test_a_call(echo, way):
    [result] = echo.callable(*_names(echo))(np.array([1.0, 2.5], np.float32))
    assert [1.0, 2.5] == result.tolist()


def test_a_deadline(echo, way):
    feeds, fetches = _names(echo, "slow")
    call = echo.callable(feeds, fetches, RunMode(in_caller=False, timeout_ms=20))
    with pytest.raises(DeadlineExceeded) as caught:
        call(np.array([1.0], np.float32))
    assert Code.DEADLINE_EXCEEDED == caught.value.code
    [result] = echo.callable(*_names(echo))(np.array([1.0], np.float32))
    assert [1.0] == result.tolist()


def test_tags(saved):
    with pytest.raises(ServingError, match="no_such_tag"):
        ModelSession(saved / "linear_1", Session(), ("no_such_tag",))


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        (Session(intra_threads=3, inter_threads=2), (3, 2, 0.0)),
        (Session(gpu_memory_fraction=0.25), (0, 0, 0.25)),
    ],
)
def test_options_of_the_session(session, expected):
    config = core_session._config_proto(session)
    found = (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads)
    assert expected == (*found, config.gpu_options.per_process_gpu_memory_fraction)


def test_a_file_with_the_sessions_config(tmp_path):
    file = tmp_path / "session.config"
    file.write_text("intra_op_parallelism_threads: 5")
    assert 5 == core_session._config_proto(Session(intra_threads=3, config_file=file)).intra_op_parallelism_threads
    file.write_text("nonsense {")
    with pytest.raises(InvalidArgument, match="ConfigProto"):
        core_session._config_proto(Session(config_file=file))


def test_loads_at_the_same_time_are_quiet_and_leave_the_log_as_it_was(saved, caplog):
    logger = logging.getLogger("tensorflow")
    level, propagate = logger.level, logger.propagate
    logger.propagate = True
    try:
        with caplog.at_level(logging.INFO, "tensorflow"):
            threads = [
                threading.Thread(target=lambda: ModelSession(saved / "linear_1", Session()).close()) for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert [] == caplog.messages
            logger.warning("another's")
            assert ["another's"] == caplog.messages
    finally:
        logger.propagate = propagate
    assert level == logger.level
