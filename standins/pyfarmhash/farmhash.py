"""The two functions of pyfarmhash that TensorFlow Data Validation calls, without a compiler.

It only compares fingerprints with each other within one process run, so any stable hash will do: the values are
not FarmHash's.
"""

from __future__ import annotations

from hashlib import blake2b


def fingerprint32(data: str | bytes) -> int:
    """A stable 32-bit hash."""
    return _hash(data, 4)


def fingerprint64(data: str | bytes) -> int:
    """A stable 64-bit hash."""
    return _hash(data, 8)


def _hash(data: str | bytes, size: int) -> int:
    raw = data.encode() if isinstance(data, str) else data
    return int.from_bytes(blake2b(raw, digest_size=size).digest(), "little")
