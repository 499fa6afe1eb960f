"""What a program that joins machines says of itself and of its peers, whichever program it is."""

from __future__ import annotations

from typing import Literal

import msgspec

OverlayProgram = Literal["tailscale", "netbird", "zerotier", "webrtc", "kubo", "libp2p", "ipfs"]
OverlayPath = Literal["direct", "relay", "peer-relay", "none", "trying", "failed", "unknown"]


class OverlayPeer(msgspec.Struct, frozen=True, kw_only=True):
    """A peer as the program sees it.

    `addresses`: its own within the overlay. `path`: the way that packets take now; "none": no way is chosen,
    as where nothing is sent; "trying": ways are tried, and none has answered yet; "failed": none did.
    `endpoint`: the peer's end of it, an address and port. `relay`: the relay in use, or the one at which the
    peer can be met. `endpoints`: where the peer says that it can be reached. `routes`: networks behind it
    that it passes packets on to. `reachable`: what the program itself says of an address, where that is what
    it lists. `handshake`: were keys agreed on with it; None: not told. `answers`: does
    its program answer this machine's; None: not told. `relayed_alone`: only relayed
    addresses are offered to it. `announced`: an address that a node gives to others as its own.
    """

    name: str
    addresses: tuple[str, ...] = ()
    online: bool | None = None
    active: bool | None = None
    expired: bool = False
    path: OverlayPath = "unknown"
    endpoint: str = ""
    relay: str = ""
    endpoints: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    latency_ms: float | None = None
    reachable: bool | None = None
    handshake: bool | None = None
    answers: bool | None = None
    relayed_alone: bool = False
    announced: bool = False


class OverlayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a program says of itself. `name`: the overlay's, if it has one. `state`: the program's own word.
    `addresses`, `endpoints`: this machine's, within the overlay and outside of it. `relay`: where it is to be
    met. `routes`: networks that it serves to others. `exit_node`: the address of the peer that all traffic
    goes through; `exit_online`: is it there; None: not told. `kernel`: it has an interface and
    routes of this system. `problems`: what the program itself complains of."""

    program: OverlayProgram
    version: str = ""
    name: str = ""
    state: str = ""
    addresses: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    relay: str = ""
    routes: tuple[str, ...] = ()
    exit_node: str = ""
    exit_online: bool | None = None
    kernel: bool | None = None
    problems: tuple[str, ...] = ()
    peers: tuple[OverlayPeer, ...] = ()
