"""Common kinds of networks as parts of a scenario, and scenarios with many pairs of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement
from typing import Final

from nattools.errors import UsageError
from nattools.lab.scenario import FirewallSpec, HostSpec, NatSpec, RouterSpec, Scenario
from nattools.lab.tomlfields import meant, shown

_APDM: Final = "address-and-port-dependent"
Pair = tuple[str, str]

MATRIX_KINDS: Final[dict[str, RouterSpec | None]] = {
    "open": None,
    "firewall": FirewallSpec(),
    "full-cone": NatSpec(filtering="endpoint-independent"),
    "address-restricted": NatSpec(filtering="address-dependent"),
    "port-restricted": NatSpec(),
    "symmetric-random": NatSpec(mapping=_APDM, allocation="random"),
    "symmetric-sequential": NatSpec(mapping=_APDM, allocation="sequential"),
    "address-dependent": NatSpec(
        mapping="address-dependent", filtering="address-dependent", allocation="sequential"
    ),
    "udp-blocked": NatSpec(udp="blocked"),
}
"""The nine kinds whose 45 pairs are the usual matrix; None: directly on the internet."""
MORE: Final[dict[str, RouterSpec | None]] = {
    "symmetric-block": NatSpec(mapping=_APDM, allocation="block", block=512),
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
            raise UsageError(f"unknown kind of network {shown(kind)}; {meant(kind, list(ALL))}")
    return list(combinations_with_replacement(dict.fromkeys(kinds), 2))


def scenario_of_pairs(
    sides: Iterable[tuple[RouterSpec | None, RouterSpec | None]], *, delay_ms: float = 0.0, loss: float = 0.0
) -> Scenario:
    """Pairs of hosts, `a0` and `b0`, `a1` and `b1`, ..., each host in a site of its own. `delay_ms` and
    `loss`: of each host's uplink, each way."""
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
    )


def scenario_of_kinds(pairs: Sequence[Pair], *, delay_ms: float = 0.0, loss: float = 0.0) -> Scenario:
    """The same for kinds by their names."""
    return scenario_of_pairs(
        ((ALL[first], ALL[second]) for first, second in pairs), delay_ms=delay_ms, loss=loss
    )
