"""Large bodies that arrive at the same time: few are read at a time, each has its turn, a single one never waits."""

from __future__ import annotations

import asyncio
import threading

import pytest

from serving.rest.body_turns import BodyTurns


class Sender:
    """A connection with so many pieces of a body to come."""

    def __init__(self, pieces):
        self.left, self.held, self.holds = pieces, False, 0

    @property
    def is_in_body(self):
        return self.left > 0

    def hold(self, *, held):
        self.held = held
        self.holds += held


def bring(turns, sender):
    """A piece arrives: the turn is told first, then the piece is read."""
    turns.touch(sender)
    sender.left -= 1


def run(action):
    async def main():
        await action(BodyTurns())

    asyncio.run(main())


def test_a_single_body_is_never_held_for_long():
    async def main(turns):
        sender = Sender(100)
        while sender.left:
            assert not sender.held
            bring(turns, sender)
        assert sender.holds <= 1

    run(main)


@pytest.mark.parametrize("count", [3, 50])
def test_two_at_a_time_and_all_come_to_their_end(count):
    async def main(turns):
        senders = [Sender(5) for _ in range(count)]
        for sender in senders:
            bring(turns, sender)
        while any(sender.left for sender in senders):
            free = [sender for sender in senders if sender.left and not sender.held]
            assert len(free) <= 2
            for sender in free:
                bring(turns, sender)
                assert max(each.left for each in senders) - min(each.left for each in senders) <= 3  # in turns
            await asyncio.sleep(0 if free else 0.001)

    run(main)


def test_who_sends_nothing_loses_its_turn():
    async def main(turns):
        silent, others = [Sender(5), Sender(5)], [Sender(3), Sender(3)]
        for sender in silent + others:
            bring(turns, sender)
        for _ in range(200):
            for sender in others:
                if sender.left and not sender.held:
                    bring(turns, sender)
            await asyncio.sleep(0.001)
        assert [0, 0] == [sender.left for sender in others]

    run(main)


def test_who_leaves_makes_room():
    async def main(turns):
        senders = [Sender(5) for _ in range(4)]
        for sender in senders:
            bring(turns, sender)
        for sender in [each for each in senders if not each.held]:
            turns.remove(sender)
        assert 4 == sum(not sender.held for sender in senders)  # the two that left, and two for them
        for sender in senders:
            turns.remove(sender)
        assert not turns._reading
        assert not turns._waiting

    run(main)


def test_small_requests_and_ended_bodies_are_not_held():
    async def main(turns):
        small, large = Sender(0), [Sender(2) for _ in range(4)]
        for sender in large:
            bring(turns, sender)
        turns.touch(small)
        assert not small.held
        for sender in large:
            sender.left = 0
        await asyncio.sleep(0.05)
        assert not any(sender.held for sender in large)

    run(main)


@pytest.mark.process
def test_many_large_bodies_at_once_arrive_whole(port, dial, read_all):
    here = port()
    bodies = [bytes([number]) * 2_000_000 for number in range(30)]
    answers = {}

    def send(number):
        client = dial(here.address)
        client.sendall(b"POST /x HTTP/1.1\r\nConnection: close\r\nContent-Length: 2000000\r\n\r\n" + bodies[number])
        answers[number] = read_all(client).partition(b"\r\n\r\n")[2]

    threads = [threading.Thread(target=send, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {number: b"/x " + body for number, body in enumerate(bodies)} == answers
    assert 0 == here.bytes_held
