"""Whatever bytes come and however often the connection breaks: bounded, exactly once, in order."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from tunnelpipe import SESSION, Ends

from nattools.errors import ProtocolError
from nattools.protocols import tunnel as p
from nattools.protocols.tunnel import frames as f

NUMBERS = st.integers(0, 5)
OFFSETS = st.integers(0, 100) | st.integers(0, f.MAX_OFFSET)
FRAMES: st.SearchStrategy[f.Frame] = st.one_of(
    st.builds(
        f.Hello,
        st.just(f.VERSION),
        st.just(SESSION),
        st.integers(0, 3),
        st.lists(st.builds(f.State, NUMBERS, OFFSETS, OFFSETS), max_size=3).map(tuple),
    ),
    st.builds(f.Open, NUMBERS, st.sampled_from([p.Pipe(), p.TcpTo("localhost", 1)])),
    st.builds(f.DataFrame, NUMBERS, OFFSETS, st.binary(min_size=1, max_size=20)),
    st.builds(f.Credit, NUMBERS, OFFSETS, OFFSETS),
    st.builds(f.EndFrame, NUMBERS, OFFSETS),
    st.builds(f.Reset, NUMBERS, st.text(max_size=5)),
    st.builds(f.Gone, NUMBERS),
    st.builds(f.EchoRequest, NUMBERS),
    st.builds(f.EchoAnswer, NUMBERS),
    st.builds(f.Goodbye, st.text(max_size=5)),
)


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_bytes_give_frames_or_a_protocol_error(pieces: list[bytes]) -> None:
    deframer = f.Deframer()
    with contextlib.suppress(ProtocolError):
        for piece in pieces:
            deframer.feed(piece)


@given(st.integers(0, 12), st.binary(max_size=60))
def test_any_body_is_a_frame_or_a_protocol_error(kind: int, body: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        frame = f.decode(kind, body)
        assert f.Deframer().feed(f.encode(frame)) == [frame]


@given(st.lists(FRAMES, max_size=12))
def test_a_session_takes_any_frames_or_says_protocol_error(said: list[f.Frame]) -> None:
    session = p.TunnelSession(SESSION, leads=True)
    session.connected()
    with contextlib.suppress(ProtocolError):
        session.receive(f.encode(f.Hello(f.VERSION, SESSION, 0)))
        session.open(p.Pipe())
        session.write(0, b"hello")
        for frame in said:
            session.bytes_to_send()
            session.receive(f.encode(frame))


STEPS = st.one_of(
    st.tuples(st.just("break"), st.just(0), st.just(0)),
    st.tuples(st.just("open"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("write"), st.integers(0, 1), st.integers(1, 200_000)),
    st.tuples(st.just("end"), st.integers(0, 1), st.integers(0, 3)),
    st.tuples(st.just("reset"), st.integers(0, 1), st.integers(0, 3)),
    st.tuples(st.just("pull"), st.integers(0, 1), st.integers(1, 100_000)),
    st.tuples(st.just("deliver"), st.integers(0, 1), st.integers(1, 200_000)),
)
_NOISE = bytes(range(256)) * 800


class Exchange:
    """What the two sides have written, to be compared with what they were given."""

    def __init__(self) -> None:
        self.ends = Ends()
        self.ends.connect()
        self.written: tuple[dict[int, bytearray], dict[int, bytearray]] = ({}, {})
        self.ended: set[tuple[int, int]] = set()
        self.reset: set[int] = set()

    def do(self, what: str, end: int, number: int) -> None:
        session = self.ends.sessions[end]
        if what == "break":
            self.ends.connect()
        elif what == "open":
            session.open(p.Pipe())
        elif what == "pull":
            self.ends.pull(end, number)
        elif what == "deliver":
            self.ends.deliver(end, number)
        elif known := [stream for stream in session._streams if session._alive(stream)]:
            self._on_stream(what, end, known[number % len(known)], number)

    def _on_stream(self, what: str, end: int, stream: int, number: int) -> None:
        session = self.ends.sessions[end]
        if what == "reset":
            session.reset(stream, "why not")
            self.reset.add(stream)
        elif what == "end":
            session.end(stream)
            self.ended.add((end, stream))
        elif (end, stream) not in self.ended:
            written = self.written[end].setdefault(stream, bytearray())
            piece = _NOISE[len(written) % 251 :][:number]
            session.write(stream, piece)
            written += piece


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_any_schedule_of_breaks_delivers_every_byte_once(steps: list[tuple[str, int, int]]) -> None:
    exchange = Exchange()
    for step in steps:
        exchange.do(*step)
    ends = exchange.ends
    ends.connect()
    ends.settle()
    for end in (0, 1):
        for stream, written in exchange.written[end].items():
            got = bytes(ends.got[1 - end].get(stream, b""))
            assert written.startswith(got) if stream in exchange.reset else got == written
    both_ended = {stream for end, stream in exchange.ended if (1 - end, stream) in exchange.ended}
    for stream in both_ended | exchange.reset:
        assert stream not in ends.sessions[0]._streams
        assert stream not in ends.sessions[1]._streams
