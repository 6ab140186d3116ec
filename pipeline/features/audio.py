"""WAV files: the check of a file, and decoding and mel spectrograms in the TensorFlow graph.

Supported is the format of `tf.audio.decode_wav`: PCM of 16 bits, any number of channels. Source of the format: IBM and
Microsoft, Multimedia programming interface and data specifications 1.0, 1991, chapter "Waveform audio file format".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PCM = 1
BITS = 16
FORMAT_SIZES = (16, 18)
CHUNK_LIMIT = 2**31 - 1
CHUNKS = 2**8  # of a file before its samples; no recorder writes as many
DECODER = "checked_decode"  # by this name of their node `doctor` and the server know decoders behind the check
# Chunks that TensorFlow skips before the format.
SKIPPED_CHUNKS = (b"JUNK", b"bext", b"iXML", b"qlty", b"mext", b"levl", b"link", b"axml")


def fault(content: bytes, rate: int) -> str:
    """Returns why `decode` cannot read a file at `rate` (Hz); empty if it can.

    TensorFlow's own reader would initialize its devices, before the training has configured them.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return "not a WAV file"
    chunks = list(_chunks(content))
    while chunks and chunks[0][0] in SKIPPED_CHUNKS:
        chunks.pop(0)
    if not chunks or chunks[0][0] != b"fmt ":
        return "not a readable WAV file: its format chunk is not the first"
    _, start, size = chunks[0]
    return _format_fault(content, start, size, rate) or _data_fault(content, start, chunks[1:])


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, first byte and size of each chunk; a truncated header has no size."""
    at = 12
    while at < len(content):
        name, size = content[at : at + 4], content[at + 4 : at + 8]
        # TensorFlow expects no padding byte after a chunk of odd size, so neither does this.
        yield name, at + 8, int.from_bytes(size, "little") if len(size) == 4 else CHUNK_LIMIT + 1  # noqa: PLR2004
        at += 8 + int.from_bytes(size, "little")


def _format_fault(content: bytes, start: int, size: int, rate: int) -> str:
    if len(content) < start + max(size, FORMAT_SIZES[0]):
        return "not a readable WAV file: it ends within its header"
    code, channels, file_rate, bytes_per_second, frame, bits = struct.unpack_from("<HHIIHH", content, start)
    if code != PCM or size not in FORMAT_SIZES:
        return f"WAV of format {code} in a header of {size} bytes, expected 1 (PCM) in 16 or 18"
    if bits != BITS:
        return f"{bits} bits per sample, expected {BITS}"
    if file_rate != rate:
        return f"sample rate {file_rate} Hz, expected {rate} Hz"
    if not channels or frame != 2 * channels or bytes_per_second != (frame * file_rate) % 2**32:
        return f"not a readable WAV file: {channels} channels, but {frame} bytes per frame, {bytes_per_second} per s"
    return ""


def _data_fault(content: bytes, form: int, chunks: list[tuple[bytes, int, int]]) -> str:
    data = [(start, size) for name, start, size in chunks if name == b"data"]
    if len(data) != 1 or any(size > CHUNK_LIMIT for _, _, size in chunks):
        return "not a readable WAV file: its chunks are damaged, or samples are not in one"
    start, size = data[0]
    if start + size > len(content):
        return f"truncated: {len(content) - start:,} of {size:,} bytes of samples"
    (channels,) = struct.unpack_from("<H", content, form + 2)
    if size % (2 * channels):
        return "ends within a sample"
    return "" if size else "no samples"


def decode(audio_bytes: Any, samples: int, rate: int) -> Any:
    """Decodes a batch of WAV files in the graph: the mean of the channels, cut or padded with silence at the end.

    Args:
        audio_bytes: String tensor (batch,): WAV, PCM of 16 bits.
        samples: Length of every decoded row.
        rate: Samples per second of every file; for another rate the graph raises an InvalidArgumentError with both.

    Returns:
        float32 tensor (batch, samples) in [-1, 1). The graph raises an InvalidArgumentError for what is no such file.
    """
    import tensorflow as tf

    def decode_file(content: Any) -> Any:
        audio, file_rate = tf.audio.decode_wav(content, name=DECODER)
        right = tf.debugging.Assert(file_rate == rate, ["Sample rate in Hz:", file_rate, "expected:", rate])
        with tf.control_dependencies([right]):
            mono = tf.reduce_mean(audio, axis=1)[:samples]
        return tf.ensure_shape(tf.pad(mono, [[0, samples - tf.shape(mono)[0]]]), [samples])

    return tf.map_fn(decode_file, check(audio_bytes), fn_output_signature=tf.TensorSpec([samples], tf.float32))


def check(contents: Any) -> Any:
    """Passes WAV files on to the decoder, which makes room for as many samples as a file announces.

    Args:
        contents: String tensor (batch,).

    Returns:
        The same. The graph raises an InvalidArgumentError for other formats, and for more samples than there are bytes.
    """
    import tensorflow as tf

    with tf.name_scope("wav_header"):
        sound = _has_samples(contents)
        text = "Expected WAV files with all the samples that they announce. Received others in rows:"
        checked = tf.debugging.Assert(tf.reduce_all(sound), [text, tf.where(~sound)[:, 0]])
        with tf.control_dependencies([checked] if checked is not None else []):
            # Transform may prune the assertion. What is refused does not reach the decoder even then.
            return tf.where(sound, contents, b"refused")


def _has_samples(contents: Any) -> Any:
    """Returns whether each content is a WAV file that holds the samples it announces, bool (batch,)."""
    import tensorflow as tf

    length = tf.cast(tf.strings.length(contents), tf.int64)

    def step(at: Any, sound: Any, busy: Any) -> Any:
        name, size = _chunk(contents, tf.where(busy, at, tf.zeros_like(at)))
        end, is_data = at + 8 + size, busy & (name == b"data")
        return tf.where(busy, end, at), sound | (is_data & (end <= length)), busy & ~is_data & (end < length)

    riff = tf.strings.join([tf.strings.substr(contents, 0, 12), bytes(12)])
    is_wave = (tf.strings.substr(riff, 0, 4) == b"RIFF") & (tf.strings.substr(riff, 8, 4) == b"WAVE")
    start = tf.zeros_like(length) + 12
    _, sound, _ = tf.while_loop(
        lambda _at, _sound, busy: tf.reduce_any(busy),
        step,
        (start, tf.zeros_like(is_wave), is_wave & (start < length)),
        maximum_iterations=CHUNKS,
        parallel_iterations=1,
    )
    return sound


def _chunk(contents: Any, at: Any) -> tuple[Any, Any]:
    """Returns name and size of the chunks that begin at a place (batch,)."""
    import tensorflow as tf

    head = tf.strings.substr(contents, at, tf.zeros_like(at) + 8)
    size = tf.cast(tf.io.decode_raw(head, tf.uint8, fixed_length=8)[:, 4:], tf.int64)
    return tf.strings.substr(head, 0, 4), tf.reduce_sum(size * [1, 2**8, 2**16, 2**24], axis=1)


def log_mel(audio: Any, rate: int, frame: int, hop: int, bands: int, floor: float, low: float = 60.0) -> Any:
    """Returns the logarithm of the energy per frame and mel band, up to half the sample rate.

    Keras' MelSpectrogram clips relative to the loudest value of the batch, so that a row's prediction depends on the
    other rows.

    Args:
        audio: float32 tensor (batch, samples).
        rate: Samples per second.
        frame: Samples per frame, a power of two.
        hop: Samples from one frame to the next.
        bands: Number of mel bands.
        floor: Energy that is added everywhere, so that silence has a logarithm. White noise has 3/8 · frame times its
            mean square in each frequency of a frame: signals below the floor are invisible.
        low: Lower end of the first band in Hz.

    Returns:
        float32 tensor (batch, 1 + (samples - frame) // hop, bands).
    """
    import tensorflow as tf

    energies = tf.square(tf.abs(tf.signal.stft(audio, frame, hop)))  # (batch, frames, frame / 2 + 1)
    mel = tf.signal.linear_to_mel_weight_matrix(bands, frame // 2 + 1, rate, low, rate / 2)
    return tf.math.log(tf.matmul(energies, mel) + floor)
