"""Images travel encoded: the encoding of pixels, the check of a file, and the decoding in the graph."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# What TensorFlow decodes to that many channels without a conversion of colours.
MODES = {
    ("PNG", 1): ("L", "1", "I;16"),
    ("PNG", 3): ("RGB",),
    ("JPEG", 1): ("L",),
    ("JPEG", 3): ("RGB",),
    ("MPO", 3): ("RGB",),  # a JPEG with further pictures behind it, as phones write it
    ("GIF", 3): ("P", "L", "RGB"),
    ("BMP", 3): ("RGB",),
}
FORMATS = ("PNG", "JPEG", "GIF", "BMP")
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
GIF_END = b"\0;"  # of the last block and of the file
BMP_BITS = 24


def encode(pixels: np.ndarray) -> bytes:
    """Encodes uint8 pixels (height, width) or (height, width, 3) as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def fault(content: bytes, shape: tuple[int, int, int]) -> str:
    """Why an encoded image is not one of `shape` (height, width, channels); empty if it is.

    The whole image is decoded: a truncated file has a sound header. What Pillow forgives and TensorFlow does not is
    asked for beside it.
    """
    from PIL import Image

    height, width, channels = shape
    try:
        Image.open(io.BytesIO(content), formats=FORMATS).verify()  # the checksums of a PNG, which load() passes over
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            kind, mode = image.format or "", image.mode
            image.load()
            size, transparent = image.size, "transparency" in image.info
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"not a readable image: {error}"
    if size != (width, height):
        return f"size {size[0]}x{size[1]}, expected {width}x{height} pixels"
    if transparent or mode not in MODES.get((kind, channels), ()):
        found = "an alpha channel" if transparent or "A" in mode else f"{kind} in colour mode {mode}"
        return f"{found}, expected {'grey' if channels == 1 else 'RGB'} without alpha"
    return _incomplete(content, kind, shape)


def _incomplete(content: bytes, kind: str, shape: tuple[int, int, int]) -> str:
    if (kind == "PNG" and PNG_END not in content) or (kind == "GIF" and not content.endswith(GIF_END)):
        return "not a readable image: its end is missing"
    if kind == "BMP":
        start, bits = int.from_bytes(content[10:14], "little"), int.from_bytes(content[28:30], "little")
        if bits != BMP_BITS:
            return f"BMP of {bits} bits per pixel, expected {BMP_BITS}"
        row = (3 * shape[1] + 3) // 4 * 4  # a row is filled up to four bytes
        if len(content) < start + shape[0] * row:
            return "not a readable image: its end is missing"
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
