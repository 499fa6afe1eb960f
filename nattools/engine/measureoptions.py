"""What a measurement was asked to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from nattools.model.endpoint import Family, Transport
from nattools.model.portmapping import MAPPING_NAME, MappingProtocol
from nattools.model.serveruri import ServerUri

if TYPE_CHECKING:
    from nattools.engine.peersearch import PeerSearch
    from nattools.engine.relaysearch import RelaySearch
    from nattools.engine.tailnetsearch import TailnetSearch


class MeasureOptions(msgspec.Struct, frozen=True):
    """The options of a measurement, checked.

    `servers` in the order of preference; `default_servers`: they are the built-in public list, of which only
    as many are asked as are needed, and of which some may be down. `families`: what may be measured.
    `interface`: bind to it (None: the system's choice). `timeout_s` bounds the whole measurement (None:
    the engine's own bounds). `lifetime`: measure the binding lifetime up to `max_lifetime_s` seconds of
    idleness. `cross_check`: ask other tools for a second opinion. `scenario`, `seed`: to note in the report.
    `relays`: the relays to try beside all else (None: none); `libp2p`: the peers to ask (None: none);
    `tailnets`: those to look at. `mtu`: look for the path MTU.
    """

    command: Literal[
        "diagnose", "nat", "ipv6", "map", "punch", "pwnat", "relay", "libp2p", "tailscale", "lan"
    ]
    servers: tuple[ServerUri, ...]
    families: tuple[Family, ...] = (4, 6)
    interface: str | None = None
    timeout_s: float | None = None
    lifetime: bool = False
    max_lifetime_s: float = 300.0
    cross_check: bool = False
    scenario: str | None = None
    seed: int | None = None
    default_servers: bool = False
    relays: RelaySearch | None = None
    mtu: bool = False
    libp2p: PeerSearch | None = None
    tailnets: TailnetSearch | None = None
    peers: tuple[str, ...] = ()
    listen_s: float = 2.0

    @property
    def subject(self) -> tuple[Family, ...]:
        """The families that the command is about: `ipv6` measures IPv4 to compare with it."""
        if self.command != "ipv6":
            return self.families
        return tuple(family for family in self.families if family == 6)


MAPPING_LIFETIME_S = 7200


class MapOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `nattools map`, checked.

    `ports` are inside ports of this machine, or of its own address `host` (None: the one that the router
    sees). `external_port` None: the router's choice, the same number if it can. `protocol` None: any.
    `mine`: all that nattools has made and noted. `gateway`: the router to ask, whatever the routes say.
    """

    ports: tuple[int, ...] = ()
    host: str | None = None
    external_port: int | None = None
    lifetime_s: int = MAPPING_LIFETIME_S
    description: str = MAPPING_NAME
    protocol: MappingProtocol | None = None
    transports: tuple[Transport, ...] = ("udp", "tcp")
    mine: bool = False
    gateway: str | None = None


class Event(msgspec.Struct, frozen=True):
    """A named probe started, moved on, or finished.

    `text` says for a person what is being waited for (on "finished": what came of it, or nothing).
    `fraction` in 0..1 is how much of this probe is done, None if that is not known. `alone`: it is no probe
    among others, but what everything waits for now.
    """

    kind: Literal["started", "progress", "finished"]
    probe: str
    text: str = ""
    fraction: float | None = None
    alone: bool = False


Emit = Callable[[Event], None]


RFC5780_SERVERS: tuple[str, ...] = (
    "stun:stunserver2025.stunprotocol.org:3478",
    "stun:stun.voipgate.com:3478",
    "stun:stun.sipgate.net:3478",
    "stun:stun.hot-chilli.net:3478",
)
PLAIN_SERVERS: tuple[str, ...] = (
    "stun:stun.cloudflare.com:3478",
    "stun:stun.l.google.com:19302",
    "stun:stun.nextcloud.com:443",
    "stun:turn.cloudflare.com:3478",
)
PUBLIC_SERVERS: tuple[str, ...] = RFC5780_SERVERS + PLAIN_SERVERS
