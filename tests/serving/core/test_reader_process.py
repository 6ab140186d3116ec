"""The process that reads large requests: what it gives, and what happens when it takes too long or dies."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from serving.core.reader_process import ReaderProcess
from serving.errors import Code, DeadlineExceeded, ServingError, Unavailable
from serving.wire import json_parser

pytestmark = pytest.mark.process


def test_it_gives_what_the_function_gives(process):
    assert {"a": [1, "é", None]} == process.call(json_parser.loads, b'{"a": [1, "\xc3\xa9", null]}')
    array = process.call(np.arange, 1_000_000)
    np.testing.assert_array_equal(np.arange(1_000_000), array)
    assert os.getpid() != process.call(os.getpid)


def test_errors_pass_with_their_code(process):
    with pytest.raises(ServingError, match=r"^JSON Parse error: Invalid value. at offset: 1$") as caught:
        process.call(json_parser.loads, b"[x]")
    assert Code.INVALID_ARGUMENT == caught.value.code


def test_work_that_nobody_waits_for_ends(process):
    first = process.call(os.getpid)
    with pytest.raises(DeadlineExceeded):
        process.call(time.sleep, 60, deadline=time.monotonic() + 0.3)
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    with pytest.raises(DeadlineExceeded):
        process.call(time.sleep, 60, deadline=time.monotonic() - 1)
    assert first != process.call(os.getpid)


def test_a_death_is_an_error_of_one_request(process):
    first = process.call(os.getpid)
    with pytest.raises(ServingError, match="has died") as caught:
        process.call(os.kill, first, signal.SIGKILL)
    assert Code.INTERNAL == caught.value.code
    assert first != process.call(os.getpid)


def test_its_memory_is_bounded():
    process = ReaderProcess(2**28)
    with pytest.raises(ServingError, match="more memory than there is") as caught:
        process.call(bytes, 2**30)
    assert Code.RESOURCE_EXHAUSTED == caught.value.code
    assert b"\0" == process.call(bytes, 1)
    process.close()


def test_after_the_end_nothing_is_read_and_nobody_is_left():
    process = ReaderProcess()
    pid = process.call(os.getpid)
    waiting = process.thread.submit(process.call, time.sleep, 60)
    time.sleep(0.2)
    process.close()
    with pytest.raises(Unavailable, match="going away"):
        waiting.result(10)
    with pytest.raises(Unavailable, match="going away"):
        process.call(os.getpid)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
