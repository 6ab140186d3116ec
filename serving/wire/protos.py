"""TensorFlow Serving's messages, without importing TensorFlow where it is not needed.

The generated modules import `tensorflow.core...` messages, and with them the whole of TensorFlow (4 s). Those messages
are plain protobuf, so a client imports them below an empty stand-in of the package (20 ms), which is taken away again:
a later `import tensorflow` finds everything as usual.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import threading
import types
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = threading.Lock()


def load(module: str) -> Any:
    """A generated module of `tensorflow_serving`, such as `apis.predict_pb2`."""
    name = f"tensorflow_serving.{module}"
    known = sys.modules.get(name)
    if known is not None and not getattr(known.__spec__, "_initializing", False):  # half imported by another thread
        return known
    with _LOCK:
        if "tensorflow" in sys.modules:
            return importlib.import_module(name)
        with _stand_in():
            return importlib.import_module(name)


@contextmanager
def _stand_in() -> Iterator[None]:
    spec = importlib.util.find_spec("tensorflow")
    package = types.ModuleType("tensorflow")
    package.__path__ = list(spec.submodule_search_locations or []) if spec else []
    sys.modules["tensorflow"] = package
    try:
        yield
    finally:
        del sys.modules["tensorflow"]
