"""What to ask, of whom, and what can run side by side. Pure: decided from the options and from what the
servers turned out to be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from nattools.model.endpoint import Family
from nattools.model.observation import Gap
from nattools.probes.target import Lane, Target

StepName = Literal[
    "mapping", "filter-address", "filter-port", "allocation", "hairpin", "layers", "lifetime", "mapping-tcp",
    "filter-address-tcp", "filter-port-tcp", "punch", "punch-tcp", "birthday",
]  # fmt: skip
FAMILIES: tuple[Family, ...] = (4, 6)
NEVER_WAITED_FOR: frozenset[StepName] = frozenset({"filter-address", "filter-port", "lifetime", "punch"})
"""Filtering waits for the other probes of its lane, which tell the loss; none waits for these."""
AFTER: dict[StepName, tuple[StepName, ...]] = {"punch-tcp": ("mapping-tcp",)}
"""What a probe builds on, beside UDP's mapping, allocation and layers."""
STEP_TEXTS: dict[StepName, str] = {
    "mapping": "does the NAT give one port to all destinations?",
    "filter-address": "who may send in, from another address?",
    "filter-port": "who may send in, from another port?",
    "allocation": "which outside ports are handed out?",
    "hairpin": "do machines in here reach each other from outside?",
    "layers": "which routers stand on the way out?",
    "lifetime": "how long does a silent mapping live?",
    "mapping-tcp": "one outside port for all TCP connections?",
    "filter-address-tcp": "who may connect in, from another address?",
    "filter-port-tcp": "who may connect in, from another port?",
    "punch": "can a hole be punched over UDP?",
    "punch-tcp": "can a hole be punched over TCP?",
    "birthday": "is a random port met by trying many?",
}


class Step(msgspec.Struct, frozen=True):
    """One probe with the servers it is put to, the best one first."""

    name: StepName
    targets: tuple[Target, ...]


def lanes(families: Sequence[Family]) -> list[Lane]:
    """UDP and TCP over each family that has a route."""
    return [Lane(transport, family) for family in families for transport in ("udp", "tcp")]


def ranked(targets: Sequence[Target]) -> list[Target]:
    """The most able server first; among equals the order in which the user named them."""

    def ability(target: Target) -> int:
        if target.two_addresses:
            return 0 if target.nattools else 1
        return 2 if target.other is not None else 3

    return sorted(targets, key=ability)


def steps(lane: Lane, targets: Sequence[Target], *, lifetime: bool, punch: bool = False) -> list[Step]:
    """The probes of a lane that these servers can serve. All of them may run side by side: those that need
    what others find wait for it."""
    best = ranked(targets)
    found = _udp_steps(best, lifetime) if lane.transport == "udp" else _tcp_steps(best)
    peers = [target for target in best if target.two_addresses and target.dials_back(lane.transport)]
    if punch and peers:
        found.append(Step("punch" if lane.transport == "udp" else "punch-tcp", tuple(peers[:1])))
    return found


def last_steps(reached: Sequence[Target]) -> list[tuple[Lane, Step]]:
    """What comes when all else is over, since it takes hundreds of the NAT's mappings: birthday probing, with
    the best server that can do its part."""
    found = []
    for family in FAMILIES:
        able = ranked([t for t in reached if (t.transport, t.family) == ("udp", family) and t.meets_ports])
        if able:
            found.append((Lane("udp", family), Step("birthday", (able[0],))))
    return found


def _udp_steps(best: list[Target], lifetime: bool) -> list[Step]:
    everyone, first = tuple(best), tuple(best[:1])
    found = [Step("mapping", everyone)]
    if any(target.two_addresses for target in best):
        found.append(Step("filter-address", tuple(t for t in best if t.two_addresses)))
    if any(target.other is not None for target in best):
        found.append(Step("filter-port", tuple(t for t in best if t.other is not None)))
    found += [Step("layers", first), Step("allocation", first), Step("hairpin", first)]
    if lifetime:
        found.append(Step("lifetime", first))
    return found


def _tcp_steps(best: list[Target]) -> list[Step]:
    found = [Step("mapping-tcp", tuple(best))]
    diallers = tuple(target for target in best if target.dial_back_tcp)
    if diallers:
        found.append(Step("filter-port-tcp", diallers[:1]))
        if any(target.two_addresses for target in diallers):
            found.append(Step("filter-address-tcp", tuple(t for t in diallers if t.two_addresses)[:1]))
    return found


def gaps(lane: Lane, targets: Sequence[Target]) -> list[Gap]:
    """The questions of a lane that these servers cannot answer, and who could."""
    asked: list[Gap] = []
    own = "`nattools serve` on a machine with two public addresses"
    if lane.transport == "udp" and not any(target.two_addresses for target in targets):
        asked.append(
            Gap(
                question=f"Who may send in ({lane.name})?",
                reason="no server here can answer from another address (RFC 5780)",
                settle=f"a STUN server that supports RFC 5780, such as {own}",
            )
        )
    if lane.transport == "tcp" and not any(target.dial_back_tcp for target in targets):
        asked.append(
            Gap(
                question=f"Who may connect in ({lane.name})?",
                reason="no server here connects back",
                settle=own,
            )
        )
    return asked
