"""The way to a mailbox: its name, a connection, TLS where it is within, WebSocket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nattools.model.endpoint import Endpoint, url_host
from nattools.net.base import Network, TcpFailure, TcpStream
from nattools.net.web import websocket
from nattools.net.web.websocket import WebSocket
from nattools.protocols import mailbox

if TYPE_CHECKING:
    import ssl

_CONNECT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class MailboxAddress:
    """Where the mailbox is. `tls` makes what it is held to; None: no TLS, on which the peers' secrets do not
    depend."""

    host: str
    port: int = 3478
    tls: Callable[[], ssl.SSLContext] | None = None

    def __str__(self) -> str:
        return f"{url_host(self.host)}:{self.port}"


async def open_mailbox(network: Network, address: MailboxAddress, within_s: float) -> WebSocket | str:
    """Try every address of the mailbox in turn; a text says why none works."""
    found = await network.resolve(address.host)
    if isinstance(found, str):
        return found
    problem: WebSocket | str = "it has no address"
    for host in found:
        timeout_s = max(0.1, min(_CONNECT_S, within_s))
        problem = await _open_at(network, address, Endpoint(host, address.port), timeout_s)
        if isinstance(problem, WebSocket):
            break
    return problem


async def _open_at(
    network: Network, address: MailboxAddress, endpoint: Endpoint, timeout_s: float
) -> WebSocket | str:
    stream = await network.connect_tcp(endpoint, timeout_s=timeout_s)
    if isinstance(stream, TcpFailure):
        return f"{endpoint}: {stream.outcome}"
    secured = await _secure(stream, address, timeout_s)
    if isinstance(secured, str):
        return secured
    return await websocket.connect(
        secured, host=str(address), path=mailbox.PATH, max_size=mailbox.MAX_TEXT, timeout_s=timeout_s
    )


async def _secure(stream: TcpStream, address: MailboxAddress, timeout_s: float) -> TcpStream | str:
    if address.tls is None:
        return stream
    from nattools.net.web.tls import start_tls

    return await start_tls(stream, address.tls(), timeout_s=timeout_s, server_name=address.host)
