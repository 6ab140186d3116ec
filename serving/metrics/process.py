"""What this process takes of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.metrics import family

if TYPE_CHECKING:
    from serving.metrics.snapshot import Snapshot


def snapshot() -> Snapshot:
    """The `process_*` series that every Prometheus client has; without those that the system does not tell."""
    import psutil

    process = psutil.Process()
    memory, times = process.memory_info(), process.cpu_times()
    found = {
        family.MEMORY: memory.rss,
        family.VIRTUAL: memory.vms,
        family.PROCESSOR: times.user + times.system,
        family.STARTED: process.create_time(),
        **_files(process),
    }
    return {one.name: [[[], value]] for one, value in found.items()}


def _files(process: object) -> dict[family.Family, int]:
    try:
        limit = process.rlimit(7)[0]  # type: ignore[attr-defined]  # RLIMIT_NOFILE on Linux
        return {family.FILES: process.num_fds(), family.MAX_FILES: limit}  # type: ignore[attr-defined]
    except (AttributeError, OSError):  # not on every system
        return {}
