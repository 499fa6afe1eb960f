import pytest

from nattools.errors import ProtocolError
from nattools.protocols import stun, turn

REQUEST = stun.binding_request(bytes(12), hello=False)


def test_as_the_figure_has_it() -> None:
    """RFC 8656 12.4."""
    assert turn.encode_channel_data(0x4001, b"hello") == bytes.fromhex("4001 0005") + b"hello"
    assert (
        turn.encode_channel_data(0x4FFF, b"hello", padded=True) == bytes.fromhex("4fff 0005") + b"hello\0\0\0"
    )


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("size", [0, 1, 4, 5, 1200, 65535])
def test_there_and_back(size: int, padded: bool) -> None:
    message = turn.encode_channel_data(0x4000, bytes(size), padded=padded)
    assert turn.is_channel_data(message)
    assert turn.decode_channel_data(message) == (0x4000, bytes(size))


@pytest.mark.parametrize("message", ["", "4000", "3fff 0000", "5000 0000", "4000 0005 00000000"])
def test_what_is_none(message: str) -> None:
    with pytest.raises(ProtocolError):
        turn.decode_channel_data(bytes.fromhex(message))


@pytest.mark.parametrize("step", [1, 3, 4, 7, 50, 1000])
def test_a_stream_holds_both(step: int) -> None:
    messages = [
        REQUEST,
        turn.encode_channel_data(0x4000, b"", padded=True),
        turn.encode_channel_data(0x4123, b"hello", padded=True),
        REQUEST,
        turn.encode_channel_data(0x4FFF, bytes(100), padded=True),
    ]
    framer, stream, found = turn.TurnFramer(), b"".join(messages), []
    for start in range(0, len(stream), step):
        found += framer.feed(stream[start : start + step])
    assert found == messages
    assert framer.pending == 0


@pytest.mark.parametrize("garbage", [b"\x50\0\0\0", b"\x16\x03\x01\x02", b"\x80", b"\0\1\0\5"])
def test_what_is_neither_ends_the_stream(garbage: bytes) -> None:
    framer = turn.TurnFramer()
    message = turn.encode_channel_data(0x4000, b"last", padded=True)
    assert framer.feed(message + garbage) == [message]
    assert framer.broken
    with pytest.raises(ProtocolError):
        framer.feed(message)


def test_who_reads_what_is_missing_reads_no_further() -> None:
    message = turn.encode_channel_data(0x4000, b"abc", padded=True)
    framer, stream, found = turn.TurnFramer(), message + REQUEST + b"something else", []
    while len(found) < 2:
        piece, stream = stream[: framer.missing], stream[framer.missing :]
        found += framer.feed(piece)
    assert found == [message, REQUEST]
    assert stream == b"something else"
