"""What is fed to the parser in one piece."""

from __future__ import annotations

import pytest

from serving.rest.parser import PIECE, RequestReader

_CHUNKED = "Transfer-Encoding: chunked"


class _Unlimited:
    def refusal(self, *_):
        return None

    def take(self, *_):
        return None

    def give(self, _):
        pass


def _feed(head, body, size):
    """Reads a request as a connection does; the pieces of its body."""
    received, pieces = [], []
    reader = RequestReader(_Unlimited(), received.append)
    ahead = f"POST /a HTTP/1.1\r\n{head}\r\n\r\n".encode() + body
    while ahead:
        piece, ahead = ahead[: max(PIECE, reader.body_left)], ahead[max(PIECE, reader.body_left) :]
        pieces.append(len(piece))
        assert reader.feed(piece) is None
    assert size == len(received[0].request.body)
    return reader, received, pieces


def test_a_body_of_an_announced_length_is_one_piece():
    """Each piece is a call back into Python: an image of 400 KB in pieces of 4 KB holds up everybody else."""
    reader, received, pieces = _feed("Content-Length: 400000", b"x" * 400_000, 400_000)
    assert 2 == len(pieces)
    assert 0 == reader.body_left
    assert 1 == len(received)


def test_what_comes_behind_it_is_not():
    rest = b"GET / HTTP/1.1\r\n\r\n" * 1000
    _, received, pieces = _feed("Content-Length: 9000", b"x" * 9000 + rest, 9000)
    assert 1001 == len(received)
    assert all(size <= PIECE for size in pieces[2:])


@pytest.mark.parametrize("head", [_CHUNKED, f"{_CHUNKED}\r\nX: y"])
def test_chunks_stay_small_pieces(head):
    _, _, pieces = _feed(head, b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n", 5000)
    assert max(pieces) <= PIECE
