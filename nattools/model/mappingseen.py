"""What was seen of routers that open ports: what they offer, what they were asked for, what came of it.

Addresses are in the form of `str(Endpoint)`; times are seconds since the measurement began.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from nattools.model.endpoint import Family, Transport
from nattools.model.observed import Observation
from nattools.model.portmapping import MappingProtocol, Refusal


class MapOffer(Observation, frozen=True, kw_only=True, tag="map-offer"):
    """A router asked whether it makes port mappings (family 4) or pinholes (6) by one protocol.

    `outcome` "answered": it speaks the protocol and may be asked for mappings; `refusal` is then what already
    stands in the way. `local` is the own address that was asked from, `server` who was asked, `external` the
    address that the router claims, `connected` what it says of its own connection. `replies`: the interface
    by which packets from `local` leave for the internet (None: not known): if that is another one, what the
    router forwards is answered elsewhere. `other`: who answers is not the router that routes lead to.
    `quirks` are what was odd.
    """

    protocol: MappingProtocol
    family: Family
    interface: str | None
    local: str
    server: str
    outcome: Literal["answered", "refused", "timeout", "unreachable", "malformed", "not asked"]
    version: str = ""
    name: str = ""
    external: str | None = None
    connected: bool | None = None
    epoch_s: int | None = None
    rtt_s: float | None = None
    sent: int = 1
    refusal: Refusal | None = None
    replies: str | None = None
    other: bool = False
    quirks: tuple[str, ...] = ()
    detail: str = ""

    @property
    def host(self) -> str | None:
        """Who was asked by UPnP."""
        return urlsplit(self.server).hostname


class MapAttempt(Observation, frozen=True, kw_only=True, tag="map-attempt"):
    """A router asked to make, renew, delete or tell a mapping of `internal`, and what it said.

    `wanted_port` is the external port asked for (None: its choice), `external` the one that it gave, with its
    address as far as it told that. `lifetime_s` None: until it is deleted. `took_s`: how long it took.
    """

    action: Literal["make", "renew", "delete", "read back"]
    protocol: MappingProtocol
    transport: Transport
    family: Family
    internal: str
    wanted_port: int | None = None
    outcome: Literal[
        "granted", "deleted", "found", "refused", "timeout", "unreachable", "malformed", "not asked"
    ]
    external: str | None = None
    lifetime_s: int | None = None
    took_s: float = 0.0
    refusal: Refusal | None = None
    quirks: tuple[str, ...] = ()
    detail: str = ""


class MapCheck(Observation, frozen=True, kw_only=True, tag="map-check"):
    """A mapping tried from outside: a server at `origin` sent to (UDP) or connected to (TCP) `target`, up to
    `sent` times. The port behind the mapping, `internal`, had written to nobody.

    `outcome` "silent": the server did it and nothing arrived. `reached_card`: did it come to this machine's
    interface, before any firewall of its own? None: nobody looked. `opened_here`: did it get in once the port
    had sent packets that no router passes on? None: it was not tried, or says nothing.
    """

    protocol: MappingProtocol
    transport: Transport
    family: Family
    internal: str
    external: str | None
    target: str
    origin: str | None
    outcome: Literal["arrived", "silent", "refused", "unreachable", "denied", "error"]
    sent: int = 1
    waited_s: float = 0.0
    reached_card: bool | None = None
    opened_here: bool | None = None
    detail: str = ""


class MapEntry(Observation, frozen=True, kw_only=True, tag="map-entry"):
    """A row of a router's table of mappings, or of nattools' own journal (`ours`), whoever made it.
    `external_host` None: the table has no address. `lifetime_s` None: until it is deleted."""

    protocol: MappingProtocol
    transport: Transport
    family: Family
    internal: str
    external_port: int
    external_host: str | None = None
    lifetime_s: int | None
    description: str = ""
    enabled: bool = True
    ours: bool = False


class MapTable(Observation, frozen=True, kw_only=True, tag="map-table"):
    """A router's table of mappings that was asked for: `rows` of it were read. `incomplete` says as a clause
    why there may be more; "": that is all of it. `refusal`: the router does not show it, or not to its end.
    """

    protocol: MappingProtocol
    rows: int = 0
    incomplete: str = ""
    refusal: Refusal | None = None
