"""The mailbox against anything: arbitrary and mutated messages on both sides end in a value, a named failure
or a closed connection, and memory stays within its bounds."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from mailboxes import SECRET, Meeting, honest

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols.mailbox import Confirmed, MailboxClient, Received
from nattools.protocols.mailbox import messages as m
from nattools.protocols.mailbox.client import CONFIRM_WITHIN_S
from nattools.server.mailbox import Mailbox, MailboxLimits

nameplates = st.integers(1, 4)
secrets = st.sampled_from([bytes([each]) * 16 for each in range(4)])
envelopes = st.one_of(
    st.builds(m.Pake, st.binary(min_size=33, max_size=33)),
    st.builds(m.Proof, st.binary(min_size=32, max_size=32)),
    st.builds(m.Sealed, st.integers(0, 3), st.binary(max_size=40)),
)
bodies = st.binary(max_size=60) | envelopes.map(m.pack)
to_mailbox = st.one_of(
    st.builds(m.Join, st.integers(0, 2), secrets, st.none() | nameplates),
    st.builds(m.PeerMessage, bodies),
    st.builds(m.Leave, st.sampled_from(("done", "wrong-code", "failed"))),
)
from_mailbox = st.one_of(
    st.builds(m.Joined, nameplates, st.booleans()),
    st.builds(m.Peer, st.booleans()),
    st.builds(m.PeerMessage, bodies),
    st.builds(m.Closed, st.sampled_from(("left", "taken", "rate", "expired"))),
)


@st.composite
def mutated(draw: st.DrawFn, messages: st.SearchStrategy[m.ToMailbox | m.FromMailbox]) -> bytes:
    """A message as it is, or with some bytes of it exchanged, taken out or put in; or any bytes."""
    text = m.encode(draw(messages))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.binary(max_size=3)) + text[place + draw(st.integers(0, 3)) :]
    return text


@given(st.binary(max_size=200) | mutated(to_mailbox) | mutated(from_mailbox) | envelopes.map(m.pack))
def test_decoders_return_a_value_or_raise_protocol_error(data: bytes) -> None:
    for decode in (m.decode_to_mailbox, m.decode_from_mailbox, m.decode_envelope, m.decode_inside):
        try:
            value = decode(data)
        except ProtocolError:
            continue
        assert value is not None


@given(st.lists(mutated(from_mailbox), max_size=12))
@settings(max_examples=40)
def test_a_peer_survives_any_mailbox(texts: list[bytes]) -> None:
    """And never takes one for a peer that knows the code."""
    client = MailboxClient(SECRET)
    client.connected()
    for number, text in enumerate(texts):
        client.receive(text, float(number))
        for each in client.texts_to_send():
            m.decode_to_mailbox(each)
        assert not any(isinstance(event, Confirmed | Received) for event in client.events())
        client.handle_timeout(float(number))
    assert not client.confirmed
    assert client.over == (client.failure is not None)


@given(st.lists(st.tuples(st.booleans(), envelopes), max_size=8), st.data())
@settings(max_examples=30, deadline=None)
def test_a_conversation_survives_any_interference(
    said: list[tuple[bool, m.Envelope]], data: st.DataObject
) -> None:
    """Whatever is put in between, what is received was sent, in order and once."""
    meeting = Meeting().meet()
    sent = 0
    for to_alice, envelope in said:
        if data.draw(st.booleans()):
            meeting.alice.send(b"%d" % sent)
            sent += 1
            meeting.settle()
        meeting.hear("alice" if to_alice else "bob", envelope)
    received = meeting.payloads("bob")
    assert received == [b"%d" % number for number in range(len(received))]
    assert len(received) <= sent
    for name in ("alice", "bob"):
        meeting.reason(name)


actions = st.one_of(
    st.just("connect"),
    st.tuples(st.just("lose"), st.integers(0, 7)),
    st.tuples(st.just("say"), st.integers(0, 7), mutated(to_mailbox)),
    st.tuples(st.just("wait"), st.floats(0, 5000)),
)


@given(st.lists(actions, max_size=40))
def test_a_mailbox_survives_any_peers(steps: list[object]) -> None:
    """No more rooms than allowed, two members a room, and every connection is known or told to go."""
    mailbox = Mailbox(MailboxLimits(rooms=2, message_burst=5), draw=Random(0))
    now = 0.0
    numbers: list[int] = []
    gone: set[int] = set()
    for step in steps:
        match step:
            case "connect":
                numbers.append(mailbox.connect(Endpoint("11.1.0.2", len(numbers))))
                out = []
            case "lose", int(which) if numbers:
                number = numbers[which % len(numbers)]
                out = mailbox.disconnect(number, now)
                gone.add(number)
            case "say", int(which), bytes(text) if numbers:
                out = mailbox.receive(numbers[which % len(numbers)], text, now)
            case "wait", float(seconds):
                now += seconds
                out = mailbox.sweep(now)
            case _:
                continue
        for each in out:
            assert each.connection not in gone, "nothing is sent to who is not there"
            if each.text:
                m.decode_from_mailbox(each.text)
            if each.last:
                gone.add(each.connection)
        assert mailbox.rooms <= 2
        assert mailbox.connections == len(set(numbers) - gone)
        assert all(1 <= len(room.members) <= 2 for room in mailbox._rooms.values())


names = st.sampled_from(("alice", "bob"))
fates = st.one_of(
    st.tuples(st.sampled_from(("lose", "come", "settle", "say")), names),
    st.tuples(st.just("wait"), st.sampled_from((0.1, 10.0, 20.0, 29.95, 30.0, 130.0, 800.0, 44000.0))),
    st.just(("restart", "")),
)


def befall(meeting: Meeting, fate: tuple[str, object], said: dict[str, list[bytes]]) -> None:
    match fate:
        case "lose", str(name):
            meeting.lose(name)
        case "come", str(name) if not meeting.connected(name):
            meeting.connect(name)
        case "settle", str(name):
            meeting.peer(name).settle(meeting.now)
        case "say", str(name):
            payload = b"%d" % len(said[name])
            if meeting.peer(name).send(payload):
                said[name].append(payload)
        case "wait", float(seconds):
            meeting.pass_time(seconds)
        case "restart", _:
            meeting.restart()
    meeting.settle()


def come_back(meeting: Meeting) -> None:
    """As a driver does it, as long as it takes."""
    for _ in range(4):
        for name in ("alice", "bob"):
            if not meeting.connected(name) and not meeting.peer(name).over:
                meeting.connect(name)
        meeting.pass_time(31.0)


@given(st.lists(fates, max_size=14))
@settings(max_examples=60, deadline=None)
def test_two_who_have_met_find_each_other_again(steps: list[tuple[str, object]]) -> None:
    """Whichever of them moves first, whatever is lost, expires or is restarted in between, and nothing that
    was said is missing or comes twice."""
    meeting, said = Meeting().meet(), {"alice": list[bytes](), "bob": list[bytes]()}
    for step in steps:
        befall(meeting, step, said)
    come_back(meeting)
    for name, other in (("alice", "bob"), ("bob", "alice")):
        assert meeting.reason(name) is None
        assert meeting.peer(name).together
        assert meeting.payloads(other) == said[name]
    assert meeting.room_of("alice") == meeting.room_of("bob")


@given(st.integers(0, 5), st.lists(fates, max_size=6))
@settings(max_examples=60, deadline=None)
def test_one_who_is_not_sure_yet_gives_up_or_is_met(messages: int, steps: list[tuple[str, object]]) -> None:
    """The exchange is cut off after so many messages: then one may be confirmed and the other not."""
    passed: list[m.Envelope] = []

    def until(_: str, envelope: m.Envelope) -> list[m.Envelope]:
        passed.append(envelope)
        return [envelope] if len(passed) <= messages else []

    meeting, said = Meeting(tamper=until).meet(), {"alice": list[bytes](), "bob": list[bytes]()}
    for name in ("alice", "bob"):
        meeting.lose(name)
    meeting.tamper = honest
    for step in steps:
        befall(meeting, step, said)
    soon = meeting.now < CONFIRM_WITHIN_S - 1
    come_back(meeting)
    failed = {meeting.reason(name) for name in ("alice", "bob")} - {None}
    assert failed or (meeting.alice.together and meeting.bob.together)
    assert not (soon and failed), "both came back in time"
    assert failed <= {"unconfirmed", "wrong-code", "refused", "left", "another-peer"}
