"""Records what the server does, for well under a microsecond or two each.

A request's labels are looked up as one tuple, which gives the series it belongs to. Names that a client made up never
get a series: a model, version or signature is a label only once it was announced (`served`), or has answered.
Otherwise its label is empty, so a hostile client cannot grow the page.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from serving.errors import Code
from serving.metrics import exposition
from serving.metrics import series as families
from serving.metrics.series import Histogram, Scalar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serving.metrics.exposition import Snapshot
    from serving.metrics.series import Family, Number

_COUNTED = {"predict", "classify", "regress"}  # TensorFlow Serving counts no other
ENDED_KEPT = 8  # versions of a model that are gone, but still on the page
_Key = tuple[str, str, str, "int | None", str, Code]


class Metrics:
    """All counters of one process; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[Family, dict[tuple[str, ...], Histogram | Scalar]] = {}
        self._requests: dict[_Key, tuple[Scalar | None, Histogram | None, Histogram]] = {}
        self._known: dict[str, dict[int, set[str]]] = {}
        self._states: dict[tuple[str, int], str] = {}
        self._in_flight = 0

    # Requests.

    def request(
        self, entrypoint: str, api: str, model: str, version: int | None, signature: str, code: Code, seconds: float
    ) -> None:
        """A request was answered.

        Args:
            entrypoint: `REST` or `GRPC`.
            api: `predict`, `classify`, `regress`, `status`, `metadata` over REST, the RPC's name over gRPC.
            model: The model's name as the client sent it.
            version: The version that answered; None where the request did not get so far.
            signature: The signature's name as the client sent it.
            code: How it went.
            seconds: How long it took.
        """
        series = self._requests.get((entrypoint, api, model, version, signature, code))
        if series is None:
            series = self._resolve(entrypoint, api, model, version, signature, code)
        count, latency, ours = series
        micros = int(seconds * 1e6)
        with self._lock:
            if count is not None:
                count.number += 1
            if latency is not None:
                latency.counts[latency.place(latency.bounds, micros)] += 1
                latency.total += micros
            ours.counts[ours.place(ours.bounds, seconds)] += 1
            ours.total += seconds

    def _resolve(
        self, entrypoint: str, api: str, model: str, version: int | None, signature: str, code: Code
    ) -> tuple[Scalar | None, Histogram | None, Histogram]:
        with self._lock:
            if code is Code.OK and version is not None:
                self._known.setdefault(model, {}).setdefault(version, set()).add(signature)
            name, number, key = self._trusted_labels(model, version, signature)
            series = (
                self._scalar(families.REQUESTS, name, code.name) if api.lower() in _COUNTED else None,
                self._histogram(families.LATENCY, name, api, entrypoint)
                if code is Code.OK and api.lower() in _COUNTED
                else None,
                self._histogram(families.OUR_LATENCY, name, number, key, api.lower(), entrypoint.lower(), code.name),
            )
            if (model, version is None, signature) == (name, not number, key):  # else a client made it up
                self._requests[entrypoint, api, model, version, signature, code] = series
            return series

    def _trusted_labels(self, model: str, version: int | None, signature: str) -> tuple[str, str, str]:
        """The labels of a request: names that are not known to exist are empty."""
        versions = self._known.get(model)
        if versions is None:
            return "", "", ""
        signatures = versions.get(version) if version is not None else None
        if signatures is None:
            return model, "", ""
        return model, str(version), signature if signature in signatures else ""

    def deaths(self, count: int) -> None:
        """So many processes have died in the place of this one."""
        self._count(families.DEATHS, count)

    def begin(self) -> None:
        """A request came in."""
        with self._lock:
            self._in_flight += 1

    def end(self) -> None:
        """It was answered, or its client went away."""
        with self._lock:
            self._in_flight -= 1

    def record_choice(self, model: str, side: str, version: int, code: Code, seconds: float) -> None:
        """A canary had chosen a side, `champion` or `challenger`, which answered a request."""
        self._observe(families.CANARY, seconds, model, side, str(version), code.name)

    # What happens within a request; model names here are those of models that are loaded.

    def runtime(self, api: str, model: str, seconds: float) -> None:
        """TensorFlow ran a graph for an API such as `Predict`; its label is the RPC's name over REST too."""
        self._observe(families.RUNTIME, int(seconds * 1e6), model, api[:1].upper() + api[1:], "TF1")

    def examples(self, model: str, count: int) -> None:
        """A request carried this many examples."""
        self._observe(families.EXAMPLES, count, model)

    def example_total(self, model: str, count: int) -> None:
        """A MultiInference request carried this many examples."""
        self._count(families.EXAMPLE_TOTAL, count, model)

    def batch(
        self,
        model: str,
        rows: Sequence[int],
        processed: int,
        waits: Sequence[float] = (),
        pool: str = "batch_threads",
    ) -> None:
        """Requests were merged into one run.

        Args:
            model: Whose graph was run.
            rows: Rows of each request.
            processed: Rows of the run, with the padding.
            waits: Seconds that each request waited.
            pool: Name of the threads.
        """
        padding = processed - sum(rows)
        self._count(families.WRAPPED_RUNS, 1)
        self._observe(families.PROCESSED_ROWS, processed)
        self._observe(families.PADDING, padding, str(processed))
        self._observe(families.BATCH_ROWS, sum(rows), model)
        for count in rows:
            self._observe(families.INPUT_ROWS, count)
        for seconds in waits:
            self._observe(families.QUEUING, int(seconds * 1e6), pool)
            self._observe(families.BATCH_WAIT, seconds, model)

    def record_log(self, model: str, code: Code) -> None:
        """A sampled request was written to the request log, or was not."""
        self._count(families.LOGGED, 1, model, code.name)

    # Text that is generated.

    def streams(self, model: str, version: int, active: int, waiting: int) -> None:
        """So many answers are generated by a version, and so many wait for a place."""
        with self._lock:
            for state, count in (("active", active), ("waiting", waiting)):
                self._scalar(families.STREAMS, model, str(version), state).number = count

    def generation(
        self, model: str, version: int, reason: str, prompt: int, tokens: int, first_token_s: float, seconds: float
    ) -> None:
        """An answer ended: why, tokens read and generated, seconds to its first one (nan: none) and to its end."""
        labels = model, str(version)
        self._count(families.ANSWERS, 1, *labels, reason)
        self._count(families.PROMPT_TOKENS, prompt, *labels)
        self._count(families.ANSWER_TOKENS, tokens, *labels)
        if first_token_s == first_token_s:  # noqa: PLR0124 - nan is not
            self._observe(families.FIRST_TOKEN, first_token_s, *labels)
        if tokens > 1 and seconds > first_token_s:
            self._observe(families.TOKEN_RATE, (tokens - 1) / (seconds - first_token_s), *labels)

    # Life of versions.

    def add_version(self, model: str, version: int, signatures: Iterable[str]) -> None:
        """A version is loaded: its name, number and signatures may be labels from now on."""
        with self._lock:
            self._known.setdefault(model, {}).setdefault(version, set()).update(signatures)

    def state(self, model: str, version: int, state: str) -> bool:
        """A version is in a state, such as `AVAILABLE`.

        Of the versions at their `END` the highest few stay on the page, the others' series are dropped.

        Returns:
            Whether it was not known to be in that state.
        """
        with self._lock:
            self._known.setdefault(model, {})
            before = self._states.get((model, version))
            if before == state:
                return False
            self._series.get(families.STATE, {}).pop((model, str(version), before or ""), None)
            self._scalar(families.STATE, model, str(version), state).number = 1
            self._states[model, version] = state
            for ended in sorted(v for (m, v), s in self._states.items() if m == model and s == "END")[:-ENDED_KEPT]:
                self._forget(model, ended)
            return True

    def _forget(self, model: str, version: int) -> None:
        self._known[model].pop(version, None)
        self._states.pop((model, version), None)
        for key in [key for key in self._requests if key[2:4] == (model, version)]:
            del self._requests[key]
        for family in (families.OUR_LATENCY, families.STATE, families.MLMD_INFO, families.MLMD, *families.GENERATION):
            series = self._series.get(family, {})
            for labels in [labels for labels in series if labels[:2] == (model, str(version))]:
                del series[labels]

    def load(self, path: str, code: Code, seconds: float) -> None:
        """A SavedModel was loaded, or could not be."""
        self._count(families.LOAD_ATTEMPTS, 1, path, "success" if code is Code.OK else "fail")
        if code is Code.OK:
            self._count(families.LOAD_LATENCY, int(seconds * 1e6), path)

    def warmup(self, path: str, code: Code, seconds: float, records: int) -> None:
        """A version's warm-up requests were run; only for versions that have some."""
        self._observe(families.WARMUP, int(seconds * 1e6), path, code.name)
        self._count(families.WARMUP_RECORDS, records, path)

    def mlmd(self, model: str, version: int, uuid: str) -> None:
        """A version has a key in ML Metadata; TensorFlow's own metric cannot show it, so ours does."""
        self._count(families.MLMD, 0, model, str(version))
        with self._lock:
            self._scalar(families.MLMD_INFO, model, str(version), uuid).number = 1

    # Series, by family and labels.

    def _observe(self, family: Family, value: Number, *labels: str) -> None:
        with self._lock:
            self._histogram(family, *labels).add(value)

    def _count(self, family: Family, value: Number, *labels: str) -> None:
        with self._lock:
            self._scalar(family, *labels).add(value)

    def _histogram(self, family: Family, *labels: str) -> Histogram:
        series = self._series.setdefault(family, {})
        histogram = series.get(labels)
        if not isinstance(histogram, Histogram):
            histogram = series[labels] = Histogram(family)
        return histogram

    def _scalar(self, family: Family, *labels: str) -> Scalar:
        series = self._series.setdefault(family, {})
        scalar = series.get(labels)
        if not isinstance(scalar, Scalar):
            scalar = series[labels] = Scalar()
        return scalar

    # Reading.

    def snapshot(self) -> Snapshot:
        """All numbers now, as JSON-able data (`serving.metrics.exposition`)."""
        with self._lock:
            numbers: Snapshot = {
                family.name: [[list(labels), values.value()] for labels, values in series.items()]
                for family, series in self._series.items()
            }
            numbers[families.IN_FLIGHT.name] = [[[], self._in_flight]]
        ours = numbers.get(families.OUR_LATENCY.name, [])
        numbers[families.OUR_REQUESTS.name] = [[labels, sum(value[1:])] for labels, value in ours]
        chosen = numbers.get(families.CANARY.name, [])
        numbers[families.CANARY_REQUESTS.name] = [[labels, sum(value[1:])] for labels, value in chosen]
        return numbers | exposition.process_snapshot()

    def counters(self) -> dict[str, int]:
        """Totals by metric name, as `ReloadConfigRequest.metric_names` asks for them."""
        return exposition.count_totals(self.snapshot())

    def text(self) -> bytes:
        """The Prometheus page of this process alone."""
        return exposition.render_page(self.snapshot())
