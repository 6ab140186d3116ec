"""Imports of large packages, in less time."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def without_garbage() -> Iterator[None]:
    """Imports make millions of objects and no garbage: looking for it takes a quarter of their time.

    What is there by the end of the block is never looked through again either.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
