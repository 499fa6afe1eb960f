"""What the NAT's behaviour means for hole punching.

These verdicts are about what this network allows: no hole was punched for them.
"""

from __future__ import annotations

from nattools.engine.analysis.behaviour import varies
from nattools.engine.analysis.situation import Situation
from nattools.model.nat import Nat
from nattools.model.technique import Technique, TechniqueId, Verdict
from nattools.traversal.odds import odds
from nattools.traversal.pairs import BLOCK_SOCKETS, PROBES, PROBES_PER_S, SOCKETS
from nattools.traversal.side import Side, side_of

_SETTLE = "Two addresses to ask would settle it: nattools serve, or --server with one that has RFC 5780."
_OVER_TCP = "Use a relay over TCP or TLS, or another network."


def udp_punch(situation: Situation) -> Technique:
    """Both sides send; each packet opens the own side for the other's."""
    nat = situation.nat("udp", situation.main)
    if nat is None:
        return _verdict("udp-punch", "unknown", 0.0, f"UDP was not measured. {_SETTLE}")
    ids = (*nat.evidence.get("mapping", ()), *nat.evidence.get("port_allocation", ()))
    if nat.reachable is False:
        ids = nat.evidence.get("reachable", ())
        return _verdict("udp-punch", "fails", 0.99, "UDP does not get out of this network.", _OVER_TCP, ids)
    side = side_of(nat)
    if side is None:
        why = nat.unknowns.get("mapping", "") or _SETTLE
        return _verdict("udp-punch", "unknown", 0.0, f"How the NAT maps ports is not known. {why}", "", ids)
    if side.moves == "not":
        return _still(nat, side, ids)
    return _moving(nat, side, ids)


def _still(nat: Nat, side: Side, ids: tuple[int, ...]) -> Technique:
    given = "There is no NAT: your port is the same for everybody"
    if nat.present is not False:
        given = "Your NAT gives one port to everybody"
    if side.accepts != "port":
        return _verdict(
            "udp-punch", "works", 0.97, f"{given}, and any peer that you wrote to gets in.", "", ids
        )
    why = f"{given}. A peer whose port changes at random takes many tries (see udp-birthday)."
    return _verdict("udp-punch", "works", 0.95, why, "", ids)


def _moving(nat: Nat, side: Side, ids: tuple[int, ...]) -> Technique:
    easy = "peers without a NAT, and those whose NAT does not look at ports (full cone, address-restricted)"
    forward = "A port mapping on your router (UPnP, NAT-PMP, PCP) or IPv6 would reach all."
    if side.moves == "predictably":
        how = (
            "keeps the inside port"
            if nat.port_allocation == "preserving"
            else f"counts in steps of {nat.port_step}"
        )
        why = f"Your NAT gives each peer another port, but it {how}, so the next one can be foretold."
        return _verdict(
            "udp-punch", "works", 0.75, f"{why} It fails when others take that port first.", forward, ids
        )
    if side.moves == "in a block":
        why = f"Your NAT gives each peer another port, from a block of {side.size}: plainly only to {easy}."
        return _verdict("udp-punch", "works", 0.6, f"{why} For the others see udp-birthday.", forward, ids)
    why = f"Your NAT gives each peer another port, at random: only with {easy}."
    if side.moves == "somehow":
        why = f"Your NAT gives each peer another port, how is not known: at least with {easy}."
    return _verdict("udp-punch", "works", 0.5, f"{why} For the others see udp-birthday.", forward, ids)


def udp_birthday(situation: Situation) -> Technique:
    """Many ports on the side whose port is random, many tries on the other: the birthday paradox."""
    nat = situation.nat("udp", situation.main)
    if nat is None:
        return _verdict("udp-birthday", "unknown", 0.0, f"UDP was not measured. {_SETTLE}")
    ids = (*nat.evidence.get("mapping", ()), *nat.evidence.get("port_allocation", ()))
    if nat.reachable is False:
        ids = nat.evidence.get("reachable", ())
        return _verdict(
            "udp-birthday", "fails", 0.99, "UDP does not get out of this network.", _OVER_TCP, ids
        )
    side = side_of(nat)
    if side is None:
        why = nat.unknowns.get("mapping", "") or _SETTLE
        return _verdict(
            "udp-birthday", "unknown", 0.0, f"How the NAT maps ports is not known. {why}", "", ids
        )
    if side.moves == "somehow":
        why = "Your port changes with each peer; how is not known. More fresh ports would settle it."
        return _verdict("udp-birthday", "unknown", 0.0, why, "", ids)
    return _verdict("udp-birthday", "works", 0.8, _odds_in_words(side), _SESSIONS, ids)


_SESSIONS = (
    "It takes hundreds of sessions of the router's table for some minutes: use it when nothing else works."
)


def _odds_in_words(side: Side) -> str:
    seconds = PROBES / PROBES_PER_S
    chance = f"{100 * odds(SOCKETS, PROBES, 64512):.0f}% in {seconds:.1f} s"
    if side.moves == "at random":
        return f"With peers whose port stays the same: {chance}. Not in practice with others like us."
    if side.moves == "in a block":
        probes = min(side.size, PROBES)
        sure = 100 * odds(min(BLOCK_SOCKETS, side.size), probes, side.size)
        return f"With peers whose port stays the same: {sure:.0f}% in {probes / PROBES_PER_S:.1f} s."
    if side.moves == "predictably":
        return "Not needed where your next port is foretold; not in practice with peers whose port is random."
    if side.accepts != "port":
        return "Not needed here: your side lets in any peer that you wrote to."
    return f"With peers whose port changes at random: {chance}."


def tcp_punch(situation: Situation) -> Technique:
    """Simultaneous open (RFC 9293 3.5; RFC 5382 REQ-2): needs a stable port, and a NAT that lets it pass."""
    nat = situation.nat("tcp", situation.main)
    settle = "Trying it with a peer would settle it."
    if nat is None:
        why = "TCP was not measured. A server that speaks STUN over TCP would tell: nattools serve."
        return _verdict("tcp-punch", "unknown", 0.0, why)
    ids = (*nat.evidence.get("mapping", ()), *nat.evidence.get("filtering", ()))
    if nat.reachable is False:
        return _verdict(
            "tcp-punch", "fails", 0.9, "TCP to other ports does not get out of this network.", "", ids
        )
    if nat.blocked_ports:
        why = "TCP leaves this network only to certain ports, and peers' ports are any."
        return _verdict("tcp-punch", "fails", 0.8, why, "Use a relay on port 443.", ids)
    if varies(nat) is False and nat.filtering == "endpoint-independent":
        return _verdict(
            "tcp-punch",
            "works",
            0.9,
            "Anybody can connect to your outside TCP port once it is open.",
            "",
            ids,
        )
    if varies(nat) is False:
        why = "Your outside TCP port is the same for everybody, as it needs; opening at once was not tried."
        return _verdict("tcp-punch", "unknown", 0.0, f"{why} {settle}", "", ids)
    if varies(nat):
        why = f"Your NAT gives each peer another TCP port; it would have to be foretold. {settle}"
        return _verdict("tcp-punch", "unknown", 0.0, why, "", ids)
    return _verdict(
        "tcp-punch", "unknown", 0.0, f"How the NAT maps TCP ports is not known. {_SETTLE}", "", ids
    )


def _verdict(
    name: TechniqueId,
    verdict: Verdict,
    confidence: float,
    summary: str,
    advice: str = "",
    evidence: tuple[int, ...] = (),
) -> Technique:
    return Technique(
        id=name,
        verdict=verdict,
        confidence=confidence,
        summary=summary,
        advice=advice,
        evidence=tuple(dict.fromkeys(evidence)),
    )
