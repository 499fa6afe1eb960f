"""Does anything come back, by which ports, and through how many NATs?"""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

import msgspec

from nattools.engine.analysis.evidence import Finding, PathEvidence, gap_reason
from nattools.engine.analysis.nat.externals import ExternalAddresses
from nattools.model.confidence import CERTAIN_ERROR, WORST_LOSS, chance_of_silence
from nattools.model.endpoint import host_of, read_endpoint
from nattools.model.nat import FilteringBehaviour, Layer
from nattools.model.observation import FORBIDDEN_HERE, Binding, Hop
from nattools.model.statement import Reason, statement
from nattools.net.addresses import carries_ipv4_over_ipv6, is_shared, is_squatted, is_translated_hop

_CAME = ("answered", "error", "malformed")


def reachable(path: PathEvidence, twin: PathEvidence) -> Finding[bool | None]:
    """`twin` is the same family's other transport, whose answers prove that the network is up."""
    bindings = [binding.id for binding in path.bindings if binding.outcome in _CAME or _refused(binding)]
    backs = [back.id for back in path.dial_backs if back.outcome == "arrived"]
    attempts = [attempt.id for attempt in path.connections if attempt.outcome == "answered"]
    came = (*bindings, *backs, *attempts)
    if path.transport == "udp" or came:
        return Finding(True, came) if came else _silent(path, twin)
    return _silent_tcp(path, twin)


def _refused(binding: Binding) -> bool:
    """Did the server itself say that the port is closed? It was reached then."""
    asked = read_endpoint(binding.asked)
    return binding.outcome == "refused" and asked is not None and binding.offender == asked.host


def forbidden_here(path: PathEvidence) -> bool:
    """Did this machine itself refuse to send whatever was to be asked?"""
    return bool(path.bindings) and all(binding.detail == FORBIDDEN_HERE for binding in path.bindings)


def _silent(path: PathEvidence, twin: PathEvidence) -> Finding[bool | None]:
    """UDP counts as blocked if servers that are up say nothing to more copies than loss could eat. That a
    router knows no route says nothing of UDP, nor does what was asked in vain before anything came back at
    all."""
    up = {answer.asked.host for answer in twin.answers}
    up_s = min((answer.until_s for answer in twin.answers), default=0.0)
    tried = [b for b in path.bindings if (at := read_endpoint(b.asked)) is not None and at.host in up]
    ids = tuple(binding.id for binding in tried)
    if not up:
        return Finding(None, tuple(b.id for b in path.bindings), (statement("reachable-no-server"),))
    silent = [
        b for b in tried if b.outcome == "prohibited" or (b.outcome == "timeout" and _outlasts(b, up_s))
    ]
    copies = sum(max(0, b.sent) for b in silent)
    if chance_of_silence(min(copies, 1000), WORST_LOSS) < CERTAIN_ERROR:
        return Finding(False, ids)
    if tried and all(binding.outcome == "prohibited" for binding in tried):
        return Finding(False, ids)
    lost = next((binding for binding in tried if binding.outcome == "unreachable"), None)
    if lost is not None:
        return Finding(None, ids, (statement("reachable-no-route", detail=lost.detail),))
    return Finding(None, ids, (statement("reachable-maybe-loss", copies=copies),))


def _outlasts(binding: Binding, moment_s: float) -> bool:
    return not binding.waited_s or binding.at_s + binding.waited_s >= moment_s


def _silent_tcp(path: PathEvidence, twin: PathEvidence) -> Finding[bool | None]:
    """Many STUN servers have no TCP, so silence says little: only several servers that are up are proof, and
    a portal that takes connections while they answer over UDP."""
    if path.connections and any(each.udp_passes for each in path.portals):
        return Finding(False, tuple(each.id for each in path.portals))
    up = {answer.asked.host for answer in twin.answers}
    stopped = [c for c in path.connections if c.outcome in ("timeout", "prohibited", "unreachable")]
    hosts = {at.host for c in stopped if (at := read_endpoint(c.remote)) is not None and at.host in up}
    ids = tuple(attempt.id for attempt in path.connections)
    if len(hosts) > 1 and len(stopped) == len(path.connections):
        return Finding(False, ids)
    return Finding(None, ids, (statement("reachable-no-tcp-server"),))


def ports(path: PathEvidence) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(open, blocked) destination ports.

    Even a refusal by the server proves a port open. A silent port is blocked if servers that answer on
    another port were asked there by their own advertised port, or if two of them are silent there: one
    alone may have a firewall of its own.
    """
    opened, silent, advertised = _sort_ports(path)
    answering = {host for hosts in opened.values() for host in hosts}
    blocked = []
    for port, hosts in silent.items():
        up = {path.groups.of(host) for host in hosts & answering}
        if port not in opened and (len(up) > 1 or (up and port in advertised)):
            blocked.append(port)
    return tuple(sorted(opened)), tuple(sorted(blocked))


def _sort_ports(path: PathEvidence) -> tuple[dict[int, set[str]], dict[int, set[str]], set[int]]:
    opened: dict[int, set[str]] = defaultdict(set)
    silent: dict[int, set[str]] = defaultdict(set)
    advertised: set[int] = set()
    for binding in path.bindings:
        at = read_endpoint(binding.asked)
        if at is None or binding.change_address or binding.change_port:
            continue
        if binding.purpose == "reach":
            advertised |= {at.port} | {other.port for other in path.groups.others(at.host)}
        if binding.outcome in _CAME or _refused(binding):
            opened[at.port].add(at.host)
        elif binding.outcome == "prohibited" or _silent_for_good(path, binding):
            silent[at.port].add(at.host)
    for attempt in path.connections:
        at = read_endpoint(attempt.remote)
        if at is not None and attempt.outcome in ("answered", "refused"):
            opened[at.port].add(at.host)
        elif at is not None and attempt.outcome in ("timeout", "prohibited"):
            silent[at.port].add(at.host)
    return opened, silent, advertised


def _silent_for_good(path: PathEvidence, binding: Binding) -> bool:
    return binding.outcome == "timeout" and path.loss_to(host_of(binding.asked) or "").conclusive(
        binding.sent
    )


Role = Literal["router", "nat", "carrier-nat", "internet", "unknown"]
_SETTLE = statement("layers-settle")


class LayersFinding(msgspec.Struct, frozen=True):
    """See `model.nat.Nat` for the fields. `reason` is for those that are None."""

    layers: tuple[Layer, ...] = ()
    distance_hops: int | None = None
    cgnat: bool | None = None
    double_nat: bool | None = None
    reason: Reason = ()
    evidence: tuple[int, ...] = ()


def layers(
    path: PathEvidence,
    outside: ExternalAddresses,
    *,
    nat: bool | None,
    varies: bool | None,
    filtering: FilteringBehaviour,
) -> LayersFinding:
    """NATs are counted by the networks between them and by how far a packet must go to open them all."""
    hops = _nearest([hop for hop in path.hops if host_of(hop.destination) not in outside.hosts])
    ids = tuple(hop.id for hop in path.hops) + tuple(opener.id for opener in path.openers)
    if nat is not True:
        flat = tuple(Layer(hops=h.ttl, address=h.address, role=_plain_role(path, h, nat)) for h in hops)
        settled = False if nat is False else None
        return LayersFinding(flat, None, settled, settled, () if nat is False else (path.unanswered,), ids)
    reach, owned = None, False
    if _counts_all(path, hops):
        owned = _next_router_has(path, outside, hops)
        reach = _within(path, filtering) or (1 if owned and not _shut(path, varies) else None)
    inferred = _before_public(hops, path)
    if _farther_away(path, outside):  # a NAT that lets anybody in is beyond the one that an opener opened
        reach, inferred = (None if each == 1 else each for each in (reach, inferred))
    distance = reach if reach is not None else inferred
    alone = owned or (reach == 1 and _seen_alone(path, hops))
    cgnat = _cgnat(path, outside, hops, alone=alone, owned=owned)
    double = False if alone else _double(path, hops, reach, inferred, cgnat)
    drawn = tuple(_layer(path, hop, distance, cgnat=cgnat, double=double) for hop in hops)
    reason = () if None not in (cgnat, double, distance) else _why(path, hops)
    return LayersFinding(drawn, distance, cgnat, double, reason, ids)


def _nearest(hops: list[Hop]) -> list[Hop]:
    """One observation for each TTL, one with an address if there is any."""
    best: dict[int, Hop] = {}
    for hop in hops:
        if hop.ttl not in best or (best[hop.ttl].address is None and hop.address is not None):
            best[hop.ttl] = hop
    return [best[ttl] for ttl in sorted(best)]


def _seen_alone(path: PathEvidence, hops: list[Hop]) -> bool:
    """Is the router the first hop, and the next one on the internet? A first hop that keeps silent may be a
    second router, behind one that lowers no TTL; a silent second one a NAT that lets everybody in, which what
    opens the first need not pass."""
    first, second = (next((hop for hop in hops if hop.ttl == ttl), None) for ttl in (1, 2))
    if first is None or first.address is None:
        return False
    return second is None or (second.address is not None and not _inside(path, second.address))


def _inside(path: PathEvidence, address: str | None) -> bool:
    if address is None or is_translated_hop(address):
        return False
    return not path.is_public(address) or is_squatted(address)


def _within(path: PathEvidence, filtering: FilteringBehaviour) -> int | None:
    """The number of hops within which all NATs stand: one less than the smallest TTL that opened them. Where
    anybody may send in, what got in proves nothing."""
    if filtering in ("endpoint-independent", "unknown"):
        return None
    opened = [opener.ttl for opener in path.openers if opener.opened and opener.ttl > 1]
    return min(opened) - 1 if opened else None


def _next_router_has(path: PathEvidence, outside: ExternalAddresses, hops: list[Hop]) -> bool:
    """Has the next router our outside address, so that it is the outermost NAT? Packets to that address do
    not expire there, and others do. (That a router's address is a neighbour of ours tells nothing: providers
    number routers before their NATs out of the same network.)"""
    if len(outside.hosts) != 1 or outside.disputed or outside.since is not None:
        return False
    asked = [hop for hop in path.hops if hop.ttl == 1 and host_of(hop.destination) in outside.hosts]
    silent = all(hop.address is None for hop in asked)
    speaks = any(hop.ttl == 1 and hop.address is not None for hop in hops)
    return silent and speaks and path.own_loss.conclusive(sum(max(0, hop.sent) for hop in asked))


def _farther_away(path: PathEvidence, outside: ExternalAddresses) -> bool:
    """Does what goes to our outside address expire at the next router, so that another one has it?"""
    asked = [hop for hop in path.hops if hop.ttl == 1 and host_of(hop.destination) in outside.hosts]
    return any(hop.address is not None for hop in asked)


def _shut(path: PathEvidence, varies: bool | None) -> bool:
    """Does a filter stand beyond the next router, for all that an opener shows which came farther? Where each
    destination has a mapping of its own, openers prove nothing."""
    return not varies and any(opener.opened is False and opener.ttl > 1 for opener in path.openers)


def _counts_all(path: PathEvidence, hops: list[Hop]) -> bool:
    """Is the first hop the next router? Else one before it lowers no TTL, and distances mean nothing."""
    first = next((hop.address for hop in hops if hop.ttl == 1), None)
    if first is None or first in path.gateways:
        return True
    own = path.own | {answer.local.host for answer in path.answers if answer.local is not None}
    return not own or _network(first) in map(_network, own)


def _before_public(hops: list[Hop], path: PathEvidence) -> int | None:
    """The hop before the first one with a public address: there the outermost NAT stands, as a rule."""
    found = [hop for hop in hops if hop.address is not None and path.is_public(hop.address)]
    public = [hop.ttl for hop in found if not _inside(path, hop.address)]
    return min(public) - 1 if public and min(public) > 1 else None


def _cgnat(
    path: PathEvidence, outside: ExternalAddresses, hops: list[Hop], *, alone: bool, owned: bool
) -> bool | None:
    locals_ = {answer.local.host for answer in path.answers if answer.local is not None}
    if locals_ & path.in_vpn:
        return None  # what stands beyond the tunnel is not the provider's, and shared addresses are its own
    if any(map(is_shared, outside.hosts)):
        return True
    if any(map(is_shared, locals_)):
        beyond = any(hop.ttl > 1 and hop.address is not None and is_shared(hop.address) for hop in hops)
        return not _maps_by_igd(path) or beyond
    if any(map(carries_ipv4_over_ipv6, locals_)):
        return None
    if not owned and any(h.address is not None and _is_providers(h.address) for h in hops):
        return True
    return False if alone else None


def _maps_by_igd(path: PathEvidence) -> bool:
    """Does a router open ports by UPnP IGD, through which somebody outside got in? That is a home's, whatever
    addresses it gives; a provider's NAT speaks PCP at most."""
    return any(each.protocol == "upnp-igd" and each.outcome == "arrived" for each in path.mapped)


def _is_providers(hop: str) -> bool:
    return is_shared(hop) or carries_ipv4_over_ipv6(hop) or is_translated_hop(hop)


def _double(
    path: PathEvidence, hops: list[Hop], reach: int | None, inferred: int | None, cgnat: bool | None
) -> bool | None:
    """Two inside networks one behind the other are two NATs: between
    them stands a router that hides the first (one that merely routes would show in the same way, but
    homes have none, and 100.64.0.0/10 is never routed to customers' own networks)."""
    networks = list(
        dict.fromkeys(_network(h.address) for h in hops if h.address and _inside(path, h.address))
    )
    own = {_network(answer.local.host) for answer in path.answers if answer.local is not None}
    if len(networks) > 1 and (not own or networks[0] in own) and (reach or inferred or 2) >= 2:
        return True
    if cgnat and any(_inside(path, network) and not is_shared(network) for network in own):
        return True  # a network of public addresses may well be routed
    return None


def _network(address: str) -> str:
    """The network of an address, as homes cut it: /24, or /64."""
    if ":" in address:
        return ":".join(address.split(":")[:4])
    return address.rpartition(".")[0] + ".0"


def _plain_role(path: PathEvidence, hop: Hop, nat: bool | None) -> Role:
    if hop.address is None:
        return "unknown"
    return "router" if hop.ttl == 1 or _inside(path, hop.address) or nat is None else "internet"


def _layer(
    path: PathEvidence, hop: Hop, distance: int | None, *, cgnat: bool | None, double: bool | None
) -> Layer:
    return Layer(hops=hop.ttl, address=hop.address, role=_role(path, hop, distance, cgnat, double))


def _role(
    path: PathEvidence, hop: Hop, distance: int | None, cgnat: bool | None, double: bool | None
) -> Role:
    if distance is None:
        inside = _inside(path, hop.address)
        return "router" if inside else "unknown" if hop.address is None else "internet"
    if hop.ttl > distance:
        return "internet" if hop.address is not None else "unknown"
    if hop.ttl == distance:
        return "carrier-nat" if cgnat else "nat"
    return "nat" if double and hop.ttl == 1 else "router"


def _why(path: PathEvidence, hops: list[Hop]) -> Reason:
    asked = [gap_reason(gap) for gap in path.gaps if gap.probe == "layers"]
    if asked:
        return (asked[0],)
    silent = not any(hop.address for hop in hops)
    return statement("layers-no-router" if silent else "layers-ambiguous"), _SETTLE
