"""Does a scenario make sense as a whole? Each error names the key to change."""

from __future__ import annotations

from ipaddress import IPv4Network

from nattools.errors import ProtocolError
from nattools.lab.eventplayer import specs_in_time
from nattools.lab.impairment import Impairment
from nattools.lab.scenario import (
    INTERNET,
    HostSpec,
    MapperSpec,
    Nat64Spec,
    NatSpec,
    RouterSpec,
    Scenario,
    has_ipv6,
    host_behind,
    inside_network,
    nodes_by_kind,
    routers,
)
from nattools.lab.scenarioevents import EventSpec
from nattools.lab.tomlfields import InvalidValue, convert, shown, suggestion
from nattools.protocols.nat64 import parse_prefix

_PRIVILEGED = 1024
SHORTEST_REPEAT_S = 0.1
LATEST_S = 1e9


def validate(scenario: Scenario) -> None:
    """Raises `InvalidValue`."""
    check_wiring(scenario)
    for name, nat in scenario.nat.items():
        _check_allocation(("nat", name), nat)
        _check_network(scenario, name, nat)
        _check_pool(("nat", name), nat)
        if nat.dmz is not None and (
            nat.dmz not in scenario.host or name not in host_behind(scenario, nat.dmz)
        ):
            raise InvalidValue(("nat", name, "dmz"), f"{shown(nat.dmz)} is not a host behind {name!r}")
        _check_portal(("nat", name), nat)
        if nat.nat64 is not None:
            _check_nat64(scenario, name, nat, nat.nat64)
        if nat.mapper is not None:
            _check_mapper(("nat", name, "mapper"), nat.mapper)
    for name, host in scenario.host.items():
        _check_host(scenario, name, host)
    _check_uplinks(scenario)
    for event in scenario.event:
        _check_event(scenario, event)
    for name in {event.node for event in scenario.event if event.what == "behaves"}:
        for nat in specs_in_time(scenario, name)[1:]:
            _check_allocation(("event", "now"), nat)
            _check_portal(("event", "now"), nat)


def _check_portal(path: tuple[str, ...], nat: NatSpec) -> None:
    if nat.portal is not None and (nat.ipv6 is not None or nat.mapper is not None):
        raise InvalidValue((*path, "portal"), "it lets nothing out: leave out ipv6 and mapper")


_STAYS = (
    "behind", "address", "reserved_wan", "engine", "ipv6", "dmz", "mapper", "nat64", "lan", "pool", "pooling",
)  # fmt: skip
_ROUTER_EVENTS = ("table-lost", "restarted", "behaves", "new-address")


def _check_uplinks(scenario: Scenario) -> None:
    for kind, nodes in nodes_by_kind(scenario).items():
        for name in nodes:
            spec: Impairment = getattr(scenario, kind)[name]
            for key in ("rate_up_mbps", "queue_ms"):
                if spec.rate_mbps is None and getattr(spec, key) != getattr(Impairment(), key):
                    raise InvalidValue((kind, name, key), "it is for a bounded rate: set rate_mbps too")


def _check_event(scenario: Scenario, event: EventSpec) -> None:
    """Can it happen to that node?"""
    path, name = ("event",), event.node
    known = [each for nodes in nodes_by_kind(scenario).values() for each in nodes]
    if name not in known:
        raise InvalidValue((*path, "node"), f"there is no node {shown(name)}; {suggestion(name, known)}")
    if not (0 <= event.at_s <= LATEST_S and 0 <= event.down_s <= LATEST_S):
        raise InvalidValue((*path, "at_s"), f"at_s and down_s are from 0 to {LATEST_S:g} s")
    if event.every_s is not None and not SHORTEST_REPEAT_S <= event.every_s <= LATEST_S:
        raise InvalidValue((*path, "every_s"), f"from {SHORTEST_REPEAT_S:g} to {LATEST_S:g} s")
    if (event.what == "moved") != (event.to is not None):
        raise InvalidValue((*path, "to"), 'it is for "moved", which needs it')
    if (event.what == "behaves") != bool(event.now):
        raise InvalidValue((*path, "now"), 'it is for "behaves", which needs it')
    if event.what == "moved" and event.to not in (
        host_behind(scenario, name) if name in scenario.host else ()
    ):
        raise InvalidValue((*path, "to"), f"{shown(name)} is not a host behind {shown(event.to)}")
    if event.what in _ROUTER_EVENTS and name not in routers(scenario):
        raise InvalidValue((*path, "what"), f"{event.what!r} happens to routers, and {shown(name)} is none")
    if event.what.startswith("server-") and name not in scenario.server:
        raise InvalidValue((*path, "what"), f"{event.what!r} happens to servers, and {shown(name)} is none")
    nat = scenario.nat.get(name)
    if event.what == "new-address" and (nat is None or nat.pooling != "in-turn"):
        raise InvalidValue((*path, "what"), f'{shown(name)} needs pool = 2 or more, and pooling = "in-turn"')
    if event.what == "new-address" and nat is not None and nat.mapper is not None:
        raise InvalidValue(
            (*path, "what"), f"the mapper of {shown(name)} would tell the old address: leave it out"
        )
    if event.what == "behaves":
        if nat is None:
            raise InvalidValue((*path, "what"), f"only a nat can behave otherwise, and {shown(name)} is none")
        for key in Impairment.__struct_fields__:
            if key in event.now:
                raise InvalidValue((*path, "now", key), "it is its uplink's, which stays as it is")
        for structural in _STAYS:
            if structural in event.now:
                raise InvalidValue(
                    (*path, "now", structural), "that stays as it is: mapping and filtering change"
                )
        convert(event.now, NatSpec, (*path, "now"))


def check_wiring(scenario: Scenario) -> None:
    """Can the nodes be joined at all? Raises `InvalidValue`."""
    if not scenario.host:
        raise InvalidValue(("host",), "a scenario needs a host")
    _unique_names(scenario)
    known = routers(scenario)
    for name, router_spec in known.items():
        _check_behind(scenario, name, router_spec)
    for name in scenario.host:
        for router in host_behind(scenario, name):
            if router not in known:
                reason = f"{shown(router)} is neither a nat nor a firewall here; {suggestion(router, known)}"
                raise InvalidValue(("host", name, "behind"), reason)


def _unique_names(scenario: Scenario) -> None:
    seen = {INTERNET}
    for kind, nodes in nodes_by_kind(scenario).items():
        for name in nodes:
            if name in seen:
                raise InvalidValue((kind, name), "this name is taken by another node")
            seen.add(name)


def _kind(scenario: Scenario, router: str) -> str:
    return "nat" if router in scenario.nat else "firewall"


def _check_behind(scenario: Scenario, name: str, spec: RouterSpec) -> None:
    """The way out leads to the internet: no unknown router on it, and no circle."""
    path = (_kind(scenario, name), name, "behind")
    known = routers(scenario)
    seen = {name}
    outer = spec.behind
    while outer is not None:
        if outer not in known:
            raise InvalidValue(
                path, f"{shown(outer)} is neither a nat nor a firewall here; {suggestion(outer, known)}"
            )
        if outer in seen:
            raise InvalidValue(path, f"{name!r} is behind itself")
        seen.add(outer)
        outer = known[outer].behind


def _check_allocation(path: tuple[str, ...], spec: NatSpec) -> None:
    ordinary = NatSpec()
    if spec.block is not None and spec.allocation not in (None, "block"):
        raise InvalidValue(
            (*path, "block"), f'block is for allocation = "block", not for {spec.allocation!r}'
        )
    for key in ("step", "foreign_sessions"):
        if getattr(spec, key) != getattr(ordinary, key) and spec.allocation != "sequential":
            raise InvalidValue((*path, key), f'{key} is for allocation = "sequential"')
    if spec.block is not None or spec.allocation == "block":
        _check_block(path, spec)


def _check_pool(path: tuple[str, ...], spec: NatSpec) -> None:
    if spec.pool > 1 and spec.behind is not None:
        raise InvalidValue((*path, "pool"), "only a NAT that stands on the internet has several addresses")
    if spec.pool == 1 and spec.pooling != "paired":
        raise InvalidValue((*path, "pooling"), "it takes several addresses: pool = 2")


def _check_block(path: tuple[str, ...], spec: NatSpec) -> None:
    size = spec.block or 512
    low, high = spec.range or (_PRIVILEGED, 65535)
    first = -(-low // size) * size
    if first + size - 1 > high:
        reason = f"no block of {size} ports that begins at a multiple of {size} fits into {low} to {high}"
        raise InvalidValue((*path, "block" if spec.block else "allocation"), reason)


def _check_mapper(path: tuple[str, ...], spec: MapperSpec) -> None:
    if not spec.protocols or len(set(spec.protocols)) != len(spec.protocols):
        raise InvalidValue((*path, "protocols"), "name at least one protocol, and each only once")
    if spec.shortest_s > spec.longest_s:
        raise InvalidValue((*path, "shortest_s"), f"it is longer than longest_s ({spec.longest_s})")
    if spec.faults:
        from nattools.lab.routers.routerbehaviour import RouterBehaviour

        convert(spec.faults, RouterBehaviour, (*path, "faults"))


def _check_nat64(scenario: Scenario, name: str, nat: NatSpec, spec: Nat64Spec) -> None:
    path = ("nat", name, "nat64")
    if not has_ipv6(scenario, name):
        raise InvalidValue(path, 'it needs ipv6 = "firewall" or "open", and so do the routers outside it')
    if nat.mapper is not None or nat.dmz is not None:
        raise InvalidValue(path, "it forwards no ports: leave out mapper and dmz")
    if any(router.behind == name for router in routers(scenario).values()):
        raise InvalidValue(path, "only hosts can be behind it: a router there would need IPv4")
    for key, text in (("prefix", spec.prefix), ("says", spec.says)):
        try:
            parse_prefix(text or spec.prefix)
        except ProtocolError as error:
            raise InvalidValue((*path, key), str(error)) from None


def _check_network(scenario: Scenario, name: str, spec: NatSpec) -> None:
    """A router whose two sides have overlapping networks could not tell them apart; and each node inside
    needs an address."""
    inside = sum(name in host_behind(scenario, host) for host in scenario.host)
    inside += sum(router.behind == name for router in routers(scenario).values())
    room = IPv4Network(inside_network(scenario, name)).num_addresses - 3
    if inside > room:
        raise InvalidValue(("nat", name, "address"), f"it has room for {room} nodes beside the router")
    outer = spec.behind
    while outer is not None:
        own, other = (IPv4Network(inside_network(scenario, router)) for router in (name, outer))
        if own.overlaps(other):
            blamed = name if spec.address else outer
            reason = f"the networks inside {name!r} ({own}) and {outer!r} ({other}) overlap"
            raise InvalidValue((_kind(scenario, blamed), blamed, "address"), reason)
        outer = routers(scenario)[outer].behind


def _check_host(scenario: Scenario, name: str, spec: HostSpec) -> None:
    path = ("host", name)
    behind = host_behind(scenario, name)
    if len(set(behind)) != len(behind) or len(behind) > 8:
        raise InvalidValue((*path, "behind"), "expected up to 8 different routers")
    routed = spec.default_route if isinstance(spec.default_route, tuple) else ()
    named = {"vpn": spec.vpn, "default_route": routed, "lets_out": spec.lets_out or ()}
    for key, found in named.items():
        for router in found:
            if router.removesuffix("/4").removesuffix("/6" if key == "default_route" else "") not in behind:
                raise InvalidValue((*path, key), f"{name!r} is not behind {shown(router)}")
    if behind and (spec.ipv6 or not spec.ipv4):
        key = "ipv6" if spec.ipv6 else "ipv4"
        raise InvalidValue((*path, key), "not allowed behind a router: the router decides")
    if spec.lacks in ("link", "address") and not behind:
        raise InvalidValue((*path, "lacks"), "it takes a router that the host is behind")
    if spec.standby is not None:
        other = scenario.host.get(spec.standby)
        if (
            other is None
            or spec.standby == name
            or not set(host_behind(scenario, spec.standby)) & set(behind)
        ):
            raise InvalidValue(
                (*path, "standby"), f"{shown(spec.standby)} is not another host behind the same router"
            )
    if spec.mapper is not None:
        _check_mapper((*path, "mapper"), spec.mapper)
        if not behind:
            raise InvalidValue((*path, "mapper"), "it takes a router that the host is behind")
    if not (spec.ipv4 or spec.ipv6):
        raise InvalidValue((*path, "ipv4"), "without IPv4 it needs ipv6 = true")
