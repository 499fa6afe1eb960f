"""A stream to a server that is named: resolved, connected and secured, step by step."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Iterable
from functools import cache
from typing import Final, NamedTuple

from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import Network, TcpFailure, TcpStream
from nattools.net.resolve import numeric
from nattools.net.web.serversteps import Cause, StepFailure, Steps
from nattools.net.web.tls import TlsFailure, client_context, start_tls

_CAUSES: Final[dict[str, Cause]] = {
    "refused": "refused",
    "timeout": "timeout",
    "unreachable": "unreachable",
    "prohibited": "prohibited",
    "reset": "closed",
    "error": "unreachable",
}


class Security(NamedTuple):
    """What a server's certificate is held to: it is valid for `name`, which is also what it is asked for; or
    it is the one with `sha256` (of its DER form, in hexadecimal); or it is not looked at (`unchecked`)."""

    name: str
    sha256: str = ""
    unchecked: bool = False

    def context(self) -> ssl.SSLContext:
        """The TLS context for `start_tls`; afterwards `refuses` must be asked."""
        return _context(checked=not self.sha256 and not self.unchecked)

    def refuses(self, certificate: bytes | None) -> bool:
        """Is it another one than the one that it has to be?"""
        return bool(self.sha256) and hashlib.sha256(certificate or b"").hexdigest() != self.sha256


@cache
def _context(*, checked: bool) -> ssl.SSLContext:
    """One for all: to read the system's authorities takes longer than a handshake."""
    if checked:
        return client_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def open_server_stream(
    network: Network,
    endpoints: Iterable[Endpoint],
    steps: Steps,
    security: Security | None,
    *,
    timeout_s: float,
    interface: str | None = None,
) -> TcpStream | StepFailure:
    """Connect to the first of a server's endpoints that takes it, and make the TLS handshake if there is
    `security`, all in `timeout_s` seconds."""
    loop = asyncio.get_running_loop()
    until, left = loop.time() + timeout_s, list(endpoints)
    stream: TcpStream | TcpFailure = TcpFailure("error", "there is no address to connect to")
    for number, endpoint in enumerate(left):
        patience_s = max(0.0, until - loop.time()) / (len(left) - number)
        stream = await network.connect_tcp(endpoint, timeout_s=patience_s, interface=interface)
        if not isinstance(stream, TcpFailure):
            break
    if isinstance(stream, TcpFailure):
        return steps.failed("connect", _CAUSES[stream.outcome], stream.detail or stream.outcome)
    steps.done("connect", str(stream.remote))
    if security is None:
        return stream
    return await _secured(stream, security, steps, max(0.0, until - loop.time()))


async def addresses_of(
    network: Network, name: str, steps: Steps, family: Family | None = None
) -> tuple[str, ...] | StepFailure:
    """The addresses of a server's name."""
    found = await network.resolve(name, family)
    if isinstance(found, str):
        return steps.failed("resolve", "unresolved", found)
    steps.done("resolve", ", ".join(found), at_once=numeric(name) is not None)
    return found


async def _secured(
    stream: TcpStream, security: Security, steps: Steps, timeout_s: float
) -> TcpStream | StepFailure:
    try:
        secured = await start_tls(stream, security.context(), timeout_s=timeout_s, server_name=security.name)
    except BaseException:
        stream.abort()
        raise
    if isinstance(secured, TlsFailure):
        return steps.failed("tls", secured.cause, str(secured))
    if security.refuses(secured.peer_certificate):
        secured.abort()
        return steps.failed("tls", "certificate", "its certificate is another one than it has to be")
    steps.done("tls")
    return secured
