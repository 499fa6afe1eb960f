"""TURN: bytes give a value or ProtocolError, and whatever a relay says, its client keeps within bounds."""

import contextlib
import itertools
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from scriptedrelay import ALICE, PEER, RELAYED, SERVER, Conversation, ScriptedRelay, converse

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.protocols.turn.clientallocation import ClientAllocation
from nattools.protocols.turn.credentials import LongTermCredentials
from nattools.protocols.turn.turnconstants import REASONS

channels = st.integers(turn.FIRST_CHANNEL, turn.LAST_CHANNEL)
frames = st.one_of(
    st.builds(
        lambda number, data: turn.encode_channel_data(number, data, padded=True), channels, st.binary()
    ),
    st.binary(min_size=12, max_size=12).map(stun.binding_request),
)


@given(st.binary(max_size=80))
def test_arbitrary_bytes(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        turn.decode_channel_data(data)
    allocation = converse().allocation
    assert allocation.unwrap(data) is None or data[0] in (0, *range(0x40, 0x50))
    allocation.receive_datagram(data, SERVER, 0.0)
    assert allocation.state == "standing"


@given(st.lists(frames, max_size=5), st.lists(st.integers(0, 400), max_size=10), st.binary(max_size=30))
def test_framing(sent: list[bytes], cuts: list[int], garbage: bytes) -> None:
    """However the stream is cut, the messages come out; garbage behind them costs none of them."""
    stream = b"".join(sent) + garbage
    framer, found = turn.TurnFramer(), list[bytes]()
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    with contextlib.suppress(ProtocolError):
        for start, end in itertools.pairwise(edges):
            found += framer.feed(stream[start:end])
    assert found[: len(sent)] == sent


@given(st.lists(frames, min_size=1, max_size=5))
def test_who_reads_what_is_missing_reads_whole_messages(sent: list[bytes]) -> None:
    framer, stream, found = turn.TurnFramer(), b"".join(sent), list[bytes]()
    while stream:
        assert framer.missing > 0
        found += framer.feed(stream[: framer.missing])
        stream = b"".join(sent)[len(b"".join(found)) + framer.pending :]
    assert found == sent
    assert framer.pending == 0


class HostileRelay(ScriptedRelay):
    """Knows the password, and misbehaves by chance."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = Random(seed)
        self._said: list[bytes] = []

    def receive(self, data: bytes) -> list[bytes]:
        answers = super().receive(data)
        said = [each for answer in answers for each in self._twisted(answer)]
        if self._random.random() < 0.2:
            said.append(self._unasked())
        self._said = (self._said + said)[-20:]
        return said

    def _twisted(self, answer: bytes) -> list[bytes]:
        request = stun.decode(answer)
        draw = self._random.random
        if draw() < 0.5:
            return [answer]
        kind = self._random.randrange(8)
        if kind == 0:
            return [self.error(request, self._random.choice([*REASONS, 399, 599]))]
        if kind == 1:
            flipped = bytearray(answer)
            flipped[self._random.randrange(len(flipped))] ^= 1 << self._random.randrange(8)
            return [bytes(flipped)]
        if kind == 2:
            self.nonce = self._random.randbytes(self._random.choice([1, 20, 700]))
            return [self.challenge(request, 438)]
        if kind == 3:
            self.lifetime_s = self._random.choice([0, 1, 30, 2**32 - 1])
            return [answer, answer]
        if kind == 4:
            return [self._random.choice(self._said)] if self._said else []
        if kind == 5:
            attributes = tuple(
                (number, self._random.randbytes(self._random.choice([0, 4, 8, 20])))
                for number, _ in request.attributes
            )
            return [self.sign(stun.Message(request.method, "success", request.transaction_id, attributes))]
        return [] if kind == 6 else [answer[: self._random.randrange(len(answer))]]

    def _unasked(self) -> bytes:
        method = self._random.choice([c.DATA_METHOD, c.CONNECTION_ATTEMPT, c.SEND, c.BINDING])
        number = self._random.choice([c.ICMP, c.DATA, c.CONNECTION_ID, c.XOR_PEER_ADDRESS])
        peer = (c.XOR_PEER_ADDRESS, stun.pack_xor_address(PEER, bytes(12)))
        attributes = (peer, (number, self._random.randbytes(self._random.choice([4, 8]))))
        return stun.encode(stun.Message(method, "indication", bytes(12), attributes))


class Victim(Conversation):
    """Takes indications too."""

    def settle(self) -> None:
        for _ in range(100):
            due = self.allocation.datagrams_to_send(self.now)
            if not due:
                return
            for data, _to in due:
                self.sent.append(data)
                for answer in self.relay.receive(data):
                    if self.allocation.unwrap(answer) is None:
                        self.allocation.receive_datagram(answer, SERVER, self.now)
            self.events += self.allocation.take_events()
        raise AssertionError("it answers without end")


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.booleans())
def test_whatever_a_relay_says(seed: int, stream: bool) -> None:
    """The client ends or goes on, and sends no more than a few datagrams a second."""
    found = Victim(HostileRelay(seed), ClientAllocation(SERVER, ALICE, stream=stream))
    for number in range(40):
        found.send(b"hello", Endpoint(PEER.host, 1000 + number % 3))
        if number % 10 == 0:
            found.allocation.permit(f"198.51.100.{number}", found.now)
            found.allocation.connect(PEER)
        found.pass_time(60)
        if found.allocation.done:
            assert found.allocation.next_timeout() is None
            break
    assert len(found.sent) < 60 + 2 * found.now
    if found.allocation.state == "standing":
        found.allocation.release(found.now)
        found.pass_time(60)
        assert found.allocation.done


@given(st.integers(0, 2**32))
def test_who_does_not_know_the_password_gives_no_address(seed: int) -> None:
    relay = HostileRelay(seed)
    relay.credentials = LongTermCredentials("alice", "another")
    relay.relayed = (RELAYED,)
    found = Victim(relay, ClientAllocation(SERVER, ALICE))
    found.pass_time(100)
    assert found.allocation.relayed == ()
