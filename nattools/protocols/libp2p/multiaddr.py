"""Addresses as libp2p writes them: `/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW...`, as text and in bytes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols.libp2p import uvarint
from nattools.protocols.libp2p.peerid import PeerId, decode_peer_id, parse_peer_id

MAX_OCTETS: Final = 1024
MAX_TEXT: Final = 2048
_MOST_PARTS: Final = 20
_LONGEST_NAME: Final = 255


class _Kind(NamedTuple):
    """One protocol of an address. `size`: bytes of its value, -1: its length is in front; 0: it has none."""

    code: int
    size: int
    read: Callable[[bytes], str]
    write: Callable[[str], bytes]


def _no_value(_: bytes) -> str:
    return ""


def _nothing(_: str) -> bytes:
    return b""


def _read_port(octets: bytes) -> str:
    return str(int.from_bytes(octets, "big"))


def _write_port(text: str) -> bytes:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise ValueError("no port")
    return int(text).to_bytes(2, "big")


def _read_name(octets: bytes) -> str:
    text = octets.decode("utf-8")
    if not text or "/" in text or not text.isprintable() or len(octets) > _LONGEST_NAME:
        raise ValueError("no name")
    return text


def _write_name(text: str) -> bytes:
    _read_name(text.encode())
    return text.encode()


def _read_hash(octets: bytes) -> str:
    return "u" + base64.urlsafe_b64encode(octets).decode().rstrip("=")


def _write_hash(text: str) -> bytes:
    if not text.startswith("u"):
        raise ValueError("no hash in base 64")
    return base64.b64decode(text[1:] + "=" * (-(len(text) - 1) % 4), altchars=b"-_", validate=True)


_PORT = (2, _read_port, _write_port)
_NAME = (-1, _read_name, _write_name)
_NONE = (0, _no_value, _nothing)
_KINDS: Final = {
    "ip4": _Kind(4, 4, lambda o: str(IPv4Address(o)), lambda t: IPv4Address(t).packed),
    "tcp": _Kind(6, *_PORT),
    "ip6": _Kind(41, 16, lambda o: str(IPv6Address(o)), lambda t: IPv6Address(t).packed),
    "ip6zone": _Kind(42, *_NAME),
    "dns": _Kind(53, *_NAME),
    "dns4": _Kind(54, *_NAME),
    "dns6": _Kind(55, *_NAME),
    "dnsaddr": _Kind(56, *_NAME),
    "udp": _Kind(273, *_PORT),
    "webrtc-direct": _Kind(280, *_NONE),
    "webrtc": _Kind(281, *_NONE),
    "p2p-circuit": _Kind(290, *_NONE),
    "p2p": _Kind(421, -1, lambda o: str(decode_peer_id(o)), lambda t: parse_peer_id(t).octets),
    "tls": _Kind(448, *_NONE),
    "sni": _Kind(449, *_NAME),
    "noise": _Kind(454, *_NONE),
    "quic": _Kind(460, *_NONE),
    "quic-v1": _Kind(461, *_NONE),
    "webtransport": _Kind(465, *_NONE),
    "certhash": _Kind(466, -1, _read_hash, _write_hash),
    "ws": _Kind(477, *_NONE),
    "wss": _Kind(478, *_NONE),
    "http": _Kind(480, *_NONE),
    "https": _Kind(443, *_NONE),
}
_NAMES: Final = {kind.code: name for name, kind in _KINDS.items()}
_OTHER_NAMES: Final = {"ipfs": "p2p"}
_HOSTS: Final = ("ip4", "ip6", "dns", "dns4", "dns6")


class Multiaddr(msgspec.Struct, frozen=True):
    """`parts`: the protocols with their values ("" where one has none), outermost first."""

    parts: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "".join(f"/{name}/{value}" if value else f"/{name}" for name, value in self.parts)

    def encode(self) -> bytes:
        """In bytes."""
        octets = b""
        for name, value in self.parts:
            kind = _KINDS[name]
            written = kind.write(value)
            octets += uvarint.encode(kind.code) + (uvarint.delimited(written) if kind.size < 0 else written)
        return octets

    @property
    def host(self) -> str | None:
        """The IP address or the name that it begins with."""
        name, value = self.parts[0]
        return value if name in _HOSTS else None

    @property
    def endpoint(self) -> Endpoint | None:
        """The address and port, where it begins with both; None: it is a name, or something else."""
        if len(self.parts) < 2 or self.parts[0][0] not in ("ip4", "ip6"):
            return None
        (_, host), (transport, port) = self.parts[:2]
        return Endpoint(host, int(port)) if transport in ("tcp", "udp") else None

    @property
    def port(self) -> int | None:
        """The port of the transport that is over IP."""
        return next((int(value) for name, value in self.parts[:3] if name in ("tcp", "udp")), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The protocols alone."""
        return tuple(name for name, _ in self.parts)

    @property
    def relayed(self) -> bool:
        """Does it lead through a relay?"""
        return "p2p-circuit" in self.names

    @property
    def over(self) -> str:
        """What it is over: "tcp", "quic", or another transport's name."""
        names = [name for name in self.names if name not in (*_HOSTS, "ip6zone", "dnsaddr", "p2p")]
        if "p2p-circuit" in names:
            return "relay"
        if names[:1] == ["tcp"]:
            return next((name for name in names[1:] if name in ("ws", "wss")), "tcp")
        if names[:2] in (["udp", "quic-v1"], ["udp", "quic"]):
            return "webtransport" if "webtransport" in names else "quic"
        return names[-1] if names else ""

    @property
    def peer(self) -> PeerId | None:
        """Whom it leads to, if it says so."""
        name, value = self.parts[-1]
        return parse_peer_id(value) if name == "p2p" else None

    @property
    def relay(self) -> Multiaddr | None:
        """The relay's own address, of an address that leads through one."""
        if not self.relayed:
            return None
        before = self.parts[: self.names.index("p2p-circuit")]
        return Multiaddr(before) if before else None

    def without_peer(self) -> Multiaddr:
        """The address without the peer that it leads to at its end."""
        return Multiaddr(self.parts[:-1]) if self.parts[-1][0] == "p2p" and len(self.parts) > 1 else self

    def to(self, *parts: tuple[str, str]) -> Multiaddr:
        """The address with more behind it."""
        return Multiaddr((*self.parts, *parts))


def multiaddr_at(endpoint: Endpoint, peer: PeerId | None = None) -> Multiaddr:
    """The address of a TCP endpoint, and of who is there."""
    host = ("ip6" if endpoint.family == 6 else "ip4", endpoint.host.partition("%")[0])
    parts = (host, ("tcp", str(endpoint.port)))
    return Multiaddr(parts if peer is None else (*parts, ("p2p", str(peer))))


def decode_multiaddr(octets: bytes) -> Multiaddr:
    """ProtocolError: it is none, or has a protocol that is not known (its length is not either then)."""
    if not 0 < len(octets) <= MAX_OCTETS:
        raise ProtocolError(f"an address of {len(octets)} bytes")
    parts: list[tuple[str, str]] = []
    at = 0
    while at < len(octets):
        code, at = uvarint.decode(octets, at)
        name = _NAMES.get(code)
        if name is None or len(parts) >= _MOST_PARTS:
            raise ProtocolError(f"an address with the protocol {code}, or with too many")
        size = _KINDS[name].size
        if size < 0:
            size, at = uvarint.decode(octets, at)
        if at + size > len(octets):
            raise ProtocolError("an address is cut off")
        parts.append((name, _value(name, octets[at : at + size])))
        at += size
    return Multiaddr(tuple(parts))


def _value(name: str, octets: bytes) -> str:
    try:
        return _KINDS[name].read(bytes(octets))
    except ValueError:
        raise ProtocolError(f"an address whose {name} is none") from None


def parse_multiaddr(text: str) -> Multiaddr:
    """ProtocolError says what is wrong with it."""
    if not text.startswith("/") or len(text) > MAX_TEXT:
        raise ProtocolError("an address of libp2p begins with /, as /ip4/192.0.2.1/tcp/4001")
    words = text.strip("/").split("/")
    parts: list[tuple[str, str]] = []
    while words and len(parts) < _MOST_PARTS:
        word = words.pop(0)
        name = _OTHER_NAMES.get(word, word)
        if name not in _KINDS:
            raise ProtocolError(f"{word[:30]!r} is not a protocol of addresses that is known here")
        value = ""
        if _KINDS[name].size:
            if not words:
                raise ProtocolError(f"/{name} lacks its value")
            value = words.pop(0)
        parts.append((name, _canonical(name, value)))
    if words:
        raise ProtocolError("an address with too many protocols")
    return Multiaddr(tuple(parts))


def _canonical(name: str, text: str) -> str:
    try:
        return _KINDS[name].read(_KINDS[name].write(text))
    except (ValueError, binascii.Error):
        raise ProtocolError(f"{text[:40]!r} is not a value of /{name}") from None
