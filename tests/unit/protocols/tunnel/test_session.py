from __future__ import annotations

import pytest
from tunnelpipe import SESSION, Ends, connected

from nattools.errors import ProtocolError
from nattools.protocols import tunnel as p
from nattools.protocols.tunnel import frames as f
from nattools.protocols.tunnel.session import MOST_BUFFERED, MOST_KEPT, SMALLEST_WINDOW
from nattools.protocols.tunnel.streams import ACKNOWLEDGE_EVERY, INITIAL_LIMIT, KEEP


def opened(ends: Ends) -> int:
    number = ends.sessions[0].open(p.Pipe())
    assert number is not None
    ends.settle()
    return number


def test_nothing_but_the_hello_goes_before_the_peers_hello() -> None:
    session = p.TunnelSession(SESSION, leads=True)
    number = session.open(p.Pipe())
    assert number == 0
    session.write(number, b"early")
    assert session.bytes_to_send() == b""
    session.connected()
    (frame,) = f.Deframer().feed(session.bytes_to_send())
    assert isinstance(frame, f.Hello)
    assert session.bytes_to_send() == b""


def test_what_was_written_before_the_first_connection_arrives() -> None:
    ends = Ends()
    number = ends.sessions[0].open(p.Pipe())
    assert number is not None
    ends.sessions[0].write(number, b"early")
    ends.sessions[0].end(number)
    ends.connect()
    ends.settle()
    assert ends.told(1, p.Open) == [p.Open(number, p.Pipe())]
    assert ends.got[1][number] == b"early"
    assert ends.told(1, p.Ended) == [p.Ended(number)]


def test_a_stream_is_done_on_both_sides_once_each_has_all() -> None:
    ends = connected()
    number = opened(ends)
    ends.sessions[0].end(number)
    ends.settle()
    assert not ends.told(0, p.Done)
    ends.sessions[1].write(number, b"answer")
    ends.sessions[1].end(number)
    ends.settle()
    assert ends.told(0, p.Done) == ends.told(1, p.Done) == [p.Done(number)]
    assert ends.got[0][number] == b"answer"


@pytest.mark.parametrize("size", range(0, 200, 7))
def test_the_end_is_not_lost_wherever_the_connection_breaks(size: int) -> None:
    ends = connected()
    number = opened(ends)
    for end in (0, 1):
        ends.sessions[end].write(number, b"last words")
        ends.sessions[end].end(number)
    for _ in range(6):
        for end in (0, 1):
            ends.pull(end)
            ends.deliver(end, size)
        ends.connect()
    ends.settle()
    assert ends.got[0][number] == ends.got[1][number] == b"last words"
    for end in (0, 1):
        assert ends.told(end, p.Done) == [p.Done(number)]
        assert not ends.sessions[end]._streams


@pytest.mark.parametrize("size", range(0, 120, 7))
def test_a_reset_is_not_lost_wherever_the_connection_breaks(size: int) -> None:
    ends = connected()
    number = ends.sessions[0].open(p.Pipe())
    assert number is not None
    ends.sessions[0].write(number, b"x" * 50)
    ends.pull(0)
    ends.deliver(0, size)
    ends.sessions[0].reset(number, "no more")
    for _ in range(4):
        for end in (0, 1):
            ends.pull(end)
            ends.deliver(end, size)
        ends.connect()
    ends.settle()
    assert ends.told(1, p.Reset) in ([p.Reset(number, "no more")], [])
    assert bool(ends.told(1, p.Open)) == bool(ends.told(1, p.Reset))
    assert not ends.sessions[0]._streams
    assert not ends.sessions[1]._streams


def test_both_sides_reset_a_stream_at_once() -> None:
    ends = connected()
    number = opened(ends)
    ends.sessions[0].reset(number, "mine")
    ends.sessions[1].reset(number, "mine, too")
    ends.settle()
    assert not ends.sessions[0]._streams
    assert not ends.sessions[1]._streams
    assert opened(ends) == number + 2


def test_a_stream_has_no_more_on_its_way_than_is_kept_whatever_the_peer_allows() -> None:
    session, _ = greeted_by_hand()
    number = session.open(p.Pipe())
    assert number == 0
    session.receive(f.encode(f.Credit(number, 0, f.MAX_OFFSET)))
    session.write(number, bytes(3 * KEEP))
    sent = 0
    while data := session.bytes_to_send():
        sent += len(data)
    assert KEEP <= sent < KEEP + 10_000


def test_streams_take_turns() -> None:
    session, deframer = greeted_by_hand()
    numbers = [session.open(p.Pipe()) for _ in range(3)]
    for number in numbers:
        assert number is not None
        session.write(number, bytes(65_536))
    frames = deframer.feed(session.bytes_to_send(75_000))
    assert [frame.stream for frame in frames if isinstance(frame, f.DataFrame)] == [0, 2, 4, 0, 2]


def test_goodbyes_are_said_again_on_a_new_connection() -> None:
    ends = connected()
    ends.sessions[0].say_goodbye("tired")
    ends.pull(0)
    ends.connect()
    ends.settle()
    assert ends.told(1, p.Goodbye) == [p.Goodbye("tired")]
    ends.connect()
    ends.settle()
    assert ends.told(1, p.Goodbye) == [p.Goodbye("tired")]
    assert not ends.sessions[0].over
    ends.sessions[1].say_goodbye()
    ends.settle()
    assert ends.sessions[0].over
    assert ends.sessions[1].over


def greeted_by_hand(*, hello: f.Hello | None = None) -> tuple[p.TunnelSession, f.Deframer]:
    """A leading session to which the test plays the peer, its hello read."""
    session = p.TunnelSession(SESSION, leads=True)
    session.connected()
    session.receive(f.encode(hello or f.Hello(f.VERSION, SESSION, 0)))
    deframer = f.Deframer()
    deframer.feed(session.bytes_to_send())
    return session, deframer


PIPE = f.Open(1, p.Pipe())


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ([f.Hello(f.VERSION, SESSION, 0)], "a second hello"),
        ([f.Open(0, p.Pipe())], "1 comes next"),
        ([f.Open(3, p.Pipe())], "1 comes next"),
        ([PIPE, PIPE], "3 comes next"),
        ([f.Open(2 * n + 1, p.Pipe()) for n in range(257)], "more than 256 streams"),
        ([f.DataFrame(1, 0, b"x")], "never was opened"),
        ([f.Credit(0, 0, 0)], "never was opened"),
        ([PIPE, f.DataFrame(1, 5, b"x")], "from the offset 5"),
        ([PIPE, f.DataFrame(1, f.MAX_OFFSET, b"x")], "from the offset"),
        ([PIPE, f.EndFrame(1, 7)], "ended at 7"),
        ([PIPE, f.EndFrame(1, 0), f.DataFrame(1, 0, b"x")], "after the end"),
        ([PIPE, f.EndFrame(1, 0), f.EndFrame(1, 0)], "ended twice"),
        ([PIPE, f.Credit(1, 1, 65_536)], "of which 0 were sent"),
        ([PIPE, f.Credit(1, 0, 100)], "takes back"),
        ([PIPE, f.Gone(1)], "never was"),
    ],
)
def test_a_peer_that_does_what_no_peer_does_is_named(said: list[f.Frame], named: str) -> None:
    session, _ = greeted_by_hand()
    for frame in said[:-1]:
        session.receive(f.encode(frame))
    with pytest.raises(ProtocolError, match=named):
        session.receive(f.encode(said[-1]))


def test_more_than_the_credit_is_refused_while_nobody_reads() -> None:
    session, deframer = greeted_by_hand()
    session.receive(f.encode(PIPE))
    (credit,) = deframer.feed(session.bytes_to_send())
    assert isinstance(credit, f.Credit)
    for offset in range(0, credit.limit, 32_768):
        session.receive(f.data_frame(1, offset, bytes(32_768)))
    with pytest.raises(ProtocolError, match="credit overrun"):
        session.receive(f.data_frame(1, credit.limit, b"x"))


def test_a_flood_of_echo_requests_whose_answers_are_not_taken_is_refused() -> None:
    session, _ = greeted_by_hand()
    flood = f.encode(f.EchoRequest(1)) * 81_000
    session.receive(flood[: 80_000 * 13])
    with pytest.raises(ProtocolError, match="more is asked"):
        session.receive(flood[80_000 * 13 :])


@pytest.mark.parametrize(
    ("hello", "named"),
    [
        (f.Hello(2, SESSION, 0), "version 2"),
        (f.Hello(f.VERSION, b"x" * 16, 0), "another session"),
        (f.Hello(f.VERSION, SESSION, 2), "never were"),
        (f.Hello(f.VERSION, SESSION, 1, (f.State(2, 0, 65_536),)), "never were"),
        (f.Hello(f.VERSION, SESSION, 0, (f.State(0, 0, 65_536),)), "contradicts itself"),
        (f.Hello(f.VERSION, SESSION, 1, (f.State(0, 0, 65_536),) * 2), "names a stream twice"),
        (f.Hello(f.VERSION, SESSION, 1, (f.State(0, 9, 65_536),)), "of which 5 were sent"),
        (f.Hello(f.VERSION, SESSION, 1, (f.State(0, 2, 65_536),)), "takes back"),
        (f.Hello(f.VERSION, SESSION, 0), "forgotten of which bytes"),
        (f.Hello(f.VERSION, SESSION, 1), "without a stream that is not over"),
    ],
)
def test_a_hello_that_cannot_be_is_named(hello: f.Hello, named: str) -> None:
    session, _ = greeted_by_hand()
    number = session.open(p.Pipe())
    assert number == 0
    session.write(number, b"five!")
    session.bytes_to_send()
    session.receive(f.encode(f.Credit(number, 4, 65_536)))
    session.connected()
    with pytest.raises(ProtocolError, match=named):
        session.receive(f.encode(hello))


def test_a_frame_before_the_hello_is_refused() -> None:
    session = p.TunnelSession(SESSION, leads=True)
    session.connected()
    with pytest.raises(ProtocolError, match="before the hello"):
        session.receive(f.encode(f.EchoRequest(1)))


def test_many_streams_share_what_may_be_left_unread() -> None:
    session, deframer = greeted_by_hand()
    allowed = {}
    for number in range(1, 512, 2):
        session.receive(f.encode(f.Open(number, p.Pipe())))
    for frame in deframer.feed(session.bytes_to_send()):
        assert isinstance(frame, f.Credit)
        allowed[frame.stream] = frame.limit
    assert max(allowed.values()) == 4 << 20
    silent = (256 - len(allowed)) * INITIAL_LIMIT
    assert sum(allowed.values()) + silent <= MOST_BUFFERED + 256 * SMALLEST_WINDOW


def test_a_stream_that_is_read_goes_on_beside_many_that_are_not() -> None:
    session, deframer = greeted_by_hand()
    for number in range(1, 512, 2):
        session.receive(f.encode(f.Open(number, p.Pipe())))
    limits = {frame.stream: frame.limit for frame in deframer.feed(session.bytes_to_send(1 << 20))}
    offset = 0
    for _ in range(400):
        size = min(f.MAX_DATA, limits.get(511, INITIAL_LIMIT) - offset)
        assert size > 0
        session.receive(f.data_frame(511, offset, bytes(size)))
        session.consume(511, size)
        offset += size
        for frame in deframer.feed(session.bytes_to_send()):
            assert isinstance(frame, f.Credit)
            limits[frame.stream] = frame.limit


def test_bytes_granted_one_by_one_are_kept_together() -> None:
    """Or each would take eighty of memory, and a peer fill it with a stream or two."""
    session, _ = greeted_by_hand()
    number = session.open(p.Pipe())
    assert number == 0
    session.receive(f.encode(f.Credit(number, 0, INITIAL_LIMIT)))
    for _ in range(INITIAL_LIMIT // 1000):
        session.write(number, bytes(1000))
        assert session.bytes_to_send()
    sent = INITIAL_LIMIT // 1000 * 1000
    for limit in range(INITIAL_LIMIT + 1, INITIAL_LIMIT + 20_000):
        session.write(number, b"x" * (limit - sent))
        session.receive(f.encode(f.Credit(number, 0, limit)))
        assert session.bytes_to_send()
        sent = limit
    outgoing = session._streams[number].outgoing
    assert outgoing.kept == sent
    assert len(outgoing._sent) + len(outgoing._waiting) < 20
    session.disconnected()
    session.connected()
    session.bytes_to_send()
    session.receive(f.encode(f.Hello(f.VERSION, SESSION, 1, (f.State(number, 64_990, sent),))))
    frames = f.Deframer().feed(session.bytes_to_send())
    again = b"".join(frame.data for frame in frames if isinstance(frame, f.DataFrame))
    assert again == bytes(10) + b"x" * (sent - 65_000)


def test_who_takes_nothing_of_any_stream_is_kept_little_for() -> None:
    """Of 256 streams each would keep 4 MiB."""
    session, _ = greeted_by_hand()
    for number in range(1, 512, 2):
        session.receive(f.encode(f.Open(number, p.TcpTo("localhost", 80))))
    for number in range(1, 512, 2):
        while session.has_room(number):
            session.write(number, bytes(65_536))
    kept = [session.kept(number) for number in range(1, 512, 2)]
    assert kept[0] == KEEP
    assert kept[-1] == ACKNOWLEDGE_EVERY
    assert sum(kept) <= MOST_KEPT + 256 * ACKNOWLEDGE_EVERY


def test_streams_that_share_what_is_kept_all_go_on() -> None:
    ends = connected()
    numbers = [ends.sessions[0].open(p.Pipe()) for _ in range(200)]
    ends.settle()
    for number in numbers:
        assert number is not None
        for _ in range(12):
            assert ends.sessions[0].has_room(number)
            ends.sessions[0].write(number, bytes(65_536))
            ends.settle()
