"""SSDP, by which UPnP devices are found (UPnP Device Architecture 1.1 and 2.0, section 1). Pure.

Whoever is on the LAN may answer anything, as often as it likes: sizes and numbers are bounded here, and a
LOCATION is followed only to who named it, or to a gateway.
"""

from __future__ import annotations

import logging
import re
from typing import Literal

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Family, url_host
from nattools.protocols.headers import Headers, parse_head
from nattools.protocols.routerurls import LanUrl, LocalNetwork, locate_url

logger = logging.getLogger(__name__)

PORT = 1900
GROUPS: dict[Family, tuple[str, ...]] = {4: ("239.255.255.250",), 6: ("ff02::c", "ff05::c")}
TTL = 2
"""UPnP Device Architecture 1.1, section 1.3.2."""
ALL = "ssdp:all"
IGD1 = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
IGD2 = "urn:schemas-upnp-org:device:InternetGatewayDevice:2"
IP_CONNECTION = "urn:schemas-upnp-org:service:WANIPConnection:1"
PPP_CONNECTION = "urn:schemas-upnp-org:service:WANPPPConnection:1"
ROOT = "upnp:rootdevice"
MAX_DATAGRAM = 8192
MAX_FOUND = 64
_MAX_VALUE = 512

Kind = Literal["response", "alive", "update", "byebye"]
_NOTIFICATIONS: dict[str, Kind] = {"ssdp:alive": "alive", "ssdp:update": "update", "ssdp:byebye": "byebye"}
_GATEWAY = re.compile(
    r":(InternetGatewayDevice|WANDevice|WANConnectionDevice|WANIPConnection|WANPPPConnection"
    r"|WANIPv6FirewallControl|WANCommonInterfaceConfig):",
    re.IGNORECASE,
)


class Announcement(msgspec.Struct, frozen=True):
    """An answer to M-SEARCH, or a NOTIFY. `target` is its ST or NT; `location` is as it came, and hostile."""

    kind: Kind
    target: str
    usn: str
    location: str = ""
    boot_id: int | None = None

    @property
    def udn(self) -> str:
        """The device's name, `uuid:...`; "" where the USN has none."""
        return self.usn.partition("::")[0] if self.usn.lower().startswith("uuid:") else ""

    @property
    def is_gateway(self) -> bool:
        """Does it speak of an internet gateway, or of a part of one?"""
        return bool(_GATEWAY.search(f"{self.target}:") or _GATEWAY.search(f"{self.usn}:"))


def search(target: str = ALL, *, group: str = GROUPS[4][0]) -> bytes:
    """An M-SEARCH (section 1.3.2). MX is 1: answers are spread over a second.

    Sent to one device it looks the same: UPnP Device Architecture 1.1 would have it name that device and no
    MX, but some devices answer only what they know from multicast.
    """
    lines = (
        "M-SEARCH * HTTP/1.1",
        f"HOST: {url_host(group)}:{PORT}",
        'MAN: "ssdp:discover"',
        "MX: 1",
        f"ST: {target}",
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def decode_search(data: bytes) -> str:
    """The target that an M-SEARCH asks for: the device's side. ProtocolError."""
    first, headers = _head(data)
    if first.upper().split()[:2] != ["M-SEARCH", "*"] or headers.get("man").strip('"') != "ssdp:discover":
        raise ProtocolError("not an M-SEARCH")
    return _value(headers, "st")


def encode_response(target: str, usn: str, location: str, *, server: str = "") -> bytes:
    """The device's side: its answer to an M-SEARCH."""
    lines = (
        "HTTP/1.1 200 OK",
        "CACHE-CONTROL: max-age=120",
        f"ST: {target}",
        f"USN: {usn}",
        "EXT:",
        f"SERVER: {server}",
        f"LOCATION: {location}",
        "BOOTID.UPNP.ORG: 1",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def decode(data: bytes) -> Announcement:
    """An answer or a NOTIFY. ProtocolError for everything else, others' M-SEARCH included."""
    first, headers = _head(data)
    words = first.upper().split()
    if words[:1] and words[0].startswith("HTTP/1.") and words[1:2] == ["200"]:
        return _announcement("response", _value(headers, "st"), headers)
    if words[:2] == ["NOTIFY", "*"]:
        kind = _NOTIFICATIONS.get(headers.get("nts").lower())
        if kind is None:
            raise ProtocolError("a NOTIFY of no known kind")
        return _announcement(kind, _value(headers, "nt"), headers)
    raise ProtocolError("not an answer of SSDP")


def _head(data: bytes) -> tuple[str, Headers]:
    if len(data) > MAX_DATAGRAM:
        raise ProtocolError(f"an SSDP message of {len(data)} bytes")
    return parse_head(data)


def _announcement(kind: Kind, target: str, headers: Headers) -> Announcement:
    location = _value(headers, "location")
    if kind in ("response", "alive") and not location:
        raise ProtocolError("an announcement without LOCATION")
    boot = headers.get("bootid.upnp.org")
    return Announcement(
        kind,
        target,
        _value(headers, "usn"),
        location,
        int(boot) if boot.isascii() and boot.isdigit() and len(boot) <= 10 else None,
    )


def _value(headers: Headers, name: str) -> str:
    value = headers.get(name)
    if len(value) > _MAX_VALUE:
        raise ProtocolError(f"an SSDP header {name} of {len(value)} characters")
    return value


class Device(msgspec.Struct, frozen=True):
    """What announced itself at one place: `url` is where to look for its description, None: nowhere; `source`
    is who said so, and `problem` what is odd about the place. `is_gateway`: it may be one, as whatever the
    router has; `says_so`: that is what it calls itself."""

    url: LanUrl | None
    source: Endpoint
    is_gateway: bool
    problem: str = ""
    says_so: bool = False


class Finder:
    """Collects announcements, each device once; pure.

    `receive_datagram` takes what came to the socket that sent M-SEARCH, from whatever port: some routers
    answer from another one than 1900. It returns the device if that was new or has turned out to be a
    gateway. However many others there are, the gateway's own are never crowded out.
    """

    def __init__(self, lan: LocalNetwork) -> None:
        self.devices: dict[tuple[str, str], Device] = {}
        """By who said so, and LOCATION."""
        self._lan = lan
        self._counts = {True: 0, False: 0}

    def receive_datagram(self, data: bytes, source: Endpoint) -> Device | None:
        """Take what arrived; None: nothing new."""
        if not self._lan.allows(source.host):
            logger.debug("an answer from %s, which is not on the local network", source)
            return None
        try:
            announcement = decode(data)
        except ProtocolError as error:
            logger.debug("from %s: %s", source, error)
            return None
        if announcement.kind not in ("response", "alive"):
            return None
        key = (source.host, announcement.location)
        known = self.devices.get(key)
        if known is None:
            return self._new(key, announcement, source)
        if known.says_so or not announcement.is_gateway:
            return None
        self.devices[key] = msgspec.structs.replace(known, is_gateway=True, says_so=True)
        return self.devices[key]

    def _new(self, key: tuple[str, str], announcement: Announcement, source: Endpoint) -> Device | None:
        own = self._lan.is_gateway(source.host)
        if self._counts[own] >= MAX_FOUND:
            logger.debug("more than %d devices", MAX_FOUND)
            return None
        self._counts[own] += 1
        zone = source.host.partition("%")[2] or self._lan.zone
        near = msgspec.structs.replace(self._lan, zone=zone)
        try:
            url, problem = locate_url(announcement.location, near, source.host)
        except ProtocolError as error:
            url, problem = None, str(error)
        says_so = announcement.is_gateway
        self.devices[key] = Device(url, source, says_so or own, problem, says_so)
        return self.devices[key]
