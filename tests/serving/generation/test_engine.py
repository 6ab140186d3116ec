"""The engine on a real model: equal answers alone and among others, failures, and its thread's end."""

from __future__ import annotations

import math
import queue
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.model import LoadedModel
from serving.errors import Code, ServingError
from serving.generation.answer import Generation, Limits
from serving.generation.engine import Engine
from serving.generation.language_model import LanguageCalls, read_language_model
from serving.generation.sampling import Sampling
from serving.generation.slots import PIECE, Slots, shared_pieces


@pytest.fixture(scope="module")
def calls(languages):
    return LanguageCalls(LoadedModel(languages / "quick"))


class Asked:
    """An answer that a test asks for."""

    def __init__(self, prompt=b"the quick", tokens=20, deadline=math.inf, end=(), **sampling):
        self.pieces = queue.Queue()
        limits = Limits(tokens, (), frozenset(end), deadline)
        self.generation = Generation(list(prompt), Sampling(**sampling), limits, self.pieces.put)

    def result(self):
        """Text and last piece."""
        texts = []
        while True:
            piece = self.pieces.get(timeout=30)
            texts.append(piece.text)
            if piece.is_last:
                return "".join(texts), piece


def _ask(engine, **fields):
    asked = Asked(**fields)
    engine.submit([asked.generation])
    return asked


def _idle(engine):
    end = time.monotonic() + 20
    while not engine.is_idle:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_an_answer_is_the_same_alone_and_among_others(calls):
    """Prompts of one and of many pieces; also when slots hold what others left there."""
    prompts = [bytes(np.random.default_rng(seed).integers(97, 122, 1 + 40 * seed).tolist()) for seed in range(8)]
    alone = []
    for seed, prompt in enumerate(prompts):
        alone.append(_ask(Engine(calls), prompt=prompt, seed=seed).result()[0])
    engine = Engine(calls)
    together = [_ask(engine, prompt=prompt, seed=seed) for seed, prompt in enumerate(prompts)]
    assert alone == [asked.result()[0] for asked in together]
    again = [_ask(engine, prompt=prompt, seed=seed) for seed, prompt in reversed(list(enumerate(prompts)))]
    assert alone[::-1] == [asked.result()[0] for asked in again]
    _idle(engine)


def test_the_cache_matters(calls):
    """Prompts that end equally and begin differently: else the tests above would show nothing."""
    first, second = (
        _ask(Engine(calls), prompt=start + b" the", tokens=80, seed=1).result()[0] for start in (b"a", b"zz")
    )
    assert first != second


def test_prompts_are_read_between_the_steps_of_others(calls):
    """Nobody waits until a long prompt is read."""
    engine = Engine(calls)
    short = _ask(engine, tokens=400, temperature=0.1)
    short.pieces.get(timeout=30)
    long = _ask(engine, prompt=b"a" * 450, tokens=1)
    seen = 0
    while not long.pieces.qsize():
        seen += bool(short.pieces.get(timeout=30))
    assert seen >= 450 // PIECE - 2
    engine.cancel([short.generation])
    _idle(engine)


def test_a_step_that_fails_ends_what_ran_and_nothing_else(calls, monkeypatch):
    engine, real, failing = Engine(calls), calls.decode, threading.Event()

    def decode(*arguments):
        if failing.is_set():
            failing.clear()
            raise ServingError("no memory", Code.RESOURCE_EXHAUSTED)
        return real(*arguments)

    monkeypatch.setattr(calls, "decode", decode)
    failing.set()
    asked = [_ask(engine) for _ in range(6)]
    results = [each.result()[1] for each in asked]
    assert {"no memory", ""} == {piece.error.message if piece.error else "" for piece in results}
    assert _ask(engine).result()[1].finish
    monkeypatch.setattr(calls, "detokenize", lambda _: 1 / 0)
    assert Code.INTERNAL is _ask(engine).result()[1].error.code
    _idle(engine)


def test_deadlines_and_cancelled_requests(calls):
    engine = Engine(calls)
    late = _ask(engine, tokens=10_000, deadline=time.monotonic() - 1)
    assert Code.DEADLINE_EXCEEDED is late.result()[1].error.code
    asked = [_ask(engine, tokens=400, temperature=0.1) for _ in range(20)]
    engine.cancel([each.generation for each in asked])
    assert {Code.CANCELLED} == {each.result()[1].error.code for each in asked}
    engine.cancel([asked[0].generation])  # again, which changes nothing
    _idle(engine)
    assert asked[0].pieces.empty()


def test_numbers_that_are_recorded(calls):
    recorded = []

    class Recorder:
        def streams(self, active, waiting):
            recorded.append((active, waiting))

        def generation(self, reason, prompt, tokens, first_token_s, seconds):
            recorded.append((reason, prompt, tokens, 0 < first_token_s <= seconds))

    engine = Engine(calls, metrics=Recorder())
    _ask(engine, prompt=b"abc", tokens=3).result()
    _idle(engine)
    assert ("length", 3, 3, True) in recorded
    assert (0, 0) == recorded[-1]


def test_a_model_that_is_none(tmp_path, languages):
    assert read_language_model(tmp_path) is None
    (tmp_path / "assets.extra").mkdir()
    for content in ("{", "[]", '{"context": "x"}', '{"context": 4, "slots": 1, "vocabulary": 5}'):
        (tmp_path / "assets.extra" / "language_model.json").write_text(content)
        with pytest.raises(ServingError, match="cannot be used"):
            read_language_model(tmp_path)


class Prompted:
    """As much of a generation as slots look at."""

    def __init__(self, prompt):
        self.prompt, self.slot, self.position, self.cached = tuple(prompt), -1, 0, 0


@given(st.lists(st.integers(0, 1), max_size=200), st.lists(st.integers(0, 1), min_size=1, max_size=200))
def test_only_equal_beginnings_are_shared(content, prompt):
    shared = shared_pieces(tuple(content), tuple(prompt))
    assert 0 == shared % PIECE
    assert shared < len(prompt)
    assert content[:shared] == prompt[:shared]


def test_the_slot_with_the_same_beginning_is_taken():
    slots = Slots(3)
    first, other = Prompted([1] * 200), Prompted([2] * 200)
    for each in (first, other):
        slots.take(each)
        each.position = 200
        slots.remember(each)
    slots.give(first)
    slots.give(other)
    again = Prompted([2] * 130 + [3])
    slots.take(again)
    assert (other.slot, 128, 128) == (again.slot, again.position, again.cached)
    fresh = Prompted([4] * 10)
    slots.take(fresh)
    assert fresh.slot not in (first.slot, other.slot)
