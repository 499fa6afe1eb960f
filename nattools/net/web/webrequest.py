"""A page from a web server, over any network: HTTP and HTTPS, bounded in size and time."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple
from urllib.parse import urljoin, urlsplit

from nattools.errors import ProtocolError, UsageError
from nattools.model.controlurl import WEB_PORTS
from nattools.model.endpoint import Endpoint, authority
from nattools.model.serveruri import checked_host
from nattools.net.base import Network, TcpStream
from nattools.net.eventloop import TimeLimit
from nattools.net.web.serversteps import StepFailure, Steps
from nattools.net.web.serverstream import Security, addresses_of, open_server_stream
from nattools.protocols import http

_MAX_REDIRECTS: Final = 3


async def ask(stream: TcpStream, request: bytes, *, max_body: int = http.MAX_BODY) -> http.HttpResponse:
    """Send a request and read its response, however long that takes. ProtocolError: it is none."""
    stream.write(request)
    reader = http.ResponseReader(max_body=max_body)
    while reader.response is None:
        data = await stream.read()
        if data:
            reader.feed(data)
        else:
            reader.close()
    return reader.response


class _Place(NamedTuple):
    """What a URL names."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        return authority(self.host, self.port, WEB_PORTS[self.scheme])


async def fetch(network: Network, url: str, *, max_body: int, timeout_s: float) -> bytes | str:
    """The body of the page at an http: or https: URL; a text says why there is none. A page got by HTTPS is
    not followed to one without."""
    async with TimeLimit(timeout_s):
        try:
            return await _follow(network, url, max_body, timeout_s)
        except ProtocolError as error:
            return f"its answer makes no sense: {error}"
    return f"no answer in {timeout_s:g} s"


async def _follow(network: Network, url: str, max_body: int, timeout_s: float) -> bytes | str:
    place = _place(url)
    for _ in range(_MAX_REDIRECTS + 1):
        response = await _get(network, place, max_body, timeout_s)
        if isinstance(response, str):
            return response
        if response.status == 200:
            return response.body
        if response.status not in http.REDIRECTS:
            return f"it answered HTTP {response.status} {response.reason}".rstrip()
        url = _joined(url, response.headers.get("location"))
        secure, place = place.scheme == "https", _place(url)
        if secure and place.scheme != "https":
            return "it leads to a page without HTTPS"
    return f"it leads from one page to another more than {_MAX_REDIRECTS} times"


async def _get(network: Network, place: _Place, max_body: int, timeout_s: float) -> http.HttpResponse | str:
    steps = Steps()
    hosts = await addresses_of(network, place.host, steps)
    if isinstance(hosts, StepFailure):
        return hosts.detail
    security = Security(place.host) if place.scheme == "https" else None
    endpoints = [Endpoint(host, place.port) for host in hosts]
    stream = await open_server_stream(network, endpoints, steps, security, timeout_s=timeout_s)
    if isinstance(stream, StepFailure):
        return stream.detail
    try:
        request = http.encode_request("GET", place.target, place.authority)
        response = await ask(stream, request, max_body=max_body)
    except (ProtocolError, asyncio.CancelledError):
        stream.abort()
        raise
    stream.close()
    return response


def _joined(base: str, reference: str) -> str:
    """Where a page at `base` leads (RFC 3986 5). ProtocolError: the reference is none."""
    try:
        return urljoin(base, reference)
    except ValueError:
        raise ProtocolError(f"{reference[:200]!r} is not a URL") from None


def _place(url: str) -> _Place:
    """ProtocolError: it is no URL of a web page."""
    try:
        parts = urlsplit(url)
        host = checked_host(parts.hostname or "", url)
        port = parts.port or WEB_PORTS[parts.scheme]
    except (KeyError, UsageError, ValueError):
        raise ProtocolError(f"{url[:200]!r} is not an http: or https: URL") from None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isprintable() or not target.isascii() or " " in target:
        raise ProtocolError(f"{url[:200]!r} is not a URL")
    return _Place(parts.scheme, host, port, target)
