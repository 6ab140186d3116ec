"""Counting logged requests, in batches, so that memory does not grow with them."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.monitoring.feature import HEAVY
from pipeline.monitoring.profile import Profile, counted
from pipeline.monitoring.rows import Rows, example_type
from serving.errors import InvalidArgument
from serving.wire import tensor_proto

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from pipeline.monitoring.answers import Answers
    from pipeline.monitoring.feature import Feature

BATCH = 4096
BATCH_BYTES = 16 << 20
EXAMPLES = "examples"  # the input of signatures that take a serialized `tf.train.Example`
WITH_EXAMPLES = ("classify_log", "regress_log", "multi_inference_log")


@dataclass(frozen=True)
class Traffic:
    """Requests that were read.

    Attributes:
        profile: What their rows count.
        answers: What the champion's answers count.
        requests: How many there were.
        first: Unix time of the earliest one; infinite without any.
        last: Unix time of the latest one; 0 without any.
        versions: Requests by the model's version.
        faults: What could not be read, in words.
    """

    profile: Profile = field(default_factory=Profile)
    answers: Profile = field(default_factory=Profile)
    requests: int = 0
    first: float = float("inf")
    last: float = 0.0
    versions: Counter[int] = field(default_factory=Counter)
    faults: tuple[str, ...] = ()

    def __add__(self, other: Traffic) -> Traffic:
        """Both together."""
        return Traffic(
            self.profile + other.profile,
            self.answers + other.answers,
            self.requests + other.requests,
            min(self.first, other.first),
            max(self.last, other.last),
            self.versions + other.versions,
            self.faults + other.faults,
        )


@dataclass(frozen=True)
class Wanted:
    """Which requests are read, and how they are counted.

    Attributes:
        model: Name of the model.
        features: The inputs that are counted.
        since: Unix time of the earliest request.
        rate: Share of the requests that is looked at, to bound the time that images and texts take.
        answers: What the champion answers with, and how it is counted; None to leave the answers out.
        version: The champion's version: others' answers are not counted.
    """

    model: str
    features: tuple[Feature, ...]
    since: float = 0.0
    rate: float = 1.0
    answers: Answers | None = None
    version: int = 0


class Tally:
    """Counts requests one by one.

    Args:
        wanted: Which of them.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.unreadable = 0
        self._profile, self._answers = Profile(), Profile()
        self._answered: list[np.ndarray] = []
        self._rows, self._bytes = Rows(), 0
        self._first, self._last, self._versions = float("inf"), 0.0, Counter[int]()
        self._heavy = any(one.role in HEAVY for one in wanted.features)
        self._random = random.Random(0)  # noqa: S311 - a sample, not a secret
        self._parse = example_type().FromString

    def add(self, log: Any) -> None:
        """Counts one `PredictionLog`, if it is wanted."""
        metadata = log.log_metadata
        model, at = metadata.model_spec, metadata.timestamp_secs
        if at < self.wanted.since or model.name not in ("", self.wanted.model) or self._left_out():
            return
        try:
            self._take(log)
        except (InvalidArgument, ValueError):
            self.unreadable += 1
            return
        self._first, self._last = min(self._first, at), max(self._last, at)
        self._versions[model.version.value] += 1
        self._bytes += log.ByteSize() if self._heavy else 0
        if self._rows.count >= BATCH or self._bytes > BATCH_BYTES:
            self._flush()

    def traffic(self, faults: Sequence[str] = ()) -> Traffic:
        """What was counted, with what could not be read."""
        self._flush()
        count = self._versions.total()
        return Traffic(self._profile, self._answers, count, self._first, self._last, self._versions, tuple(faults))

    def _left_out(self) -> bool:
        return self.wanted.rate < 1 and self._random.random() >= self.wanted.rate

    def _take(self, log: Any) -> None:
        kind = log.WhichOneof("log_type")
        if kind == "predict_log":
            self._take_tensors(log.predict_log.request.inputs)
            self._take_answer(log.predict_log.response)
        elif kind in WITH_EXAMPLES:
            for example in _examples(getattr(log, kind).request.input):
                self._rows.add_example(example)

    def _take_tensors(self, inputs: Mapping[str, Any]) -> None:
        if len(inputs) == 1 and EXAMPLES in inputs:
            for record in inputs[EXAMPLES].string_val:
                self._rows.add_example(self._parse(record))
        else:
            self._rows.add_tensors(inputs)

    def _take_answer(self, response: Any) -> None:
        answers = self.wanted.answers
        if answers and response.model_spec.version.value == self.wanted.version and answers.output in response.outputs:
            self._answered.append(tensor_proto.decode(response.outputs[answers.output], answers.output))

    def _flush(self) -> None:
        if self.wanted.answers:
            self._answers += counted(self.wanted.answers.frame.features, self.wanted.answers.rows(self._answered))
            self._answered = []
        self._profile += counted(self.wanted.features, self._rows)
        self._rows, self._bytes = Rows(), 0


def _examples(given: Any) -> Any:
    """The examples of a `tensorflow.serving.Input`."""
    return getattr(given, given.WhichOneof("kind") or "example_list").examples
