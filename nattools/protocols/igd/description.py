"""Device descriptions of internet gateways (UPnP Device Architecture 2; InternetGatewayDevice:1 and :2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, get_args
from xml.etree.ElementTree import Element

import msgspec

from nattools.errors import ProtocolError
from nattools.protocols.igd import xml
from nattools.protocols.routerurls import LanUrl, LocalNetwork, locate_url, resolve_url

ServiceKind = Literal[
    "WANIPConnection", "WANPPPConnection", "WANIPv6FirewallControl", "WANCommonInterfaceConfig"
]

_MAX_SERVICES = 64
_MAX_PLACES = 4
_SERVICE_TYPE = re.compile(
    r"urn:(schemas-upnp-org|dslforum-org):service:"
    r"(WANIPConnection|WANPPPConnection|WANIPv6FirewallControl|WANCommonInterfaceConfig):(\d{1,3})",
    re.IGNORECASE | re.ASCII,
)
_GATEWAY_TYPE = re.compile(
    r"urn:(?:schemas-upnp-org|dslforum-org):device:InternetGatewayDevice:(\d{1,3})",
    re.IGNORECASE | re.ASCII,
)
_KINDS: dict[str, ServiceKind] = {each.lower(): each for each in get_args(ServiceKind)}


class Service(msgspec.Struct, frozen=True):
    """A service that can be called. `type` is as the router writes it: its actions must be named by it.

    `legacy`: of the DSL Forum's namespace, which some routers use instead of UPnP's. `others` are where it
    may be if it is not at `control`: routers do not agree about what a relative URL is relative to.
    """

    type: str
    kind: ServiceKind
    version: int
    legacy: bool
    control: LanUrl
    others: tuple[LanUrl, ...] = ()

    @property
    def variants(self) -> Iterator[Service]:
        """This one, and what to try if it does not answer as such: at other places, and by version 1 of its
        type, whose actions alone some routers know that claim another version."""
        places = [msgspec.structs.replace(self, control=each, others=()) for each in self.others]
        yield from (self, *places)
        if self.version > 1:
            first = f"{self.type.rpartition(':')[0]}:1"
            yield from (msgspec.structs.replace(each, type=first, version=1) for each in (self, *places))

    @property
    def maps_ports(self) -> bool:
        """Can it make IPv4 port mappings?"""
        return self.kind in ("WANIPConnection", "WANPPPConnection")

    @property
    def rank(self) -> int:
        """Smaller is asked first: WANIPConnection:2, :1, WANPPPConnection:1, and the DSL Forum's last."""
        order = 0 if self.kind == "WANIPConnection" else 10
        return order - min(self.version, 9) + 100 * self.legacy


class Description(msgspec.Struct, frozen=True):
    """A device and what of an internet gateway is in it. `igd_version` is None where it is none.

    `services` are those that could be used, `problems` say why others could not.
    """

    friendly_name: str
    manufacturer: str
    model: str
    udn: str
    igd_version: int | None
    services: tuple[Service, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def connections(self) -> list[Service]:
        """Services that make port mappings, best first."""
        return sorted((each for each in self.services if each.maps_ports), key=lambda each: each.rank)

    @property
    def firewall(self) -> Service | None:
        """The service that makes IPv6 pinholes."""
        return next((each for each in self.services if each.kind == "WANIPv6FirewallControl"), None)


def parse_description(data: bytes, location: LanUrl, lan: LocalNetwork) -> Description:
    """A description found at `location`. ProtocolError: it is none.

    Control URLs are taken relative to URLBase if there is one, else to `location`; a service whose URL makes
    no sense is left out, and what is odd about the others' is told in `problems`.
    """
    root = xml.parse(data)
    device = xml.child(root, "device")
    if not xml.is_named(root, "root") or device is None:
        raise ProtocolError("an XML document that describes no device")
    bases, problems = _bases(root, location, lan)
    services: list[Service] = []
    for element in _services(device):
        _collect(element, bases, lan, services, problems)
    gateway = _GATEWAY_TYPE.match(xml.child_text(device, "deviceType"))
    return Description(
        xml.child_text(device, "friendlyName")[:200],
        xml.child_text(device, "manufacturer")[:200],
        xml.child_text(device, "modelName")[:200],
        xml.child_text(device, "UDN")[:200],
        int(gateway[1]) if gateway else None,
        tuple(services),
        tuple(problems[:_MAX_SERVICES]),
    )


def _bases(root: Element, location: LanUrl, lan: LocalNetwork) -> tuple[list[LanUrl], list[str]]:
    """What control URLs may be relative to, and what is odd about it."""
    text = xml.child_text(root, "URLBase")
    if not text:
        return [location], []
    try:
        base, problem = locate_url(text, lan, location.host)
    except ProtocolError as error:
        return [location], [f"URLBase is {error}"]
    return [base, location], [f"URLBase is {problem}"] if problem else []


def _services(device: Element) -> Iterator[Element]:
    """All services of a device and of the devices in it; the depth of XML documents is bounded."""
    for group in xml.children(device, "serviceList"):
        yield from xml.children(group, "service")
    for group in xml.children(device, "deviceList"):
        for inner in xml.children(group, "device"):
            yield from _services(inner)


def _collect(
    element: Element,
    bases: list[LanUrl],
    lan: LocalNetwork,
    services: list[Service],
    problems: list[str],
) -> None:
    service_type = xml.child_text(element, "serviceType")
    found = _SERVICE_TYPE.fullmatch(service_type)
    if found is None or len(services) >= _MAX_SERVICES:
        return
    try:
        control, *others = _places(bases, xml.child_text(element, "controlURL"), lan, problems)
    except ProtocolError as error:
        problems.append(f"{found[2]}:{found[3]} has {error}")
        return
    kind, legacy = _KINDS[found[2].lower()], found[1].lower() == "dslforum-org"
    service = Service(service_type, kind, int(found[3]), legacy, control, tuple(others))
    if service not in services:
        services.append(service)


def _places(bases: list[LanUrl], reference: str, lan: LocalNetwork, problems: list[str]) -> list[LanUrl]:
    """Where a control URL may lead, the likeliest first: as RFC 3986 has it; behind the whole of the base; at
    the root. ProtocolError: nowhere."""
    control, problem = resolve_url(bases[0], reference, lan)
    if problem:
        problems.append(f"{reference[:100]!r} is {problem}")
    if "//" in reference:
        return [control]
    path = reference.lstrip("/")
    below = [f"{base.target.rstrip('/')}/{path}" for base in bases[:-1]]
    tries = [(base, each) for base in bases for each in (reference, *below, f"/{path}")]
    found = [control, *(resolve_url(base, each, lan)[0] for base, each in tries)]
    return list(dict.fromkeys(found))[:_MAX_PLACES]
