"""Which addresses may a router send us to? Its own alone, and the gateway's. Pure.

What comes from a router (LOCATION, URLBase, control URLs, redirects) is hostile: followed blindly it makes
this machine ask anybody anything (as CallStranger, CVE-2020-12695, did from the other side). So a URL is
http, and whatever host it names, its port and path are asked for at the address that it came from, unless it
names a gateway. That finds routers which name themselves, or their outside address, too.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import authority

MAX_URL = 2048
_LAN4 = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_LINK_LOCAL4 = IPv4Network("169.254.0.0/16")
_ULA = IPv6Network("fc00::/7")
_LINK_LOCAL6 = IPv6Network("fe80::/10")
# Where hosting providers answer every machine with its secrets: no router's description is ever there
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "fd00:ec2::23",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::a9fe:a9fe",
    )
)


class LocalNetwork(msgspec.Struct, frozen=True):
    """What counts as the LAN: private, unique local and IPv6 link-local addresses, and what is named here.

    `gateways` are the addresses of the routers, which may be public. `own` are this machine's on that
    interface: what shares a /64 with one of its IPv6 addresses is a neighbour (RFC 4862), and 169.254.0.0/16
    is the LAN only for who has an address in it (RFC 3927 2.6), since elsewhere a service of the hosting
    provider may answer there. Those services' own addresses are never the LAN, nor are those in `machine`,
    all that this machine has on any interface. `zone` is the interface that a link-local IPv6 address without
    a zone is taken to be on.
    """

    gateways: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    zone: str = ""
    machine: frozenset[str] = frozenset()

    def is_gateway(self, host: str) -> bool:
        """Is it one of the routers? Zones do not matter."""
        plain = host.partition("%")[0]
        return any(each.partition("%")[0] == plain for each in self.gateways)

    def allows(self, host: str) -> bool:
        """May this address be asked? False for what is no address."""
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        if address in _METADATA or self._is_own(address):
            return False
        if self.is_gateway(str(address)):
            return True
        if isinstance(address, IPv4Address):
            return any(address in network for network in _LAN4) or self._shares_link(address)
        return address in _ULA or address in _LINK_LOCAL6 or self._shares_prefix(address)

    def _is_own(self, address: IPv4Address | IPv6Address) -> bool:
        return any(ip_address(each.partition("%")[0]) == address for each in self.own | self.machine)

    def _shares_link(self, address: IPv4Address) -> bool:
        own = (each for each in self.own if ":" not in each)
        return address in _LINK_LOCAL4 and any(IPv4Address(each) in _LINK_LOCAL4 for each in own)

    def _shares_prefix(self, address: IPv6Address) -> bool:
        prefix = address.packed[:8]
        if address.is_loopback or address.is_unspecified or address.is_multicast or address.ipv4_mapped:
            return False
        own = (each.partition("%")[0] for each in self.own if ":" in each)
        return any(IPv6Address(each).packed[:8] == prefix for each in own)


class LanUrl(msgspec.Struct, frozen=True):
    """An http URL on the LAN. `target` begins with "/" and may have a query."""

    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """As a Host header has it: without a zone (RFC 6874 1), and without port 80."""
        return authority(self.host.partition("%")[0], self.port, 80)

    def __str__(self) -> str:
        return f"http://{self.authority}{self.target}"


def locate_url(text: str, lan: LocalNetwork, at: str) -> tuple[LanUrl, str]:
    """Where to ask for what an absolute URL names that came from the address `at`: there, or at a gateway if
    it names one; and what is odd about that, "" if nothing is. ProtocolError says why it is not followed."""
    parts = _split(text)
    if parts.scheme.lower() != "http":
        raise ProtocolError(f"a URL that is not http: {shown(text)}")
    if parts.username is not None or parts.password is not None:
        raise ProtocolError(f"a URL with a user name: {shown(text)}")
    try:
        port = 80 if parts.port is None else parts.port
    except ValueError:
        raise ProtocolError(f"a URL without a valid port: {shown(text)}") from None
    if port == 0 or not parts.hostname:
        raise ProtocolError(f"a URL without a host or with port 0: {shown(text)}")
    host, problem = _followed(parts.hostname, lan, at)
    return LanUrl(host, port, _target(parts)), f"{problem}: {shown(text)}" if problem else ""


def resolve_url(base: LanUrl, reference: str, lan: LocalNetwork) -> tuple[LanUrl, str]:
    """A reference in a document found at `base` (RFC 3986 5), as `locate_url` says. ProtocolError: why it is
    not followed."""
    reference = reference.strip().replace(" ", "%20")
    if not reference or len(reference) > MAX_URL:
        raise ProtocolError("an empty or endless URL")
    try:
        joined = urljoin(str(base), reference)
    except ValueError:
        raise ProtocolError(f"not a URL: {shown(reference)}") from None
    return locate_url(joined, lan, base.host)


def _followed(named: str, lan: LocalNetwork, at: str) -> tuple[str, str]:
    """The address to ask instead of a host that is named, and what is odd about that."""
    try:
        host = _address(named)
    except ValueError:
        return at, "a URL with a name instead of an address"
    plain = host.partition("%")[0]
    if ip_address(plain) in _METADATA:
        raise ProtocolError(f"a URL that leads out of the local network: {shown(named)}")
    if plain == at.partition("%")[0]:
        return at, ""
    if lan.is_gateway(host):
        return f"{host}%{lan.zone}" if lan.zone and host == plain and plain.startswith("fe80:") else host, ""
    return at, "a URL on another host" if lan.allows(host) else "a URL that leads out of the local network"


def shown(text: str) -> str:
    """A hostile text for a message: short, and printable."""
    return repr(text if len(text) <= 100 else text[:97] + "...")


def _split(text: str) -> SplitResult:
    if len(text) > MAX_URL or not text.isprintable() or " " in text:
        raise ProtocolError(f"not a URL: {shown(text)}")
    try:
        return urlsplit(text)
    except ValueError:
        raise ProtocolError(f"not a URL: {shown(text)}") from None


def _address(host: str) -> str:
    """The canonical text of an address, its zone kept; ValueError for names."""
    plain, _, zone = host.replace("%25", "%", 1).partition("%")
    if zone and not all(each.isalnum() or each in "._-" for each in zone):
        raise ValueError("a zone that is none")
    address = ip_address(plain)
    if zone and not (isinstance(address, IPv6Address) and address.is_link_local):
        raise ValueError("a zone on an address that has none")
    return f"{address}%{zone}" if zone else str(address)


def _target(parts: SplitResult) -> str:
    path = parts.path if parts.path.startswith("/") else f"/{parts.path}"
    target = f"{path}?{parts.query}" if parts.query else path
    return "".join(each if "!" <= each <= "~" else _percent(each) for each in target)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
