"""Whether the addresses that a libp2p node announces lead to it."""

from __future__ import annotations

from nattools.engine.analysis.findings import Findings
from nattools.model.endpoint import Family, family_of, read_endpoint
from nattools.model.overlay import OverlayPeer, OverlayStatus
from nattools.model.statement import Reason, statement
from nattools.model.tailscale import TailnetPeer
from nattools.net.addresses import is_public, is_this_machine


def announced_address(findings: Findings, peer: OverlayPeer) -> TailnetPeer:
    """One of them, beside what is seen of this machine from outside."""
    reason, remedy = _why(findings, peer)
    return TailnetPeer(
        name=peer.name,
        direct=False if peer.path == "relay" else None,
        now="relayed" if peer.path == "relay" else "unknown",
        relay=peer.relay,
        endpoint=peer.endpoint,
        reason=reason,
        remedy=remedy,
    )


def _why(findings: Findings, peer: OverlayPeer) -> tuple[Reason, Reason]:
    if peer.path == "relay":
        return (statement("address-of-relay", relay=peer.relay or peer.name),), ()
    at = read_endpoint(peer.endpoint)
    if at is None:
        return (statement("announced-name"),), ()
    if not is_public(at.host):
        return (statement("announced-here" if is_this_machine(at.host) else "announced-inside"),), ()
    outside = _outside(findings, family_of(at.host))
    if not outside:
        return (statement("announced-unchecked"),), ()
    if at.host in outside:
        return (statement("announced-own"),), (statement("try-announced"),)
    return (statement("announced-elsewhere", outside=outside),), (statement("announce-no-more"),)


def _outside(findings: Findings, family: Family) -> tuple[str, ...]:
    """The addresses under which this machine is seen."""
    nats = (findings.nat(transport, family) for transport in ("udp", "tcp"))
    seen = [host for nat in nats if nat is not None for host in nat.external]
    own = findings.own_addresses(6) if family == 6 else ()
    return tuple(dict.fromkeys((*seen, *(each for each in own if seen and is_public(each)))))


def announces(own: OverlayStatus) -> tuple[Reason, Reason]:
    """What all of them come to: does anybody outside learn where the node is?"""
    told = [each for each in own.peers if each.announced]
    if not told or any(each.path == "relay" or _is_outside(each) for each in told):
        return (), ()
    return (statement("announces-nothing-outside"),), (statement("announce-outside"),)


def _is_outside(peer: OverlayPeer) -> bool:
    """A public address, or a name, which may have one."""
    at = read_endpoint(peer.endpoint)
    return at is None or is_public(at.host)
