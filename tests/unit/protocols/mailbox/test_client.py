"""Two peers and a mailbox: what they agree on, and what each kind of lie is called."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mailboxes import SECRET, SOURCE, Meeting

from nattools.errors import ProtocolError
from nattools.protocols.mailbox import MAX_PAYLOAD, Confirmed, MailboxClient, PeerDone, PeerHere
from nattools.protocols.mailbox import messages as m
from nattools.protocols.mailbox.client import CONFIRM_WITHIN_S, MAX_UNACKNOWLEDGED
from nattools.protocols.mailbox.keys import Agreement
from nattools.wording import sentence


def test_the_same_code_leads_to_a_conversation() -> None:
    meeting = Meeting().meet()
    assert meeting.alice.confirmed
    assert meeting.bob.confirmed
    for number in range(40):
        assert meeting.alice.send(b"to bob %d" % number)
        assert meeting.bob.send(b"to alice %d" % number)
        meeting.settle()
    assert meeting.payloads("bob") == [b"to bob %d" % number for number in range(40)]
    assert meeting.payloads("alice") == [b"to alice %d" % number for number in range(40)]
    assert meeting.alice.export("tls") == meeting.bob.export("tls") != meeting.bob.export("quic")
    meeting.alice.end()
    meeting.settle()
    assert meeting.seen["bob"][-1] == PeerDone()
    assert meeting.reason("alice") is None
    assert meeting.reason("bob") is None
    assert meeting.mailbox.rooms == meeting.mailbox.connections == 0


def test_what_is_said_before_the_peer_is_there_waits() -> None:
    meeting = Meeting()
    meeting.alice.send(b"early")
    meeting.meet()
    assert meeting.payloads("bob") == [b"early"]


def test_the_mailbox_learns_nothing_of_what_is_said() -> None:
    meeting = Meeting().meet()
    secret = b"candidate:1 1 udp 2122260223 192.168.1.7 54321"
    meeting.alice.send(secret)
    meeting.settle()
    assert meeting.payloads("bob") == [secret]
    everything = b"".join(meeting.passed)
    for piece in (secret, b"192.168", b"crossover", b"clockwork", meeting.alice.export("tls")):
        assert piece not in everything


def test_one_side_may_only_listen() -> None:
    meeting = Meeting().meet()
    for _ in range(10 * MAX_UNACKNOWLEDGED):
        assert meeting.alice.send(b"news")
        meeting.settle()
        meeting.now += 0.1  # slower than the mailbox's rate limit
    assert len(meeting.payloads("bob")) == 10 * MAX_UNACKNOWLEDGED


def test_too_much_at_once_is_refused_not_lost() -> None:
    meeting = Meeting().meet()
    accepted = [meeting.alice.send(bytes([number])) for number in range(MAX_UNACKNOWLEDGED + 5)]
    assert accepted == [True] * MAX_UNACKNOWLEDGED + [False] * 5
    meeting.settle()
    assert len(meeting.payloads("bob")) == MAX_UNACKNOWLEDGED


def test_the_longest_message_passes_and_a_longer_one_is_the_callers_mistake() -> None:
    meeting = Meeting().meet()
    meeting.alice.send(bytes(MAX_PAYLOAD))
    meeting.settle()
    assert meeting.payloads("bob") == [bytes(MAX_PAYLOAD)]
    with pytest.raises(ValueError, match="12001 bytes"):
        meeting.alice.send(bytes(MAX_PAYLOAD + 1))


def test_nothing_is_exported_before_the_peer_is_confirmed() -> None:
    with pytest.raises(ValueError, match="not confirmed"):
        MailboxClient(SECRET).export("tls")


def test_a_wrong_code_has_one_try_and_the_room_is_closed() -> None:
    meeting = Meeting(bob=b"crossover-clocktower").meet()
    assert meeting.reason("alice") == "wrong-code"
    assert meeting.reason("bob") == "wrong-code"
    assert Confirmed() not in meeting.seen["alice"]
    assert meeting.mailbox.rooms == 0
    mallory = MailboxClient(SECRET, meeting.alice.nameplate)
    meeting.bob, meeting.seen["bob"] = mallory, []
    meeting.connect("bob")
    assert meeting.reason("bob") == "refused"
    assert mallory.failure is not None
    assert "used before" in sentence(mallory.failure.statement)


def test_a_mailbox_that_keeps_quiet_about_a_wrong_code_gives_no_second_try() -> None:
    """Even if it never closes the room: the peer that was guessed at speaks to nobody any more."""
    meeting = Meeting(bob=b"a guess").meet()
    alice = meeting.alice
    alice.connected()
    assert alice.texts_to_send() == []
    alice.receive(m.encode(m.Joined(7, True)), 0)
    assert alice.texts_to_send() == []
    assert not alice.send(b"?")


def test_a_peer_that_proves_nothing_uses_the_code_up() -> None:
    meeting = Meeting(tamper=lambda _, each: [] if isinstance(each, m.Proof) else [each]).meet()
    deadline = meeting.alice.next_timeout()
    assert deadline == CONFIRM_WITHIN_S
    meeting.alice.handle_timeout(deadline - 0.1)
    assert meeting.alice.failure is None
    meeting.alice.handle_timeout(deadline)
    meeting.settle()
    assert meeting.reason("alice") == "unconfirmed"
    assert meeting.reason("bob") == "wrong-code"
    assert meeting.alice.next_timeout() is None


def altered(envelope: m.Sealed) -> list[m.Envelope]:
    return [m.Sealed(envelope.sequence, envelope.box[:-1] + bytes([envelope.box[-1] ^ 1]))]


def renumbered(envelope: m.Sealed) -> list[m.Envelope]:
    return [m.Sealed(envelope.sequence + 1, envelope.box)]


def doubled(envelope: m.Sealed) -> list[m.Envelope]:
    return [envelope, envelope]


def withheld(envelope: m.Sealed) -> list[m.Envelope]:
    return [] if envelope.sequence == 1 else [envelope]


class Swapped:
    """Every second message comes before the one that was sent first."""

    def __init__(self) -> None:
        self.kept: list[m.Envelope] = []

    def __call__(self, envelope: m.Sealed) -> list[m.Envelope]:
        if self.kept:
            return [envelope, self.kept.pop()]
        self.kept.append(envelope)
        return []


@pytest.mark.parametrize(
    ("lie", "name", "before"),
    [
        (altered, "altered", 0),
        (renumbered, "altered", 0),
        (doubled, "replayed", 1),
        (withheld, "reordered", 1),
        (Swapped(), "reordered", 0),
    ],
    ids=["altered", "renumbered", "replayed", "withheld", "swapped"],
)
def test_a_lie_about_sealed_messages_is_named(
    lie: Callable[[m.Sealed], list[m.Envelope]], name: str, before: int
) -> None:
    def tamper(to: str, envelope: m.Envelope) -> list[m.Envelope]:
        return lie(envelope) if to == "bob" and isinstance(envelope, m.Sealed) else [envelope]

    meeting = Meeting(tamper=tamper).meet()
    for number in range(4):
        meeting.alice.send(b"%d" % number)
        meeting.settle()
    assert meeting.reason("bob") == name
    assert meeting.payloads("bob") == [b"%d" % number for number in range(before)]
    assert meeting.reason("alice") == "left", "the other side is told that it is over"


@pytest.mark.parametrize("kind", [m.Pake, m.Sealed])
def test_own_messages_that_come_back_are_named(kind: type[m.Envelope]) -> None:
    meeting = Meeting().meet()
    spoken: list[m.Envelope] = []
    meeting.alice.send(b"x")
    text = meeting.alice.texts_to_send()[0]
    relay = m.decode_to_mailbox(text)
    assert isinstance(relay, m.PeerMessage)
    spoken.append(m.decode_envelope(relay.body))
    meeting.hear("alice", spoken[0] if kind is m.Sealed else own_element(meeting))
    assert meeting.reason("alice") == "reflected"


def own_element(meeting: Meeting) -> m.Envelope:
    pakes = [each for each in map(m.decode_envelope, meeting.passed) if isinstance(each, m.Pake)]
    own = meeting.alice
    own.receive(m.encode(m.Peer(True)), 0)
    texts = [m.decode_to_mailbox(text) for text in own.texts_to_send()]
    first = texts[0]
    assert isinstance(first, m.PeerMessage)
    element = m.decode_envelope(first.body)
    assert element in pakes
    return element


def test_another_peer_after_the_exchange_is_named() -> None:
    meeting = Meeting().meet()
    assert meeting.alice.nameplate is not None
    meeting.hear("alice", m.Pake(Agreement(SECRET, meeting.alice.nameplate).element))
    assert meeting.reason("alice") == "another-peer"


def test_a_mailbox_in_the_middle_without_the_code_is_a_wrong_code() -> None:
    """It makes an exchange of its own with each side: it has to guess the code for that."""
    middle = Agreement(b"a guess", 2)

    def tamper(_: str, envelope: m.Envelope) -> list[m.Envelope]:
        return [m.Pake(middle.element)] if isinstance(envelope, m.Pake) else [envelope]

    meeting = Meeting(tamper=tamper).meet()
    assert meeting.reason("alice") == "wrong-code"
    assert meeting.reason("bob") == "wrong-code"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"\xff\xfe", "mailbox"),
        (b"[" * 5000, "mailbox"),
        (b'{"type":"joined"}', "mailbox"),
        (b" " * (m.MAX_TEXT + 1), "mailbox"),
        (m.encode(m.Joined(999, False)), "mailbox"),
        (m.encode(m.PeerMessage(b"\xc1")), "garbage"),
        (m.encode(m.PeerMessage(m.pack(m.Pake(b"S" + b"\xff" * 32)))), "another-peer"),
        (m.encode(m.Closed("replaced")), "refused"),
        (m.encode(m.Closed("left")), "left"),
    ],
)
def test_what_a_mailbox_says_out_of_place(text: bytes, reason: str) -> None:
    meeting = Meeting().meet()
    meeting.alice.receive(text, 0)
    meeting.settle()
    assert meeting.reason("alice") == reason


def test_control_messages_only_count() -> None:
    meeting = Meeting().meet()
    for _ in range(10):
        meeting.alice.receive(b"", 0)
    assert meeting.reason("alice") is None
    for _ in range(10_000):
        meeting.alice.receive(b"", 0)
    meeting.settle()
    assert meeting.reason("alice") == "flood"


@pytest.mark.parametrize(
    "element", [b"S" + b"\xff" * 32, b"A" + bytes(32), b"S" + b"\1" + bytes(31), bytes(33)]
)
def test_an_element_that_is_none_is_garbage(element: bytes) -> None:
    meeting = Meeting()
    meeting.connect("alice")
    meeting.alice.receive(m.encode(m.Peer(True)), 0)
    meeting.hear("alice", m.Pake(element))
    assert meeting.reason("alice") == "garbage"


def test_a_relay_before_there_is_a_peer_or_a_room() -> None:
    for joined in (False, True):
        alice = MailboxClient(SECRET)
        alice.connected()
        if joined:
            alice.receive(m.encode(m.Joined(7, False)), 0)
        alice.receive(m.encode(m.PeerMessage(m.pack(m.Pake(bytes(33))))), 0)
        assert alice.failure is not None
        assert alice.failure.reason == "mailbox"


def test_a_flood_ends_the_conversation() -> None:
    meeting = Meeting().meet()
    for _ in range(2000):
        meeting.alice.receive(m.encode(m.Peer(True)), 0)
        meeting.alice.texts_to_send()
    meeting.settle()
    assert meeting.reason("alice") == "flood"
    assert len(meeting.seen["alice"]) < 1100


def test_a_lost_connection_loses_nothing() -> None:
    meeting = Meeting().meet()
    meeting.alice.send(b"0")
    meeting.settle()
    meeting.disconnect("bob")
    assert meeting.alice.send(b"1")
    meeting.settle()
    meeting.bob.send(b"from afar")
    meeting.connect("bob")
    assert meeting.payloads("bob") == [b"0", b"1"]
    assert meeting.payloads("alice") == [b"from afar"]
    assert meeting.seen["bob"].count(Confirmed()) == 1


def test_what_was_under_way_to_an_old_connection_is_no_gap() -> None:
    """Alice speaks between bob's return and her hearing of it: message 1 comes before the repeated 0."""
    meeting = Meeting().meet()
    meeting.bob.connected()
    meeting.bob.texts_to_send()
    meeting.bob.receive(m.encode(m.Joined(meeting.bob.nameplate or 0, True)), 0)
    meeting.hear("bob", m.Sealed(1, bytes(32)))
    assert meeting.reason("bob") is None


def test_a_restarted_mailbox_is_no_loss() -> None:
    for earlier in ("alice", "bob"):
        meeting = Meeting().meet()
        meeting.alice.send(b"before")
        meeting.settle()
        meeting.restart()
        meeting.alice.send(b"meanwhile")
        meeting.connect(earlier)
        meeting.connect("bob" if earlier == "alice" else "alice")
        meeting.bob.send(b"after")
        meeting.settle()
        assert meeting.payloads("bob") == [b"before", b"meanwhile"]
        assert meeting.payloads("alice") == [b"after"]


def test_repeats_after_a_return_are_not_delivered_twice() -> None:
    meeting = Meeting().meet()
    for payload in (b"0", b"1"):
        meeting.alice.send(payload)
    meeting.settle()
    meeting.disconnect("alice")
    meeting.connect("alice")
    assert meeting.payloads("bob") == [b"0", b"1"]
    assert meeting.reason("bob") is None
    assert PeerHere() in meeting.seen["bob"]


def test_a_message_sealed_by_the_peer_that_no_peer_sends() -> None:
    meeting = Meeting().meet()
    channel = meeting.bob._channel
    assert channel is not None
    for content in (b"\xc1", m.pack(m.Inside("data", 99))):
        other = Meeting().meet()
        assert other.bob._channel is not None
        other.hear("alice", other.bob._channel.seal(0, content))
        assert other.reason("alice") == "garbage"


def test_the_decoders_are_bounded() -> None:
    with pytest.raises(ProtocolError, match="24000 are allowed"):
        m.decode_to_mailbox(b" " * 24001)
    with pytest.raises(ProtocolError):
        m.decode_to_mailbox(b'{"type":"join","version":1,"member":"AAAA"}')
    with pytest.raises(ProtocolError):
        m.decode_envelope(m.pack(m.Sealed(0, bytes(13_000))))


# --- the room that is kept

LATER_S = CONFIRM_WITHIN_S


def kept() -> Meeting:
    """The two have met, and moved."""
    meeting = Meeting().meet()
    meeting.pass_time(LATER_S)
    meeting.alice.settle(meeting.now)
    meeting.settle()
    return meeting


def test_they_move_into_a_room_that_only_they_can_name() -> None:
    meeting = Meeting().meet()
    first = meeting.room_of("alice")
    meeting.alice.settle(meeting.now)
    meeting.pass_time(LATER_S - 0.1)
    assert meeting.room_of("alice") == meeting.room_of("bob") == first, "bob may not be sure yet"
    assert meeting.alice.next_timeout() == LATER_S
    meeting.pass_time(0.1)
    later = meeting.room_of("alice")
    assert later == meeting.room_of("bob") > m.MAX_NAMEPLATE
    assert meeting.alice.together
    assert meeting.bob.together
    assert meeting.alice.nameplate == first, "the code's number is told to people"
    meeting.alice.send(b"in private")
    meeting.settle()
    assert meeting.payloads("bob") == [b"in private"]
    assert Meeting().meet().alice.next_timeout() is None
    assert kept().room_of("alice") != later, "another key, another room"


def test_what_is_under_way_while_they_move_arrives_once() -> None:
    meeting = Meeting().meet()
    meeting.pass_time(LATER_S)
    for number in range(5):
        meeting.bob.send(b"%d" % number)
        if number == 2:
            meeting.alice.settle(meeting.now)
    meeting.settle()
    assert meeting.payloads("alice") == [b"%d" % number for number in range(5)]
    assert meeting.reason("alice") is meeting.reason("bob") is None


def test_the_number_of_the_code_is_given_back_and_says_nothing() -> None:
    meeting = kept()
    first = meeting.alice.nameplate
    assert first is not None
    meeting.pass_time(130.0)
    mallory = MailboxClient(SECRET, first)
    number = meeting.mailbox.connect(SOURCE)
    mallory.connected()
    (join,) = mallory.texts_to_send()
    (refused,) = meeting.mailbox.receive(number, join, meeting.now)
    assert m.decode_from_mailbox(refused.text) == m.Closed("used-up")
    meeting.pass_time(700.0)
    (opened,) = meeting.mailbox.receive(meeting.mailbox.connect(SOURCE), join, meeting.now)
    assert m.decode_from_mailbox(opened.text) == m.Joined(first, False), "the two are elsewhere"
    meeting.restart()
    meeting.connect("alice")
    assert meeting.room_of("alice") > m.MAX_NAMEPLATE, "nor do they come back to it, ever"


@pytest.mark.parametrize("code", [SECRET, b"a guess"])
def test_who_waits_in_the_room_that_is_kept_learns_and_gets_nothing(code: bytes) -> None:
    """The mailbox knows its number, and who listens to what is not within TLS: they can be in the way."""
    meeting = kept()
    room = meeting.room_of("alice")
    secret = meeting.alice.export("tls")
    meeting.restart()
    squatter = Agreement(code, room)
    meeting.alice.send(b"for bob alone")
    meeting.alice.connected()
    meeting.alice.receive(m.encode(m.Joined(room, True)), meeting.now)
    said = [m.decode_to_mailbox(text) for text in meeting.alice.texts_to_send()]
    meeting.hear("alice", m.Pake(squatter.element))
    assert meeting.reason("alice") == "another-peer"
    assert meeting.alice.texts_to_send() == []
    (pake,) = [
        each
        for body in said
        if isinstance(body, m.PeerMessage) and isinstance(each := m.decode_envelope(body.body), m.Pake)
    ]
    channel = squatter.finish(pake.element)
    assert channel.export("tls") != secret
    for body in said:
        envelope = m.decode_envelope(body.body) if isinstance(body, m.PeerMessage) else pake
        if isinstance(envelope, m.Sealed):
            with pytest.raises(ProtocolError):
                channel.open(envelope)
        assert not isinstance(envelope, m.Proof) or not channel.proves(envelope.value)


@pytest.mark.parametrize("reason", ["expired", "full", "rate", "taken"])
def test_what_passes_does_not_end_a_conversation_that_stands(reason: m.Closing) -> None:
    for meeting in (Meeting().meet(), kept()):
        meeting.alice.send(b"before")
        meeting.alice.receive(m.encode(m.Closed(reason)), meeting.now)
        assert meeting.alice.away
        assert meeting.alice.failure is None
        meeting.settle()
        assert meeting.alice.together
        assert meeting.payloads("bob") == [b"before"]


def test_a_code_that_is_over_is_still_over() -> None:
    alice = MailboxClient(SECRET)
    alice.connected()
    alice.receive(m.encode(m.Joined(7, False)), 0)
    alice.receive(m.encode(m.Closed("expired")), 3600)
    assert alice.over
    assert alice.failure is not None
    assert "make a new one" in sentence(alice.failure.statement)


def test_a_room_that_the_other_has_left_for_good_is_named() -> None:
    meeting = kept()
    meeting.disconnect("alice")
    meeting.bob.end()
    meeting.settle()
    meeting.connect("alice")
    assert meeting.reason("alice") == "left"


def test_a_mailbox_cannot_send_a_code_into_a_room_that_is_kept() -> None:
    alice = MailboxClient(SECRET)
    alice.connected()
    alice.receive(m.encode(m.Joined(m.MAX_NAMEPLATE + 1, False)), 0)
    assert alice.failure is not None
    assert alice.failure.reason == "mailbox"


def test_years_of_lost_connections_are_no_flood() -> None:
    meeting = kept()
    for _ in range(2000):
        meeting.disconnect("bob")
        meeting.pass_time(20.0)
        meeting.connect("bob")
    assert meeting.alice.together
    assert meeting.bob.together
