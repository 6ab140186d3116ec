"""Bytes that mean ill: images and recordings that announce more than they have, packed JSON, mutations."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zlib


def png(side: int) -> bytes:
    """A black PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


def wav(size: int, announced: int = -1) -> bytes:
    """A WAV file of 8000 Hz that may announce other bytes of samples than it has."""
    form = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    data = b"data" + struct.pack("<I", size if announced < 0 else announced) + bytes(size)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<I", 16) + form + data


def gif(side: int) -> bytes:
    """A GIF that announces one frame of so many pixels."""
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, side, side, 0)
        + b"\2\1D\0;"
    )


def bmp(side: int) -> bytes:
    """The head of a BMP of so many pixels of 24 bits, and one of them."""
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 58, 0, 0, 54) + head + bytes(4)


def jpeg(side: int) -> bytes:
    """The head of a progressive JPEG of many pixels and scans."""
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, side, side, 1) + b"\1\x11\0"
    tables = b"\xff\xdb\0\x43\0" + b"\1" * 64 + b"\xff\xc4\0\x14\0\1" + bytes(16)
    return b"\xff\xd8" + tables + frame + (b"\xff\xda\0\x08\1\1\0\0\0\0" + b"\0" * 8) * 2000 + b"\xff\xd9"


JXL = bytes.fromhex("ff0afeffffff0f82e24600")
JXL_SLOW = bytes.fromhex("ff0afe0100900282e24600000000000000900000000000000000")
WEBP = bytes.fromhex("524946461a000000574542505650384c0e0000002ffebfff0f071011fd0f4444ff03")


def packed(part: bytes, size: int) -> bytes:
    """A gzip body of many equal parts."""
    return gzip.compress(b'{"instances": [' + part * (size // len(part)) + b"1]}", 9)


def mutated(content: bytes, seed: int) -> bytes:
    """Content with some bytes changed; for every other seed some are dropped or added, too."""
    rng, made = random.Random(seed), bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randrange(len(made)), rng.randint(1, 3)
        made[at : at + size] = rng.randbytes(size if seed % 2 else rng.randint(0, 4))
    return bytes(made) or b"x"


def sealed(png: bytes) -> bytes:
    """A PNG with right checksums: a decoder looks at what is behind them (ISO 15948, section 5.3)."""
    made, at = bytearray(png), 8
    while at + 12 <= len(made):
        end = at + 8 + int.from_bytes(made[at : at + 4])
        made[end : end + 4] = zlib.crc32(made[at + 4 : end]).to_bytes(4) if end + 4 <= len(made) else b""
        at = end + 4
    return bytes(made)


def texts_message(count: int) -> bytes:
    """A `PredictRequest` of so many empty texts."""
    tensor = b"\x08\7\x12" + _sized(b"\x12" + _sized(b"\x08" + _varint(count))) + b"\x42\0" * count
    return b"\x0a" + _sized(b"\x0a\5texts") + b"\x12" + _sized(b"\x0a\1x\x12" + _sized(tensor))


def zeros_message(size: int) -> bytes:
    """A `PredictRequest` of zeros, which are so many bytes."""
    tensor = b"\x08\1\x12" + _sized(b"\x12" + _sized(b"\x08" + _varint(size // 4))) + b"\x22" + _sized(bytes(size))
    return b"\x0a" + _sized(b"\x0a\7numbers") + b"\x12" + _sized(b"\x0a\1x\x12" + _sized(tensor))


def examples_message(count: int) -> bytes:
    """A `ClassificationRequest` of so many Examples without a feature."""
    model = b"\x0a\x08examples\x1a\x08classify"
    return b"\x0a" + _sized(model) + b"\x12" + _sized(b"\x0a" + _sized(b"\x0a\0" * count))


def _sized(message: bytes) -> bytes:
    return _varint(len(message)) + message


def _varint(value: int) -> bytes:
    groups = [value >> shift & 127 for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])
