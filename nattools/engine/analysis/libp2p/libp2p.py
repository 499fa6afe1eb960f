"""What libp2p peers saw, and what follows for a node here. Only a dial by somebody whom this machine had not
written to proves that others can connect: an address-restricted NAT lets in all whom it knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from nattools.engine.analysis.findings import Findings, milliseconds
from nattools.engine.analysis.libp2p.directupgrade import upgrades
from nattools.model.endpoint import host_of
from nattools.model.libp2p import Libp2p, Libp2pAddress, Libp2pPeer, Libp2pRelay, Libp2pUpgrade
from nattools.model.peertrial import (
    DialAsked,
    NameAsked,
    PeerVisit,
    QuicAsked,
    ReservationAsked,
    UpgradeTried,
)
from nattools.model.statement import Reason, Statement, statement
from nattools.net.addresses import is_this_machine

ENOUGH_FAILURES = 2
"""So often somebody must have failed to connect before that counts."""
_FAILURES = ("dial-error", "dial-back-error")
_VISITS: dict[str, str] = {
    "unresolved": "peer-unresolved",
    "unsupported": "peer-unsupported",
    "timeout": "peer-silent",
    "refused": "peer-port-closed",
    "unreachable": "peer-unreachable",
    "prohibited": "peer-prohibited",
    "reset": "peer-closed",
    "closed": "peer-closed",
    "protocol": "peer-not-libp2p",
    "error": "peer-failed",
}
_PLACES: dict[str, str] = {
    "reservation-refused": "place-refused",
    "permission-denied": "place-denied",
    "limit-exceeded": "place-limit",
}
_CALLS: dict[str, str] = {
    "no-reservation": "call-no-place",
    "connection-failed": "call-not-taken",
    "limit-exceeded": "call-limit",
    "permission-denied": "call-denied",
}
_UPGRADES: dict[str, str] = {
    "dialled": "upgrade-dialled",
    "met": "upgrade-met",
    "failed": "upgrade-failed",
    "no-addresses": "upgrade-no-addresses",
    "not-spoken": "upgrade-not-spoken",
}


def libp2p(findings: Findings) -> Libp2p:
    """The section of a measurement that is about libp2p too."""
    upgrade = upgrades(findings)
    seen = findings.measurement.observations
    relays = _relays([each for each in seen if isinstance(each, ReservationAsked)])
    names = [bool(each.found) for each in seen if isinstance(each, NameAsked)]
    return Libp2p(
        peers=_peers(seen),
        names=any(names) if names else None,
        autonat=_addresses([each for each in seen if isinstance(each, DialAsked)]),
        relays=relays,
        relay_reserved=_any(row.reserved for row in relays),
        dcutr="unknown" if upgrade is None else upgrade.dcutr,
        dcutr_with=() if upgrade is None else upgrade.kinds,
        upgrades=tuple(_upgrade(each) for each in seen if isinstance(each, UpgradeTried)),
        reason=(statement("dcutr-unknown") if upgrade is None else upgrade.reason,),
    )


def _any(values: Iterable[bool | None]) -> bool | None:
    """True if one is, False if all are known not to be."""
    found = list(values)
    return True if True in found else False if found and None not in found else None


# --- peers


def _peers(seen: Sequence[object]) -> tuple[Libp2pPeer, ...]:
    """And the QUIC ports of none of them, which were named: nothing but the port could be asked."""
    visits: dict[str, list[PeerVisit]] = defaultdict(list)
    for each in seen:
        if isinstance(each, PeerVisit):
            visits[each.address].append(each)
    quic = [each for each in seen if isinstance(each, QuicAsked)]
    rows = [_peer(address, found, quic) for address, found in visits.items()]
    theirs = {number for row in rows for number in row.evidence}
    return (*rows, *(_quic_port(each) for each in quic if each.id not in theirs))


def _quic_port(asked: QuicAsked) -> Libp2pPeer:
    why = statement("peer-quic-answers" if asked.answered else "peer-quic-silent")
    return Libp2pPeer(
        address=asked.address, quic=True if asked.answered else None, reason=(why,), evidence=(asked.id,)
    )


def _peer(address: str, visits: Sequence[PeerVisit], quic: Sequence[QuicAsked]) -> Libp2pPeer:
    from nattools.protocols.libp2p.autonat import DIAL_REQUEST
    from nattools.protocols.libp2p.circuit import HOP

    first = next((each for each in visits if each.identified), visits[0])
    answered = [each for each in quic if first.peer is not None and each.address.endswith(first.peer)]
    return Libp2pPeer(
        address=address,
        identified=first.identified,
        observed=tuple(dict.fromkeys(each.observed for each in visits if each.observed is not None)),
        agent=first.agent,
        peer=first.peer,
        rtt_ms=milliseconds(first.rtt_s),
        autonat=DIAL_REQUEST in first.protocols if first.identified else None,
        relay=HOP in first.protocols if first.identified else None,
        quic=True if any(each.answered for each in answered) else None,
        reason=() if first.identified else (_why_not(first),),
        evidence=(*(each.id for each in visits), *(each.id for each in answered)),
    )


def _why_not(visit: PeerVisit) -> Statement:
    host = host_of(visit.remote) if visit.address.startswith("/dns") else None
    if host is not None and is_this_machine(host):
        return statement("peer-name-blocked", address=host)
    if (visit.outcome, visit.remote) == ("unresolved", None) and visit.address.startswith(("/ip4/", "/ip6/")):
        return statement("peer-other-family", family=int(visit.address[3]))
    if visit.outcome == "unsupported" and visit.detail in ("ws", "wss") and visit.remote is not None:
        return statement("peer-web-socket-port", remote=visit.remote)
    if visit.outcome == "unsupported" and visit.detail == "p2p":
        return statement("peer-id-alone")
    if visit.outcome == "unsupported" and not visit.detail:
        return statement("peer-without-port")
    code = _VISITS.get(visit.outcome, "peer-says-nothing")
    return statement(code, remote=visit.remote, detail=visit.detail)


# --- addresses


def _addresses(asked: Sequence[DialAsked]) -> tuple[Libp2pAddress, ...]:
    by_address: dict[str, list[DialAsked]] = defaultdict(list)
    for each in asked:
        by_address[each.asked].append(each)
    return tuple(_address(address, found) for address, found in by_address.items())


def _arrived_from_stranger(each: DialAsked) -> bool:
    return each.origin is not None and host_of(each.origin) not in each.written_to


def _address(address: str, asked: Sequence[DialAsked]) -> Libp2pAddress:
    ids = tuple(each.id for each in asked)
    strange = next((each for each in asked if _arrived_from_stranger(each)), None)
    known = next((each for each in asked if each.origin is not None), None)
    failed = [each for each in asked if each.dial in _FAILURES]
    if strange is not None:
        why = statement("address-reached", by=_named(strange), origin=host_of(strange.origin))
        return Libp2pAddress(address=address, reachable=True, by=strange.server, reason=(why,), evidence=ids)
    if known is not None:
        return _only_known(address, known, failed, ids)
    if len(failed) >= ENOUGH_FAILURES:
        by = tuple(dict.fromkeys(map(_named, failed)))
        why = statement("address-not-reached", by=by)
        return Libp2pAddress(
            address=address, reachable=False, by=failed[0].server, reason=(why,), evidence=ids
        )
    return Libp2pAddress(address=address, reason=_not_known(asked), evidence=ids)


def _only_known(
    address: str, known: DialAsked, failed: Sequence[DialAsked], ids: tuple[int, ...]
) -> Libp2pAddress:
    """AutoNAT says reachable by one whom the NAT knows; what do the others say?"""
    others = [each for each in failed if each.peer != known.peer]
    if len(others) >= ENOUGH_FAILURES:
        by = tuple(dict.fromkeys(map(_named, others)))
        why = statement("address-false-positive", by=by, known=_named(known))
        return Libp2pAddress(
            address=address,
            reachable=False,
            by=others[0].server,
            false_positive=True,
            reason=(why,),
            evidence=ids,
        )
    reason = (statement("address-only-known", known=_named(known)), statement("settle-other-address"))
    return Libp2pAddress(address=address, reason=reason, evidence=ids)


def _not_known(asked: Sequence[DialAsked]) -> Reason:
    """Why nobody knows."""
    for each in asked:
        if each.dial == "ok":
            return (statement("address-claimed", by=_named(each)),)
    for code, statuses in (
        ("address-refused", ("refused",)),
        ("address-rejected", ("rejected", "internal-error")),
    ):
        for each in asked:
            if each.status in statuses:
                return (statement(code, by=_named(each)),)
    if any(each.dial in _FAILURES for each in asked):
        return (statement("address-tried-once"),)
    return (statement("address-unanswered"),)


def _named(each: DialAsked) -> str:
    """The last characters of its id are what people tell peers apart by."""
    return f"...{each.peer[-6:]}"


# --- relays


def _relays(asked: Sequence[ReservationAsked]) -> tuple[Libp2pRelay, ...]:
    return tuple(_relay(each) for each in asked)


def _relay(asked: ReservationAsked) -> Libp2pRelay:
    reserved = None if asked.status is None else asked.status == "ok"
    return Libp2pRelay(
        address=asked.relay,
        reserved=reserved,
        limit_s=asked.limit_s,
        limit_bytes=asked.limit_octets,
        carries=asked.carried,
        rtt_ms=milliseconds(asked.rtt_s),
        reason=_about_place(asked),
        evidence=(asked.id,),
    )


def _about_place(asked: ReservationAsked) -> Reason:
    if asked.status is None:
        return (statement("place-silent"),)
    if asked.status != "ok":
        return (statement(_PLACES.get(asked.status, "place-status"), status=asked.status),)
    if asked.carried is False:
        return (statement("place-carries-nothing", status=asked.detail),)
    return ()


# --- upgrades


def _upgrade(tried: UpgradeTried) -> Libp2pUpgrade:
    direct = tried.remote is not None
    return Libp2pUpgrade(
        peer=tried.peer,
        relay=tried.relay,
        role=tried.role,
        relayed=tried.relayed == "ok",
        direct=True if direct else False if tried.end == "failed" else None,
        attempts=tried.attempts,
        local=tried.local,
        remote=tried.remote,
        rtt_ms=milliseconds(tried.rtt_s),
        relayed_rtt_ms=milliseconds(tried.relayed_rtt_s),
        elapsed_s=tried.took_s if tried.relayed == "ok" else None,
        reason=(_about_upgrade(tried),),
        evidence=(tried.id,),
    )


def _about_upgrade(tried: UpgradeTried) -> Statement:
    if tried.relayed != "ok":
        return statement(_CALLS.get(tried.relayed, "call-failed"), status=tried.relayed)
    code = _UPGRADES.get(tried.end or "", "upgrade-silent")
    return statement(code, remote=tried.remote, attempts=tried.attempts)
