from __future__ import annotations

import contextlib

import pytest

from nattools.errors import ProtocolError
from nattools.protocols.tunnel import frames as f
from nattools.protocols.tunnel.frames import Accepted, Bench, Listen, Pipe, Purpose, TcpTo, UdpTo

PURPOSES: list[Purpose] = [
    Pipe(),
    TcpTo("localhost", 22),
    UdpTo("2001:db8::1", 53),
    Listen("tcp", "", 8080),
    Accepted(3, "[::1]:5"),
    Bench("down", 5.0),
]
FRAMES: list[f.Frame] = [
    f.Hello(f.VERSION, bytes(16), 2, (f.State(0, 11, 70_000), f.State(3, 0, 65_536)), ("pipe",)),
    *(f.Open(4, purpose) for purpose in PURPOSES),
    f.DataFrame(4, 1 << 40, b"some bytes"),
    f.Credit(4, 10, 20),
    f.EndFrame(4, 10),
    f.Reset(4, "no such place: ü"),
    f.Gone(4),
    f.EchoRequest(7),
    f.EchoAnswer(7),
    f.Goodbye(""),
]


def test_every_frame_comes_back_from_its_bytes_however_they_are_cut() -> None:
    stream = b"".join(f.encode(frame) for frame in FRAMES)
    assert f.Deframer().feed(stream) == FRAMES
    one_by_one = f.Deframer()
    assert [frame for byte in stream for frame in one_by_one.feed(bytes([byte]))] == FRAMES


def test_the_short_way_to_a_data_frame_gives_the_same_bytes() -> None:
    assert f.data_frame(4, 99, b"abc") == f.encode(f.DataFrame(4, 99, b"abc"))


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_a_frame_cut_short_or_with_more_behind_it_is_none_or_says_less(frame: f.Frame) -> None:
    data = f.encode(frame)
    kind, body = data[4], data[5:]
    for changed in (*(body[:size] for size in range(len(body))), body + b"\xc1"):
        with contextlib.suppress(ProtocolError):
            assert f.decode(kind, changed) != frame


def test_a_long_reason_is_cut_between_two_characters() -> None:
    (frame,) = f.Deframer().feed(f.encode(f.Reset(0, "ü" * 200)))
    assert frame == f.Reset(0, "ü" * 150)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"\xff\xff\xff\xff\x02", "4294967295 bytes"),
        ((f.MAX_BODY + 1).to_bytes(4, "big") + b"\x02", "are allowed"),
        (bytes([0, 0, 0, 0, 99]), "unknown type 99"),
        (bytes([0, 0, 0, 12, 2]) + bytes(12), "without data"),
        (f.encode(f.Credit(0, 1 << 63, 0)), "absurd offset"),
        (f.encode(f.EndFrame(0, (1 << 62) + 1)), "absurd offset"),
        (bytes([0, 0, 0, 5, 5]) + bytes(4) + b"\xff", "not text"),
        ((4 + 301).to_bytes(4, "big") + b"\x05" + bytes(305), "301 bytes"),
        (bytes([0, 0, 0, 3, 6]) + bytes(3), "gone: a frame of 3 bytes"),
        ((4 + 1025).to_bytes(4, "big") + b"\x01" + bytes(1029), "purpose of 1025 bytes"),
        (f.encode(f.Open(0, TcpTo("", 22))), "not a stream's purpose"),
        (f.encode(f.Open(0, TcpTo("::1%\0", 22))), "not a stream's purpose"),
        (f.encode(f.Open(0, TcpTo("two words", 22))), "not a stream's purpose"),
        (f.encode(f.Open(0, TcpTo("host\n", 22))), "not a stream's purpose"),
        (f.encode(f.Open(0, Listen("tcp", "\x1b[2J", 22))), "not a stream's purpose"),
        (f.encode(f.Open(0, Accepted(0, "\x7f"))), "not a stream's purpose"),
        (f.encode(f.Open(0, TcpTo("host", 65_536))), "not a stream's purpose"),
        (f.encode(f.Open(0, Bench("up", 1e9))), "not a stream's purpose"),
        (f.encode(f.Open(0, Bench("up", float("nan")))), "not a stream's purpose"),
        (f.encode(f.Hello(1, bytes(15), 0)), "not a hello"),
        (f.encode(f.Hello(1, bytes(16), 0, tuple(f.State(n, 0, 0) for n in range(513)))), "not a hello"),
    ],
)  # fmt: skip
def test_what_is_no_frame_is_named(data: bytes, named: str) -> None:
    with pytest.raises(ProtocolError, match=named):
        f.Deframer().feed(data)
