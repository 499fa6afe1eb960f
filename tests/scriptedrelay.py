"""A TURN server of a few lines, which says what a test wants it to: pure, as the client."""

from __future__ import annotations

from collections.abc import Callable

from nattools.model.endpoint import Endpoint
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.authentication import long_term_key, make_nonce
from nattools.protocols.stun.message import Attribute
from nattools.protocols.turn.clientallocation import AllocationEvent, ClientAllocation
from nattools.protocols.turn.credentials import LongTermCredentials
from nattools.protocols.turn.requests import AllocationSpec

SERVER = Endpoint("192.0.2.1", 3478)
RELAYED = Endpoint("198.51.100.1", 50000)
RELAYED6 = Endpoint("2001:db8:1::1", 50001)
MAPPED = Endpoint("203.0.113.7", 40000)
PEER = Endpoint("203.0.113.99", 7000)
ALICE = LongTermCredentials("alice", "wonderland")

Answer = Callable[[stun.Message], bytes | None]


class ScriptedRelay:
    """Grants whatever is asked for with the right password, unless `refuses` has an error code, or `answers`
    an answer, for a method. Challenges once, as a real one, and again when `nonce` was changed."""

    def __init__(self, credentials: LongTermCredentials | None = ALICE, *, sha256: bool = False) -> None:
        self.credentials = credentials
        self.sha256 = sha256
        self.nonce = make_nonce(b"first", password_algorithms=sha256)
        self.realm = "north"
        self.refuses: dict[int, int] = {}
        self.answers: dict[int, Answer] = {}
        self.relayed: tuple[Endpoint, ...] = (RELAYED,)
        self.lifetime_s = 600
        self.extra: tuple[Attribute, ...] = ()
        self.requests: list[stun.Message] = []
        self.indications: list[stun.Message] = []

    def of(self, method: int) -> list[stun.Message]:
        """The authenticated requests with this method."""
        return [each for each in self.requests if each.method == method]

    def receive(self, data: bytes) -> list[bytes]:
        """What it answers."""
        if turn.is_channel_data(data):
            return []
        message = stun.decode(data)
        if message.kind == "indication":
            self.indications.append(message)
            return []
        answer = self._answer(message)
        return [] if answer is None else [answer]

    def _answer(self, request: stun.Message) -> bytes | None:
        if self.credentials is not None:
            if request.nonce is None:
                return self.challenge(request, 401)
            if request.nonce != self.nonce:
                return self.challenge(request, 438)
            if not stun.verify_integrity(request, self._key(), algorithm="sha256" if self.sha256 else "sha1"):
                return self.challenge(request, 401)
        self.requests.append(request)
        if request.method in self.answers:
            return self.answers[request.method](request)
        if request.method in self.refuses:
            return self.error(request, self.refuses[request.method])
        return self.success(request)

    def _key(self) -> bytes:
        assert self.credentials is not None
        algorithm = c.SHA256 if self.sha256 else c.MD5
        return long_term_key(self.credentials.username, self.realm, self.credentials.password, algorithm)

    def challenge(self, request: stun.Message, code: int) -> bytes:
        """401 or 438."""
        attributes: list[Attribute] = [(c.ERROR_CODE, stun.pack_error_code(code, "prove it"))]
        attributes += [(c.REALM, self.realm.encode()), (c.NONCE, self.nonce)]
        if self.sha256:
            attributes.append((c.PASSWORD_ALGORITHMS, stun.pack_algorithms(((c.SHA256, b""), (c.MD5, b"")))))
        message = stun.Message(request.method, "error", request.transaction_id, tuple(attributes))
        return stun.encode(message)

    def error(self, request: stun.Message, code: int, *extra: Attribute) -> bytes:
        """A signed error."""
        attributes = ((c.ERROR_CODE, stun.pack_error_code(code, "its own words")), *extra)
        return self.sign(stun.Message(request.method, "error", request.transaction_id, attributes))

    def success(self, request: stun.Message, *extra: Attribute) -> bytes:
        """A signed success response, with what belongs into it."""
        attributes = list(extra)
        if request.method == c.ALLOCATE:
            attributes += [
                (c.XOR_RELAYED_ADDRESS, stun.pack_xor_address(each, request.transaction_id))
                for each in self.relayed
            ]
            attributes.append((c.XOR_MAPPED_ADDRESS, stun.pack_xor_address(MAPPED, request.transaction_id)))
            attributes += self.extra
        if request.method in (c.ALLOCATE, c.REFRESH):
            lifetime_s = 0 if request.lifetime_s == 0 else self.lifetime_s
            attributes.append((c.LIFETIME, lifetime_s.to_bytes(4, "big")))
        if request.method == c.CONNECT:
            attributes.append((c.CONNECTION_ID, (77).to_bytes(4, "big")))
        return self.sign(stun.Message(request.method, "success", request.transaction_id, tuple(attributes)))

    def sign(self, message: stun.Message) -> bytes:
        """With the key of its user."""
        if self.credentials is None:
            return stun.encode(message)
        return stun.encode(message, key=self._key(), algorithm="sha256" if self.sha256 else "sha1")


class Conversation:
    """An allocation and its relay on a clock of numbers; `delivers` False: the network loses everything."""

    def __init__(self, relay: ScriptedRelay, allocation: ClientAllocation) -> None:
        self.relay = relay
        self.allocation = allocation
        self.now = 0.0
        self.delivers = True
        self.sent: list[bytes] = []
        self.events: list[AllocationEvent] = []

    def settle(self) -> None:
        """Until nobody has anything to say."""
        while due := self.allocation.datagrams_to_send(self.now):
            for data, to in due:
                assert to == SERVER
                self.sent.append(data)
                for answer in self.relay.receive(data) if self.delivers else ():
                    assert self.allocation.unwrap(answer) is None
                    self.allocation.receive_datagram(answer, SERVER, self.now)
                    self.events += self.allocation.take_events()

    def pass_time(self, seconds: float) -> None:
        """Let the time pass, and whatever is due happen. It must not be due more often than makes sense."""
        until, steps = self.now + seconds, 0
        self.settle()
        while (at := self.allocation.next_timeout()) is not None and at <= until:
            steps += 1
            assert steps <= 100 + 3 * seconds, "a busy loop"
            self.now = max(self.now, at)
            self.allocation.handle_timeout(self.now)
            self.settle()
        self.now = until

    def send(self, data: bytes, peer: Endpoint = PEER) -> bytes | None:
        """As a socket sends: what left at once."""
        message = self.allocation.wrap(data, peer, self.now)
        if message is not None:
            self.sent.append(message)
            self.relay.receive(message)
        if self.allocation.due:
            self.settle()
        return message


def converse(
    relay: ScriptedRelay | None = None,
    spec: AllocationSpec | None = None,
    credentials: LongTermCredentials | None = ALICE,
    *,
    stream: bool = False,
) -> Conversation:
    """Ask for an allocation, and let it be answered."""
    allocation = ClientAllocation(SERVER, credentials, spec or AllocationSpec(), stream=stream)
    conversation = Conversation(relay or ScriptedRelay(), allocation)
    conversation.settle()
    return conversation
