"""The local network: what it lets through between its machines, who is there, and for which programs that is
enough."""

from __future__ import annotations

import msgspec

from nattools.model.statement import Reason


class LanReadiness(msgspec.Struct, frozen=True, kw_only=True):
    """Will a program find its peers here and reach them? None: what it takes was not seen, and not excluded.
    `why` is the text of `reason`."""

    ready: bool | None = None
    why: str = ""
    reason: Reason = ()


class LanNeighbour(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that was seen. `services` as DNS-SD names their kinds, `_http._tcp`. `nattools`: it runs
    `nattools lan` too. `elsewhere`: its address is on another network, so that somebody reflects mDNS."""

    address: str
    name: str = ""
    services: tuple[str, ...] = ()
    gateway: bool = False
    nattools: bool = False
    elsewhere: bool = False


class LanMdns(msgspec.Struct, frozen=True, kw_only=True):
    """`responders`: the addresses that answered a question by multicast DNS."""

    responders: tuple[str, ...] = ()
    works: bool | None = None


class Lan(msgspec.Struct, frozen=True, kw_only=True):
    """`unicast`, `broadcast`, `multicast`: do these pass between the machines here; `multicast4` and
    `multicast6` the last by family. `isolated`: the access point or switch keeps its clients apart. `proven`:
    another machine that runs `nattools lan` has said what it heard, so that both directions are known.
    `multicast_lasts`: what is sent to a group still came after minutes; None: it was not listened for long.
    `why` and `to_do` are the texts of `reason` and `actions`."""

    interface: str = ""
    address: str = ""
    unicast: bool | None = None
    broadcast: bool | None = None
    multicast: bool | None = None
    multicast4: bool | None = None
    multicast6: bool | None = None
    isolated: bool | None = None
    proven: bool = False
    multicast_lasts: bool | None = None
    mdns: LanMdns = LanMdns()
    neighbours: tuple[LanNeighbour, ...] = ()
    yggdrasil: LanReadiness = LanReadiness()
    batman: LanReadiness = LanReadiness()
    qaul: LanReadiness = LanReadiness()
    syncthing: LanReadiness = LanReadiness()
    casting: LanReadiness = LanReadiness()
    why: str = ""
    to_do: tuple[str, ...] = ()
    reason: Reason = ()
    actions: Reason = ()
    evidence: tuple[int, ...] = ()
