"""Messages that are not whole yet hold what they may have brought, and leave for others."""

from __future__ import annotations

import asyncio

import pytest

from serving.core.work import MemoryBudget
from serving.grpc_api import arrival
from serving.grpc_api.arrival import Arrivals, RefusedError

MIB = 2**20


class Call:
    """A call whose message comes when the test says so."""

    def __init__(self):
        self.message = asyncio.get_running_loop().create_future()

    async def read(self):
        return await self.message


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(arrival, "_MOMENT_S", 0.01)
    monkeypatch.setattr(arrival, "_STEP_S", 0.02)


async def begin(arrivals, count, **options):
    """Calls and who receives their messages, one after the other."""
    calls, tasks = [], []
    for _ in range(count):
        calls.append(Call())
        tasks.append(asyncio.ensure_future(arrivals.receive(calls[-1], **options)))
        await asyncio.sleep(0.002)
    return calls, tasks


def test_a_message_that_comes_whole_holds_nothing(monkeypatch):
    monkeypatch.setattr(arrival, "_MOMENT_S", 30.0)  # a busy machine may take its time

    async def run():
        budget = MemoryBudget(0)
        [call], [task] = await begin(Arrivals(budget, 8 * MIB), 1)
        call.message.set_result(b"abc")
        assert b"abc" == await task

    asyncio.run(run())


def test_a_slow_message_holds_more_and_more_up_to_the_largest():
    async def run():
        budget = MemoryBudget(100 * MIB)
        [call], [task] = await begin(Arrivals(budget, 20 * MIB), 1)
        await asyncio.sleep(0.2)
        assert budget.fits(80 * MIB)
        assert not budget.fits(80 * MIB + 1)
        call.message.set_result(b"abc")
        assert b"abc" == await task
        assert budget.fits(100 * MIB)

    asyncio.run(run())


def test_the_longest_under_way_leaves_for_a_new_one():
    async def run():
        budget = MemoryBudget(16 * MIB)
        calls, tasks = await begin(Arrivals(budget, 8 * MIB), 3)
        await asyncio.sleep(0.2)
        with pytest.raises(RefusedError):
            await tasks[0]
        for call, task in zip(calls[1:], tasks[1:], strict=True):
            call.message.set_result(b"x")
            assert b"x" == await task
        assert budget.fits(16 * MIB)

    asyncio.run(run())


def test_a_call_that_is_given_up_holds_nothing_and_a_probe_has_a_moment():
    async def run():
        budget = MemoryBudget(16 * MIB)
        arrivals = Arrivals(budget, 8 * MIB)
        _, [task] = await begin(arrivals, 1)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        _, [probe] = await begin(arrivals, 1, patient=False)
        with pytest.raises(RefusedError):
            await probe
        assert budget.fits(16 * MIB)

    asyncio.run(run())
