"""The models that are served.

    python -m benchmarks.serving.models mlp|image FOLDER

`mlp` is 16-32-1 on floats. `image` decodes an encoded image, makes it 64x64 and runs a small network on it. `digits` is
what `keraspipe run digits --quick` publishes.
"""

from __future__ import annotations

import io
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.measure import keraspipe, module, say

_KEPT: list[Any] = []  # folders that are deleted when this process ends
SIDE = 1080  # pixels of the large image: noise, 1 MB as JPEG
QUALITY = 90


@cache
def folder(name: str) -> Path:
    """Returns a folder that contains `NAME/1/saved_model.pb`."""
    made = tempfile.TemporaryDirectory(prefix="keraspipe-bench-")
    _KEPT.append(made)
    root = Path(made.name)
    say(f"  model {name}, not measured")
    if name == "digits":
        keraspipe(root, "run", "digits", "--quick")
        return root / "serving"
    module("benchmarks.serving.models", name, root / name / "1")
    return root


@cache
def large_image() -> bytes:
    """Returns a JPEG of about 1 MB."""
    return _image("JPEG", SIDE, quality=QUALITY)


@cache
def small_image() -> bytes:
    """Returns a PNG of 8 x 8 pixels, as in `digits`."""
    return _image("PNG", 8, grey=True)


def _image(kind: str, side: int, *, grey: bool = False, **options: Any) -> bytes:
    import numpy as np
    from PIL import Image

    shape = (side, side) if grey else (side, side, 3)
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _save(name: str, path: str) -> None:
    import tensorflow as tf

    weights = tf.random.Generator.from_seed(1)
    if name == "mlp":
        shapes, spec = ((16, 32), (32, 1)), tf.TensorSpec([None, 16], tf.float32, name="input")
    else:
        shapes, spec = ((64 * 64 * 3, 64), (64, 1)), tf.TensorSpec([None], tf.string, name="image_bytes")

    def pixels(encoded: Any) -> Any:
        # Without the check of recipes: it sees only images made here, and the servers that are compared have none.
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        return tf.image.resize(tf.ensure_shape(image, [None, None, 3]), [64, 64]) / 255.0

    class Network(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = (tf.Variable(weights.normal(shape) / shape[0] ** 0.5) for shape in shapes)

        def __call__(self, value: Any) -> Any:
            if name == "image":
                value = tf.reshape(tf.map_fn(pixels, value, fn_output_signature=tf.float32), [-1, 64 * 64 * 3])
            return {"output": tf.nn.relu(value @ self.first) @ self.second}

    network = Network()
    tf.saved_model.save(network, path, signatures=tf.function(network.__call__, input_signature=[spec]))


if __name__ == "__main__":
    _save(*sys.argv[1:])
