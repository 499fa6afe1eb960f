"""Whom a libp2p node here meets directly: by dialling, by being dialled, or by DCUtR, which opens connections
from both sides at once to where each is seen, and guesses no ports."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec.structs import replace

from nattools.engine.analysis.findings import Findings
from nattools.model.libp2p import Dcutr, DcutrKind
from nattools.model.nat import NAT_KINDS, Nat
from nattools.model.statement import Statement, statement
from nattools.traversal.plan.side import only_services

_ONE_PORT = ("none", "endpoint-independent")


class Upgrade(NamedTuple):
    """See `model.libp2p.Libp2p`."""

    dcutr: Dcutr
    reason: Statement
    kinds: tuple[DcutrKind, ...]


def upgrades(findings: Findings) -> Upgrade | None:
    """None: nothing is known of the network."""
    udp, tcp = findings.nat("udp", findings.main), findings.nat("tcp", findings.main)
    if udp is not None and only_services(udp):
        udp = replace(udp, reachable=False)
    if udp is None and tcp is None:
        return None
    kinds = tuple(_with(kind, udp, tcp, peer) for kind, peer in NAT_KINDS.items())
    direct = sum(row.path == "direct" for row in kinds)
    own = _carrier(udp, tcp)
    if own is None:
        code = "dcutr-unknown" if udp is None or udp.reachable is not False else "dcutr-nothing-passes"
        return Upgrade("unknown" if code == "dcutr-unknown" else "impossible", statement(code), kinds)
    nat, over = own
    values: dict[str, str | int] = {"over": over, "direct": direct, "kinds": len(kinds)}
    if nat.mapping == "unknown":
        return Upgrade("unknown", statement("dcutr-mapping-unknown"), kinds)
    if open_to_all(nat):
        return Upgrade("possible", statement("dcutr-not-needed", **values), kinds)
    if nat.mapping in _ONE_PORT:
        return Upgrade("possible", statement("dcutr-possible", **values), kinds)
    if over == "udp":
        return Upgrade("birthday only", statement("dcutr-birthday-only", **values), kinds)
    return Upgrade("impossible", statement("dcutr-tcp-varies", **values), kinds)


def _carrier(udp: Nat | None, tcp: Nat | None) -> tuple[Nat, str] | None:
    """What libp2p's connections go over: QUIC where UDP passes, else TCP."""
    if udp is not None and udp.reachable:
        return udp, "udp"
    if tcp is not None and tcp.reachable:
        return tcp, "tcp"
    return None


def open_to_all(nat: Nat) -> bool:
    """Can anybody connect to a port that is in use?"""
    return nat.filtering == "endpoint-independent" and nat.mapping in _ONE_PORT


def _with(kind: str, udp: Nat | None, tcp: Nat | None, peer: Nat) -> DcutrKind:
    path, code = way_between(udp, tcp, peer)
    return DcutrKind(kind=kind, path=path, reason=(statement(code),))


def way_between(
    udp: Nat | None, tcp: Nat | None, peer: Nat
) -> tuple[Literal["direct", "relay", "unknown"], str]:
    """(how, the code of the reason) between this network and a peer's, whose NAT is taken to treat TCP as it
    treats UDP."""
    if peer.reachable is False or udp is None or udp.reachable is False:
        return _over_tcp(tcp, peer)
    if open_to_all(peer):
        return "direct", "upgrade-they-are-open"
    if open_to_all(udp):
        return "direct", "upgrade-we-are-open"
    if udp.reachable is None or udp.mapping == "unknown":
        return "unknown", "upgrade-own-mapping-unknown"
    ours, theirs = udp.mapping in _ONE_PORT, peer.mapping in _ONE_PORT
    if ours and theirs:
        return "direct", "upgrade-both-keep-ports"
    if theirs and peer.filtering == "address-dependent":
        return "direct", "upgrade-they-know-our-address"
    if ours and udp.filtering == "address-dependent":
        return "direct", "upgrade-we-know-their-address"
    if ours and udp.filtering == "unknown":
        return "unknown", "upgrade-own-filtering-unknown"
    return "relay", "upgrade-port-not-guessed" if ours or theirs else "upgrade-no-port-guessed"


def _over_tcp(tcp: Nat | None, peer: Nat) -> tuple[Literal["direct", "relay", "unknown"], str]:
    """Where UDP is blocked on one side or both, only somebody whom anybody can call is met directly. DCUtR
    over TCP could do more, but go-libp2p first dials from the same port, after which a Linux NAT lets no
    simultaneous opening through (docs/design/0024)."""
    if tcp is None or tcp.reachable is None:
        return "unknown", "upgrade-tcp-not-measured"
    if tcp.reachable is False:
        return "relay", "upgrade-nothing-passes"
    if peer.reachable is not False and open_to_all(peer):
        return "direct", "upgrade-they-are-open"
    if open_to_all(tcp):
        return "direct", "upgrade-we-are-open"
    return "relay", "upgrade-udp-blocked"
