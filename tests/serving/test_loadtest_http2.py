"""The load generator's HTTP/2, byte by byte: a peer that is a list of what was written."""

from __future__ import annotations

import asyncio

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import Code
from serving.loadtest import Target, frames, headers
from serving.loadtest.connection import Connection
from serving.loadtest.stream import Stream, prefixed

FOREVER = 1e12
GOOD = [(":status", "200"), ("content-type", "application/grpc")]
ENDED = [("grpc-status", "0"), ("grpc-message", "")]


class Wire:
    """asyncio's transport, and the owner: what was written, ended and refused."""

    def __init__(self, body=b"ask"):
        self.written, self.ended_with, self.refused_ones, self.closed = b"", [], [], False
        self.connection = Connection(b"BLOCK", prefixed(body), self)
        self.connection.connection_made(self)
        self.encoder = hpack.Encoder()

    def write(self, data):
        self.written += bytes(data)

    def writelines(self, parts):
        self.write(b"".join(parts))

    def abort(self):
        self.closed = True

    close = abort

    def changed(self, _):
        pass

    def ended(self, stream, error, message):
        self.ended_with.append((stream.number, error, message, stream.size))

    def refused(self, stream):
        self.refused_ones.append(stream.number)

    def settings(self, values):
        self.get(frames.SETTINGS, 0, 0, frames.settings(values))

    def get(self, *frame):
        self.connection.data_received(frames.frame(*frame))

    def start(self, count=1):
        for _ in range(count):
            self.connection.start(Stream(None, FOREVER))

    def sent(self):
        """Frames written since the last call."""
        data, self.written = self.written.removeprefix(frames.PREFACE), b""
        return list(frames.Reader().frames(data))

    def answer(self, number, message=b"good", fields=GOOD, trailers=ENDED):
        """The frames of an answer, as a server's table of headers makes them."""
        return (
            frames.frame(frames.HEADERS, frames.END_HEADERS, number, self.encoder.encode(fields))
            + frames.frame(frames.DATA, 0, number, prefixed(message))
            + frames.frame(
                frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, number, self.encoder.encode(trailers)
            )
        )


def _wire(body=b"ask"):
    """A wire; its connection makes a future, which needs a loop."""

    async def made():
        return Wire(body)

    return asyncio.run(made())


@pytest.fixture
def wire():
    return _wire()


payloads = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**31 - 1), st.binary(max_size=60))
)


@given(payloads, st.lists(st.integers(1, 40), min_size=1))
def test_frames_are_the_same_wherever_reads_end(expected, sizes):
    data = b"".join(frames.frame(*one) for one in expected)
    reader, found, turn = frames.Reader(), [], 0
    while data:
        size = sizes[turn % len(sizes)]
        found += reader.frames(data[:size])
        data, turn = data[size:], turn + 1
    assert expected == found


@given(st.lists(st.integers(1, 40), min_size=1))
def test_answers_are_the_same_wherever_reads_end(sizes):
    wire = _wire()
    wire.start(3)
    data = b"".join(wire.answer(number) for number in (1, 5, 3))
    turn = 0
    while data:
        size = sizes[turn % len(sizes)]
        wire.connection.data_received(data[:size])
        data, turn = data[size:], turn + 1
    assert [(1, "", "", 4), (5, "", "", 4), (3, "", "", 4)] == wire.ended_with


windows = st.lists(st.tuples(st.booleans(), st.integers(1, 30_000)), max_size=40)


@given(st.integers(0, 100_000), st.integers(16_384, 40_000), st.integers(0, 90_000), windows)
def test_a_request_is_split_by_frame_size_and_windows(size, largest, window, grants):
    body = (bytes(range(251)) * (size // 251 + 1))[:size]
    wire = _wire(body)
    wire.settings({frames.MAX_FRAME_SIZE: largest, frames.INITIAL_WINDOW_SIZE: window})
    wire.sent()
    wire.start()
    allowed, ours = frames.WINDOW, window
    for on_stream, more in grants:
        wire.get(frames.WINDOW_UPDATE, 0, int(on_stream), frames.number(more))
        allowed, ours = (allowed, ours + more) if on_stream else (allowed + more, ours)
    data = b""
    taken = []
    # This reader takes what a client takes, 16 KiB: larger frames are cut here by hand.
    rest = wire.written
    while rest:
        length, kind, flags = int.from_bytes(rest[:3], "big"), rest[3], rest[4]
        if kind == frames.DATA:
            data += rest[9 : 9 + length]
            taken.append((length, flags))
        rest = rest[9 + length :]
    expected = prefixed(body)[: min(allowed, ours)]
    assert expected == data
    assert all(length <= largest for length, _ in taken)
    whole = len(data) == size + 5
    assert [0] * (len(taken) - whole) + [frames.END_STREAM] * whole == [flags for _, flags in taken]


def test_the_first_bytes(wire):
    assert wire.written.startswith(frames.PREFACE)
    kinds = [(kind, stream) for kind, _, stream, _ in wire.sent()]
    assert [(frames.SETTINGS, 0), (frames.WINDOW_UPDATE, 0)] == kinds


def test_settings_and_pings_are_answered(wire):
    wire.sent()
    assert not wire.connection.ready.done()
    wire.settings({frames.MAX_CONCURRENT_STREAMS: 1})
    wire.get(frames.PING, 0, 0, b"12345678")
    wire.get(frames.PING, frames.ACK, 0, b"12345678")
    assert [(frames.SETTINGS, frames.ACK, 0, b""), (frames.PING, frames.ACK, 0, b"12345678")] == wire.sent()
    assert wire.connection.ready.result()
    assert wire.connection.free
    wire.start()
    assert (False, True) == (wire.connection.free, wire.connection.open)


def test_a_request_is_headers_and_data(wire):
    wire.sent()
    wire.start(2)
    data = b"\0\0\0\0\x03ask"
    assert [
        (kind, flags, number, payload)
        for number in (1, 3)
        for kind, flags, payload in (
            (frames.HEADERS, frames.END_HEADERS, b"BLOCK"),
            (frames.DATA, frames.END_STREAM, data),
        )
    ] == wire.sent()


def test_a_smaller_window_in_later_settings_counts_for_streams_under_way():
    wire = _wire(b"x" * 30_000)
    wire.settings({frames.INITIAL_WINDOW_SIZE: 10_000})
    wire.start()
    wire.sent()
    wire.settings({frames.INITIAL_WINDOW_SIZE: 4_000})  # 6,000 less than nothing
    wire.get(frames.WINDOW_UPDATE, 0, 1, frames.number(6_500))
    assert [500] == [len(payload) for kind, _, _, payload in wire.sent() if kind == frames.DATA]


@pytest.mark.parametrize(
    ("reason", "code"),
    [(frames.NO_ERROR, "INTERNAL"), (2, "INTERNAL"), (frames.CANCEL, "CANCELLED"), (11, "RESOURCE_EXHAUSTED")],
)
def test_a_reset_is_an_error(wire, reason, code):
    wire.start()
    wire.get(frames.RST_STREAM, 0, 1, frames.number(reason))
    wire.connection.data_received(wire.answer(1))  # too late, and ignored
    assert [(1, code)] == [ended[:2] for ended in wire.ended_with]


def test_a_refused_stream_and_those_behind_goaway_may_be_sent_again(wire):
    wire.start(4)
    wire.get(frames.RST_STREAM, 0, 1, frames.number(frames.REFUSED_STREAM))
    wire.get(frames.GOAWAY, 0, 0, frames.number(5) + frames.number(0))
    assert ([1, 7], False, False) == (wire.refused_ones, wire.connection.open, wire.closed)
    wire.connection.data_received(wire.answer(3) + wire.answer(5))
    assert ([3, 5], True) == ([ended[0] for ended in wire.ended_with], wire.closed)


def test_a_block_in_pieces_with_padding_and_priority(wire):
    wire.start()
    block = wire.encoder.encode([(":status", "200"), ("grpc-status", "5"), ("grpc-message", "a%20b%C3%A9")])
    first = b"\x03" + b"\0" * 5 + block[:4] + b"pad"
    wire.get(frames.HEADERS, frames.END_STREAM | frames.PADDED | frames.PRIORITY, 1, first)
    wire.get(frames.CONTINUATION, 0, 1, block[4:9])
    wire.get(frames.CONTINUATION, frames.END_HEADERS, 1, block[9:])
    assert [(1, "NOT_FOUND", "a b\u00e9", 0)] == wire.ended_with


def test_padding_of_data_is_no_answer(wire):
    wire.start()
    answer = wire.answer(1)
    length = int.from_bytes(answer[:3], "big")
    wire.connection.data_received(answer[: 9 + length])
    wire.get(frames.DATA, frames.PADDED, 1, b"\x02" + prefixed(b"good") + b"\0\0")
    wire.connection.data_received(answer[9 + length + 9 + 9 :])
    assert [(1, "", "", 4)] == wire.ended_with


@pytest.mark.parametrize(
    "wrong",
    [
        (frames.DATA, 0, 1, b"x" * (frames.LARGEST + 1)),
        (frames.PUSH_PROMISE, 0, 1, b""),
        (frames.CONTINUATION, 0, 1, b""),
        (frames.SETTINGS, 0, 0, b"12345"),
        (frames.DATA, frames.PADDED, 1, b"\x05abc"),
        (frames.HEADERS, frames.END_HEADERS, 1, b"\xff\xff\xff"),
    ],
)
def test_a_peer_that_breaks_the_rules_is_left(wire, wrong):
    wire.start()
    wire.get(*wrong)
    assert (True, False) == (wire.closed, wire.connection.open)
    wire.connection.connection_lost(None)
    assert [(1, "UNAVAILABLE")] == [ended[:2] for ended in wire.ended_with]


def test_an_answer_that_is_not_grpcs(wire):
    wire.start(2)
    block = wire.encoder.encode([(":status", "404")])
    wire.get(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, block)
    wire.get(frames.DATA, frames.END_STREAM, 3, b"text")
    assert [(1, "UNIMPLEMENTED"), (3, "INTERNAL")] == [ended[:2] for ended in wire.ended_with]


def test_an_answer_that_is_cut_is_no_answer(wire):
    wire.start()
    data = wire.answer(1)
    cut = frames.frame(frames.DATA, 0, 1, prefixed(b"good"))
    wire.connection.data_received(data.replace(cut, frames.frame(frames.DATA, 0, 1, prefixed(b"good")[:-1])))
    assert [(1, "INTERNAL")] == [ended[:2] for ended in wire.ended_with]


def test_a_cancelled_stream_is_reset_and_its_headers_still_count(wire):
    stream = Stream(None, FOREVER)
    wire.connection.start(stream)
    wire.start()
    wire.sent()
    wire.connection.cancel(stream)
    assert [(frames.RST_STREAM, 0, 1, frames.number(frames.CANCEL))] == wire.sent()
    wire.connection.data_received(wire.answer(1) + wire.answer(3))  # the second refers to the table of the first
    assert [(3, "", "", 4)] == wire.ended_with


names = st.sampled_from(["grpc-status", "grpc-message", "x"])
blocks = st.lists(st.lists(st.tuples(names, st.sampled_from(["0", "5", "13", "a%20b"])), max_size=4), max_size=30)


@given(blocks, st.lists(st.sampled_from([0, 60, 100, 4096]), min_size=30, max_size=30))
def test_remembered_blocks_mean_what_they_meant(sent, sizes):
    encoder, remembering = hpack.Encoder(), headers.Decoder()
    for pairs, size in zip(sent, sizes, strict=False):
        encoder.header_table_size = size
        block = encoder.encode(pairs)
        found = remembering.read(block)
        given = dict(pairs)
        assert given.get("grpc-message", "").replace("%20", " ") == found.message
        code = given.get("grpc-status")
        expected = None if code is None else Code(int(code)) if code.isdigit() else Code.UNKNOWN
        assert expected == found.code


def test_equal_blocks_that_change_the_table_are_each_read():
    added, other = (b"\x40\x0bgrpc-status" + bytes([len(code)]) + code for code in (b"5", b"13"))
    decoder = headers.Decoder()
    codes = [decoder.read(block).code for block in (other, added, added, b"\xc0", b"\xc0", added, b"\xc1")]
    assert ["INTERNAL", "NOT_FOUND", "NOT_FOUND", "INTERNAL", "INTERNAL", "NOT_FOUND", "INTERNAL"] == [
        code.name for code in codes
    ]


def test_the_request_block_says_everything_and_indexes_nothing():
    block = headers.request(Target("h:1", "/a.B/C", b"", "grpc", token="secret", timeout_s=1.5), "h:1")
    decoder = hpack.Decoder()
    found = dict(decoder.decode(block))
    assert ("POST", "/a.B/C", "h:1", "trailers", "application/grpc", "Bearer secret", "1500000u") == tuple(
        found[name]
        for name in (":method", ":path", ":authority", "te", "content-type", "authorization", "grpc-timeout")
    )
    assert found == dict(decoder.decode(block))
    assert 0 == len(decoder.header_table.dynamic_entries)


@pytest.mark.parametrize(
    ("seconds", "text"), [(1e-9, "1u"), (10.0, "10000000u"), (100.0, "100000m"), (1e6, "1000000S"), (1e12, "99999999S")]
)
def test_timeouts_as_grpc_says_them(seconds, text):
    assert text == headers.timeout(seconds)
