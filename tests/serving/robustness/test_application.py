"""A bug in a page is answered: its client must not wait for ever."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from serving.rest.app import Application
from serving.rest.parser import Request


def test_a_page_that_fails_is_answered(caplog):
    def fail(method, path):
        raise RuntimeError("a bug")

    async def ask():
        with ThreadPoolExecutor(1) as executor:
            application = Application(None, None, executor, fail, None, None)
            answer = asyncio.get_running_loop().create_future()
            application.handle(Request("GET", "/healthz"), answer.set_result)
            return await asyncio.wait_for(answer, 10)

    response = asyncio.run(ask())
    assert (500, True) == (response.status, b"RuntimeError: a bug" in response.body)
    assert "GET /healthz failed" in caplog.text
