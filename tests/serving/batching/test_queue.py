"""The scheduler with parameters, without sockets: what runs together, what is refused, what is given back."""

from __future__ import annotations

import asyncio
import math
import threading
from functools import partial
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.batching.per_model import PerModelScheduler, read_parameters
from serving.batching.queue import BatchScheduler, BatchThreadPool
from serving.batching.shapes import check_parameters, join_padded, split_rows
from serving.core.work import InferenceTask, RunArgs
from serving.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable
from serving.options import Batching

HOUR = 3_600_000_000  # microseconds: a batch waits until it is full
FEEDS, FETCHES = ("x:0",), ("y:0",)


class Model:
    """Stands in for a loaded model: doubles its inputs and notes its runs."""

    def __init__(self):
        self.runs = []
        self.release = threading.Event()
        self.release.set()
        self.graph = lambda fetch: [array + array for array in fetch.arrays]

    def run(self, fetch, way):
        self.release.wait(20)
        self.runs.append(fetch.rows)
        return self.graph(fetch)


class Desk:
    """A scheduler, and the requests that went to it with how often each was answered and ended."""

    def __init__(self, **options):
        self.model = Model()
        self.noted = []
        self.batches = BatchScheduler(Batching(**{"threads": 1, **options}), lambda *run: self.noted.append(run))
        self.ended, self.answers = [], []

    def submit(self, *arrays, fetches=FETCHES, deadline=math.inf, model=None, feeds=FEEDS):
        number = len(self.ended)
        self.ended.append(0)
        self.answers.append([])
        lease = SimpleNamespace(
            model=model or self.model, servable=SimpleNamespace(name="m"), release=lambda: self._release(number)
        )
        fetch = RunArgs(feeds, fetches, [np.asarray(array) for array in arrays])
        done = asyncio.get_running_loop().create_future()

        def answer(outcome):
            self.answers[number].append(outcome)
            done.set_result(outcome)

        self.batches.submit(InferenceTask(lease, fetch, answer, deadline))
        return done

    def _release(self, number):
        self.ended[number] += 1

    async def settled(self):
        """All requests were ended exactly once, and nothing is kept of them."""
        for _ in range(400):
            if all(self.ended):
                break
            await asyncio.sleep(0.01)
        assert [1] * len(self.ended) == self.ended
        assert [1] * len(self.ended) == [len(answers) for answers in self.answers]
        kept = (self.batches._queues, self.batches._waiting, self.batches._deadlines)
        assert [0, 0, 0] == [len(one) for one in kept]


def tell(story, **options):
    async def main():
        desk = Desk(**options)
        try:
            await story(desk)
            await desk.settled()
        finally:
            desk.model.release.set()
            desk.batches.close()

    asyncio.run(main())


def test_requests_that_fill_a_batch_share_a_run_and_get_their_own_rows():
    async def story(desk):
        answers = await asyncio.gather(desk.submit([1.0, 2.0]), desk.submit([3.0]), desk.submit([4.0]))
        assert [[2.0, 4.0], [6.0], [8.0]] == [values[0].tolist() for values in answers]
        assert [4] == desk.model.runs
        [(name, rows, processed, waits)] = desk.noted
        assert ("m", [2, 1, 1], 4, True) == (name, rows, processed, all(wait >= 0 for wait in waits))

    tell(story, max_batch_size=4, timeout_micros=HOUR)


def test_a_batch_runs_when_it_has_waited_long_enough():
    async def story(desk):
        assert [2.0] == (await desk.submit([1.0]))[0].tolist()

    tell(story, max_batch_size=4, timeout_micros=1000)


def test_without_a_timeout_a_lone_request_runs_at_once_and_those_that_wait_for_a_thread_share_the_next_run():
    async def story(desk):
        desk.model.release.clear()
        waiting = [desk.submit([float(number)]) for number in range(5)]
        desk.model.release.set()
        await asyncio.gather(*waiting)
        assert [1, 4] == desk.model.runs

    tell(story)


def test_a_request_that_does_not_fit_closes_the_batch_before_it():
    async def story(desk):
        first, second = desk.submit([1.0, 1.0, 1.0]), desk.submit([2.0, 2.0])
        assert 3 == len((await first)[0])
        assert not second.done()
        await desk.submit([3.0, 3.0])
        await second
        assert [3, 4] == desk.model.runs

    tell(story, max_batch_size=4, timeout_micros=HOUR)


def test_models_inputs_and_outputs_have_queues_of_their_own():
    async def story(desk):
        other = Model()
        requests = [
            desk.submit([1.0]),
            desk.submit([1.0], model=other),
            desk.submit([1.0], fetches=("z:0",)),
            desk.submit([1.0], [1.0], feeds=("a:0", "x:0"), fetches=("a:0", "x:0")),
        ]
        await asyncio.sleep(0.01)
        assert not any(request.done() for request in requests)
        await asyncio.gather(*requests, desk.submit([2.0]), *[desk.submit([2.0], model=other)])
        assert ([2, 1, 1], [2]) == (desk.model.runs, other.runs)

    async def ended(desk):
        story_over = asyncio.get_running_loop().create_task(story(desk))
        await asyncio.sleep(0.1)
        desk.batches.drain()
        await story_over

    tell(ended, max_batch_size=2, timeout_micros=HOUR)


def test_the_batch_that_is_ready_longest_runs_first():
    async def story(desk):
        desk.model.release.clear()
        order = []
        busy = desk.submit([0.0])
        others = [(number, Model()) for number in range(3)]
        for number, model in others:
            model.graph = lambda fetch, number=number: order.append(number) or [fetch.arrays[0]]
        waiting = [desk.submit([1.0], model=model) for _, model in others]
        waiting += [desk.submit([1.0], model=others[0][1])]
        desk.model.release.set()
        await asyncio.gather(busy, *waiting)
        assert [0, 1, 2] == order

    tell(story)


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ([], "Batching Run() must have at least one input tensor"),
        ([5.0], "Batching Run() input tensors must have at least one dimension"),
        ([[1.0], [1.0, 2.0]], "Batching Run() input tensors must have equal 0th-dimension size"),
        ([[1.0] * 5], "Task size 5 is larger than maximum input batch size 4"),
    ],
)
def test_refused_at_once(arrays, text):
    async def story(desk):
        error = await desk.submit(*arrays, feeds=("a:0", "b:0")[: len(arrays)])
        assert (InvalidArgument, text) == (type(error), error.message)

    tell(story, max_batch_size=4)


def test_a_full_queue_refuses_and_recovers():
    async def story(desk):
        desk.model.release.clear()
        taken = [desk.submit([1.0, 1.0]) for _ in range(3)]  # one runs, two wait
        error = await desk.submit([1.0])
        text = (
            "The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued and "
            "max_enqueued_batches is 2"
        )
        assert (Unavailable, text) == (type(error), error.message)
        desk.model.release.set()
        await asyncio.gather(*taken)
        assert [6.0] == (await desk.submit([3.0]))[0].tolist()

    tell(story, max_batch_size=2, max_enqueued_batches=2)


def test_a_full_queue_refuses_no_other_model():
    async def story(desk):
        desk.model.release.clear()
        taken = [desk.submit([1.0, 1.0]) for _ in range(2)]
        other = desk.submit([1.0], model=Model())
        desk.model.release.set()
        assert [2.0] == (await other)[0].tolist()
        await asyncio.gather(*taken)

    tell(story, max_batch_size=2, max_enqueued_batches=1)


def test_deadlines_in_the_queue_and_in_the_run():
    async def story(desk):
        desk.model.release.clear()
        soon = asyncio.get_running_loop().time() + 0.05
        running = desk.submit([1.0], deadline=soon)
        waiting = desk.submit([2.0], deadline=soon)
        patient = desk.submit([3.0])
        assert DeadlineExceeded is type(await running)
        error = await waiting
        text = "Run() timeout exceeded while waiting in batching queue"
        assert (ResourceExhausted, text) == (type(error), error.message)
        desk.model.release.set()
        assert [6.0] == (await patient)[0].tolist()
        assert [1, 1] == desk.model.runs  # the late one took no part

    tell(story)


def test_a_batch_that_nobody_waits_for_is_not_run():
    async def story(desk):
        desk.model.release.clear()
        busy = desk.submit([1.0])
        late = desk.submit([2.0], deadline=0.0)
        assert ResourceExhausted is type(await late)
        desk.model.release.set()
        await busy
        await desk.settled()
        assert [1] == desk.model.runs

    tell(story)


@pytest.mark.parametrize("wrong", [lambda _: [np.float32(1)], lambda fetch: [fetch.arrays[0][:1]]])
def test_outputs_that_cannot_be_parted(wrong):
    async def story(desk):
        desk.model.graph = wrong
        one, other = await asyncio.gather(desk.submit([1.0]), desk.submit([2.0]))
        assert (FailedPrecondition, one) == (type(one), other)
        assert one.message.startswith("Batched output tensor")

    tell(story, max_batch_size=2, timeout_micros=HOUR)


@pytest.mark.parametrize("error", [MemoryError("none left"), KeyError("bug")])
def test_an_unforeseen_failure_is_answered_and_costs_no_thread(error, caplog):
    def fail(_):
        raise error

    async def story(desk):
        desk.model.graph = fail
        failed = await desk.submit([1.0])
        assert (13, True) == (failed.code, type(error).__name__ in failed.message)
        desk.model.graph = lambda fetch: fetch.arrays
        assert [1.0] == (await desk.submit([1.0]))[0].tolist()

    tell(story)
    assert "A batch failed unexpectedly" in caplog.text


def test_a_failing_observer_is_no_leak(caplog):
    async def story(desk):
        desk.batches._ran = lambda *_: 1 / 0
        assert 13 == (await desk.submit([1.0])).code

    tell(story)
    assert "ZeroDivisionError" in caplog.text


def test_large_requests_fill_the_open_batch_and_spread_over_further_ones():
    async def story(desk):
        small, large = desk.submit([1.0, 2.0]), desk.submit(np.arange(8.0))
        assert [2.0, 4.0] == (await small)[0].tolist()
        assert not large.done()  # its last two rows wait for two more
        filling = desk.submit([9.0, 9.0])
        assert (2 * np.arange(8.0)).tolist() == (await large)[0].tolist()
        await filling
        assert [4, 4, 4] == desk.model.runs

    tell(story, max_batch_size=100, max_execution_batch_size=4, split_large_batches=True, timeout_micros=HOUR)


def test_a_large_request_that_finds_no_room_is_refused_as_a_whole():
    async def story(desk):
        error = await desk.submit(np.arange(9.0))
        text = (
            "The batch scheduling queue to which this task was submitted is full; task size is 9 but scheduling "
            "capacity is only 8 (num_enqueued_batches=1, max_enqueued_batches=2, open_batch_size=0, "
            "max_execution_batch_size=4)"
        )
        assert (Unavailable, text) == (type(error), error.message)
        assert 8 == len((await desk.submit(np.arange(8.0)))[0])

    tell(story, max_batch_size=100, max_execution_batch_size=4, split_large_batches=True, max_enqueued_batches=2)


def test_a_large_request_fails_as_a_whole():
    def fail_once(fetch):
        if fetch.arrays[0][0] == 4.0:
            raise InvalidArgument("no fours")
        return fetch.arrays

    async def story(desk):
        desk.model.graph = fail_once
        error = await desk.submit(np.arange(8.0))
        assert (InvalidArgument, "no fours") == (type(error), error.message)

    tell(story, max_batch_size=8, max_execution_batch_size=4, split_large_batches=True)


def test_a_large_request_past_its_deadline_is_ended_once():
    async def story(desk):
        desk.model.release.clear()
        error = await desk.submit(np.arange(8.0), deadline=asyncio.get_running_loop().time() + 0.02)
        assert DeadlineExceeded is type(error)
        desk.model.release.set()

    tell(story, max_batch_size=8, max_execution_batch_size=4, split_large_batches=True)


def test_draining_waits_for_no_batch_to_fill():
    async def story(desk):
        waiting = desk.submit([1.0])
        desk.batches.drain()
        assert [2.0] == (await waiting)[0].tolist()
        assert [4.0] == (await desk.submit([2.0]))[0].tolist()

    tell(story, max_batch_size=9, timeout_micros=HOUR)


@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=30),
    limit=st.integers(1, 5),
    split=st.booleans(),
    threads=st.integers(1, 3),
    enqueued=st.integers(1, 4),
)
def test_every_request_is_answered_once_with_its_own_rows(sizes, limit, split, threads, enqueued):
    async def story(desk):
        requests = [desk.submit(100.0 * number + np.arange(size)) for number, size in enumerate(sizes)]
        for number, (size, answer) in enumerate(zip(sizes, await asyncio.gather(*requests), strict=True)):
            if isinstance(answer, list):
                assert (2 * (100.0 * number + np.arange(size))).tolist() == answer[0].tolist()
            else:
                assert isinstance(answer, (Unavailable, InvalidArgument))
        assert max(desk.model.runs, default=0) <= (limit if split else 7)

    tell(
        story,
        max_batch_size=7,
        max_execution_batch_size=limit,
        split_large_batches=split,
        threads=threads,
        max_enqueued_batches=enqueued,
    )


# Shapes.

DTYPES = [
    *(np.dtype(name) for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8", "O")),
    np.dtype(ml_dtypes.bfloat16),
]


def filled(dtype, shape, start=0):
    values = np.arange(start, start + math.prod(shape)) % 100
    if dtype.kind == "O":
        array = np.empty(len(values), object)
        array[:] = [b"%d\0" % value for value in values]  # numpy's own bytes lose the zero
        return array.reshape(shape)
    return values.astype(dtype).reshape(shape)


@given(
    dtype=st.sampled_from(DTYPES),
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    inner=st.lists(st.integers(0, 3), max_size=3),
    allowed=st.booleans(),
)
def test_joined_rows_come_apart_again(dtype, sizes, inner, allowed):
    given_ = [filled(dtype, (size, *inner), 10 * number) for number, size in enumerate(sizes)]
    batching = Batching(max_batch_size=32, allowed_batch_sizes=(3, 6, 32) if allowed else ())
    fetch = join_padded([RunArgs(FEEDS, FETCHES, [array]) for array in given_], batching)
    assert dtype == fetch.arrays[0].dtype
    if allowed and sum(sizes):
        assert min(size for size in (3, 6, 32) if size >= sum(sizes)) == fetch.rows
    for before, [after] in zip(given_, split_rows(fetch.arrays, sizes), strict=True):
        assert (before.shape, before.tolist()) == (after.shape, after.tolist())


@given(
    dtype=st.sampled_from(DTYPES),
    shapes=st.integers(1, 4).flatmap(
        lambda rank: st.lists(st.tuples(*[st.integers(1, 3)] * rank), min_size=2, max_size=4)
    ),
)
def test_padding_keeps_every_value_and_adds_the_first_one(dtype, shapes):
    given_ = [filled(dtype, (1, *shape), 10 * number) for number, shape in enumerate(shapes)]
    batching = Batching(pad_variable_length_inputs=True)
    [joined] = join_padded([RunArgs(FEEDS, FETCHES, [array]) for array in given_], batching).arrays
    assert (len(shapes), *map(max, zip(*shapes, strict=True))) == joined.shape
    for row, before in zip(joined, given_, strict=True):
        assert before[0].tolist() == row[tuple(map(slice, before.shape[1:]))].tolist()
        beyond = np.ones(row.shape, bool)
        beyond[tuple(map(slice, before.shape[1:]))] = False
        assert {before.reshape(-1)[:1].tolist()[0]} >= set(row[beyond].tolist())


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ([(1, 2), (1, 2, 2)], "Tensors with name 'x:0' from different tasks have different ranks"),
        ([(1, 1, 1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 1, 2)], "Only tensors with rank from 1 to 6 can be padded."),
        ([(1, 0), (1, 2)], "Got empty tensor in batch of non-empty tensors."),
    ],
)
def test_what_cannot_be_padded(shapes, text):
    fetches = [RunArgs(FEEDS, FETCHES, [np.zeros(shape)]) for shape in shapes]
    with pytest.raises(InvalidArgument) as caught:
        join_padded(fetches, Batching(pad_variable_length_inputs=True))
    assert text == caught.value.message


def test_unequal_shapes_without_padding():
    fetches = [RunArgs(FEEDS, FETCHES, [np.zeros(shape)]) for shape in ((1, 3, 3), (1, 4, 4))]
    with pytest.raises(FailedPrecondition) as caught:
        join_padded(fetches, Batching())
    assert (
        "Tensors with name 'x:0' from different tasks have different shapes and padding is turned off. Set "
        "pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
        "starting with the first dim."
    ) == caught.value.message


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"allowed_batch_sizes": (4, 8), "max_batch_size": 9}, r"Last entry in allowed_batch_sizes must match .* 8.*9"),
        ({"allowed_batch_sizes": (8, 4), "max_batch_size": 4}, r"monotonically increasing"),
        ({"allowed_batch_sizes": (0, 4), "max_batch_size": 4}, r"positive"),
        ({"split_large_batches": True, "max_batch_size": 4, "max_execution_batch_size": 8}, r"greater than or equal"),
        (
            {"split_large_batches": True, "max_execution_batch_size": 8, "allowed_batch_sizes": (1000,)},
            r"was 1000\. expected 8",
        ),
    ],
)
def test_parameters_that_contradict_each_other(options, text):
    with pytest.raises(InvalidArgument, match=text):
        check_parameters(Batching(**options))


# Parameters of a model's own.


def test_a_version_without_a_file_has_no_parameters(tmp_path):
    assert read_parameters(tmp_path) is None
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 4 }")
    assert 4 == read_parameters(tmp_path).max_batch_size
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 4 } allowed_batch_sizes: 2")
    with pytest.raises(InvalidArgument, match=r"allowed_batch_sizes"):
        read_parameters(tmp_path)


def test_models_with_parameters_share_threads_and_bad_parameters_are_answered(tmp_path):
    files = {"good": "max_batch_size { value: 4 } num_batch_threads { value: 7 }", "bad": "allowed_batch_sizes: 2"}
    for name, text in files.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "batching_params.pbtxt").write_text(text)
    (tmp_path / "none").mkdir()

    async def main():
        plain = []
        schedule = PerModelScheduler(SimpleNamespace(submit=plain.append), BatchScheduler, threads=2)
        desk = Desk()
        desk.batches.close()
        desk.batches = schedule
        models = {}
        for name in ("good", "bad", "none"):
            models[name] = Model()
            models[name].path, models[name].scheduler = tmp_path / name, None
        good, bad = desk.submit([1.0], model=models["good"]), desk.submit([1.0], model=models["bad"])
        desk.submit([1.0], model=models["none"])
        assert [2.0] == (await good)[0].tolist()
        assert InvalidArgument is type(await bad)
        assert ([1, 1, 0], 1) == (desk.ended, len(plain))
        assert schedule._pool is models["good"].scheduler.pool
        schedule.drain()

    asyncio.run(main())


def test_a_pool_runs_so_many_jobs_at_a_time():
    async def main():
        pool, hold, begun, ended = BatchThreadPool(2), threading.Event(), [], []
        for number in range(5):
            end = asyncio.get_running_loop().create_future()
            ended.append(end)
            begin = partial(begun.append, number)
            pool.put(SimpleNamespace(begin=begin, run=lambda: hold.wait(20), end=partial(end.set_result, None)))
        assert [0, 1] == begun
        hold.set()
        await asyncio.gather(*ended)
        assert [0, 1, 2, 3, 4] == begun
        pool.close()

    asyncio.run(main())
