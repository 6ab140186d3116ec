"""With resize=True an image of every format, colours, size and orientation becomes what Pillow makes of it."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipeline.features import image

ORIENTATION = 0x0112
# Pillow's mode and format, options of the encoder, how far the decoders may differ.
KINDS = {
    "grey jpeg": ("L", "jpeg", {}, 3),
    "colour jpeg": ("RGB", "jpeg", {}, 8),
    "progressive jpeg": ("RGB", "jpeg", {"progressive": True}, 8),
    "print jpeg": ("CMYK", "jpeg", {}, 8),
    "several pictures": ("RGB", "mpo", {}, 8),
    "black and white png": ("1", "png", {}, 0),
    "grey png": ("L", "png", {}, 0),
    "grey png with alpha": ("LA", "png", {}, 0),
    "grey png with a transparent grey": ("L", "png", {"transparency": 7}, 0),
    "palette png": ("P", "png", {}, 0),
    "palette png with a transparent colour": ("P", "png", {"transparency": 7}, 0),
    "colour png": ("RGB", "png", {}, 0),
    "colour png with alpha": ("RGBA", "png", {}, 0),
    "palette gif": ("P", "gif", {}, 0),
    "grey gif": ("L", "gif", {}, 0),
    "colour bmp": ("RGB", "bmp", {}, 0),
    "colour bmp with alpha": ("RGBA", "bmp", {}, 0),
    "webp": ("RGB", "webp", {}, 1),
    "webp with alpha": ("RGBA", "webp", {"exact": True}, 1),
    "lossless webp": ("RGBA", "webp", {"lossless": True, "exact": True}, 0),
}
WITH_EXIF = ("jpeg", "mpo", "png", "webp")


def picture(size=(23, 37), seed=0) -> Image.Image:
    """Soft colours with half of it transparent, not symmetric in any way; size as (height, width)."""
    height, width = size
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    made = coarse.resize((width, height), Image.Resampling.BICUBIC).convert("RGBA")
    made.putalpha(Image.fromarray((np.arange(height * width).reshape(size) % 2 * 255).astype(np.uint8)))
    return made


def saved(made: Image.Image, mode: str, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    made.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def reference(content: bytes, channels: int) -> np.ndarray:
    """Upright uint8 pixels (height, width, channels) by Pillow."""
    with Image.open(io.BytesIO(content)) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGBA").convert("RGB")
    pixels = np.asarray(upright.convert("L") if channels == 1 else upright)
    return pixels.reshape(*pixels.shape[:2], channels)


def decoded(content: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    return image.decode(tf.constant([content]), shape, resize=True).numpy()[0]


def difference(expected: np.ndarray, received: np.ndarray) -> int:
    return int(np.abs(expected.astype(int) - received).max())


def require_pillows_pixels(content: bytes, channels: int, tolerance: int) -> None:
    expected = reference(content, channels)
    assert "" == image.fault(content, (1, 1, channels), resize=True)
    assert tolerance >= difference(expected, decoded(content, expected.shape))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("mode", "kind", "options", "tolerance"), KINDS.values(), ids=KINDS)
def test_pixels_of_every_kind(mode, kind, options, tolerance, channels):
    require_pillows_pixels(saved(picture(), mode, kind, **options), channels, tolerance)


@pytest.mark.heavy
@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize(
    ("mode", "kind", "options", "tolerance"),
    [kind for kind in KINDS.values() if kind[1] in WITH_EXIF],
    ids=[name for name, kind in KINDS.items() if kind[1] in WITH_EXIF],
)
def test_every_kind_is_turned_upright(mode, kind, options, tolerance, order, turned):
    exif = Image.Exif()
    exif.endian = order
    exif[ORIENTATION], exif[0x010F], exif[0x8298] = turned, "a maker", "a name"
    content = saved(picture(), mode, kind, exif=exif.tobytes(), **options)
    assert reference(content, 3).shape == ((23, 37, 3) if turned <= 4 else (37, 23, 3))
    require_pillows_pixels(content, 3, tolerance)


def tiff(order: str, entries: list[tuple[int, int]], first: int = 8, count: int | None = None) -> bytes:
    """A TIFF directory of 16-bit values."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, first) + bytes(max(0, first - 8))
    rows = b"".join(struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in entries)
    return head + struct.pack(order + "H", len(entries) if count is None else count) + rows + bytes(4)


@pytest.mark.heavy
@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from("<>"),
    st.lists(st.tuples(st.sampled_from([1, 0x0111, ORIENTATION, 0x1201, 0x8769]), st.integers(0, 12)), max_size=5),
    st.integers(8, 40),
)
@example("<", [(ORIENTATION, 8)], 60_000)
def test_orientation_is_that_of_the_first_directory(order, entries, first):
    expected = next((value for tag, value in entries if tag == ORIENTATION), 1)
    content = b"\xff\xd8\xff\xe1\0\0Exif\0\0" + tiff(order, entries, first)
    assert (expected if 1 <= expected <= 8 else 1) == image._read_orientation(tf.constant(content)).numpy()


WHOLE = tiff("<", [(ORIENTATION, 5)])


@pytest.mark.heavy
@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"\xff\xd8Exif\0\0", b"\x89PNGeXIf", b"RIFFEXIF", b""]),
    st.binary(max_size=60) | st.integers(0, len(WHOLE)).map(lambda end: WHOLE[:end]),
)
@example(b"\xff\xd8Exif\0\0", tiff(">", [(ORIENTATION, 6)], count=65_535))
@example(b"\xff\xd8Exif\0\0", tiff("<", [])[:4] + b"\xff" * 4)
def test_damaged_exif_is_passed_over(head, tail):
    assert 1 <= image._read_orientation(tf.constant(head + tail)).numpy() <= 8


@pytest.mark.heavy
@settings(max_examples=40, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 50), st.integers(1, 50), st.sampled_from([1, 3]))
@example(50, 50, 1, 1, 3)
@example(1, 1, 50, 50, 1)
def test_size_is_what_is_asked_for(height, width, to_height, to_width, channels):
    content = saved(picture((height, width)), "RGB" if channels == 3 else "L", "png")
    received = decoded(content, (to_height, to_width, channels))
    small = Image.fromarray(reference(content, channels).squeeze(axis=2) if channels == 1 else reference(content, 3))
    expected = np.asarray(small.resize((to_width, to_height), Image.Resampling.BILINEAR))
    assert 2 >= difference(expected.reshape(received.shape), received)  # Pillow rounds after each of two directions


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits(encoded, channels):
    content = encoded((5, 4), "I;16")
    with Image.open(io.BytesIO(content)) as opened:
        expected = np.repeat(np.asarray(opened)[..., np.newaxis] / 257, channels, axis=2)
    assert "" == image.fault(content, (5, 4, channels), resize=True)
    assert 1 >= np.abs(expected - decoded(content, (5, 4, channels))).max()


def test_transparent_part_of_a_gif_is_black():
    content = saved(picture(), "RGBA", "gif")
    with Image.open(io.BytesIO(content)) as opened:
        opaque = opened.convert("RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", opaque.size, "black"), opaque).convert("RGB")
    assert "" == image.fault(content, (1, 1, 3), resize=True)
    assert np.array_equal(np.asarray(expected), decoded(content, (23, 37, 3)))


@pytest.mark.parametrize("kind", ["gif", "png"])
def test_first_of_several_frames(kind):
    frames = [picture(seed=seed).convert("RGB") for seed in range(3)]
    content = saved(frames[0], "RGB", kind, save_all=True, append_images=frames[1:])
    require_pillows_pixels(content, 3, 1)


def test_animated_webp_is_refused_by_both():
    frames = [picture(seed=seed) for seed in range(3)]
    content = saved(frames[0], "RGB", "webp", save_all=True, append_images=frames[1:])
    assert "WebP of several frames, expected one" == image.fault(content, (1, 1, 3), resize=True)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded(content, (1, 1, 3))


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_bmp_with_a_palette_is_refused_by_both(mode):
    content = saved(picture(), mode, "bmp")
    assert image.fault(content, (1, 1, 3), resize=True).endswith("bits per pixel, expected 24 or 32")
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded(content, (1, 1, 3))


@pytest.mark.parametrize("extra", [1, 2, 100])
def test_bmp_with_bytes_behind_its_end_is_refused_by_both(extra):
    content = saved(picture(), "RGB", "bmp") + bytes(extra)
    assert "expected 2630 by its header" in image.fault(content, (1, 1, 3), resize=True)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded(content, (1, 1, 3))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [(mode, kind) for mode, kind, options, _ in KINDS.values() if kind != "mpo" and "transparency" not in options],
)
def test_truncated_image_is_refused_wherever_it_is_cut(mode, kind):
    content = saved(picture((9, 8)), mode, kind)
    assert "" == image.fault(content, (4, 4, 3), resize=True)
    accepted = [end for end in range(len(content)) if not image.fault(content[:end], (4, 4, 3), resize=True)]
    for end in accepted:  # what is missing is padding only
        assert np.array_equal(decoded(content, (4, 4, 3)), decoded(content[:end], (4, 4, 3)))
    assert len(content) - 3 <= min(accepted, default=len(content))


@pytest.mark.heavy
@pytest.mark.parametrize(("mode", "kind"), [("RGB", "jpeg"), ("RGB", "webp"), ("RGBA", "webp"), ("RGB", "bmp")])
def test_image_with_a_spoilt_byte_is_refused_or_decoded(mode, kind):
    content = saved(picture((9, 8)), mode, kind)

    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, len(content) - 1), st.integers(1, 255))
    def check(place, change):
        spoilt = bytearray(content)
        spoilt[place] ^= change
        if not image.fault(bytes(spoilt), (4, 4, 3), resize=True):
            assert (4, 4, 3) == decoded(bytes(spoilt), (4, 4, 3)).shape

    check()


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_by_both(content):
    assert image.fault(content, (4, 4, 3), resize=True).startswith("not a readable image")
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded(content, (4, 4, 3))


@pytest.mark.heavy
def test_batch_of_all_kinds_in_one_graph():
    contents = [saved(picture(seed=3), mode, kind, **options) for mode, kind, options, _ in KINDS.values()]
    graph = tf.function(lambda batch: image.decode(batch, (16, 16, 3), resize=True))
    together = graph(tf.constant(contents)).numpy()
    assert (len(KINDS), 16, 16, 3) == together.shape
    for row, content in zip(together, contents, strict=True):
        assert np.array_equal(decoded(content, (16, 16, 3)), row)
