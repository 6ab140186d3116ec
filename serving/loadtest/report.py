"""A result for a person, at most 80 columns wide."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving.loadtest.result import Result

WIDTH = 80
_BAR = 40
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_KIB = 1024


def text(result: Result) -> str:
    """Counts, percentiles, a histogram, and what to beware of."""
    return "\n".join(line[:WIDTH].rstrip() for line in _lines(result))


def _lines(result: Result) -> Iterator[str]:
    load = result.load
    yield f"{result.target.model} {result.target.signature} at {result.target.address} ({result.target.transport})"
    if load.rate is not None:
        yield f"open loop, {load.rate:g} requests/s, {load.arrivals}; latency from the time a request was due"
    else:
        yield f"closed loop, {load.clients} clients; latency from the sending of a request"
    ended = ", interrupted" if result.interrupted else ""
    counts = f"{result.requests:,} requests, {result.failed:,} failed"
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
    found = result.milliseconds()
    yield "  ".join(f"{name:>7}" for name in found)
    yield "  ".join(f"{_ms(value):>7}" for value in found.values()) + "  ms"


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
