"""What was seen on the local network, as sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nattools.model import lanseen as seen
from nattools.wording.terms import number, seconds


def _link(o: seen.LanLink) -> str:
    routers = f", routers {', '.join(o.gateways)}" if o.gateways else ", no router"
    size = "" if o.mtu is None else f", MTU {number(o.mtu)}"
    return f"interface {o.interface}, {o.type}: {', '.join(o.addresses)}{size}{routers}"


def _mdns(o: seen.MdnsTrial) -> str:
    who = ", ".join(o.responders[:10]) or "nobody"
    others = f"; {', '.join(o.askers[:10])} asked, too" if o.askers else ""
    detail = f" ({o.detail})" if o.detail else ""
    return f"multicast DNS over IPv{o.family}, {number(o.sent)} asked: {who} answered{others}{detail}"


def _sent(o: seen.BeaconsSent) -> str:
    ways = ", ".join(f"{number(count)} by {way}" for way, count in o.sent.items()) or "none"
    return f"beacons sent in {seconds(o.listened_s)}: {ways}"


def _peer(o: seen.BeaconPeer) -> str:
    came, arrived = ", ".join(o.came) or "no way", ", ".join(o.arrived) or "no way"
    return f"beacons of {o.address}: came by {came}; ours arrived by {arrived}"


def _echo(o: seen.LanEcho) -> str:
    refused = ", refused a connection" if o.refused else ""
    through = ", answers through the router" if o.through else ", silent through the router"
    beyond = f", on another network{through}" if o.beyond else ", which is the router" if o.router else ""
    return f"echo to the {o.role} {o.address}: {number(o.received)} of {number(o.sent)}{refused}{beyond}"


def _yggdrasil(o: seen.YggdrasilHeard) -> str:
    who = ", ".join(o.sources[:10]) or "nobody"
    detail = f" ({o.detail})" if o.detail else ""
    return f"Yggdrasil's beacons in {seconds(o.listened_s)}: {who}{detail}"


LINES: dict[type, Callable[[Any], str]] = {
    seen.LanLink: _link,
    seen.MdnsTrial: _mdns,
    seen.BeaconsSent: _sent,
    seen.BeaconPeer: _peer,
    seen.LanEcho: _echo,
    seen.YggdrasilHeard: _yggdrasil,
}
