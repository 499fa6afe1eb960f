"""What was seen on the local network."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.endpoint import Family
from nattools.model.host import InterfaceKind
from nattools.model.observed import Observation


class LanLink(Observation, frozen=True, kw_only=True, tag="lan-link"):
    """The interface that was looked at, with its addresses and the routers on it. `glance`: in a second, by
    the way."""

    interface: str
    type: InterfaceKind
    mtu: int | None = None
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    glance: bool = False


class ServiceSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A service that was announced: by the machine at `source`, of this kind; `host` and `addresses` are what
    the announcement says of where it is."""

    source: str
    service: str
    instance: str = ""
    host: str = ""
    addresses: tuple[str, ...] = ()


class MdnsTrial(Observation, frozen=True, kw_only=True, tag="mdns-trial"):
    """Questions by multicast DNS from port 5353 with the group joined, over one family: who answered, and
    with what. `askers`: who else was heard to ask. `detail` says why none could be asked."""

    family: Family
    sent: int = 0
    responders: tuple[str, ...] = ()
    askers: tuple[str, ...] = ()
    services: tuple[ServiceSeen, ...] = ()
    detail: str = ""


class BeaconsSent(Observation, frozen=True, kw_only=True, tag="beacons-sent"):
    """Beacons for other machines that run `nattools lan`: how many were sent by each way, for how long they
    were listened for."""

    sent: dict[str, int] = msgspec.field(default_factory=dict)
    listened_s: float = 0.0


class BeaconPeer(Observation, frozen=True, kw_only=True, tag="beacon-peer"):
    """Another machine that runs `nattools lan`: by which ways its beacons came, and by which it says that
    ours have come. `sends`: the ways by which it says that it sends, and so may hear. `last_s`: when the last
    one came by each way, in seconds since it was listened."""

    address: str
    came: tuple[str, ...] = ()
    arrived: tuple[str, ...] = ()
    sends: tuple[str, ...] = ()
    last_s: dict[str, float] = msgspec.field(default_factory=dict)


class LanEcho(Observation, frozen=True, kw_only=True, tag="lan-echo"):
    """Echo requests to a machine on the local network. `named`: the user says that it is there. `refused`: it
    is alive all the same, for it refused a connection. `beyond`: it is on another network, for a router would
    have passed the request on; `through`: it answered through that one. `router`: it has a router's hardware
    address."""

    address: str
    role: Literal["gateway", "neighbour", "named"]
    sent: int = 0
    received: int = 0
    refused: bool = False
    beyond: bool = False
    through: bool = False
    router: bool = False


class YggdrasilHeard(Observation, frozen=True, kw_only=True, tag="yggdrasil-heard"):
    """Who sent beacons as Yggdrasil does, to ff02::114 port 9001, while it was listened for."""

    sources: tuple[str, ...] = ()
    listened_s: float = 0.0
    detail: str = ""


LanObservation = LanLink | MdnsTrial | BeaconsSent | BeaconPeer | LanEcho | YggdrasilHeard
