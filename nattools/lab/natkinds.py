"""Common kinds of networks as parts of a scenario, and scenarios with many pairs of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement
from typing import Final

import msgspec

from nattools.errors import UsageError
from nattools.lab.scenario import (
    FirewallSpec,
    HostSpec,
    NatSpec,
    RouterSpec,
    Scenario,
    ServerSpec,
    TurnSpec,
)
from nattools.lab.tomlfields import shown, suggestion
from nattools.model.nat import NAT_KINDS

Pair = tuple[str, str]


def _router(kind: str) -> RouterSpec | None:
    """What stands before a network of a kind that the model knows; None: it is directly on the internet."""
    nat = NAT_KINDS[kind]
    if nat.reachable is False:
        return NatSpec(udp="blocked")
    if nat.mapping == "none" or nat.mapping == "unknown" or nat.filtering == "unknown":
        return None if nat.filtering == "endpoint-independent" else FirewallSpec()
    spec = NatSpec(mapping=nat.mapping, filtering=nat.filtering)
    if nat.port_range is not None:
        size = nat.port_range[1] - nat.port_range[0] + 1
        return msgspec.structs.replace(spec, allocation="block", block=size)
    if nat.port_allocation in ("sequential", "random"):
        return msgspec.structs.replace(spec, allocation=nat.port_allocation)
    return spec


MATRIX_KINDS: Final[dict[str, RouterSpec | None]] = {
    "open": _router("open internet"),
    "firewall": _router("firewall"),
    "full-cone": _router("full cone"),
    "address-restricted": _router("address-restricted"),
    "port-restricted": _router("port-restricted"),
    "symmetric-random": _router("symmetric random"),
    "symmetric-sequential": _router("symmetric sequential"),
    "address-dependent": NatSpec(
        mapping="address-dependent", filtering="address-dependent", allocation="sequential"
    ),
    "udp-blocked": _router("udp blocked"),
}
"""The nine kinds whose 45 pairs are the usual matrix; None: directly on the internet."""
MORE: Final[dict[str, RouterSpec | None]] = {
    "symmetric-block": _router("symmetric block"),
    "open-input": NatSpec(input="open"),
}
"""Further ones that can be named."""
ALL: Final = {**MATRIX_KINDS, **MORE}
MOST_PAIRS: Final = 15
"""Pairs in one drawing: with more of them there are not enough addresses, nor file descriptors for pairs that
need hundreds of sockets."""


def pairs_of(kinds: Sequence[str]) -> list[Pair]:
    """Every kind with itself and every other one. UsageError: there is no such kind."""
    for kind in kinds:
        if kind not in ALL:
            raise UsageError(f"unknown kind of network {shown(kind)}; {suggestion(kind, list(ALL))}")
    return list(combinations_with_replacement(dict.fromkeys(kinds), 2))


def scenario_of_pairs(
    sides: Iterable[tuple[RouterSpec | None, RouterSpec | None]],
    *,
    delay_ms: float = 0.0,
    loss: float = 0.0,
    relay: bool = False,
) -> Scenario:
    """Pairs of hosts, `a0` and `b0`, `a1` and `b1`, ..., each host in a site of its own. `delay_ms` and
    `loss`: of each host's uplink, each way. `relay`: the server at which they meet relays, too."""
    sites = {
        f"{end}{index}": spec
        for index, pair in enumerate(sides)
        for end, spec in zip("ab", pair, strict=True)
    }
    behind = {host: f"r{host}" if spec is not None else None for host, spec in sites.items()}
    return Scenario(
        title="pairs of networks",
        name="pairs",
        nat={f"r{host}": spec for host, spec in sites.items() if isinstance(spec, NatSpec)},
        firewall={f"r{host}": spec for host, spec in sites.items() if isinstance(spec, FirewallSpec)},
        host={host: HostSpec(behind=at, delay_ms=delay_ms, loss=loss) for host, at in behind.items()},
        server={"stun": ServerSpec(relay=TurnSpec(secret="the lab's") if relay else None)},
    )


def scenario_of_kinds(
    pairs: Sequence[Pair], *, delay_ms: float = 0.0, loss: float = 0.0, relay: bool = False
) -> Scenario:
    """The same for kinds by their names."""
    return scenario_of_pairs(
        ((ALL[first], ALL[second]) for first, second in pairs), delay_ms=delay_ms, loss=loss, relay=relay
    )
