"""Two ends of a connection: agreement on protocols, the handshake, streams; and ends that misbehave."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest

from nattools.errors import ProtocolError
from nattools.protocols.libp2p.hostkey import HostKey
from nattools.protocols.libp2p.multistream import FIRST_BYTE, Negotiation
from nattools.protocols.libp2p.noise import Cipher, NoiseXX
from nattools.protocols.libp2p.noisechannel import NoiseChannel
from nattools.protocols.libp2p.peersession import PeerSession
from nattools.protocols.libp2p.uvarint import delimited
from nattools.protocols.libp2p.yamux import (
    DATA,
    GO_AWAY,
    PING,
    RST,
    SYN,
    WINDOW,
    WINDOW_SIZE,
    GoneAway,
    StreamData,
    StreamEnded,
    StreamOpened,
    StreamReset,
    WindowOpened,
    YamuxEvent,
    YamuxLimits,
    YamuxSession,
)

ALICE, BOB = HostKey(b"a" * 32), HostKey(b"b" * 32)


def frame(kind: int, flags: int, stream: int, value: int, body: bytes = b"") -> bytes:
    """A frame of yamux, as the specification lays it out."""
    return struct.pack(">BBHII", 0, kind, flags, stream, value) + body


def talk(one: Negotiation, other: Negotiation) -> None:
    """Until neither has anything to say."""
    while (said := one.data_to_send()) or (answer := other.data_to_send()):
        if said:
            other.receive(said)
        else:
            one.receive(answer)


# --- multistream-select


def test_the_first_protocol_that_both_have_is_chosen() -> None:
    one, other = Negotiation(proposed=("/a", "/b", "/c")), Negotiation(offered=("/c", "/b"))
    talk(one, other)
    assert one.over
    assert other.over
    assert one.chosen == other.chosen == "/b"


def test_where_there_is_none_the_end_that_proposed_knows() -> None:
    one, other = Negotiation(proposed=("/a",)), Negotiation(offered=("/b",))
    talk(one, other)
    assert one.over
    assert one.chosen is None
    assert not other.over


def test_a_connection_begins_with_the_byte_that_the_server_knows_it_by() -> None:
    assert Negotiation(proposed=("/a",)).data_to_send()[0] == FIRST_BYTE == 19


def test_what_comes_behind_belongs_to_the_protocol() -> None:
    other = Negotiation(offered=("/a",))
    other.receive(Negotiation(proposed=("/a",)).data_to_send() + b"more")
    assert other.chosen == "/a"
    assert other.rest == b"more"


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n" * 20, delimited(b"/multistream/2.0.0\n"), delimited(b"no end"), b"\xff" * 12],
)
def test_who_speaks_something_else_is_refused(said: bytes) -> None:
    with pytest.raises(ProtocolError):
        Negotiation(offered=("/a",)).receive(said)


def test_proposals_without_end_are_refused() -> None:
    other = Negotiation(offered=("/a",))
    with pytest.raises(ProtocolError, match="without end"):
        other.receive(delimited(b"/multistream/1.0.0\n") + delimited(b"/x\n") * 100)


# --- Noise


def test_both_ends_share_two_keys() -> None:
    one, other = NoiseXX(initiates=True), NoiseXX(initiates=False)
    assert other.read(one.write(b"")) == b""
    assert one.read(other.write(b"who I am")) == b"who I am"
    assert other.read(one.write(b"and I")) == b"and I"
    assert one.remote_static == other.static
    assert other.remote_static == one.static
    assert one.ciphers is not None
    assert other.ciphers is not None
    for number in range(3):
        assert other.ciphers[1].decrypt(one.ciphers[0].encrypt(bytes(number))) == bytes(number)
        assert one.ciphers[1].decrypt(other.ciphers[0].encrypt(bytes(number))) == bytes(number)


def test_messages_count_in_their_order_alone() -> None:
    one, other = Cipher(bytes(32)), Cipher(bytes(32))
    first, second = one.encrypt(b"a"), one.encrypt(b"b")
    with pytest.raises(ProtocolError):
        other.decrypt(second)
    del first


def test_a_turn_must_be_waited_for() -> None:
    one, other = NoiseXX(initiates=True), NoiseXX(initiates=False)
    with pytest.raises(ValueError, match="turn"):
        other.write(b"")
    with pytest.raises(ValueError, match="turn"):
        one.read(b"")


def test_a_key_that_makes_no_secret_is_refused() -> None:
    other = NoiseXX(initiates=False)
    other.read(bytes(32))
    with pytest.raises(ProtocolError, match="secret"):
        other.write(b"")


def test_a_payload_is_as_long_as_a_message_allows() -> None:
    with pytest.raises(ValueError, match="payload"):
        NoiseXX(initiates=True).write(bytes(65_536))


def secured(expected: HostKey | None = None) -> tuple[NoiseChannel, NoiseChannel]:
    """Two ends after their handshake."""
    one = NoiseChannel(ALICE, initiates=True, expected=None if expected is None else expected.peer)
    other = NoiseChannel(BOB, initiates=False)
    for sender, receiver in ((one, other), (other, one), (one, other)):
        receiver.receive(sender.data_to_send())
    return one, other


def test_each_end_knows_who_the_other_is() -> None:
    one, other = secured(BOB)
    assert one.peer == BOB.peer
    assert other.peer == ALICE.peer
    large = bytes(200_000)
    one.send(large)
    assert other.receive(one.data_to_send()) == large


def test_somebody_else_is_not_taken() -> None:
    with pytest.raises(ProtocolError, match="and not"):
        secured(ALICE)


def test_a_handshake_message_is_bounded() -> None:
    with pytest.raises(ProtocolError, match="8193 bytes"):
        NoiseChannel(BOB, initiates=False).receive((8193).to_bytes(2, "big"))


def test_a_changed_bit_anywhere_is_noticed() -> None:
    one, other = NoiseChannel(ALICE, initiates=True), NoiseChannel(BOB, initiates=False)
    other.receive(one.data_to_send())
    answer = bytearray(other.data_to_send())
    for place in range(34, len(answer), 7):
        fresh = NoiseChannel(ALICE, initiates=True)
        fresh.data_to_send()
        changed = bytes(answer[:place]) + bytes((answer[place] ^ 1,)) + bytes(answer[place + 1 :])
        with pytest.raises(ProtocolError):
            fresh.receive(changed)


# --- yamux


def streams(limits: YamuxLimits | None = None) -> tuple[YamuxSession, YamuxSession]:
    """Two ends of a connection."""
    return YamuxSession(initiates=True), YamuxSession(initiates=False, limits=limits)


def test_a_stream_carries_both_ways_and_ends() -> None:
    one, other = streams()
    number = one.open()
    one.send(number, b"question")
    one.end(number)
    assert other.receive(one.data_to_send()) == [
        StreamOpened(1),
        StreamData(1, b"question"),
        StreamEnded(1),
    ]
    other.send(1, b"answer")
    other.end(1)
    assert one.receive(other.data_to_send()) == [StreamData(1, b"answer"), StreamEnded(1)]
    assert one.streams == other.streams == 0
    assert [YamuxSession(initiates=False).open(), one.open()] == [2, 3]


def test_no_more_is_sent_than_the_other_end_takes() -> None:
    one, other = streams(YamuxLimits(unread=2 * WINDOW_SIZE))
    number = one.open()
    one.send(number, bytes(WINDOW_SIZE + 1000))
    one.end(number)
    came = other.receive(one.data_to_send())
    assert sum(len(each.data) for each in came if isinstance(each, StreamData)) == WINDOW_SIZE
    assert one.waiting(number) == 1000
    other.consume(1, WINDOW_SIZE)
    assert WindowOpened(1) in one.receive(other.data_to_send())
    came = other.receive(one.data_to_send())
    assert came[-1] == StreamEnded(1)
    assert sum(len(each.data) for each in came if isinstance(each, StreamData)) == 1000


def test_a_reset_ends_both_ways_and_what_still_comes_is_dropped() -> None:
    one, other = streams()
    number = one.open()
    other.receive(one.data_to_send())
    other.reset(1)
    one.send(number, b"late")
    late = one.data_to_send()
    assert one.receive(other.data_to_send()) == [StreamReset(1)]
    assert other.receive(late) == []
    one.send(number, b"later")
    one.end(number)
    one.reset(number)
    assert one.data_to_send() == b""


def test_a_ping_is_answered_and_a_good_bye_is_told() -> None:
    one, other = streams()
    assert other.receive(frame(PING, SYN, 0, 77)) == []
    assert other.data_to_send() == frame(PING, 2, 0, 77)
    one.go_away()
    assert other.receive(one.data_to_send()) == [GoneAway(0)]
    assert other.receive(frame(GO_AWAY, 0, 0, 2)) == [GoneAway(2)]


def test_a_stream_too_many_is_reset_and_the_rest_stay() -> None:
    one, other = streams(YamuxLimits(streams=2))
    numbers = [one.open() for _ in range(3)]
    assert other.receive(one.data_to_send()) == [StreamOpened(1), StreamOpened(3)]
    assert StreamReset(5) in one.receive(other.data_to_send())
    one.send(numbers[2], b"to nobody")
    assert other.receive(one.data_to_send()) == []


@pytest.mark.parametrize(
    "said",
    [
        b"\x01" + bytes(11),  # another version
        frame(7, 0, 0, 0),
        frame(DATA, SYN, 2, 0),  # the wrong end's number
        frame(DATA, SYN, 0, 0),
        frame(DATA, SYN, 1, 0) * 2,
        frame(DATA, 0, 9, 0),  # nobody opened it
        frame(WINDOW, RST, 9, 0),
        frame(DATA, SYN, 1, WINDOW_SIZE + 1),
        frame(DATA, SYN, 1, WINDOW_SIZE, bytes(WINDOW_SIZE)) + frame(DATA, 0, 1, 1, b"x"),
        frame(DATA, SYN | 4, 1, 0) + frame(DATA, 0, 1, 1, b"x"),  # behind the end
    ],
)
def test_what_breaks_the_protocol_is_refused(said: bytes) -> None:
    with pytest.raises(ProtocolError):
        YamuxSession(initiates=False).receive(said)


def test_streams_without_end_and_bytes_that_nobody_reads_end_the_connection() -> None:
    other = YamuxSession(initiates=False, limits=YamuxLimits(streams=1, opened_in_all=50, unread=1000))
    with pytest.raises(ProtocolError, match="without end"):
        other.receive(b"".join(frame(DATA, SYN, 2 * number + 1, 0) for number in range(60)))
    other = YamuxSession(initiates=False, limits=YamuxLimits(unread=1000))
    with pytest.raises(ProtocolError, match="more than it may"):
        other.receive(frame(DATA, SYN, 1, 1001, bytes(1001)))


# --- all of it


def sessions() -> tuple[PeerSession, PeerSession]:
    """Two ends of a connection that nothing was said on."""
    one = PeerSession(ALICE, initiates=True, expected=BOB.peer)
    return one, PeerSession(BOB, initiates=False)


def carry(one: PeerSession, other: PeerSession, size: int) -> tuple[list[YamuxEvent], list[YamuxEvent]]:
    """What both say, in pieces of so many bytes, until neither has more; (one's events, other's)."""
    events: tuple[list[YamuxEvent], list[YamuxEvent]] = ([], [])
    quiet = 0
    while quiet < 2:
        for sender, receiver, seen in ((one, other, events[1]), (other, one, events[0])):
            data = sender.data_to_send()
            quiet = 0 if data else quiet + 1
            for start, end in pairwise([*range(0, len(data), size), len(data)]):
                seen += receiver.receive(data[start:end])
    return events


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_connection_comes_about_in_pieces_of_any_size(size: int) -> None:
    one, other = sessions()
    carry(one, other, size)
    assert one.stage == other.stage == "ready"
    assert (one.peer, other.peer) == (BOB.peer, ALICE.peer)
    number = other.streams.open()
    other.streams.send(number, b"hello")
    assert carry(one, other, size)[0] == [StreamOpened(2), StreamData(2, b"hello")]


def test_what_has_no_security_that_is_known_is_refused() -> None:
    one, _ = sessions()
    answer = Negotiation(offered=("/tls/1.0.0",))
    answer.receive(one.data_to_send())
    with pytest.raises(ProtocolError, match="security"):
        one.receive(answer.data_to_send())
