"""From both sides' measured behaviour to a plan: what to try, in which order, with what odds and at what
cost. Pure: the same two behaviours give the same plan."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import Final

import msgspec

from nattools.model.endpoint import Family, Transport, family_of, parse_address
from nattools.model.nat import Nat, NatByTransport
from nattools.model.statement import Statement, statement
from nattools.traversal.plan.side import Side, only_services, side_of
from nattools.traversal.plan.stepbuilding import Whose
from nattools.traversal.plan.steps import Plan, Step
from nattools.traversal.plan.tcpstrategies import restricted, tcp_steps
from nattools.traversal.plan.udpstrategies import udp_steps

CERTAIN: Final = 0.9999
RELAY: Final = Step(
    strategy="relay",
    transport="udp",
    reason=statement("relay-in-reserve"),
    odds=1.0,
)


class MeasuredEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What one side brings: its measured behaviour; whether its process may bind ports below 1024, and
    whether that would help, as far as known; the addresses at which it is seen from `outside`."""

    nat: NatByTransport
    low_ports: bool = False
    low_ports_help: bool = True
    outside: frozenset[str] = frozenset()


def plan(first: MeasuredEnd, second: MeasuredEnd, whose: Whose = ("our", "its")) -> Plan:
    """The strategies for these two, in the order in which to try them. IPv6 goes first where both have it."""
    found = [
        _beside_each_other(_of_family(each, family), first, second, family)
        for family in _FAMILIES
        if (each := _family(first, second, whose, family)) is not None
    ]
    if not found:
        return Plan(path="unknown", unknown=statement("plan-no-common-family"))
    direct = [each for each in found if each.path == "direct"]
    if not direct:
        return next((each for each in found if each.path == "unknown"), found[-1])
    steps = tuple(step for each in direct for step in each.steps)
    best = direct[0]
    certain = any(step.odds is not None and step.odds >= CERTAIN for step in steps)
    return msgspec.structs.replace(best, steps=steps if certain else (*steps, RELAY))


def predict(first: MeasuredEnd, second: MeasuredEnd, whose: Whose) -> Plan:
    """The plan of two that have not met. Where it is a relay alone and both show one outside address, it is
    not known whether they need that: of their own network nothing was measured."""
    made = plan(first, second, whose)
    common = {host for host in first.outside & second.outside if family_of(host) == 4}
    if made.path != "relay" or not common:
        return made
    return Plan(path="unknown", family=4, unknown=statement("plan-one-outside", external=min(common)))


_FAMILIES: Final[tuple[Family, ...]] = (6, 4)


def _beside_each_other(made: Plan, first: MeasuredEnd, second: MeasuredEnd, family: Family) -> Plan:
    """The same where both are behind one router, which does not send packets back in (RFC 4787 6), or of
    which that is not known: then they connect only if their own network lets them reach each other, and of
    that nothing was measured. Over IPv6 a prefix translator may leave the source of what it sends back as it
    is, and answers to that cross their own network."""
    common = _networks(first.outside, family) & _networks(second.outside, family)
    if not common or made.path != "direct":
        return made
    nats = [end.nat.udp4 if family == 4 else end.nat.udp6 for end in (first, second)]
    hairpins = [nat is not None and nat.hairpinning for nat in nats]
    if all(hairpins) and family == 4:
        return made
    if all(nat is not None and nat.hairpinning is False for nat in nats):
        unknown = statement("plan-no-hairpinning", external=min(common))
        return Plan(path="unknown", family=family, unknown=unknown)
    reason = statement("step-one-router", external=min(common))
    steps = tuple(msgspec.structs.replace(step, odds=None, reason=reason) for step in made.steps)
    return msgspec.structs.replace(made, steps=steps, privilege=None)


def _networks(hosts: frozenset[str], family: Family) -> set[str]:
    """IPv4 addresses as they are; of IPv6 ones what a router gives to a network (RFC 4291 2.5.4)."""
    these = [parse_address(host) for host in hosts if family_of(host) == family]
    return {str(at) if family == 4 else str(IPv6Network((int(at) >> 64 << 64, 64))) for at in these}


def _of_family(made: Plan, family: Family) -> Plan:
    """The plan, with the family noted in each step."""
    steps = tuple(msgspec.structs.replace(step, family=family) for step in made.steps)
    return msgspec.structs.replace(made, steps=steps)


def _family(first: MeasuredEnd, second: MeasuredEnd, whose: Whose, family: Family) -> Plan | None:
    """The plan over one address family, without the relay behind direct steps; None: one side lacks it."""
    nats = [
        (end.nat.udp4, end.nat.tcp4) if family == 4 else (end.nat.udp6, end.nat.tcp6)
        for end in (first, second)
    ]
    if any(udp is None and tcp is None for udp, tcp in nats):
        return None
    (udp1, tcp1), (udp2, tcp2) = nats
    sides = (_over(udp1, low_ports=first.low_ports), _over(udp2, low_ports=second.low_ports))
    over_udp = _over_udp(sides, whose, family)
    if over_udp is not None and over_udp.path == "direct":
        extra = _gain(udp1, udp2, over_udp, first, second, whose)
        return msgspec.structs.replace(over_udp, privilege=extra)
    over_tcp = _over_tcp((tcp1, tcp2), (udp1, udp2), whose, family)
    if over_udp is None or over_tcp.path == "direct":
        return over_tcp
    gain = _gain(udp1, udp2, over_udp, first, second, whose)
    return msgspec.structs.replace(over_udp, privilege=gain)


def _over(udp: Nat | None, *, low_ports: bool = False) -> Side | None:
    """A side over UDP. Where that gets out to services alone it reaches no peer."""
    return Side(reachable=False) if only_services(udp) else side_of(udp, low_ports=low_ports)


def _over_udp(sides: tuple[Side | None, Side | None], whose: Whose, family: Family) -> Plan | None:
    """None: UDP does not get out on one of the sides."""
    first, second = sides
    if (first is not None and not first.reachable) or (second is not None and not second.reachable):
        return None
    if first is None or second is None:
        name = whose[0] if first is None else whose[1]
        return Plan(path="unknown", family=family, unknown=statement("plan-mapping-unmeasured", whose=name))
    steps = udp_steps(first, second, whose)
    if steps:
        return Plan(path="direct", steps=tuple(steps), family=family)
    if "somehow" in (first.moves, second.moves):
        name = whose[0] if first.moves == "somehow" else whose[1]
        settle = statement("plan-allocation-unknown", whose=name)
        return Plan(path="unknown", family=family, unknown=settle)
    return _relayed(statement("relay-both-change"), family, "udp")


def _over_tcp(
    tcp: tuple[Nat | None, Nat | None], udp: tuple[Nat | None, Nat | None], whose: Whose, family: Family
) -> Plan:
    ends: list[Side] = []
    for nat, beside, name in zip(tcp, udp, whose, strict=True):
        if nat is None:
            return Plan(path="unknown", family=family, unknown=statement("plan-tcp-unmeasured", whose=name))
        if nat.reachable is False:
            return _relayed(statement("relay-tcp-restricted", whose=name), family)
        ports = restricted(nat)
        if ports is not None:
            return _relayed(statement("relay-tcp-ports", whose=name, ports=ports), family)
        side = side_of(_completed(nat, beside))
        if side is None:
            return Plan(
                path="unknown", family=family, unknown=statement("plan-tcp-mapping-unknown", whose=name)
            )
        ends.append(side)
    steps = tcp_steps(ends[0], ends[1], whose)
    if steps:
        return Plan(path="direct", steps=tuple(steps), family=family)
    if any(end.moves == "somehow" for end in ends):
        return Plan(path="unknown", family=family, unknown=statement("plan-tcp-allocation-unknown"))
    for nat, name in zip(udp, whose, strict=True):
        if nat is not None and only_services(nat):
            return _relayed(_some_ports(nat, name), family, "udp")
    return _relayed(statement("relay-udp-blocked"), family)


def _some_ports(udp: Nat, whose: str) -> Statement:
    return statement("relay-udp-ports", whose=whose, ports=", ".join(map(str, udp.open_ports)))


def _completed(tcp: Nat, udp: Nat | None) -> Nat:
    """Few probes look at how TCP ports are allocated, and none at how addresses are; a NAT as good as always
    does it as for UDP."""
    if udp is not None and tcp.pooling == "unknown":
        tcp = msgspec.structs.replace(tcp, pooling=udp.pooling, external=udp.external)
    if tcp.port_allocation != "unknown" or udp is None or udp.port_allocation == "unknown":
        return tcp
    return msgspec.structs.replace(
        tcp,
        port_allocation=udp.port_allocation,
        port_step=udp.port_step,
        port_range=udp.port_range,
        port_block=udp.port_block,
        port_mask=udp.port_mask,
    )


def _relayed(reason: Statement, family: Family, transport: Transport = "tcp") -> Plan:
    relay = msgspec.structs.replace(RELAY, reason=reason, transport=transport)
    return Plan(path="relay", steps=(relay,), family=family)


def _gain(
    udp1: Nat | None, udp2: Nat | None, now: Plan, first: MeasuredEnd, second: MeasuredEnd, whose: Whose
) -> Statement | None:
    """What it would change if sides that draw ports at random could bind ports below 1024."""
    lacking = [
        name
        for side, end, name in zip((_over(udp1), _over(udp2)), (first, second), whose, strict=True)
        if side is not None and side.moves == "at random" and end.low_ports_help and not end.low_ports
    ]
    if not lacking:
        return None
    helped = _over(udp1, low_ports=first.low_ports_help), _over(udp2, low_ports=second.low_ports_help)
    granted = _over_udp(helped, whose, 4)
    if granted is None or granted.path != "direct" or granted.steps == now.steps:
        return None
    best = granted.steps[0]
    code = "low-ports" if len(lacking) == 1 else "low-ports-on-both"
    return statement(
        f"{code}-open" if now.path != "direct" else f"{code}-save",
        whose=lacking[0],
        strategy=best.strategy,
        odds=best.odds,
        seconds=best.seconds,
        packets=sum(best.packets) if best.packets else 0,
    )
