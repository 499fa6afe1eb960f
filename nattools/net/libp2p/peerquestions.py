"""What is asked of a peer: who are you, are you there, dial me, give me a place, connect me.

Each is bounded in time and gives None, or a failure as a value, where the peer does not answer as it should.
"""

from __future__ import annotations

import asyncio
from typing import Final, Literal, NamedTuple

from nattools.chance import chance, random_bytes
from nattools.errors import ProtocolError
from nattools.net.eventloop import TimeLimit
from nattools.net.libp2p.peerconnection import Libp2pConnection, MuxStream, StreamMessages
from nattools.net.libp2p.peerhost import PING, PING_SIZE
from nattools.protocols.libp2p import autonat, circuit
from nattools.protocols.libp2p.autonat import DialStatus, ResponseStatus
from nattools.protocols.libp2p.circuit import CircuitMessage
from nattools.protocols.libp2p.identify import (
    IDENTIFY,
    MAX_IDENTIFY,
    PeerDescription,
    decode_description,
)
from nattools.protocols.libp2p.multiaddr import Multiaddr
from nattools.protocols.libp2p.peerid import PeerId
from nattools.protocols.libp2p.uvarint import DelimitedReader

ANSWER_S: Final = 5.0
DIAL_S: Final = 20.0
"""A server may try to connect for 15 s or so before it says that it could not."""


async def identify(connection: Libp2pConnection, timeout_s: float = ANSWER_S) -> PeerDescription | None:
    """What the peer says of itself; it may come in several messages, up to the end of the stream."""
    stream = await connection.open(IDENTIFY, timeout_s=timeout_s)
    if stream is None:
        return None
    try:
        whole, messages = 0, []
        async with TimeLimit(timeout_s):
            reader = DelimitedReader(MAX_IDENTIFY)
            while data := await stream.read(8192):
                whole += len(data)
                if whole > MAX_IDENTIFY:
                    return None
                reader.feed(data)
                while (message := reader.next()) is not None:
                    messages.append(message)
            return decode_description(b"".join(messages)) if messages else None
    except ProtocolError:
        pass
    finally:
        stream.close()
    return None


async def ping(connection: Libp2pConnection, timeout_s: float = ANSWER_S) -> float | None:
    """Seconds until what was sent came back."""
    loop = asyncio.get_running_loop()
    stream = await connection.open(PING, timeout_s=timeout_s)
    if stream is None:
        return None
    sent, came = random_bytes(PING_SIZE), b""
    began = loop.time()
    try:
        stream.write(sent)
        async with TimeLimit(timeout_s):
            while len(came) < PING_SIZE and (data := await stream.read(PING_SIZE - len(came))):
                came += data
        return loop.time() - began if came == sent else None
    finally:
        stream.close()


DialOutcome = Literal[
    "answered",  # with a status
    "unsupported",  # the peer has no AutoNAT v2
    "too-much-data",  # it asks for more data than it may
    "silent",
    "malformed",
]


class DialAnswer(NamedTuple):
    """What a server says of having dialled us. `position`: which of the addresses; `data`: the bytes that it
    wanted first."""

    outcome: DialOutcome
    status: ResponseStatus | None = None
    dial: DialStatus | None = None
    position: int = 0
    data: int = 0


def new_nonce() -> int:
    """A number that nobody guesses."""
    return chance().getrandbits(64)


async def ask_to_dial(
    connection: Libp2pConnection,
    addresses: tuple[Multiaddr, ...],
    nonce: int,
    timeout_s: float = DIAL_S,
) -> DialAnswer:
    """Ask the peer to dial the first of these addresses that it can (AutoNAT v2)."""
    stream = await connection.open(autonat.DIAL_REQUEST, timeout_s=min(timeout_s, ANSWER_S))
    if stream is None:
        return DialAnswer("unsupported")
    answer = DialAnswer("silent")
    try:
        async with TimeLimit(timeout_s):
            answer = await _dialled(stream, autonat.DialRequest(addresses, nonce), len(addresses))
    except ProtocolError:
        answer = DialAnswer("malformed")
    finally:
        stream.close()
    return answer


async def _dialled(stream: MuxStream, request: autonat.DialRequest, count: int) -> DialAnswer:
    messages = StreamMessages(stream, autonat.MAX_MESSAGE)
    messages.write(autonat.encode_autonat(request))
    sent = 0
    while (message := await messages.read()) is not None:
        said = autonat.decode_autonat(message)
        if isinstance(said, autonat.DialResponse):
            if said.index >= count:
                raise ProtocolError("an address that was not asked for")
            return DialAnswer("answered", said.status, said.dial, said.index, sent)
        if not isinstance(said, autonat.DialDataRequest) or sent:
            raise ProtocolError("not an answer to a request to dial")
        if said.size > autonat.MAX_DIAL_DATA:
            return DialAnswer("too-much-data", position=min(said.index, count - 1), data=said.size)
        sent = await _pay(messages, said.size)
    return DialAnswer("silent", data=sent)


async def _pay(messages: StreamMessages, size: int) -> int:
    """Send as many bytes as the server wants, in pieces that it can read in a small buffer."""
    piece = autonat.encode_autonat(autonat.DialData(bytes(autonat.DIAL_DATA_PIECE)))
    sent = 0
    while sent < size and not messages.stream.over:
        messages.write(piece)
        sent += autonat.DIAL_DATA_PIECE
        await messages.stream.drain()
    return sent


class CircuitAnswer(NamedTuple):
    """What a relay says. `message` None: it does not relay ("unsupported"), or says nothing, or nonsense.
    `stream`: what a connection through it is made of."""

    outcome: Literal["answered", "unsupported", "silent", "malformed"]
    message: CircuitMessage | None = None
    stream: MuxStream | None = None

    @property
    def granted(self) -> bool:
        """Has it granted what was asked for?"""
        return self.message is not None and self.message.status == "ok"


async def reserve(connection: Libp2pConnection, timeout_s: float = ANSWER_S) -> CircuitAnswer:
    """Ask a relay for a reservation; it lasts as long as the connection."""
    return await _hop(connection, CircuitMessage("reserve"), timeout_s, keep=False)


async def connect_through(
    connection: Libp2pConnection, peer: PeerId, timeout_s: float = DIAL_S
) -> CircuitAnswer:
    """Ask a relay for a connection to one who has a reservation there."""
    return await _hop(connection, CircuitMessage("connect", peer=peer), timeout_s, keep=True)


async def _hop(
    connection: Libp2pConnection, request: CircuitMessage, timeout_s: float, *, keep: bool
) -> CircuitAnswer:
    stream = await connection.open(circuit.HOP, timeout_s=min(timeout_s, ANSWER_S))
    if stream is None:
        return CircuitAnswer("unsupported")
    answer = CircuitAnswer("silent")
    try:
        messages = StreamMessages(stream, circuit.MAX_RELAY_MESSAGE)
        messages.write(circuit.encode_hop(request))
        async with TimeLimit(timeout_s):
            message = await messages.read()
            if message is not None:
                found = circuit.decode_hop(message)
                if found.kind != "status":
                    raise ProtocolError("not a relay's answer")
                stream.unread(messages.rest)
                answer = CircuitAnswer("answered", found, stream if keep else None)
    except ProtocolError:
        answer = CircuitAnswer("malformed")
    finally:
        if not (keep and answer.granted):
            stream.close()
    return answer
