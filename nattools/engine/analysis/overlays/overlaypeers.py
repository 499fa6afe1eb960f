"""Why a peer is relayed now, by what is known of both ends."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from nattools.engine.analysis.findings import Findings
from nattools.engine.analysis.libp2p.announcementchecks import announced_address
from nattools.engine.analysis.overlays.overlayremedies import helps_with, look_at_lan, measure_there
from nattools.engine.analysis.overlays.overlaystates import is_down, lacks_roots
from nattools.model.endpoint import family_of, read_endpoint
from nattools.model.nat import Nat
from nattools.model.overlay import OverlayPeer, OverlayStatus
from nattools.model.statement import Reason, Statement, statement
from nattools.model.tailscale import PeerState, TailnetPeer, TailscaleWay
from nattools.net.addresses import is_public
from nattools.traversal.plan.side import moving

_BLOCKED = "udp blocked"
_NOW: Mapping[str, PeerState] = {
    "direct": "direct",
    "relay": "relayed",
    "peer-relay": "relayed",
    "none": "idle",
    "trying": "trying",
    "failed": "failed",
}
_DIRECT: Mapping[PeerState, bool | None] = {"direct": True, "relayed": False}


def explained(
    findings: Findings, ways: Mapping[str, TailscaleWay], own: OverlayStatus, peer: OverlayPeer
) -> TailnetPeer:
    """One peer, with what its way is and why it is that one."""
    if peer.announced:
        return announced_address(findings, peer)
    if own.program == "kubo":
        return _address(findings, peer)
    reason, remedy = _why(findings, ways, own, peer)
    now = _now(own, peer, reason)
    return TailnetPeer(
        name=peer.name,
        direct=_DIRECT.get(now),
        now=now,
        relay=peer.relay,
        endpoint=peer.endpoint,
        reason=reason,
        remedy=remedy,
    )


def _now(own: OverlayStatus, peer: OverlayPeer, reason: Reason) -> PeerState:
    """What its program says, unless something else that it says speaks against it."""
    code = reason[0].code if reason else ""
    if code in ("peer-without-handshake", "peer-direct-within", "peer-never-answered"):
        return "doubtful"
    if code in ("peer-expired", "peer-offline"):
        return "offline"
    if code == "peer-client-down":
        return "unknown"
    if code == "peer-without-roots":
        return "failed"
    return _NOW.get(peer.path, "unknown")


def _address(findings: Findings, peer: OverlayPeer) -> TailnetPeer:
    """An address of kubo's, as AutoNAT v2 found it, beside what this network lets in."""
    nat, remedy = findings.nat("udp", findings.main), helps_with("kubo")
    filtering = "unknown" if nat is None else nat.filtering
    if peer.path == "relay":
        told, remedy = statement("address-of-relay", relay=peer.relay), ()
    elif peer.reachable is None:
        told, remedy = statement("address-untested"), ()
    elif peer.reachable and filtering == "address-dependent" and "/udp/" in peer.name:
        told = statement("address-doubtful")
    elif peer.reachable:
        told, remedy = statement("address-reachable"), ()
    else:
        told = statement("address-unreachable", filtering=filtering)
    return TailnetPeer(
        name=peer.name,
        direct=False if peer.path == "relay" else peer.reachable,
        now="relayed" if peer.path == "relay" else "unknown",
        relay=peer.relay,
        endpoint=peer.endpoint,
        reason=(told,),
        remedy=remedy,
    )


def _why(
    findings: Findings, ways: Mapping[str, TailscaleWay], own: OverlayStatus, peer: OverlayPeer
) -> tuple[Reason, Reason]:
    if is_down(own):
        return (statement("peer-client-down"),), ()
    if peer.answers is False:
        return (statement("peer-unheard"),), ()
    if peer.handshake is False and peer.path == "relay" and own.program == "tailscale":
        return (statement("peer-never-answered", relay=peer.relay),), (statement("look-at-peer"),)
    if peer.handshake is False and peer.path in ("direct", "relay"):
        return (statement("peer-without-handshake"),), (statement("look-at-handshake"),)
    if peer.path == "direct":
        return _direct(findings, own, peer), ()
    if peer.expired:
        return (statement("peer-expired"),), (statement("renew-key"),)
    if peer.online is False:
        return (statement("peer-offline"),), ()
    if peer.path in ("trying", "failed"):
        return _unconnected(findings, ways, own, peer)
    if peer.path in ("none", "unknown"):
        told = statement("peer-idle" if peer.path == "none" else "peer-way-unknown")
        return (told,), ((statement("ping-peer", name=peer.name),) if own.program == "tailscale" else ())
    relays = _relays(own, peer)
    if peer.path == "peer-relay":
        return (statement("peer-by-peer-relay", relay=peer.relay),), ()
    near = _neighbour(findings, peer)
    if near is not None:
        return (*relays, statement("peer-near", endpoint=near)), look_at_lan(own.program)
    if peer.relayed_alone:
        return (*relays, statement("webrtc-relays-alone")), (statement("webrtc-permit-others"),)
    if lacks_roots(own):
        return (statement("peer-without-roots"),), ()
    if own.program == "zerotier":
        relays = (*relays, statement("relayed-or-idle"))
    if own.program == "ipfs":
        return (*relays, statement("swarm-not-upgraded")), helps_with(own.program)
    return _by_networks(findings, ways, own, peer, relays)


def _direct(findings: Findings, own: OverlayStatus, peer: OverlayPeer) -> Reason:
    """Directly, unless the address is one to which another peer has a route: then packets may go through
    that peer's tunnel, and the program calls it direct all the same."""
    at = read_endpoint(peer.endpoint)
    if at is None or any(_same_network(mine, at.host) for mine in findings.own_addresses(4)):
        return (statement("peer-is-direct", endpoint=peer.endpoint),)
    via = next((one.name for one in own.peers if one is not peer and _routes_to(one, at.host)), None)
    if via is None:
        return (statement("peer-is-direct", endpoint=peer.endpoint),)
    return (statement("peer-direct-within", endpoint=peer.endpoint, via=via),)


def _routes_to(peer: OverlayPeer, host: str) -> bool:
    try:
        return any(ip_address(host) in ip_network(each) for each in (*peer.routes, *peer.addresses))
    except ValueError:
        return False


def _unconnected(
    findings: Findings, ways: Mapping[str, TailscaleWay], own: OverlayStatus, peer: OverlayPeer
) -> tuple[Reason, Reason]:
    """No path has answered, not even one through a relay."""
    if peer.path == "trying":
        return (statement("peer-trying"),), ()
    if own.program == "webrtc":
        return (statement("webrtc-failed"),), (statement("webrtc-add-turn"),)
    return _by_networks(findings, ways, own, peer, (statement("peer-unreached"),))


def _relays(own: OverlayStatus, peer: OverlayPeer) -> tuple[Statement, ...]:
    """What is said of the peer's relay and of ours."""
    if not peer.relay:
        return (statement("peer-relayed"),)
    if own.relay and own.relay != peer.relay:
        return (statement("peer-relayed-by-its", relay=peer.relay, own=own.relay),)
    return (statement("peer-relayed-by", relay=peer.relay),)


def _by_networks(
    findings: Findings,
    ways: Mapping[str, TailscaleWay],
    own: OverlayStatus,
    peer: OverlayPeer,
    relays: Reason,
) -> tuple[Reason, Reason]:
    """What the two networks allow."""
    nat = findings.nat("udp", findings.main)
    if nat is None or (nat.reachable is None and nat.mapping == "unknown"):
        return (*relays, statement("own-network-unknown")), ()
    if nat.reachable is False:
        return (*relays, statement("own-udp-blocked")), (
            (statement("ts-let-udp-out"),) if own.program == "tailscale" else (statement("let-udp-out"),)
        )
    left = tuple(dict.fromkeys(_short(kind) for kind, way in ways.items() if way == "relay"))
    seen = _ports_of(peer)
    if moving(nat) and seen > 1:
        return (*relays, statement("both-move", ports=seen)), _ours(findings, own)
    if moving(nat):
        return (*relays, statement("own-moves", kinds=left)), _ours(findings, own)
    if left == (_BLOCKED,):
        return (*relays, statement("only-blocked-left")), (measure_there(own.program),)
    if seen > 1:
        return (*relays, statement("peer-moves", ports=seen)), _ours(findings, own)
    return (*relays, statement("one-of-these-left", kinds=left)), (
        measure_there(own.program),
        *_ours(findings, own),
    )


def _ours(findings: Findings, own: OverlayStatus) -> Reason:
    """What helps on this side whatever the peer's is."""
    if own.program != "tailscale":
        return helps_with(own.program)
    return (statement("ts-map-port" if _behind_nat(findings.nat("udp", findings.main)) else "ts-open-port"),)


def _behind_nat(nat: Nat | None) -> bool:
    return nat is None or nat.present is not False


def _short(kind: str) -> str:
    """All symmetric NATs are one kind here."""
    return "symmetric" if kind.startswith("symmetric") else kind


def _ports_of(peer: OverlayPeer) -> int:
    """At how many ports of one public address was it seen? Several: its NAT gives another one to each."""
    ports: dict[str, set[int]] = {}
    for each in map(read_endpoint, peer.endpoints):
        if each is not None and is_public(each.host) and family_of(each.host) == 4:
            ports.setdefault(each.host, set()).add(each.port)
    return max(map(len, ports.values()), default=0)


def _neighbour(findings: Findings, peer: OverlayPeer) -> str | None:
    """An address at which it says that it can be reached, and that is on a network of this machine's."""
    for each in map(read_endpoint, peer.endpoints):
        if each is None or is_public(each.host):
            continue
        for own in findings.own_addresses(4):
            if _same_network(own, each.host):
                return str(each)
    return None


def _same_network(own: str, other: str) -> bool:
    """By their first 24 bits, as nearly all home networks have it."""
    try:
        if ip_address(own).is_global or ip_address(other).version != 4 or own == other:
            return False
        return ip_address(other) in ip_network(f"{own}/24", strict=False)
    except ValueError:
        return False
