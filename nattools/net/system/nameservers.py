"""Which name servers this system asks, and what they say of a name's TXT records: the system's own resolver
looks up addresses alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from nattools.chance import random_bytes
from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network, TcpFailure, TcpStream
from nattools.net.eventloop import TimeLimit
from nattools.protocols import dnstexts
from nattools.protocols.dnstexts import TextsAnswer

RESOLV_CONF: Final = Path("/etc/resolv.conf")
TIMEOUT_S: Final = 5.0
_AGAIN_S: Final = 1.0
_TRIES: Final = 2
_MOST_SERVERS: Final = 3
"""As resolv.conf(5)."""
_LONGEST_FILE: Final = 16384


def name_servers(file: Path = RESOLV_CONF) -> tuple[str, ...]:
    """Those that a file in the form of resolv.conf(5) names, itself perhaps among them, link-local ones with
    their zone; () where there is no such file, as on Windows."""
    try:
        text = file.read_bytes()[:_LONGEST_FILE].decode("utf-8", "replace")
    except OSError:
        return ()
    words = (line.split() for line in text.splitlines())
    named = (each[1] for each in words if len(each) > 1 and each[0] == "nameserver")
    return tuple(each for each in named if _is_address(each))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


async def look_up_texts(network: Network, name: str, servers: Sequence[Endpoint]) -> tuple[str, ...] | str:
    """The texts of a name, from the first of these servers that knows, or why there are none."""
    if not servers:
        return "this system does not say which name servers it asks"
    try:
        dnstexts.encode_question(name, 0)
    except ValueError:
        return f"{name[:80]!r} is not a name"
    said = ""
    async with TimeLimit(TIMEOUT_S):
        for server in servers[:_MOST_SERVERS]:
            answer = await _ask(network, server, name)
            if answer is None:
                continue
            if not answer.code:
                return answer.texts or f"{name} has no TXT records"
            if answer.code == dnstexts.NO_SUCH_NAME:
                return f"there is no name {name}"
            said = f"the name server at {server.host} answers {answer.code} to {name}"
    return said or f"no name server answered for the TXT records of {name}"


async def _ask(network: Network, server: Endpoint, name: str) -> TextsAnswer | None:
    """None: nothing came that answers."""
    try:
        answer = await _ask_udp(network, server, name)
        if answer is not None and answer.truncated:
            answer = await _ask_tcp(network, server, name)
    except CannotRun:
        return None
    return answer


async def _ask_udp(network: Network, server: Endpoint, name: str) -> TextsAnswer | None:
    """From a port and with an id that nobody can guess (RFC 5452 9)."""
    number = int.from_bytes(random_bytes(2), "big")
    answer: asyncio.Future[TextsAnswer] = asyncio.get_running_loop().create_future()

    def on_datagram(data: bytes, source: Endpoint) -> None:
        if source != server or answer.done():
            return
        try:
            answer.set_result(dnstexts.decode_answer(data, name, number))
        except ProtocolError:
            return

    socket = await network.open_udp(family=server.family)
    socket.on_datagram = on_datagram
    try:
        for _ in range(_TRIES):
            socket.send(dnstexts.encode_question(name, number), server)
            await asyncio.wait([answer], timeout=_AGAIN_S)
            if answer.done():
                return answer.result()
    finally:
        socket.close()
    return None


async def _ask_tcp(network: Network, server: Endpoint, name: str) -> TextsAnswer | None:
    """What does not fit into a datagram (RFC 7766 5)."""
    stream = await network.connect_tcp(server, timeout_s=_AGAIN_S)
    if isinstance(stream, TcpFailure):
        return None
    number = int.from_bytes(random_bytes(2), "big")
    question = dnstexts.encode_question(name, number)
    try:
        stream.write(len(question).to_bytes(2, "big") + question)
        size = await _read(stream, 2)
        data = await _read(stream, int.from_bytes(size, "big"))
        return dnstexts.decode_answer(data, name, number)
    except ProtocolError:
        return None
    finally:
        stream.abort()


async def _read(stream: TcpStream, size: int) -> bytes:
    """ProtocolError: it ends before, or says that it is longer than is read."""
    if size > dnstexts.LARGEST:
        raise ProtocolError(f"a DNS message of {size} bytes")
    found = b""
    while len(found) < size:
        part = await stream.read(size - len(found))
        if not part:
            raise ProtocolError("a DNS message that ends too soon")
        found += part
    return found
