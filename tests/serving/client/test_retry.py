"""When a call is sent again, without a server."""

from __future__ import annotations

import pytest

from serving.client.calls import ATTEMPTS, Call, Deadline, Pause, send_with_retries
from serving.errors import Code, DeadlineExceeded, ServingError, Unavailable


def _driven(flow, *answers):
    """The result of a flow that is given these answers, and its pauses."""
    pauses, take, given = [], flow.send, None
    answers = iter(answers)
    while True:
        try:
            step = take(given)
        except StopIteration as end:
            return end.value, pauses
        take, given = flow.send, b""
        if isinstance(step, Pause):
            pauses.append(step.seconds)
            continue
        given = next(answers)
        if isinstance(given, Exception):
            take = flow.throw


def _call(*, repeatable=True):
    return Call("/x", None, lambda content: content.decode(), repeatable)


def test_only_unavailable_is_tried_again():
    found, pauses = _driven(send_with_retries(_call(), Deadline(60)), *[Unavailable("away")] * (ATTEMPTS - 1), b"here")
    assert ("here", ATTEMPTS - 1) == (found, len(pauses))
    assert all(0.05 * 2**i <= pause <= 0.15 * 2**i for i, pause in enumerate(pauses))
    with pytest.raises(Unavailable):
        _driven(send_with_retries(_call(), Deadline(60)), *[Unavailable("away")] * ATTEMPTS)
    with pytest.raises(ServingError, match="wrong"):
        _driven(send_with_retries(_call(), Deadline(60)), ServingError("wrong", Code.INTERNAL))
    with pytest.raises(Unavailable):
        _driven(send_with_retries(_call(repeatable=False), Deadline(60)), Unavailable("away"))


def test_the_time_limit_ends_the_tries():
    with pytest.raises(Unavailable):
        _driven(send_with_retries(_call(), Deadline(0.04)), Unavailable("away"))
    with pytest.raises(DeadlineExceeded, match=r"are over before it could be sent[\s\S]*Next: pass a larger timeout_s"):
        _driven(send_with_retries(_call(), Deadline(0)))
