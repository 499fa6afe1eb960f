"""What a host's resolver answers in a scenario: the nodes by their names, and behind a NAT64 the addresses
that its DNS64 makes (RFC 6147)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nattools.lab.layout import Layout
from nattools.lab.scenario import Nat64Spec, Scenario, host_behind
from nattools.protocols.nat64 import NAME, NAMED, parse_prefix

PORTAL: Final = "172.31.255.254"
"""What a captive portal answers to all questions for names."""
BLOCKED: Final = ("0.0.0.0",)
NO_IPV6: Final = {NAME: tuple(sorted(map(str, NAMED)))}


def names_at(
    scenario: Scenario, node: str, addresses: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The table of one node; `addresses` are those of all nodes whose names are known."""
    if node in scenario.host and scenario.host[node].lacks == "names":
        return {}
    names = {name.lower(): found for name, found in addresses.items()} | NO_IPV6
    if node in scenario.host:
        names |= dict.fromkeys(map(str.lower, scenario.host[node].blocked_names), BLOCKED)
    if any(scenario.nat[each].portal == "names" for each in _nats(scenario, node)):
        return dict.fromkeys(names, (PORTAL,))
    spec = nat64_of(scenario, node)
    if spec is None or not spec.dns64:
        return names
    prefix = parse_prefix(spec.says or spec.prefix)
    return {
        name: found if any(":" in each for each in found) else (*found, *map(prefix.embed, found))
        for name, found in names.items()
    }


def texts_at(scenario: Scenario, node: str, layout: Layout) -> dict[str, tuple[str, ...]]:
    """The TXT records that one node can look up: those of libp2p peers with a name."""
    named = (spec.libp2p.name for spec in scenario.server.values() if spec.libp2p is not None)
    if not any(named) or (node in scenario.host and scenario.host[node].lacks == "names"):
        return {}
    from nattools.lab.labpeers import texts_of

    return texts_of(scenario, layout)


def nat64_of(scenario: Scenario, node: str) -> Nat64Spec | None:
    """The NAT64 that a host is directly behind."""
    found = (scenario.nat[each].nat64 for each in _nats(scenario, node))
    return next((each for each in found if each is not None), None)


def _nats(scenario: Scenario, node: str) -> list[str]:
    """The NATs that a host is directly behind."""
    behind = host_behind(scenario, node) if node in scenario.host else ()
    return [each for each in behind if each in scenario.nat]
