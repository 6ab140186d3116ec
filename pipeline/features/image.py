"""Encoded images: encoding of pixels, the check of a file, and decoding in the TensorFlow graph."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from pipeline.features import image_header
from serving.wire.image_header import count_pixels

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

# For images of an exact shape: the modes that TensorFlow decodes to that many channels without converting colours.
MODES = {
    ("PNG", 1): ("L", "1", "I;16"),
    ("PNG", 3): ("RGB",),
    ("JPEG", 1): ("L",),
    ("JPEG", 3): ("RGB",),
    ("MPO", 3): ("RGB",),  # a JPEG followed by more pictures, as phones write it
    ("GIF", 3): ("P", "L", "RGB"),
    ("BMP", 3): ("RGB",),
    ("WEBP", 3): ("RGB",),
}
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")
# By the first bytes of a file.
ENDINGS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
JPEG_END, JPEG_SCAN = b"\xff\xd9", b"\xff\xda"  # an embedded preview ends before the last scan
GIF_END = b"\0;"  # of the last block and of the file
BMP_BITS = (24, 32)  # TensorFlow does not support palettes in BMP
ORIENTATION = 0x0112  # EXIF 2.32, section 4.6.4
PIXELS = 89_478_485  # of an image of any size, in all its frames: Pillow's own limit, 256 MiB in RGB
_SPARE = (64, 2**20)  # times the pixels of an exact shape, and pixels: room for the frames of a GIF
DECODER = "checked_decode"  # by this name of their node `doctor` and the server know decoders behind the check
LUMA = (19595, 38470, 7471)  # ITU-R BT.601 in 65536ths, as Pillow rounds it: a grey keeps its value


def file_ending(content: Any) -> str:
    """Returns the ending of a picture's file, by its header; empty for what is no picture."""
    if not isinstance(content, bytes) or not count_pixels(content):
        return ""
    return next((ending for first, ending in ENDINGS.items() if content.startswith(first)), "")


def encode_png(pixels: np.ndarray) -> bytes:
    """Encodes uint8 pixels (height, width) or (height, width, 3) as PNG, fast."""
    from PIL import Image

    return encode_picture(Image.fromarray(pixels), compress_level=1)


def encode_picture(picture: Image.Image, compress_level: int = 6) -> bytes:
    """Encodes a picture as PNG; a level of 1 is fast, one of 9 small."""
    buffer = io.BytesIO()
    picture.save(buffer, "png", compress_level=compress_level)
    return buffer.getvalue()


def fault(content: bytes, shape: tuple[int, int, int], *, resize: bool = False) -> str:
    """Returns why an encoded image cannot be decoded to `shape` (height, width, channels); empty if it can.

    Decodes the whole image, since a truncated file has a valid header, and checks the errors that Pillow accepts and
    TensorFlow does not. With `resize` an image may have any size, colours and orientation (see `decode`).
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _decode_fault(content, shape, resize=resize)
    except UnidentifiedImageError:  # its own message contains an address in memory
        return f"not a readable image: neither {', '.join(FORMATS[:-1])} nor {FORMATS[-1]}, or damaged at its beginning"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return f"not a readable image: {error or 'damaged'}"


def _decode_fault(content: bytes, shape: tuple[int, int, int], *, resize: bool) -> str:
    from PIL import Image

    most = most_pixels(shape, resize=resize)
    if (pixels := count_pixels(content)) > most:
        return f"{pixels:,} pixels in all its frames, expected at most {most:,}"
    if content.startswith(b"\x89PNG"):
        Image.open(io.BytesIO(content), formats=FORMATS).verify()  # the checksums, which load() ignores
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        image.load()
        return (
            _truncation_fault(content, image) or ("" if resize else _shape_fault(image, shape)) or _header_fault(pixels)
        )


def open_image(content: bytes) -> Image.Image:
    """Opens an encoded image of any origin, such as a logged request, before anything of it is decoded.

    Raises:
        ValueError: It is none of `FORMATS`, or has more than `PIXELS` pixels by its header.
        OSError: It is damaged.
    """
    from PIL import Image

    if not 0 < (pixels := count_pixels(content)) <= PIXELS:
        raise ValueError(f"{pixels} pixels by its header (0: unknown), expected at most {PIXELS}")
    return Image.open(io.BytesIO(content), formats=FORMATS)


def upright_size(content: bytes) -> tuple[int, int]:
    """Returns width and height of an encoded image after the rotation that its EXIF orientation asks for."""
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        turned = image.getexif().get(ORIENTATION, 1) > 4  # noqa: PLR2004  (above 4 it lies on its side)
        return (image.height, image.width) if turned else image.size


def open_upright(content: bytes) -> Image.Image:
    """Opens an image as `open_image`, rotated as its EXIF orientation asks for."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(open_image(content))


def most_pixels(shape: tuple[int, int, int], *, resize: bool) -> int:
    """Returns how many pixels an image may have before it is decoded, all frames of a GIF counted."""
    return PIXELS if resize else _SPARE[0] * shape[0] * shape[1] + _SPARE[1]


def _header_fault(pixels: int) -> str:
    return "" if pixels else "not a readable image: its size is not in its first bytes"


def _shape_fault(image: Any, shape: tuple[int, int, int]) -> str:
    height, width, channels = shape
    if image.size != (width, height):
        return f"size {image.size[0]}x{image.size[1]}, expected {width}x{height} pixels"
    transparent = "transparency" in image.info or "A" in image.mode
    if transparent or image.mode not in MODES.get((image.format, channels), ()):
        actual = "an alpha channel" if transparent else f"{image.format} in colour mode {image.mode}"
        return f"{actual}, expected {'grey' if channels == 1 else 'RGB'} without alpha"
    orientation = image.getexif().get(ORIENTATION, 1) if "exif" in image.info else 1
    return "" if orientation == 1 else f"EXIF orientation {orientation}, expected upright pixels"


def _truncation_fault(content: bytes, image: Any) -> str:
    kind, (width, height) = image.format, image.size
    ended = {
        "PNG": PNG_END in content,
        "GIF": content.endswith(GIF_END),
        "JPEG": content.rfind(JPEG_END) > content.rfind(JPEG_SCAN),
    }
    if not ended.get(kind, True):
        return "not a readable image: its end is missing"
    if kind == "BMP":
        start, bits = int.from_bytes(content[10:14], "little"), int.from_bytes(content[28:30], "little")
        if bits not in BMP_BITS:
            return f"BMP of {bits} bits per pixel, expected 24 or 32"
        row = (bits // 8 * width + 3) // 4 * 4  # rows are padded to multiples of four bytes
        if len(content) != start + height * row:  # TensorFlow rejects extra bytes, too
            return f"not a readable image: BMP of {len(content)} bytes, expected {start + height * row} by its header"
    return "WebP of several frames, expected one" if kind == "WEBP" and image.is_animated else ""


def decode(image_bytes: Any, shape: tuple[int, int, int], *, resize: bool = False) -> Any:
    """Decodes a batch of encoded images in the graph, for training and for clients alike.

    Args:
        image_bytes: String tensor (batch,): PNG, JPEG, GIF (its first frame), BMP of 24 or 32 bits, WebP of one frame.
        shape: Height, width and channels (1 grey, 3 RGB) of the result.
        resize: False: every image must have this shape; faster, for data sets of one size. True: images of any size are
            resized to `shape` (bilinear, antialiased) and may have any colours: alpha is dropped (transparent pixels
            of a GIF are black), palettes, CMYK and 16 bits become 8-bit RGB, and RGB becomes grey for one channel;
            they are rotated by the EXIF orientation of a JPEG, PNG or WebP.

    Returns:
        uint8 tensor (batch, height, width, channels). The graph raises an InvalidArgumentError for an unreadable image,
        for one of another size unless `resize`, and, before it decodes, for another format and for an image of more
        than `PIXELS` pixels.
    """
    import tensorflow as tf

    def decode_exact(content: Any) -> Any:
        image = tf.io.decode_image(content, channels=shape[2], expand_animations=False, name=DECODER)
        # Its message has both shapes. Transform would prune an assertion, since no output depends on it.
        return tf.ensure_shape(image, shape)

    if resize:
        return decode_sized(image_bytes, shape)[0]
    checked = image_header.check(image_bytes, most_pixels(shape, resize=False))
    return tf.map_fn(decode_exact, checked, fn_output_signature=tf.TensorSpec(shape, tf.uint8))


def decode_sized(image_bytes: Any, shape: tuple[int, int, int]) -> tuple[Any, Any]:
    """Decodes as `decode` with `resize`, and returns the size of each image before, (height, width) upright.

    Returns:
        uint8 tensor (batch, height, width, channels), and int32 tensor (batch, 2).
    """
    import tensorflow as tf

    def decode_single(content: Any) -> tuple[Any, Any]:
        pixels = decode_upright(content, shape[2])
        resized = tf.image.resize(pixels, shape[:2], antialias=True)
        return tf.ensure_shape(tf.saturate_cast(tf.round(resized), tf.uint8), shape), tf.shape(pixels)[:2]

    checked = image_header.check(image_bytes, PIXELS)
    specs = (tf.TensorSpec(shape, tf.uint8), tf.TensorSpec([2], tf.int32))
    return tf.map_fn(decode_single, checked, fn_output_signature=specs)


def decode_upright(content: Any, channels: int) -> Any:
    """Decodes one image of any size and colours, which `image_header.check` has passed: (height, width, channels)."""
    pixels = _turn_upright(_rgb(content), _read_orientation(content))
    return pixels if channels == 3 else _to_grey(pixels)  # noqa: PLR2004


def _rgb(content: Any) -> Any:
    """Returns the pixels (height, width, 3) of one image of any colours."""
    import tensorflow as tf

    image = tf.io.decode_image(
        tf.where(_has_palette(content), b"no image", content), expand_animations=False, name=DECODER
    )
    colours = tf.cast(tf.shape(image)[-1] > 2, tf.int32)  # noqa: PLR2004  (with one or two channels the first is grey)
    return tf.gather(image, tf.range(3) * colours, axis=-1)


def _has_palette(content: Any) -> Any:
    """Returns whether a file is a BMP with a palette, whose indices TensorFlow would read as greys."""
    return (
        (_byte_range(content, 0, 2) == b"BM")
        & (_byte_range(content, 28, 1) != b"\x18")
        & (_byte_range(content, 28, 1) != b"\x20")
    )


def _byte_range(content: Any, start: int, count: int) -> Any:
    import tensorflow as tf

    head = tf.strings.join([tf.strings.substr(content, 0, start + count), bytes(start + count)])
    return tf.strings.substr(head, start, count)


def _to_grey(pixels: Any) -> Any:
    import tensorflow as tf

    return (tf.reduce_sum(tf.cast(pixels, tf.int32) * LUMA, axis=-1, keepdims=True) + 2**15) // 2**16


def _turn_upright(pixels: Any, orientation: Any) -> Any:
    """Rotates pixels by an EXIF orientation: above 4 transposes, then flips left-right and up-down."""
    import tensorflow as tf

    pixels = tf.cond(orientation > 4, lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)  # noqa: PLR2004
    flips = tf.constant([[False, False], [False, True], [True, True], [True, False]])[(orientation - 1) % 4]
    return tf.reverse(pixels, tf.boolean_mask((0, 1), flips))


def _read_orientation(content: Any) -> Any:
    """Returns the EXIF orientation of one image, 1 to 8; 1 without one."""
    import tensorflow as tf

    # The EXIF part is a small TIFF file: in a JPEG and a PNG after its marker, in a WebP four bytes (its size) later.
    kind = tf.strings.substr(content, 0, 1)
    mark = tf.where(kind == b"\xff", b"Exif\0\0", tf.where(kind == b"R", b"EXIF", b"eXIf"))
    parts = tf.strings.split(content, mark, maxsplit=1)
    start = tf.where(kind == b"R", 4, 0)

    def read() -> Any:
        padded = tf.strings.join([parts[1], bytes(16)])
        return _tiff_orientation(tf.cast(tf.io.decode_raw(tf.strings.substr(padded, start, 2**16), tf.uint8), tf.int32))

    return tf.cond(tf.shape(parts)[0] > 1, read, lambda: tf.constant(1))


def _tiff_orientation(tiff: Any) -> Any:
    """Returns the orientation in the first directory of a TIFF file (bytes,): TIFF 6.0, section 2."""
    import tensorflow as tf

    little = tiff[0] == ord("I")
    pairs = tf.where(little, tiff[:-1] + 256 * tiff[1:], 256 * tiff[:-1] + tiff[1:])  # 16-bit number at each place
    first = tf.minimum(tf.where(little, pairs[4], pairs[6]), tf.size(pairs) - 1)
    count = tf.clip_by_value(pairs[first], 0, tf.maximum(tf.size(pairs) - first - 10, 0) // 12)
    entries = first + 2 + 12 * tf.range(count)
    values = tf.boolean_mask(tf.gather(pairs, entries + 8), tf.gather(pairs, entries) == ORIENTATION)
    value = tf.concat([values, [1]], 0)[0]
    return tf.where((value >= 1) & (value <= 8), value, 1)  # noqa: PLR2004
