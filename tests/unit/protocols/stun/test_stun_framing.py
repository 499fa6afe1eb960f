import pytest

from nattools.errors import ProtocolError
from nattools.protocols import stun

ONE = stun.binding_request(bytes(12), hello=False)
TWO = stun.binding_request(bytes(range(12)), padded_to=60)


@pytest.mark.parametrize("size", [1, 3, 4, 7, 20, 33, 1000])
def test_messages_come_out_as_they_went_in(size: int) -> None:
    framer, stream, found = stun.Framer(), ONE + TWO + TWO + ONE, []
    for start in range(0, len(stream), size):
        found += framer.feed(stream[start : start + size])
    assert found == [ONE, TWO, TWO, ONE]
    assert framer.pending == 0


def test_an_incomplete_message_waits() -> None:
    framer = stun.Framer()
    assert framer.feed(TWO[:-1]) == []
    assert framer.pending == len(TWO) - 1
    assert framer.feed(TWO[-1:]) == [TWO]


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00", b"\0\1\0\5"])
def test_garbage_ends_the_stream(garbage: bytes) -> None:
    framer = stun.Framer()
    with pytest.raises(ProtocolError):
        framer.feed(garbage)
    assert framer.pending == 0
    with pytest.raises(ProtocolError, match="of the stream"):
        framer.feed(ONE)


def test_messages_before_garbage_are_not_lost() -> None:
    framer = stun.Framer()
    assert framer.feed(ONE + b"\xff") == [ONE]
    assert framer.broken
    with pytest.raises(ProtocolError):
        framer.feed(b"")


def test_who_reads_what_is_missing_reads_no_further() -> None:
    framer, stream, found = stun.Framer(), ONE + TWO + b"something else", []
    while len(found) < 2:
        assert framer.missing > 0
        piece, stream = stream[: framer.missing], stream[framer.missing :]
        found += framer.feed(piece)
    assert found == [ONE, TWO]
    assert stream == b"something else"
