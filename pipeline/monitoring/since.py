"""The beginning of a period as people write it."""

from __future__ import annotations

import re
import time
from datetime import datetime

from pipeline.errors import UsageError

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds(text: str, now: float | None = None) -> float:
    """The Unix time that a text means.

    Args:
        text: How long ago ("90s", "30m", "2h", "7d", "1w"), or an ISO date or time; local without a time zone.
        now: The present as Unix time; the clock's if not given.

    Raises:
        UsageError: It is neither.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return (time.time() if now is None else now) - float(ago[1]) * _SECONDS[ago[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()  # naive ones are local
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"{text!r} is no time.",
            expected='how long ago, such as "30m", "2h" or "7d", or a time such as "2026-11-21T09:30"',
            received=text,
            action="keraspipe monitor --help",
        ) from error
