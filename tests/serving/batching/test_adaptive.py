"""Requests that meet: run together only where that gives what each alone gets."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving.batching.adaptive import TRIALS, AdaptiveScheduler, ShapeQueue
from serving.core.model import LoadedModel
from serving.core.servable import Servable
from serving.core.work import InferenceTask, RunArgs
from serving.errors import DeadlineExceeded, InvalidArgument


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A model with signatures whose rows are independent, are not, or that change something."""
    import tensorflow as tf

    class Odd(tf.Module):
        def __init__(self):
            super().__init__()
            self.count = tf.Variable(0.0)

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
        def double(self, x):
            return {"y": 2.0 * x}

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
        def center(self, x):
            return {"y": x - tf.reduce_mean(x)}

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
        def counted(self, x):
            return {"y": 0.0 * x + self.count.assign_add(1.0)}

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
        def noisy(self, x):
            return {"y": x + tf.random.uniform(tf.shape(x))}

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
        def strict(self, x):
            with tf.control_dependencies([tf.debugging.assert_non_negative(x)]):
                return {"y": tf.identity(x)}

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
        def summed(self, x):
            return {"y": tf.reduce_sum(x, axis=0)}

        @tf.function(input_signature=[tf.TensorSpec([4, None], tf.float32, name="x")])
        def four(self, x):
            return {"y": tf.identity(x)}

    path = tmp_path_factory.mktemp("odd") / "1"
    module = Odd()
    names = ("double", "center", "counted", "noisy", "strict", "summed", "four")
    tf.saved_model.save(module, str(path), signatures={name: getattr(module, name) for name in names})
    return path


class Desk:
    """A loaded model whose runs are written down, and a scheduler in front of it."""

    def __init__(self, path, **options):
        self.servable = Servable("odd", 1, path)
        self.model = LoadedModel(path)
        self.servable.publish(self.model)
        self.runs = []
        run = self.model.run

        def noted(fetch, way):
            self.runs.append(fetch.rows)
            return run(fetch, way)

        self.model.run = noted
        self.scheduler = AdaptiveScheduler(ThreadPoolExecutor(4), **options)

    def submit(self, signature, rows, deadline=np.inf):
        info = self.model.signatures[signature]
        fetch = RunArgs((info.inputs["x"].tensor,), (info.outputs["y"].tensor,), [np.float32(rows)])
        future = asyncio.get_running_loop().create_future()
        self.scheduler.submit(InferenceTask(self.servable.lease(), fetch, future.set_result, deadline))
        return future

    async def together(self, signature, batches):
        return await asyncio.gather(*[self.submit(signature, rows) for rows in batches])

    @property
    def lane(self):
        [lane] = self.model.shape_queues.values()
        return lane


def run(path, story, **options):
    async def main():
        return await story(Desk(path, **options))

    return asyncio.run(main())


BATCHES = [[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]], [[7.0, 8.0]]]


async def _trusted(desk, signature="double"):
    for _ in range(TRIALS):
        await desk.together(signature, BATCHES)
        desk.lane._seconds.clear()  # a slow machine must not put the next trial off
    desk.lane._seconds.update({0: 1e-4, 1: 1e-4, 2: 1e-6, 3: 1e-6, 4: 1e-6})  # a merged run pays
    desk.runs.clear()


def test_requests_of_one_turn_share_a_run_once_that_was_seen_to_be_right(odd):
    async def story(desk):
        await _trusted(desk)
        assert desk.lane.trust == TRIALS
        found = await desk.together("double", BATCHES)
        assert [4] == desk.runs
        for rows, [values] in zip(BATCHES, found, strict=True):
            np.testing.assert_array_equal(2 * np.float32(rows), values)

    run(odd, story)


@pytest.mark.parametrize("signature", ["center", "noisy", "counted", "summed", "four"])
def test_what_depends_on_the_batch_never_shares_a_run(odd, signature):
    async def story(desk):
        batches = [[[1.0, 2.0]] * 4, [[5.0, 6.0]] * 4]
        for _ in range(TRIALS + 2):
            await desk.together(signature, batches)
            desk.lane._seconds.clear()
        assert desk.lane.trust < 0
        desk.runs.clear()
        found = await desk.together(signature, batches)
        assert [4, 4] == desk.runs
        if signature == "center":
            assert [[-0.5, 0.5]] * 4 == found[0][0].tolist()

    run(odd, story)


def test_a_graph_that_counts_is_run_once_for_each_request(odd):
    async def story(desk):
        counts = []
        for _ in range(4):
            counts += [values[0][0, 0] for values in await desk.together("counted", [[[0.0]], [[0.0]]])]
        assert list(map(float, range(1, 9))) == sorted(counts)

    run(odd, story)


def test_a_bad_request_fails_no_other(odd):
    async def story(desk):
        await _trusted(desk, "strict")
        good, bad, fine = await desk.together("strict", [[[1.0, 1.0]], [[-1.0, 1.0]], [[2.0, 2.0]]])
        assert isinstance(bad, InvalidArgument)
        assert ([[1.0, 1.0]], [[2.0, 2.0]]) == (good[0].tolist(), fine[0].tolist())

    run(odd, story)


def test_a_trial_with_a_bad_request_costs_no_run_more(odd):
    async def story(desk):
        for _ in range(3):
            outcomes = await desk.together("strict", [[[-1.0, 1.0]], [[2.0, 2.0]]])
            assert isinstance(outcomes[0], InvalidArgument)
            desk.lane._seconds.clear()
        assert [1, 1] * 3 == desk.runs
        assert 0 == desk.lane.trust

    run(odd, story)


def test_a_lone_request_is_run_in_the_turn_that_brought_it(odd):
    async def story(desk):
        await desk.submit("double", [[1.0]])
        desk.lane._seconds[0] = 1e-5
        future = desk.submit("double", [[1.0]])
        await asyncio.sleep(0)
        assert future.done()

    run(odd, story)


def test_merging_can_be_turned_off(odd):
    async def story(desk):
        for _ in range(TRIALS + 1):
            await desk.together("double", BATCHES)
        assert {1, 2} == set(desk.runs)

    run(odd, story, merging=False)


def test_requests_that_wait_for_a_run_are_joined(odd):
    async def story(desk):
        await _trusted(desk)
        desk.lane._seconds.update({0: 0.01, 1: 0.01, 2: 0.01, 3: 0.011, 4: 0.011})  # not quick: in threads
        desk.scheduler._processors = 1
        quick = desk.model.run

        def slow(fetch, way):
            time.sleep(0.05)
            return quick(fetch, way)

        desk.model.run = slow
        first = desk.submit("double", [[1.0, 1.0]])
        await asyncio.sleep(0.01)
        rest = [desk.submit("double", [[float(i), 1.0]]) for i in range(5)]
        await asyncio.gather(first, *rest)
        assert [1, 5] == desk.runs

    run(odd, story)


def test_other_inner_shapes_are_other_lanes_and_clients_cannot_make_them_without_end(odd):
    async def story(desk):
        for size in range(1, 300):
            await desk.submit("double", [[0.0] * size])
        assert len(desk.model.shape_queues) <= 256

    run(odd, story)


@pytest.mark.heavy
def test_after_the_deadline_nobody_waits_and_the_model_stays_until_the_run_is_over(saved):
    async def main():
        servable = Servable("echo", 1, saved / "echo")
        model = LoadedModel(saved / "echo")
        servable.publish(model)
        scheduler = AdaptiveScheduler(ThreadPoolExecutor(1))
        info = model.signatures["slow"]
        fetch = RunArgs((info.inputs["x"].tensor,), (info.outputs["y"].tensor,), [np.float32([1])])
        future = asyncio.get_running_loop().create_future()
        scheduler.submit(InferenceTask(servable.lease(), fetch, future.set_result, time.monotonic() + 0.05))
        assert isinstance(await future, DeadlineExceeded)
        assert 1 == servable.in_flight
        async with asyncio.timeout(30):
            while servable.in_flight:  # noqa: ASYNC110 - it is given back by a thread
                await asyncio.sleep(0.05)
        [lane] = model.shape_queues.values()
        assert lane.estimate(1) >= 0.05

    asyncio.run(main())


def test_one_disturbed_measurement_does_not_forbid_merging_for_good():
    lane = ShapeQueue(mergeable=True)
    lane.record(1, 1e-4)
    lane.record(16, 5e-2)
    lane.record(16, 1e-4)
    assert lane.estimate(16) == 1e-4
    lane.record(16, 1.0)
    assert lane.estimate(16) < 0.2
