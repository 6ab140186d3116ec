"""The result of a run: latencies, counts, warnings; as JSON, and as a report at most 80 columns wide."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving.loadtest.target import Load, Target


PERCENTILES = (50, 90, 95, 99, 99.9)
_BINS = 16
_NARROWEST = 1.01  # of a histogram's bins, upper edge to lower
_LOWEST_S = 1e-6
_NOTICEABLE = 0.01
_BUSY = 0.9
WIDTH = 80
_BAR = 40
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_KIB = 1024


@dataclass(frozen=True)
class Result:
    """Counts and times of the requests that were sent after the warm-up.

    Attributes:
        target: The request and the server.
        load: The requested load.
        latency: Seconds of the answers, timeouts and unsent requests, float32 in the order of their ends: 4 bytes for
            each, and exact to seven digits. From the time a request was due in an open loop, from its sending in a
            closed one. Other failures are counted in `errors` only.
        requests: Requests sent that ended, failed ones included.
        errors: Failed requests by `HTTP 503`, `timeout`, `connection closed`, or the name of a gRPC code.
        counted_s: Seconds from the end of the warm-up to the last answer.
        bytes_received: Bytes of the answers; of REST with their heads.
        unsent: Requests of an open loop that were due but had no free connection until the end.
        waited: Share of the requests that were due while no connection was free.
        behind_schedule: Share of the requests that the generator itself sent more than 1 ms late.
        generator_cpu: CPU seconds of the generator's process per second.
        interrupted: Whether the run ended early.
    """

    target: Target
    load: Load
    latency: np.ndarray
    requests: int
    errors: dict[str, int]
    counted_s: float
    bytes_received: int
    unsent: int = 0
    waited: float = 0.0
    behind_schedule: float = 0.0
    generator_cpu: float = 0.0
    interrupted: bool = False

    @property
    def failures(self) -> int:
        """Requests without a good answer."""
        return sum(self.errors.values())

    @property
    def rate(self) -> float:
        """Good answers per second."""
        return (self.requests - self.failures) / self.counted_s

    def milliseconds(self) -> dict[str, float]:
        """Latencies by name; 0 where there are none."""
        latency = self.latency if len(self.latency) else np.zeros(1)
        names = ("min", "mean", *(f"p{percent:g}" for percent in PERCENTILES), "max")
        seconds = (latency.min(), latency.mean(dtype=np.float64), *_percentiles(latency, PERCENTILES), latency.max())
        return {name: round(float(value) * 1e3, 3) for name, value in zip(names, seconds, strict=True)}

    def percentile(self, percent: float) -> float:
        """Seconds that `percent` % of all latencies do not exceed; 0 where there are none."""
        return float(_percentiles(self.latency, percent)) if len(self.latency) else 0.0

    def histogram(self, bins: int = _BINS) -> list[tuple[float, float, int]]:
        """From, to (both in seconds) and count of up to `bins` bins, even on a log scale; the last includes its end."""
        if not len(self.latency):
            return []
        values = np.maximum(self.latency.astype(np.float64), _LOWEST_S)
        low, high = values.min(), max(values.max(), values.min() * _NARROWEST)
        edges = np.geomspace(low, high, min(max(int(np.log(high / low) / np.log(_NARROWEST)), 1), bins) + 1)
        counts, _ = np.histogram(values, edges)
        return list(zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True))

    def warnings(self) -> list[str]:
        """Returns reasons why the numbers are less reliable than they look."""
        texts = []
        if self.behind_schedule > _NOTICEABLE:
            texts.append(
                f"The generator sent {self.behind_schedule:.1%} of the requests more than 1 ms behind schedule: "
                "part of the latencies is its own. Lower the rate, or load from another machine."
            )
        if self.generator_cpu > _BUSY:
            texts.append(f"The generator was busy {self.generator_cpu:.0%} of the time: the server may do more.")
        if self.waited > _NOTICEABLE:
            texts.append(
                f"{self.waited:.1%} of the requests found no free connection and waited; the wait is in the latencies."
            )
        if self.unsent:
            texts.append(
                f"{self.unsent} requests were due but never sent: the server takes less than {self.load.rate:g} per "
                "second. They count with the time they had waited, so that the true percentiles are higher."
            )
        return texts

    def as_json(self) -> dict[str, Any]:
        """One object of plain values."""
        is_open = self.load.rate is not None
        return {
            "model": self.target.model,
            "signature": self.target.signature,
            "transport": self.target.transport,
            "address": self.target.address,
            "mode": "open" if is_open else "closed",
            "latency_from": "due" if is_open else "sent",
            "rate_asked": self.load.rate,
            "arrivals": self.load.arrivals if is_open else None,
            "concurrency": None if is_open else self.load.clients,
            "duration_s": self.load.duration_s,
            "warmup_s": self.load.warmup_s,
            "requests": self.requests,
            "failed": self.failures,
            "errors": self.errors,
            "rate": round(self.rate, 3),
            "seconds": round(self.counted_s, 3),
            "bytes_sent": self.requests * len(self.target.body),
            "bytes_received": self.bytes_received,
            "latency_ms": self.milliseconds(),
            "histogram": [
                {"from_ms": round(low * 1e3, 4), "to_ms": round(high * 1e3, 4), "count": count}
                for low, high, count in self.histogram()
            ],
            "unsent": self.unsent,
            "waited": round(self.waited, 4),
            "behind_schedule": round(self.behind_schedule, 4),
            "generator_cpu": round(self.generator_cpu, 3),
            "warnings": self.warnings(),
            "interrupted": self.interrupted,
        }


def _percentiles(values: np.ndarray, percent: Any) -> Any:
    """By the nearest rank: values that occurred, as nobody waited for the middle between two answers."""
    return np.percentile(values, percent, method="inverted_cdf")


def render_text(result: Result) -> str:
    """Counts, percentiles, a histogram, and what to beware of."""
    return "\n".join(line[:WIDTH].rstrip() for line in _text_lines(result))


def _text_lines(result: Result) -> Iterator[str]:
    load = result.load
    yield f"{result.target.model} {result.target.signature} at {result.target.address} ({result.target.transport})"
    if load.rate is not None:
        yield f"open loop, {load.rate:g} requests/s, {load.arrivals}; latency from the time a request was due"
    else:
        yield f"closed loop, {load.clients} clients; latency from the sending of a request"
    ended = ", interrupted" if result.interrupted else ""
    counts = f"{result.requests:,} requests, {result.failures:,} failed"
    yield f"{counts}, {result.rate:,.1f}/s, {result.counted_s:.1f} s{ended}"
    sent = result.requests * len(result.target.body)
    yield f"{_size(sent)} sent, {_size(result.bytes_received)} received"
    for error, count in sorted(result.errors.items(), key=lambda pair: -pair[1]):
        yield f"  {error}  {count:,}"
    if len(result.latency):
        yield ""
        yield from _times(result)
        yield ""
        yield from _bars(result)
    for warning in result.warnings():
        yield from textwrap.wrap(f"Warning: {warning}", WIDTH, subsequent_indent="  ")


def _times(result: Result) -> Iterator[str]:
    latencies = result.milliseconds()
    yield "  ".join(f"{name:>7}" for name in latencies)
    yield "  ".join(f"{_ms(value):>7}" for value in latencies.values()) + "  ms"


def _bars(result: Result) -> Iterator[str]:
    rows = result.histogram()
    most = max(count for _, _, count in rows)
    for low, high, count in rows:
        yield f"{_ms(low * 1e3):>8} - {_ms(high * 1e3):>7} ms {count:>9,} {bar(count / most)}"


def bar(share: float) -> str:
    """A bar of eighths of a character; the shortest one for a share that is not 0."""
    eighths = max(round(share * _BAR * 8), 1) if share else 0
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def _ms(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _KIB
    return f"{count:.1f} GiB"
