"""How many pixels an encoded image unpacks to, read from its headers; nothing is decoded.

The graph of a recipe makes the same checks before it decodes (`pipeline/features/image_header.py`), and tests hold the
two together. Sources: PNG (ISO 15948) 11.2.2; JPEG (ITU-T T.81) annex B; GIF89a sections 18 to 23; BMP: Microsoft,
BITMAPINFOHEADER; WebP: RFC 9649 and RFC 6386 section 9.1.
"""

from __future__ import annotations

import itertools
import re

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WebP")
HEAD = 32  # bytes that hold the size in all formats but JPEG and GIF
MARKS = 2**12  # of frames and scans of a JPEG, and bytes that look like them
BLOCKS = 2**15  # of a GIF, which are 8 MB where they are full
SCANS = 256  # of a progressive JPEG, each of which costs a pass over all pixels; encoders write about ten
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # second bytes of a JPEG's frame headers
_MARK = re.compile(rb"\xff[\xc0-\xcf\xda]")
WEBP_ANIMATED = 0x02  # flag: several frames, with which TensorFlow 2.21 overflows its buffer and aborts


def count_pixels(content: bytes) -> int:
    """Pixels that a decoder makes room for: of all frames of a GIF, of one picture otherwise.

    Returns:
        0 where the bytes are none of `FORMATS`, have no size in their headers, or are a WebP of several frames.
    """
    head = content[:HEAD].ljust(HEAD, b"\0")
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        return min(int.from_bytes(head[16:20], "big"), 2**31) * min(int.from_bytes(head[20:24], "big"), 2**31)
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg_pixels(content)
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return _gif_pixels(content)
    if head.startswith(b"BM"):
        sides = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (18, 22))
        return abs(next(sides)) * abs(next(sides))
    return _webp_pixels(head) if head.startswith(b"RIFF") and head[8:12] == b"WEBP" else 0


def _webp_pixels(head: bytes) -> int:
    kind = head[12:16]
    if kind == b"VP8X" and not head[20] & WEBP_ANIMATED:
        return (1 + int.from_bytes(head[24:27], "little")) * (1 + int.from_bytes(head[27:30], "little"))
    if kind == b"VP8L" and head[20] == 0x2F:  # noqa: PLR2004 - its signature
        bits = int.from_bytes(head[21:25], "little")
        return (1 + bits % 2**14) * (1 + (bits >> 14) % 2**14)
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        sides = (int.from_bytes(head[at : at + 2], "little") % 2**14 for at in (26, 28))
        return next(sides) * next(sides)
    return 0


def _jpeg_pixels(content: bytes) -> int:
    """The largest picture of all frame headers; a preview has one as well, and decoders go by one of them."""
    marks = list(itertools.islice(_MARK.finditer(content), MARKS + 1))
    scans = sum(match[0] == b"\xff\xda" for match in marks)
    if len(marks) > MARKS or scans > SCANS:
        return 0
    parts = [content[match.start() : match.start() + 10].ljust(10, b"\0") for match in marks]
    sides = [(part[5:7], part[7:9]) for part in parts if _is_frame(part)]
    return max((int.from_bytes(height, "big") * int.from_bytes(width, "big") for height, width in sides), default=0)


def _is_frame(part: bytes) -> bool:
    """Whether bytes begin like a frame header: mark, length by its components, bits of a sample."""
    return part[1] in FRAMES and part[2] == 0 and part[3] == (8 + 3 * part[9]) % 256 and part[4] <= 16  # noqa: PLR2004


def _gif_pixels(content: bytes) -> int:
    total, sides, steps = 0, [0, 0], 0
    at = 13 + _palette_size(content[10:11])
    while at < len(content):
        kind, part = content[at], content[at : at + 10].ljust(10, b"\0")
        if kind == 0x2C:  # noqa: PLR2004 - a frame
            width, height = (int.from_bytes(part[place : place + 2], "little") for place in (5, 7))
            total, sides = total + width * height, [max(sides[0], width), max(sides[1], height)]
            at += 11 + _palette_size(part[9:10])
        elif kind == 0x21:  # noqa: PLR2004 - an extension
            at += 2
        else:
            break
        while at < len(content):
            size, steps = content[at], steps + 1
            at += 1 + size
            if steps > BLOCKS:
                return 0
            if not size:
                break
    return max(total, sides[0] * sides[1])


def _palette_size(flags: bytes) -> int:
    """Bytes of a colour table, from the flags before it."""
    return 3 << (flags[0] % 8 + 1) if flags and flags[0] >= 128 else 0  # noqa: PLR2004 - the highest bit
