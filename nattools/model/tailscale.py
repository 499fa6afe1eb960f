"""Tailscale and headscale on this network: what their clients will find, and which peers they reach
directly."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.overlay import OverlayProgram
from nattools.model.statement import Reason
from nattools.model.tailnetseen import ControlStep

TailscaleWay = Literal["direct", "relay", "unknown"]
PeerState = Literal["direct", "relayed", "idle", "offline", "trying", "failed", "doubtful", "unknown"]
ClashKind = Literal["addresses", "routes", "port", "rules", "default-route"]


class Netcheck(msgspec.Struct, frozen=True, kw_only=True):
    """What `tailscale netcheck --format=json` says, by its names: durations in nanoseconds by the region's
    number. A client would see these; `nat` says more."""

    UDP: bool = False
    IPv6: bool = False
    IPv4: bool = False
    IPv6CanSend: bool = False
    IPv4CanSend: bool = False
    OSHasIPv6: bool = False
    ICMPv4: bool = False
    MappingVariesByDestIP: bool | None = None
    UPnP: bool | None = None
    PMP: bool | None = None
    PCP: bool | None = None
    PreferredDERP: int = 0
    RegionLatency: dict[str, int] = {}
    RegionV4Latency: dict[str, int] = {}
    RegionV6Latency: dict[str, int] = {}
    GlobalV4: str = ""
    GlobalV6: str = ""
    CaptivePortal: bool | None = None


class DerpRegionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A region as this machine sees it. `by`: what measured the round trip, "" if nothing came back."""

    id: int
    code: str = ""
    name: str = ""
    rtt_ms: float | None = None
    by: Literal["stun", "https", "icmp", ""] = ""


class TailnetPeer(msgspec.Struct, frozen=True, kw_only=True):
    """A peer of a tailnet, or of another program's network. `direct`: do packets go to it directly now; None:
    none go, or it is not known. `now`: the same, and what leaves it open: "idle": nothing is sent, so no path
    is chosen; "trying" and "failed": no path has answered yet, or none did; "doubtful": the program calls it
    connected, and something speaks against it. `relay`: the relay in use, or the peer's. `why` and `advice`
    are the texts of `reason` and `remedy`."""

    name: str
    direct: bool | None
    now: PeerState = "unknown"
    relay: str = ""
    endpoint: str = ""
    why: str = ""
    advice: str = ""
    reason: Reason = ()
    remedy: Reason = ()


class Tailnet(msgspec.Struct, frozen=True, kw_only=True):
    """One tailnet. `reachable`: its control server answers and gives its key; None: there is none to ask.
    `logs_in`: the requests reach it by which clients leave HTTP to log in; None: not known.
    `map`: where its DERP map is from. `home_region`: the code of the region that its client would choose.
    `relays`: does its home region relay; None: not tried. `why` and `advice` are the texts of `reason` and
    `remedy`."""

    name: str
    program: OverlayProgram = "tailscale"
    control: str | None = None
    reachable: bool | None = None
    logs_in: bool | None = None
    steps: tuple[ControlStep, ...] = ()
    map: str | None = None
    home_region: str | None = None
    relays: bool | None = None
    regions: tuple[DerpRegionRow, ...] = ()
    netcheck: Netcheck | None = None
    peers: tuple[TailnetPeer, ...] = ()
    why: str = ""
    advice: str = ""
    reason: Reason = ()
    remedy: Reason = ()
    evidence: tuple[int, ...] = ()


class TailnetClash(msgspec.Struct, frozen=True, kw_only=True):
    """Two tailnets on this machine that stand in each other's way. `addresses`: the addresses or networks
    that both claim. `why` and `advice` are the texts of `reason` and `remedy`."""

    kind: ClashKind
    tailnets: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    why: str = ""
    advice: str = ""
    reason: Reason = ()
    remedy: Reason = ()


class Tailscale(msgspec.Struct, frozen=True, kw_only=True):
    """`direct_with`: for each kind of network that a peer may be behind, how Tailscale's own means connect
    it with this machine. `address_overlaps`: addresses and networks that two tailnets claim; `conflicts`:
    what else they both want. `why`, `to_do` and `beyond` are the texts of `reason`, `actions` and
    `beyond_netcheck`, which has what netcheck does not tell."""

    tailnets: tuple[Tailnet, ...] = ()
    address_overlaps: tuple[TailnetClash, ...] = ()
    conflicts: tuple[TailnetClash, ...] = ()
    direct_with: dict[str, TailscaleWay] = {}
    why: str = ""
    to_do: tuple[str, ...] = ()
    reason: Reason = ()
    actions: Reason = ()
    beyond: tuple[str, ...] = ()
    beyond_netcheck: Reason = ()
