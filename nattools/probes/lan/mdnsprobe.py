"""Who answers multicast DNS? Asked from port 5353 with the group joined, as responders expect it: from
another port some do not answer at all, and others answer to the asker alone (RFC 6762 6.7)."""

from __future__ import annotations

import asyncio
from typing import Final

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint, Family
from nattools.model.lanseen import MdnsTrial, ServiceSeen
from nattools.probes.lan.lancontext import LanContext
from nattools.protocols import mdns
from nattools.protocols.dnsreader import encode_name

AGAIN_S: Final = 0.7
"""Answers are held back by up to 120 ms (RFC 6762 6), and multicast is lost on Wi-Fi."""
SERVICES: Final = (
    "_airplay._tcp.local",
    "_googlecast._tcp.local",
    "_http._tcp.local",
    "_ipp._tcp.local",
    "_p2p._udp.local",
    "_ssh._tcp.local",
    "_workstation._tcp.local",
)
MOST_SOURCES: Final = 64
MOST_SERVICES: Final = 400
_MOST_UNRESOLVED: Final = 20
_WANTED: Final = (mdns.PTR, mdns.SRV, mdns.A, mdns.AAAA)
"""A TXT record may be as long as a message, and says nothing that is asked here."""


class MdnsResponders:
    """What came of machines and their services, by who sent it."""

    def __init__(self, context: LanContext) -> None:
        self._context = context
        self.records: dict[str, dict[mdns.DnsRecord, None]] = {}
        self.askers: dict[str, None] = {}

    def on_datagram(self, data: bytes, source: Endpoint) -> None:
        if source.port != mdns.PORT or self._context.is_own(source.host):
            return
        try:
            message = mdns.decode(data)
        except ProtocolError:
            return
        if not message.response and len(self.askers) < MOST_SOURCES:
            self.askers[source.host] = None
        if not message.response or (source.host not in self.records and len(self.records) >= MOST_SOURCES):
            return
        known = self.records.setdefault(source.host, {})
        for record in message.records:
            if record.kind not in _WANTED:
                continue
            if record.ttl_s == 0:  # it ends now (RFC 6762 10.1)
                _forget(known, record)
            elif len(known) < MOST_SERVICES:
                known[record] = None

    def kinds(self) -> list[str]:
        """The kinds of services that were named."""
        found = [
            record.value
            for records in self.records.values()
            for record in records
            if record.kind == mdns.PTR and record.name == mdns.ANY_SERVICE
        ]
        return list(dict.fromkeys(found))[:20]

    def unresolved(self) -> list[mdns.DnsQuestion]:
        """What leads from what was named to where it is, and was not said, or lost."""
        wanted: dict[mdns.DnsQuestion, None] = {}
        for records in self.records.values():
            said = {(record.name, record.kind) for record in records}
            for record in records:
                if record.kind == mdns.PTR and _is_service(record.name):
                    place = (record.value, mdns.SRV)
                elif record.kind == mdns.SRV:
                    place = (record.value.rpartition(":")[0], mdns.A)
                else:
                    continue
                if place not in said:
                    wanted[mdns.DnsQuestion(*place)] = None
        return list(wanted)[:_MOST_UNRESOLVED]


def _forget(known: dict[mdns.DnsRecord, None], ended: mdns.DnsRecord) -> None:
    for record in [each for each in known if each._replace(ttl_s=0) == ended]:
        del known[record]


async def ask_mdns(context: LanContext, family: Family) -> None:
    """Ask, ask again, and once more for what was named."""
    try:
        socket = await context.network.open_udp(
            family=family,
            host=context.own[family],
            port=mdns.PORT,
            group=context.group(mdns.GROUPS[family]),
        )
    except CannotRun as error:
        context.recorder.add(MdnsTrial(probe="lan", family=family, detail=str(error)))
        return
    heard, sent = MdnsResponders(context), 0
    socket.on_datagram = heard.on_datagram
    to = Endpoint(context.group(mdns.GROUPS[family]), mdns.PORT)
    try:
        for wait_s in _waits(context):
            names = dict.fromkeys((mdns.ANY_SERVICE, *SERVICES, *heard.kinds()))
            wanted = [*(mdns.DnsQuestion(name, mdns.PTR) for name in names), *heard.unresolved()]
            questions = [each for each in wanted if _is_name(each.name)]
            if socket.send(mdns.encode_query(questions), to, ttl=255) is None:
                sent += 1
            await asyncio.sleep(wait_s)
    finally:
        socket.close()
        context.recorder.add(
            MdnsTrial(
                probe="lan",
                family=family,
                sent=sent,
                responders=tuple(heard.records),
                askers=tuple(heard.askers),
                services=() if context.glance else tuple(services_of(heard.records)),
            )
        )


def _waits(context: LanContext) -> tuple[float, ...]:
    """After each question."""
    if context.glance:
        return context.listen_s / 2, context.listen_s / 2
    return AGAIN_S, AGAIN_S, max(0.3, context.listen_s - 2 * AGAIN_S)


def _is_name(name: str) -> bool:
    """May it be asked for? What others name is theirs to choose."""
    try:
        encode_name(name)
    except ValueError:
        return False
    return name.endswith(".local")


def _is_service(name: str) -> bool:
    """A kind of service, `_http._tcp.local`; no pointer of another use, as from an address to a name, and no
    subtype, of which the kind is announced too (RFC 6763 7.1)."""
    labels = name.split(".")
    return len(labels) == 3 and labels[1] in ("_tcp", "_udp") and labels[0].startswith("_")


def services_of(heard: dict[str, dict[mdns.DnsRecord, None]]) -> list[ServiceSeen]:
    """What each of them offers: PTR leads to SRV, and that to addresses (RFC 6763 4)."""
    found: dict[ServiceSeen, None] = {}
    for source, records in heard.items():
        places = {each.name: each.value for each in records if each.kind == mdns.SRV}
        for each in records:
            if each.kind != mdns.PTR or not _is_service(each.name):
                continue
            host = places.get(each.value, "").rpartition(":")[0]
            addresses = [one.value for one in records if one.kind in (mdns.A, mdns.AAAA) and one.name == host]
            service = ServiceSeen(
                source=source,
                service=each.name.removesuffix(".local")[:80],
                instance=each.value.removesuffix(f".{each.name}")[:80],
                host=host[:80],
                addresses=tuple(dict.fromkeys(addresses))[:8],
            )
            found[service] = None
    return list(found)[:MOST_SERVICES]
