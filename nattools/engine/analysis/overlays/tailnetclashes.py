"""Several tailnets on one machine: what two of them claim both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import combinations
from typing import Final, NamedTuple

from nattools.engine.analysis.findings import Findings
from nattools.model.endpoint import read_endpoint
from nattools.model.host import PHYSICAL
from nattools.model.overlay import OverlayStatus
from nattools.model.statement import statement
from nattools.model.tailscale import TailnetClash
from nattools.net.addresses import is_shared

_SHARED: Final = "100.64.0.0/10"
_MOST: Final = 20


class JoinedTailnet(NamedTuple):
    """A tailnet's name here, and what its client says."""

    name: str
    status: OverlayStatus


def overlaps(findings: Findings, joined: Sequence[JoinedTailnet]) -> tuple[TailnetClash, ...]:
    """Addresses and networks that two of them claim, or one of them and this machine's own network."""
    found = [clash for one, other in combinations(joined, 2) for clash in _between(one, other)]
    found += [clash for one in joined for clash in _with_own_networks(findings, one)]
    return tuple(found[:_MOST])


def _between(one: JoinedTailnet, other: JoinedTailnet) -> Iterator[TailnetClash]:
    names = (one.name, other.name)
    both = sorted(set(_addresses(one.status)) & set(_addresses(other.status)))
    if both:
        yield TailnetClash(
            kind="addresses",
            tailnets=names,
            addresses=tuple(both[:_MOST]),
            reason=(statement("clash-addresses", count=len(both), address=both[0]),),
            remedy=(statement("give-other-range"),),
        )
    elif _shares_range(one.status) and _shares_range(other.status):
        yield TailnetClash(
            kind="addresses",
            tailnets=names,
            addresses=(_SHARED,),
            reason=(statement("clash-range", network=_SHARED),),
            remedy=(statement("give-other-range"),),
        )
    for network, wider, side in _common(_routes(one.status), _routes(other.status)):
        told = statement("clash-routes", network=network)
        if network != wider:
            told = statement("clash-routes-within", owner=names[side], network=network, wider=wider)
        yield TailnetClash(
            kind="routes",
            tailnets=names,
            addresses=(network,),
            reason=(told,),
            remedy=(statement("accept-one"),),
        )


def _with_own_networks(findings: Findings, joined: JoinedTailnet) -> Iterator[TailnetClash]:
    own, routes = set(_addresses(joined.status)), _networks(_routes(joined.status))
    for interface in findings.measurement.host.interfaces:
        if interface.kind not in PHYSICAL or not interface.up:
            continue
        for address in interface.addresses:
            if is_shared(address) and address not in own and _shares_range(joined.status):
                yield TailnetClash(
                    kind="addresses",
                    tailnets=(joined.name,),
                    addresses=(address,),
                    reason=(statement("clash-carrier", address=address, interface=interface.name),),
                    remedy=(statement("give-other-range"),),
                )
            for network in routes:
                if _holds(network, address):
                    yield TailnetClash(
                        kind="routes",
                        tailnets=(joined.name,),
                        addresses=(str(network),),
                        reason=(statement("clash-local", network=str(network), address=address),),
                        remedy=(statement("renumber"),),
                    )


def conflicts(findings: Findings, joined: Sequence[JoinedTailnet]) -> tuple[TailnetClash, ...]:
    """A port or the default route that two of them want."""
    return (*_ports(findings, joined), *_kernels(joined), *_default_route(findings, joined))


def _ports(findings: Findings, joined: Sequence[JoinedTailnet]) -> Iterator[TailnetClash]:
    own = set(findings.own_addresses(4)) | set(findings.own_addresses(6))
    for one, other in combinations(joined, 2):
        ends = [
            {at for at in map(read_endpoint, each.status.endpoints) if at is not None}
            for each in (one, other)
        ]
        same = sorted(at for at in ends[0] & ends[1])
        local = [at for at in same if at.host in own] or same
        if local:
            yield TailnetClash(
                kind="port",
                tailnets=(one.name, other.name),
                addresses=(str(local[0]),),
                reason=(statement("clash-port", endpoint=str(local[0]), port=local[0].port),),
                remedy=(statement("choose-port"),),
            )


def _kernels(joined: Sequence[JoinedTailnet]) -> Iterator[TailnetClash]:
    """Two clients of one kind that set routes and firewall rules of the same names."""
    both = [each for each in joined if each.status.kernel and each.status.program == "tailscale"]
    if len(both) > 1:
        yield TailnetClash(
            kind="rules",
            tailnets=tuple(each.name for each in both),
            reason=(statement("clash-rules"),),
            remedy=(statement("run-in-userspace"),),
        )


def _default_route(findings: Findings, joined: Sequence[JoinedTailnet]) -> Iterator[TailnetClash]:
    wanting = [each for each in joined if each.status.exit_node]
    way = findings.way(4)
    owner = next((each for each in joined if way is not None and way.source in each.status.addresses), None)
    if owner is None and len(wanting) == 1:
        owner = wanting[0]
    if len(wanting) > 1:
        names = tuple(each.name for each in wanting)
        told = (statement("clash-exit-nodes", owner=None if owner is None else owner.name),)
        yield TailnetClash(
            kind="default-route", tailnets=names, reason=told, remedy=(statement("one-exit-node"),)
        )
    elif owner is not None and len(joined) > 1:
        others = tuple(each.name for each in joined if each is not owner)
        told = (statement("default-route-of", owner=owner.name, others=others),)
        yield TailnetClash(kind="default-route", tailnets=(owner.name, *others), reason=told)


def _addresses(status: OverlayStatus) -> Iterator[str]:
    yield from status.addresses
    for peer in status.peers:
        yield from peer.addresses


def _routes(status: OverlayStatus) -> tuple[str, ...]:
    return tuple(dict.fromkeys(route for peer in status.peers for route in peer.routes))


def _shares_range(status: OverlayStatus) -> bool:
    return any(map(is_shared, _addresses(status)))


def _networks(texts: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            continue
    return found


def _holds(network: IPv4Network | IPv6Network, address: str) -> bool:
    try:
        return ip_address(address.partition("%")[0]) in network
    except ValueError:
        return False


def _common(one: Iterable[str], other: Iterable[str]) -> list[tuple[str, str, int]]:
    """(narrower, wider, whose the narrower one is) of two networks that overlap, each narrower one once, in
    the order of their addresses. Sorted so, each network follows those that hold it: statuses may name very
    many."""
    sides = [(network, side) for side, texts in enumerate((one, other)) for network in _networks(texts)]
    sides.sort(key=lambda each: (each[0].version, int(each[0].network_address), each[0].prefixlen))
    found: dict[str, tuple[str, str, int]] = {}
    around: list[tuple[IPv4Network | IPv6Network, int]] = []
    for network, side in sides:
        while around and network.network_address not in around[-1][0]:
            around.pop()
        wider = next((each for each, of in reversed(around) if of != side), None)
        if wider is not None:
            found[str(network)] = (str(network), str(wider), side)
        around.append((network, side))
    return list(found.values())[:_MOST]
