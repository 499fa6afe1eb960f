"""How forwards are written, `8022:localhost:22`, and what the other side may ask for: `localhost:22`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from nattools.errors import UsageError
from nattools.model.endpoint import Endpoint, Transport

ANY: Final = "*"
_EXAMPLE: Final = "8022:localhost:22"
_LISTEN: Final = "listen:"
_LONGEST: Final = 255
_LOOPBACK: Final = frozenset(("", "localhost", "127.0.0.1", "::1"))


@dataclass(frozen=True, slots=True)
class Forward:
    """Who connects to `port` on one side is connected to `host:host_port` from the other. `bind`: the
    address to listen on, "" for the loopback ones, "*" for all; a `port` of 0 is chosen by the system."""

    transport: Transport
    bind: str
    port: int
    host: str
    host_port: int

    @property
    def target(self) -> str:
        """Where it leads."""
        return written(self.transport, self.host, self.host_port)

    def __str__(self) -> str:
        bind = f"[{self.bind}]:" if ":" in self.bind else f"{self.bind}:" if self.bind else ""
        return f"{bind}{self.port}:{self.target}"


def written(transport: Transport, host: str, port: int) -> str:
    """A place for people: `localhost:22`, `[::1]:53/udp`."""
    return f"{Endpoint(host or 'localhost', port)}{'/udp' if transport == 'udp' else ''}"


def parse_forward(text: str) -> Forward:
    """Read `[ADDRESS:]PORT:HOST:PORT[/udp]`, IPv6 addresses in brackets, or `PORT:PORT`, which leads to the
    other machine itself. UsageError says what is wrong."""
    rest, transport = _transport(text)
    parts = _split(rest, text)
    if len(parts) == 2 and parts[1].isdigit():
        parts.insert(1, "localhost")
    if len(parts) not in (3, 4):
        raise UsageError(
            f"a forward is written like {_EXAMPLE}, optionally with an address before it: {text}"
        )
    bind = _bind(parts[0], text) if len(parts) == 4 else ""
    port, host, host_port = parts[-3:]
    if not host or host == ANY:
        raise UsageError(f"a forward leads to one host: {text}")
    return Forward(transport, bind, _port(port, text, least=0), host, _port(host_port, text))


def _bind(address: str, text: str) -> str:
    if address in (ANY, *_LOOPBACK):
        return "" if address in ("", "localhost") else address
    try:
        return str(ip_address(address))
    except ValueError:
        raise UsageError(f"{address!r} is not an address of this machine to listen on: {text}") from None


def _transport(text: str) -> tuple[str, Transport]:
    rest, slash, name = text.partition("/")
    if not slash or name == "tcp":
        return rest, "tcp"
    if name == "udp":
        return rest, "udp"
    raise UsageError(f"the slash must be followed by tcp or udp, not {name!r}: {text}")


_PART: Final = re.compile(r"\[([^\[\]]*)\]|([^:\[\]\s\x00-\x1f\x7f]*)")


def _split(rest: str, text: str) -> list[str]:
    """At the colons outside of brackets."""
    parts, position = [], 0
    while True:
        match = _PART.match(rest, position)
        if match is None:
            raise UsageError(f"cannot be read from {rest[position:]!r} on: {text}")
        parts.append(_bracketed(match[1], text) if match[1] is not None else match[2])
        position = match.end()
        if len(parts[-1]) > _LONGEST:
            raise UsageError(f"a host name has at most {_LONGEST} characters")
        if position == len(rest):
            break
        if rest[position] != ":":
            raise UsageError(f"a colon is missing before {rest[position:]!r}: {text}")
        position += 1
    if len(parts) > 4:
        raise UsageError(f"write IPv6 addresses in brackets, like 8080:[2001:db8::1]:80: {text}")
    return parts


def _bracketed(inside: str, text: str) -> str:
    try:
        return str(IPv6Address(inside))
    except ValueError:
        raise UsageError(f"brackets must hold an IPv6 address, not {inside!r}: {text}") from None


def _port(digits: str, text: str, *, least: int = 1) -> int:
    if not digits.isascii() or not digits.isdigit() or len(digits) > 5 or not least <= int(digits) <= 65535:
        raise UsageError(f"{digits!r} is not a port: {text}")
    return int(digits)


@dataclass(frozen=True, slots=True)
class Rule:
    """What is allowed: a host ("*": any; "": the loopback ones) and a range of ports."""

    transport: Transport
    host: str
    low: int
    high: int

    def covers(self, transport: Transport, host: str, port: int) -> bool:
        """Is this within it? Hosts are compared as they are written, names never looked up; the names and
        addresses of the loopback interface are the same."""
        within = transport == self.transport and self.low <= port <= self.high
        return within and (self.host == ANY or canonical(host) == self.host)


def canonical(host: str) -> str:
    """One text for all ways to write a host."""
    plain = host.rstrip(".").lower()
    if plain in _LOOPBACK:
        return ""
    try:
        address = ip_address(plain)
    except ValueError:
        return plain
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return "" if str(mapped or address) in _LOOPBACK else str(mapped or address)


def parse_rule(text: str) -> Rule:
    """Read `HOST:PORT`, `HOST:PORT-PORT`, `HOST:*`, with `/udp` behind it for UDP. HOST is `*` for any.
    Without a host it is this machine itself. UsageError says what is wrong."""
    rest, transport = _transport(text)
    parts = _split(rest, text)
    if len(parts) > 2:
        if "[" not in rest:
            raise UsageError(f"write IPv6 addresses in brackets, like [2001:db8::1]:80: {text}")
        raise UsageError(
            f"an allowed target is written like localhost:22, 192.168.1.5:80-90 or *:53/udp: {text}"
        )
    host = parts[0] if len(parts) == 2 else ""
    low, high = _ports(parts[-1], text)
    return Rule(transport, ANY if host == ANY else canonical(host), low, high)


def _ports(written_ports: str, text: str) -> tuple[int, int]:
    if written_ports == ANY:
        return 0, 65535
    first, dash, last = written_ports.partition("-")
    low = _port(first, text)
    high = _port(last, text) if dash else low
    if high < low:
        raise UsageError(f"the port range {written_ports} is reversed: {text}")
    return low, high


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the other side may have done from here: connections and datagrams to `targets`, and listening at
    `listens`. Nothing, unless this machine's user said so."""

    targets: tuple[Rule, ...] = ()
    listens: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Allowed:
        """See `parse_rule`; `listen:8080` is where the other side may listen."""
        targets: list[Rule] = []
        listens: list[Rule] = []
        for text in texts:
            if text.lower().startswith(_LISTEN):
                listens.append(parse_rule(text[len(_LISTEN) :]))
            else:
                targets.append(parse_rule(text))
        return cls(tuple(targets), tuple(listens))

    def target(self, transport: Transport, host: str, port: int) -> bool:
        """May it be connected to?"""
        return any(rule.covers(transport, host, port) for rule in self.targets)

    def listen(self, transport: Transport, host: str, port: int) -> bool:
        """May it be listened there? All addresses are allowed by a rule for any host alone."""
        return any(rule.covers(transport, host, port) for rule in self.listens)
