"""Servers as users name them: `HOST[:PORT]`, or a URI of RFC 7064 (`stun:`, `stuns:`) or RFC 7065
(`turn:`, `turns:`)."""

from __future__ import annotations

import re
from typing import Literal, get_args

import msgspec

from nattools.errors import UsageError
from nattools.model.endpoint import Transport, parse_address

Scheme = Literal["stun", "stuns", "turn", "turns"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
DEFAULT_PORTS: dict[Scheme, int] = {"stun": 3478, "stuns": 5349, "turn": 3478, "turns": 5349}
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")


class ServerUri(msgspec.Struct, frozen=True):
    """A server as named by the user.

    `host` is a name in ASCII or an address without brackets. `port` is None where none was given: then
    `port_or_default` is the scheme's. `transport` is None where the URI leaves it open.
    """

    text: str
    scheme: Scheme
    host: str
    port: int | None = None
    transport: Transport | None = None

    @property
    def port_or_default(self) -> int:
        """3478, or 5349 for `stuns:` and `turns:`, unless a port was given (RFC 7064 3.1, RFC 7065 3.1)."""
        return DEFAULT_PORTS[self.scheme] if self.port is None else self.port

    @property
    def secure(self) -> bool:
        """TLS (or DTLS) is asked for."""
        return self.scheme in ("stuns", "turns")


def parse_server(text: str) -> ServerUri:
    """Read one server; UsageError names what is wrong and how it is written."""
    stripped = text.strip()
    if "@" in stripped:
        raise UsageError(
            "a server's URI holds no user name or password: write it without the part before '@'"
        )
    scheme, rest = _split_scheme(stripped)
    rest, transport = _split_transport(scheme, rest, stripped)
    host, port = _split_port(rest, stripped)
    if port is None and host.isdigit() and stripped.lower().startswith(f"{scheme}:"):
        raise UsageError(f"server {_shown(text)}: for a machine called {scheme!r} write {scheme}:{stripped}")
    return ServerUri(stripped, scheme, checked_host(host, stripped), port, transport)


def is_host(text: str) -> bool:
    """Is it a name in ASCII, or an address without brackets?"""
    try:
        return checked_host(text, text) == text
    except UsageError:
        return False


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _split_scheme(text: str) -> tuple[Scheme, str]:
    for scheme in SCHEMES:
        if text.lower().startswith(f"{scheme}:"):
            rest = text[len(scheme) + 1 :]
            if rest.startswith("//"):
                raise UsageError(f"server {_shown(text)}: these URIs have no '//': write {scheme}:{rest[2:]}")
            return scheme, rest
    if "://" in text:
        raise UsageError(f"server {_shown(text)}: the scheme must be one of stun:, stuns:, turn:, turns:")
    return "stun", text


def _split_transport(scheme: Scheme, rest: str, text: str) -> tuple[str, Transport | None]:
    """RFC 7065 3.1 allows `?transport=udp|tcp` for TURN; RFC 7064 has no query."""
    rest, question, query = rest.partition("?")
    if not question:
        return rest, "tcp" if scheme == "stuns" else None
    name, _, value = query.lower().partition("=")
    if scheme in ("turn", "turns") and name == "transport":
        if value == "udp":
            return rest, "udp"
        if value == "tcp":
            return rest, "tcp"
    raise UsageError(
        f"server {_shown(text)}: {'?' + query!r} is not understood: only turn: and turns: take a query, "
        "?transport=udp or ?transport=tcp"
    )


def _split_port(rest: str, text: str) -> tuple[str, int | None]:
    if rest.startswith("["):
        host, bracket, after = rest[1:].partition("]")
        if not bracket or (after and not after.startswith(":")) or ":" not in host:
            raise UsageError(f"server {_shown(text)}: an IPv6 address is written [2001:db8::1]:3478")
        return host, _port(after[1:], text) if after else None
    if rest.count(":") > 1:
        return rest, None
    host, colon, port = rest.partition(":")
    return host, _port(port, text) if colon else None


def _port(digits: str, text: str) -> int:
    if digits.isascii() and digits.isdigit() and len(digits) <= 5 and 1 <= int(digits) <= 65535:
        return int(digits)
    raise UsageError(f"server {_shown(text)}: {_shown(digits)} is not a port: give a number from 1 to 65535")


def checked_host(host: str, text: str) -> str:
    """A host name in ASCII, or an address in its canonical form. UsageError: `host`, a part of `text`, is
    neither."""
    if not host:
        raise UsageError(f"server {_shown(text)}: there is no host: write HOST, HOST:PORT or stun:HOST:PORT")
    last = host.rstrip(".").rpartition(".")[2]
    if ":" in host or last.isdigit():
        return _checked_address(host, text)
    return _checked_name(host, text)


def _checked_address(host: str, text: str) -> str:
    zone = host.partition("%")[2]
    try:
        address = parse_address(host)
    except ValueError:
        raise UsageError(f"server {_shown(text)}: {_shown(host)} is not an IP address") from None
    if zone and not _LABEL.match(zone):
        raise UsageError(f"server {_shown(text)}: {_shown(zone)} is not the name of an interface")
    return f"{address}%{zone}" if zone else str(address)


def _checked_name(host: str, text: str) -> str:
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    labels = name.removesuffix(".").split(".")
    if len(name) > 253 or not all(_LABEL.match(label) for label in labels):
        raise UsageError(f"server {_shown(text)}: {_shown(host)} is not a host name")
    return name
