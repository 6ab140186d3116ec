"""What the request handler does with an answer that comes too late."""

import asyncio
import time
from unittest.mock import MagicMock

import numpy as np

from serving.core.handler import PreparedRequest, RequestContext, RequestHandler
from serving.errors import Code


class _Thread:
    """A thread that is busy until the test says that it is not."""

    def __init__(self):
        self.jobs = []

    def submit(self, function, *arguments):
        self.jobs.append(lambda: function(*arguments))


def test_a_large_answer_that_nobody_waits_for_any_more_is_not_written():
    thread, scheduler, answers, written = _Thread(), MagicMock(), [], []
    scheduler.submit = lambda task: task.end([np.zeros(1 << 20)])
    prepared = PreparedRequest(MagicMock(side=""), "serving_default", MagicMock(), written.append)

    async def run():
        handler = RequestHandler(scheduler, thread, thread, MagicMock())
        context = RequestContext("REST", "predict", "half", answers.append, deadline=time.monotonic() + 0.01)
        handler.answer(context, lambda: prepared)
        await asyncio.sleep(0.02)
        thread.jobs[0]()
        await asyncio.sleep(0)
        return handler.in_flight

    assert 0 == asyncio.run(run())
    assert [Code.DEADLINE_EXCEEDED] == [answer.code for answer in answers]
    assert not written


def test_an_answer_of_megabytes_leaves_the_thread_that_reads_to_others():
    writers, parser, scheduler, answers = _Thread(), _Thread(), MagicMock(), []
    results = [np.zeros(1 << 20, np.float32), np.zeros(1 << 15, np.float32), np.full(1 << 14, b"x", object)]
    scheduler.submit = lambda task: task.end([results.pop(0)])
    prepared = PreparedRequest(
        MagicMock(side=""), "serving_default", MagicMock(), lambda values: b"%d" % len(values[0])
    )

    async def run():
        handler = RequestHandler(scheduler, writers, parser, MagicMock())
        for _ in range(3):
            handler.answer(RequestContext("REST", "predict", "half", answers.append), lambda: prepared)
        assert (2, 1) == (len(writers.jobs), len(parser.jobs))
        parser.jobs[0]()
        await asyncio.sleep(0)
        return answers

    assert [b"32768"] == asyncio.run(run())
