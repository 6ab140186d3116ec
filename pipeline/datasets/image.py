"""Images travel encoded: the encoding of pixels, the check of a file, and the decoding in the graph."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MODES = {1: ("L", "1", "I;16"), 3: ("RGB",)}


def encode(pixels: np.ndarray) -> bytes:
    """Encodes uint8 pixels (height, width) or (height, width, 3) as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def fault(content: bytes, shape: tuple[int, int, int]) -> str:
    """Why an encoded image is not one of `shape` (height, width, channels); empty if it is.

    The whole image is decoded: a truncated file has a sound header.
    """
    from PIL import Image

    height, width, channels = shape
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            mode, size, transparent = image.mode, image.size, "transparency" in image.info
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"not a readable image: {error}"
    if size != (width, height):
        return f"size {size[0]}x{size[1]}, expected {width}x{height} pixels"
    if transparent or mode not in MODES[channels]:
        kind = "an alpha channel" if transparent or "A" in mode else f"colour mode {mode}"
        return f"{kind}, expected {'grey' if channels == 1 else 'RGB'} without alpha"
    return ""


def decode(image_bytes: Any, shape: tuple[int, int, int]) -> Any:
    """Decodes a batch of encoded images in the graph.

    Args:
        image_bytes: String tensor (batch,): PNG, JPEG, GIF or BMP.
        shape: Height, width and channels that every image must have.

    Returns:
        uint8 tensor (batch, height, width, channels). An image of another size is an InvalidArgumentError.
    """
    import tensorflow as tf

    def one(content: Any) -> Any:
        image = tf.io.decode_image(content, channels=shape[2], expand_animations=False)
        # Its message names both shapes. An assertion would be lost: Transform prunes what no output depends on.
        return tf.ensure_shape(image, shape)

    return tf.map_fn(one, image_bytes, fn_output_signature=tf.TensorSpec(shape, tf.uint8))
