"""What the NAT's behaviour means for hole punching, and what came of trying it.

A hole is punched, and random ports are met, where a server has a second address to be the peer. Elsewhere the
verdicts are about what this network allows.
"""

from __future__ import annotations

from nattools.engine.analysis.findings import Findings, judged, varies
from nattools.engine.analysis.punch_trials import (
    BirthdayOutcome,
    PunchOutcome,
    birthday_outcome,
    punch_outcome,
)
from nattools.model.endpoint import Transport
from nattools.model.nat import Nat
from nattools.model.report import Technique
from nattools.traversal.odds import odds
from nattools.traversal.side import Side, side_of
from nattools.traversal.udp_strategies import BLOCK_SOCKETS, PROBES, PROBES_PER_S, SOCKETS

_SETTLE = "Two addresses to ask would settle it: nattools serve, or --server with one that has RFC 5780."
TRIED = "Tried with the server's second address: it got in"
EASY = "peers without a NAT, and those whose NAT does not look at ports (full cone, address-restricted)"
_OVER_TCP = "Use a relay over TCP or TLS, or another network."


def udp_punch(findings: Findings) -> Technique:
    """Both sides send; each packet opens the own side for the other's."""
    nat = findings.nat("udp", findings.main)
    if nat is None:
        return judged("udp-punch", "unknown", 0.0, f"UDP was not measured. {_SETTLE}")
    ids = (*nat.evidence.get("mapping", ()), *nat.evidence.get("port_allocation", ()))
    if nat.reachable is False:
        ids = nat.evidence.get("reachable", ())
        return judged("udp-punch", "fails", 0.99, "UDP does not get out of this network.", _OVER_TCP, ids)
    side = side_of(nat)
    if side is None:
        why = nat.unknowns.get("mapping", "") or _SETTLE
        return judged("udp-punch", "unknown", 0.0, f"How the NAT maps ports is not known. {why}", "", ids)
    made = _still(nat, side, ids) if side.moves == "not" else _moving(nat, side, ids)
    return _with_trial(made, side, _trial(findings, "udp"))


def _trial(findings: Findings, transport: Transport) -> PunchOutcome | None:
    found = findings.by_path.get((transport, findings.main))
    return None if found is None else punch_outcome(found.path)


def _with_trial(made: Technique, side: Side, trial: PunchOutcome | None) -> Technique:
    """What the behaviour allows, with what came of trying it."""
    if trial is None or trial.state == "not tried":
        return made
    ids = (*made.evidence, *trial.evidence)
    confidence, summary, verdict = made.confidence, made.summary, made.verdict
    if trial.state == "punched":
        confidence = 0.99 if side.moves == "not" else 0.9
        summary = f"{summary} {TRIED}."
    elif trial.state == "kept out" and side.moves == "not":
        verdict, confidence = "fails", 0.9
        summary = f"{trial.why} Something here lets nobody in, not even whom you wrote to."
    elif trial.state == "missed" and side.moves == "not":
        verdict, confidence = "unknown", 0.0
        summary = f"Your NAT changed the port while it was tried. {trial.why}"
    elif trial.state == "missed":
        confidence = 0.5
        summary = f"Your NAT's next port was not met: only with {EASY}. {trial.why} See udp-birthday."
    else:
        confidence = min(confidence, 0.7)
        summary = f"{summary} {trial.why}"
    return judged(made.id, verdict, confidence, summary, made.advice, ids)


def _still(nat: Nat, side: Side, ids: tuple[int, ...]) -> Technique:
    given = "There is no NAT: your port is the same for everybody"
    if nat.present is not False:
        given = "Your NAT gives one port to everybody"
    if side.accepts != "port":
        return judged(
            "udp-punch", "works", 0.97, f"{given}, and any peer that you wrote to gets in.", "", ids
        )
    why = f"{given}. A peer whose port changes at random takes many tries (see udp-birthday)."
    return judged("udp-punch", "works", 0.95, why, "", ids)


def _moving(nat: Nat, side: Side, ids: tuple[int, ...]) -> Technique:
    forward = "A port mapping on your router (UPnP, NAT-PMP, PCP) or IPv6 would reach all."
    if side.moves == "predictably":
        how = (
            "keeps the inside port"
            if nat.port_allocation == "preserving"
            else f"counts in steps of {nat.port_step}"
        )
        why = f"Your NAT gives each peer another port, but it {how}, so the next one can be foretold."
        return judged(
            "udp-punch", "works", 0.75, f"{why} It fails when others take that port first.", forward, ids
        )
    if side.moves == "in a block":
        why = f"Your NAT gives each peer another port, from a block of {side.size}: plainly only to {EASY}."
        return judged("udp-punch", "works", 0.6, f"{why} For the others see udp-birthday.", forward, ids)
    why = f"Your NAT gives each peer another port, at random: only with {EASY}."
    if side.moves == "somehow":
        why = f"Your NAT gives each peer another port, how is not known: at least with {EASY}."
    return judged("udp-punch", "works", 0.5, f"{why} For the others see udp-birthday.", forward, ids)


def udp_birthday(findings: Findings) -> Technique:
    """Many ports on the side whose port is random, many tries on the other: the birthday paradox."""
    nat = findings.nat("udp", findings.main)
    if nat is None:
        return judged("udp-birthday", "unknown", 0.0, f"UDP was not measured. {_SETTLE}")
    ids = (*nat.evidence.get("mapping", ()), *nat.evidence.get("port_allocation", ()))
    if nat.reachable is False:
        ids = nat.evidence.get("reachable", ())
        return judged("udp-birthday", "fails", 0.99, "UDP does not get out of this network.", _OVER_TCP, ids)
    side = side_of(nat)
    if side is None:
        why = nat.unknowns.get("mapping", "") or _SETTLE
        return judged("udp-birthday", "unknown", 0.0, f"How the NAT maps ports is not known. {why}", "", ids)
    if side.moves == "somehow":
        why = "Your port changes with each peer; how is not known. More fresh ports would settle it."
        return judged("udp-birthday", "unknown", 0.0, why, "", ids)
    said = _odds_in_words(side)
    if side.moves in ("at random", "in a block"):
        found = findings.by_path.get(("udp", findings.main))
        return _with_meeting(said, ids, None if found is None else birthday_outcome(found.path))
    if said.startswith("With"):
        said = f"{said} Reckoned, not tried: it would take hundreds of the router's sessions."
    return judged("udp-birthday", "works", 0.8, said, _SESSIONS, ids)


def _with_meeting(said: str, ids: tuple[int, ...], trial: BirthdayOutcome | None) -> Technique:
    """What is reckoned, with what came of trying it."""
    if trial is None:
        said = f"{said} Reckoned, not tried: that takes a nattools serve with two addresses."
        return judged("udp-birthday", "works", 0.8, said, _SESSIONS, ids)
    ids = (*ids, *trial.evidence)
    if trial.state == "kept out":
        why = f"{trial.words} Something here lets nobody in, not even whom you wrote to."
        return judged("udp-birthday", "fails", 0.9, why, "", ids)
    if trial.state == "unforeseen":
        return judged("udp-birthday", "unknown", 0.0, f"{trial.words} {_AGAIN}", "", ids)
    confidence = {"punched": 0.97, "missed": 0.6}.get(trial.state, 0.8)
    return judged("udp-birthday", "works", confidence, f"{said} {trial.words}", _SESSIONS, ids)


_AGAIN = "Another run would show more of your NAT's ports, and may settle it."
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


def tcp_punch(findings: Findings) -> Technique:
    """Simultaneous open (RFC 9293 3.5; RFC 5382 REQ-2): needs a stable port, and a NAT that lets it pass."""
    nat = findings.nat("tcp", findings.main)
    if nat is None:
        why = "TCP was not measured. A server that speaks STUN over TCP would tell: nattools serve."
        return judged("tcp-punch", "unknown", 0.0, why)
    ids = (*nat.evidence.get("mapping", ()), *nat.evidence.get("filtering", ()))
    if nat.reachable is False:
        return judged(
            "tcp-punch", "fails", 0.9, "TCP to other ports does not get out of this network.", "", ids
        )
    if nat.blocked_ports:
        why = "TCP leaves this network only to certain ports, and peers' ports are any."
        return judged("tcp-punch", "fails", 0.8, why, "Use a relay on port 443.", ids)
    trial = _trial(findings, "tcp")
    ids = (*ids, *(trial.evidence if trial is not None else ()))
    if trial is not None and trial.state == "punched":
        return _opened(nat, ids)
    if varies(nat) is False and nat.filtering == "endpoint-independent":
        why = "Anybody can connect to your outside TCP port once it is open."
        return judged("tcp-punch", "works", 0.9, why, "", ids)
    if trial is not None and trial.state == "kept out":
        why = f"{trial.why} Your router or firewall does not let two sides connect at once."
        return judged("tcp-punch", "fails", 0.8, why, "", ids)
    return judged("tcp-punch", "unknown", 0.0, _unopened(nat, trial), "", ids)


def _opened(nat: Nat, ids: tuple[int, ...]) -> Technique:
    if varies(nat):
        why = "Your NAT gives each peer another TCP port, but the next one can be foretold."
        return judged("tcp-punch", "works", 0.85, f"{why} {TRIED}, both connecting at once.", "", ids)
    why = "Your outside TCP port is the same for everybody."
    return judged("tcp-punch", "works", 0.97, f"{why} {TRIED}, both connecting at once.", "", ids)


def _unopened(nat: Nat, trial: PunchOutcome | None) -> str:
    """Why it is not known."""
    outcome = trial.why if trial is not None else f"Opening at once was not tried. {_PEER}"
    if varies(nat) is False:
        return f"Your outside TCP port is the same for everybody, as it needs. {outcome}"
    if varies(nat):
        return f"Your NAT gives each peer another TCP port; it would have to be foretold. {outcome}"
    return f"How the NAT maps TCP ports is not known. {_SETTLE}"


_PEER = "A peer that has two addresses would settle it: nattools serve."
