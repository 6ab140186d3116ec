"""Definitions of all metrics (name, kind, labels, buckets), and the values of one metric for one set of labels.

Names with slashes are TensorFlow's own (`monitoring::Counter` and `Sampler` in its sources); on the page each character
that Prometheus does not allow in a name becomes a colon, and there is no `# HELP`. The others are ours, in seconds and
bytes as Prometheus wants them.

Numbers are changed under their owner's lock: a list's `+= 1` is one step of the interpreter today, but nothing promises
it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

_FORBIDDEN = re.compile("[^a-zA-Z0-9_]")
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_REQUEST = ("model", "version", "signature", "api", "transport", "code")
Number = int | float


def exponential_bounds(scale: float, growth: float, count: int) -> tuple[float, ...]:
    """Upper bounds `scale * growth**k`, multiplied up as TensorFlow does, so that the digits are the same."""
    bounds, bound = [], scale
    for _ in range(count):
        bounds.append(bound)
        bound *= growth
    return tuple(bounds)


@dataclass(frozen=True)
class Family:
    """One metric.

    Attributes:
        name: TensorFlow's name with slashes, or the name on the page.
        kind: `counter`, `gauge` or `histogram`.
        labels: Names of its labels, in the order of the page.
        bounds: Upper bounds of a histogram's buckets, ascending, without the last one, which is infinite.
        help: What it counts; empty for TensorFlow's.
        merge: How the values of several processes become one: `sum`, `min` or `max`.
    """

    name: str
    kind: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    help: str = ""
    merge: str = "sum"

    @property
    def page_name(self) -> str:
        """The name on the page."""
        return _FORBIDDEN.sub(":", self.name)


DEATHS = Family("keraspipe_worker_deaths_total", "counter", help="Server processes that died and were started again.")
MICROSECONDS = exponential_bounds(10, 1.8, 33)  # up to 20 minutes
_ROWS = exponential_bounds(1, 2, 14)
LOAD_ATTEMPTS = Family("/tensorflow/cc/saved_model/load_attempt_count", "counter", ("model_path", "status"))
LOAD_LATENCY = Family("/tensorflow/cc/saved_model/load_latency", "counter", ("model_path",))
QUEUING = Family(
    "/tensorflow/serving/batching_session/queuing_latency",
    "histogram",
    ("thread_pool_name",),
    exponential_bounds(100, 1.2, 52),
)
INPUT_ROWS = Family("/tensorflow/serving/batching_session/input_batch_size", "histogram", (), _ROWS)
PADDING = Family("/tensorflow/serving/batching_session/padding_size", "histogram", ("execution_batch_size",), _ROWS)
PROCESSED_ROWS = Family("/tensorflow/serving/batching_session/processed_batch_size", "histogram", (), _ROWS)
WRAPPED_RUNS = Family("/tensorflow/serving/batching_session/wrapped_run_count", "counter")
MLMD = Family("/tensorflow/serving/mlmd_map", "gauge", ("model_name", "version"), merge="max")
WARMUP = Family("/tensorflow/serving/model_warmup_latency", "histogram", ("model_path", "status"), MICROSECONDS)
WARMUP_RECORDS = Family("/tensorflow/serving/model_warmup_records_read", "counter", ("model_path",))
REQUESTS = Family("/tensorflow/serving/request_count", "counter", ("model_name", "status"))
EXAMPLES = Family("/tensorflow/serving/request_example_counts", "histogram", ("model",), exponential_bounds(1, 2, 15))
EXAMPLE_TOTAL = Family("/tensorflow/serving/request_example_count_total", "counter", ("model",))
LATENCY = Family("/tensorflow/serving/request_latency", "histogram", ("model_name", "API", "entrypoint"), MICROSECONDS)
LOGGED = Family("/tensorflow/serving/request_log_count", "counter", ("model_name", "status_code"))
RUNTIME = Family("/tensorflow/serving/runtime_latency", "histogram", ("model_name", "API", "runtime"), MICROSECONDS)
OUR_LATENCY = Family(
    "keraspipe_request_duration_seconds",
    "histogram",
    _REQUEST,
    SECONDS,
    "Time from a request to its answer.",
)
OUR_REQUESTS = Family(
    "keraspipe_requests_total",
    "counter",
    _REQUEST,
    help="Requests answered. Labels are empty where the request named what is not served.",
)
IN_FLIGHT = Family("keraspipe_requests_in_flight", "gauge", help="Requests that are being answered.")
STATE = Family(
    "keraspipe_model_state",
    "gauge",
    ("model", "version", "state"),
    help="Server processes in which a version is in a state.",
)
MLMD_INFO = Family(
    "keraspipe_mlmd_info",
    "gauge",
    ("model", "version", "uuid"),
    help="ML Metadata's key of a version, from its assets.extra/mlmd_uuid.",
    merge="max",
)
BATCH_ROWS = Family(
    "keraspipe_batch_rows", "histogram", ("model",), _ROWS, "Rows of requests in one run of a merged batch."
)
BATCH_WAIT = Family(
    "keraspipe_batch_wait_seconds", "histogram", ("model",), SECONDS, "Time of a request in the batching queue."
)
CANARY = Family(
    "keraspipe_canary_duration_seconds",
    "histogram",
    ("model", "side", "version", "code"),
    exponential_bounds(0.0001, 1.2, 70),  # finer than the others, for quantiles of both sides
    "Time from a request to its answer, where a canary chose who answers.",
)
CANARY_REQUESTS = Family(
    "keraspipe_canary_requests_total",
    "counter",
    ("model", "side", "version", "code"),
    help="Requests answered where a canary chose who answers.",
)
_VERSION = ("model", "version")
FIRST_TOKEN = Family(
    "keraspipe_generation_first_token_seconds",
    "histogram",
    _VERSION,
    (*SECONDS, 60.0, 120.0),
    "Time from a request to the first token of its answer.",
)
TOKEN_RATE = Family(
    "keraspipe_generation_tokens_per_second",
    "histogram",
    _VERSION,
    (1, 2, 5, 10, 15, 20, 30, 40, 60, 80, 120, 200, 500, 1000),
    "Tokens per second of an answer, behind its first one.",
)
PROMPT_TOKENS = Family(
    "keraspipe_generation_prompt_tokens_total", "counter", _VERSION, help="Tokens of prompts that were read."
)
ANSWER_TOKENS = Family("keraspipe_generation_tokens_total", "counter", _VERSION, help="Tokens that were generated.")
ANSWERS = Family(
    "keraspipe_generation_answers_total", "counter", (*_VERSION, "reason"), help="Answers that ended, and why."
)
STREAMS = Family(
    "keraspipe_generation_streams",
    "gauge",
    (*_VERSION, "state"),
    help="Answers that are being generated (active), and that wait for a place (waiting).",
)
GENERATION = (FIRST_TOKEN, TOKEN_RATE, PROMPT_TOKENS, ANSWER_TOKENS, ANSWERS, STREAMS)
MEMORY = Family("process_resident_memory_bytes", "gauge", help="Resident memory of the server's processes.")
VIRTUAL = Family("process_virtual_memory_bytes", "gauge", help="Virtual memory of the server's processes.")
PROCESSOR = Family("process_cpu_seconds_total", "counter", help="User and system time of the server's processes.")
FILES = Family("process_open_fds", "gauge", help="Open file descriptors of the server's processes.")
MAX_FILES = Family("process_max_fds", "gauge", help="File descriptors that a process may open.", merge="min")
STARTED = Family("process_start_time_seconds", "gauge", help="Unix time of the first process's start.", merge="min")
TENSORFLOW = (
    LOAD_ATTEMPTS,
    LOAD_LATENCY,
    INPUT_ROWS,
    PADDING,
    PROCESSED_ROWS,
    QUEUING,
    WRAPPED_RUNS,
    MLMD,
    WARMUP,
    WARMUP_RECORDS,
    REQUESTS,
    EXAMPLE_TOTAL,
    EXAMPLES,
    LATENCY,
    LOGGED,
    RUNTIME,
)
OURS = (
    *(DEATHS, OUR_REQUESTS, OUR_LATENCY, IN_FLIGHT, STATE, MLMD_INFO, BATCH_ROWS, BATCH_WAIT, CANARY_REQUESTS, CANARY),
    *GENERATION,
)
PROCESS = (PROCESSOR, MEMORY, VIRTUAL, FILES, MAX_FILES, STARTED)
ALL_FAMILIES = (*TENSORFLOW, *OURS, *PROCESS)


class Histogram:
    """How many values fell into each bucket, and their sum.

    TensorFlow's own put a value that equals a bound into the bucket above (`std::upper_bound`), Prometheus'
    rule is below; each family keeps to its origin.
    """

    __slots__ = ("bounds", "counts", "place", "total")

    def __init__(self, family: Family) -> None:
        self.bounds = family.bounds
        self.counts = [0] * (len(family.bounds) + 1)
        self.total: Number = 0
        self.place = bisect_left if family.help else bisect_right

    def add(self, value: Number) -> None:
        """Count a value."""
        self.counts[self.place(self.bounds, value)] += 1
        self.total += value

    def value(self) -> list[Number]:
        """The sum, then the count of each bucket."""
        return [self.total, *self.counts]


class Scalar:
    """A counter or a gauge."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number: Number = 0

    def add(self, value: Number) -> None:
        """Move by a value."""
        self.number += value

    def value(self) -> Number:
        """The number now."""
        return self.number
