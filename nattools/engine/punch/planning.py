"""The plan of an attempt, as both sides draw it from the same two introductions."""

from __future__ import annotations

from typing import Final

import msgspec

from nattools.engine.punch.signals import A_PATH, AttemptAim, Introduction
from nattools.errors import ProtocolError
from nattools.model.nat import Nat, NatByTransport
from nattools.model.punch import PlannedStep
from nattools.model.statement import Statement, statement
from nattools.net.addresses import is_public
from nattools.protocols import ice
from nattools.traversal.plan.punchplan import RELAY, MeasuredEnd, plan
from nattools.traversal.plan.steps import Plan, Step
from nattools.wording import sentence

COSTLY: Final = 100
"""Packets, or attempts to connect, of both sides; what may need more is not repeated as often as others."""
AT_ONCE = ("host", "reflexive", "mapped")
"""Strategies that ICE's own checks are."""


def planned(own: Introduction, peer: Introduction, *, leads: bool, aim: AttemptAim = A_PATH) -> Plan:
    """What to try. The leading side is the first of every pair of parts. What is tried beside a path in use
    takes few packets.

    Who wants a relay alone wants no address of its own to be known: then nothing direct is tried, even if the
    other side wants no relay."""
    relaying = {own.relaying, peer.relaying}
    if "only" in relaying:
        reason = statement("relay-disagreed" if "never" in relaying else "relay-only")
        return _by_relay_alone(reason)
    if aim.renews:
        return _by_relay_alone(statement("relay-renewal"))
    udp, tcp = own.udp and peer.udp, own.tcp and peer.tcp
    ends = [_end(each, udp=udp) for each in ((own, peer) if leads else (peer, own))]
    made = plan(ends[0], ends[1], ("our", "its") if leads else ("its", "our"))
    steps = tuple(step for step in made.steps if step.relayed or (udp if step.transport == "udp" else tcp))
    if aim.search:
        steps = tuple(step for step in steps if not step.relayed and (aim.search == 1 or not is_costly(step)))
    elif "never" in relaying and made.path == "direct":
        steps = tuple(step for step in steps if not step.relayed)
    elif own.relay or peer.relay:
        steps = tuple(_by_relay(step, own.relay or peer.relay) if step.relayed else step for step in steps)
    return msgspec.structs.replace(made, steps=steps)


def _by_relay_alone(reason: Statement) -> Plan:
    return Plan(path="relay", steps=(msgspec.structs.replace(RELAY, reason=reason),))


def is_costly(step: Step) -> bool:
    """Does it take so many packets of both sides that it is not repeated often?"""
    return sum(each.packets for each in step.schedules or ()) > COSTLY


def _by_relay(step: Step, uri: str) -> Step:
    """The step in reserve, with the relay's name."""
    if step.reason.code != "relay-in-reserve":
        return step
    return msgspec.structs.replace(step, reason=statement("relay-in-reserve-at", uri=uri))


def _end(each: Introduction, *, udp: bool) -> MeasuredEnd:
    """What a side has told of itself."""
    nat = each.nat.each(_presumed)
    outside = frozenset(_outside(each))
    if not udp:
        return MeasuredEnd(nat=_without_udp(nat), outside=outside)
    return MeasuredEnd(nat=nat, low_ports=each.low_ports, low_ports_help=each.low_ports_help, outside=outside)


def _outside(each: Introduction) -> set[str]:
    """Where servers see it; of IPv6, its own addresses too, which most networks do not translate."""
    found = {host for host in each.outside if is_public(host)}
    for text in each.candidates:
        try:
            candidate = ice.parse(text)
        except ProtocolError:
            continue
        host = candidate.endpoint.host
        if candidate.mapped or candidate.kind not in ("srflx", "host"):
            continue
        if candidate.kind == "srflx" or (candidate.family == 6 and is_public(host)):
            found.add(host)
    return found


def _without_udp(nat: NatByTransport) -> NatByTransport:
    """As if it did not get out, so that all is planned over TCP."""
    return msgspec.structs.replace(nat, udp4=_blocked(nat.udp4), udp6=_blocked(nat.udp6))


def _blocked(nat: Nat | None) -> Nat | None:
    return None if nat is None else msgspec.structs.replace(nat, reachable=False)


def _presumed(nat: Nat) -> Nat:
    """For a plan, where a measurement leaves it open: a NAT that gives one port to two ports of a server, or
    that keeps the inside port, is taken for one that gives it to everybody; if it counts, for one that looks
    at the address, since the next port is then predicted rightly in both cases."""
    if nat.mapping != "unknown" or nat.classic == "symmetric":
        return nat
    if nat.mapping_depends_on_port is False and nat.port_allocation == "sequential":
        return msgspec.structs.replace(nat, mapping="address-dependent")
    if nat.mapping_depends_on_port is False or nat.port_allocation == "preserving":
        return msgspec.structs.replace(nat, mapping="endpoint-independent")
    return nat


def as_told(step: Step, *, leads: bool) -> PlannedStep:
    """A step for people, our packets before the peer's."""
    packets = step.packets
    return PlannedStep(
        strategy=step.strategy,
        transport=step.transport,
        why=sentence(step.reason),
        reason=(step.reason,),
        odds=step.odds,
        packets=packets if packets is None or leads else (packets[1], packets[0]),
        seconds=step.seconds,
        family=step.family,
    )


def keeps_ports(made: Plan) -> bool:
    """Are plain checks to where the peer was seen in the plan, or is too little known to leave them out?"""
    plain = ("host", "reflexive", "low-ttl")
    return made.path == "unknown" or any(
        step.strategy in plain and (step.transport, step.family) == ("udp", 4) for step in made.steps
    )
