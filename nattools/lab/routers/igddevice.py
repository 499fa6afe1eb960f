"""How a fake router shows itself as a UPnP device: what it says to M-SEARCH and to GET. Pure."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

from nattools.errors import ProtocolError
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.model.endpoint import family_of, url_host
from nattools.protocols import ssdp

PORT = 5000
DESCRIPTION = "/rootDesc.xml"
DOWN_DESCRIPTION = "/old/desc.xml"
DECOYS = "/decoy/"
_MEDIA = "/media/"
_MEDIA_SERVER = "urn:schemas-upnp-org:device:MediaServer:1"
_MEDIA_DESCRIPTION = (
    '<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device>'
    f"<deviceType>{_MEDIA_SERVER}</deviceType><friendlyName>Films</friendlyName></device></root>"
)
_UDN = "uuid:7e57ab1e-0000-4000-8000-00000000a00{}"
_ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE root [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c SYSTEM "file:///etc/passwd">]><root><device><friendlyName>&b;&c;</friendlyName></device></root>'
)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An HTTP response, after `late_s`: `pause_s` before each part of its body;
    `endless`: the last part comes for ever. `dies`: the web server ends with it."""

    status: int
    body: bytes
    pause_s: float = 0.0
    endless: bool = False
    reason: str = "OK"
    location: str = ""
    late_s: float = 0.0
    dies: bool = False


class IgdDevice:
    """One router's announcements and descriptions."""

    def __init__(self, behaviour: RouterBehaviour) -> None:
        self._behaviour = behaviour

    def search(self, data: bytes, own: str) -> list[bytes]:
        """What it says to an M-SEARCH; `own` is the address that it names as its own."""
        behaviour = self._behaviour
        try:
            target = ssdp.decode_search(data)
        except ProtocolError:
            return []
        if behaviour.only_target not in (None, target):
            return []
        places = [behaviour.location or _place(own)]
        if behaviour.down_first:
            places.insert(0, _place(own, DOWN_DESCRIPTION))
        places += [_place(own, f"{DECOYS}{number}") for number in range(behaviour.decoys)]
        return self._others(target, own) + [
            ssdp.encode_response(kind, f"{_UDN.format(len(place))}::{kind}", place, server="Fake/1 UPnP/1.1")
            for place in places
            for kind in self._targets(target)
            for _ in range(behaviour.copies)
        ]

    def _others(self, target: str, own: str) -> list[bytes]:
        """What its devices say that are no gateways."""
        kinds = {ssdp.ALL: (ssdp.ROOT, _MEDIA_SERVER), ssdp.ROOT: (ssdp.ROOT,)}.get(target, ())
        return [
            ssdp.encode_response(kind, f"{_UDN.format(number)}9::{kind}", _place(own, f"{_MEDIA}{number}"))
            for number in range(self._behaviour.devices_first)
            for kind in kinds
        ]

    def announcement(self, own: str) -> bytes:
        """The NOTIFY by which it tells that it is there (UPnP Device Architecture 1.1, section 1.2.2)."""
        group = ssdp.GROUPS[family_of(own)][0]
        kind = self._targets(ssdp.ALL)[1]
        lines = (
            "NOTIFY * HTTP/1.1",
            f"HOST: {group}:{ssdp.PORT}",
            "CACHE-CONTROL: max-age=120",
            f"LOCATION: {self._behaviour.location or _place(own)}",
            f"NT: {kind}",
            f"USN: {_UDN.format(2)}::{kind}",
            "NTS: ssdp:alive",
            "",
            "",
        )
        return "\r\n".join(lines).encode()

    def _targets(self, asked: str) -> list[str]:
        own = [
            f"urn:schemas-upnp-org:device:InternetGatewayDevice:{version}"
            for version in range(1, self._behaviour.igd_version + 1)
        ]
        if asked == ssdp.ALL:
            return [ssdp.ROOT, own[-1], *(_type(name) for name in self._behaviour.services)]
        services = [_type(name) for name in self._behaviour.services]
        return [asked] if asked in (*own, *services, ssdp.ROOT) else []

    def _written(self, name: str) -> str:
        """A service type as it writes it."""
        written = _type(name)
        return {"lower": written.lower(), "upper": written.upper()}.get(self._behaviour.type_case, written)

    def get(self, target: str) -> HttpReply:
        behaviour = self._behaviour
        if behaviour.redirect is not None and target == DESCRIPTION:
            return HttpReply(302, b"", reason="Found", location=behaviour.redirect)
        if target == DOWN_DESCRIPTION:
            return HttpReply(200, self._description("/old/ctl", 1).encode())
        if target.startswith(_MEDIA) and behaviour.devices_first:
            return HttpReply(200, _MEDIA_DESCRIPTION.encode())
        if target.startswith(DECOYS) and behaviour.decoys:
            return HttpReply(200, self._description("/ctl", 100 + int(target.removeprefix(DECOYS))).encode())
        if target != DESCRIPTION and behaviour.location is None and behaviour.redirect is None:
            return HttpReply(404, b"", reason="Not Found")
        text = self._description(behaviour.control or "/ctl", 2)
        if behaviour.xml == "slow":
            return HttpReply(200, text.encode(), pause_s=0.7)
        if behaviour.xml == "endless":
            return HttpReply(200, b"<root>" + b"<device>" * 1000, endless=True)
        other = {"entities": _ENTITIES, "not xml": "<html><body>It works!"}.get(behaviour.xml)
        if behaviour.xml == "gzip":
            return HttpReply(200, gzip.compress(text.encode()))
        if behaviour.xml == "utf-16":
            return HttpReply(200, text.encode("utf-16"))
        if behaviour.xml == "doctype":
            return HttpReply(200, text.replace("<root ", "<!DOCTYPE root>\n<root ").encode())
        if behaviour.xml == "not well-formed":
            odd = "</manufacturer><modelNumber>\xf0_\xf0</modelNumber><x>a & b <info></x>"
            return HttpReply(200, text.replace("</manufacturer>", odd).encode("latin-1"))
        return HttpReply(200, (other or text).encode())

    def _description(self, control: str, number: int) -> str:
        services = "".join(
            f"<service><serviceType>{self._written(name)}</serviceType><serviceId>x</serviceId>"
            f"<SCPDURL>/scpd.xml</SCPDURL><controlURL>{control}/{index}</controlURL></service>"
            for index, name in enumerate(self._behaviour.services)
        )
        base = self._behaviour.url_base
        base = f"<URLBase>{base}</URLBase>" if base else ""
        return (
            f'<?xml version="1.0"?>\r\n<root xmlns="urn:schemas-upnp-org:device-1-0">{base}<device>'
            "<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:"
            f"{self._behaviour.igd_version}</deviceType><friendlyName>Fake</friendlyName>"
            f"<manufacturer>nattools</manufacturer><modelName>lab</modelName><UDN>{_UDN.format(number)}</UDN>"
            "<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>"
            f"<serviceList>{services}</serviceList></device></deviceList></device></root>"
        )


def _place(own: str, path: str = DESCRIPTION) -> str:
    return f"http://{url_host(own)}:{PORT}{path}"


def _type(name: str) -> str:
    legacy = name.removeprefix("dsl:")
    return f"urn:{'schemas-upnp-org' if legacy == name else 'dslforum-org'}:service:{legacy}"
