"""Which strategies lead from one side to the other over TCP, where UDP does not pass.

A simultaneous open (RFC 9293 3.5; RFC 5382 REQ-2) needs what UDP punching needs: the outside port that each
side is going to have, known, foretold or found by trying.
"""

from __future__ import annotations

from nattools.model.nat import Nat
from nattools.traversal.odds import odds
from nattools.traversal.pairs import PROBES, PROBES_PER_S, SOCKETS, Whose
from nattools.traversal.side import Side
from nattools.traversal.steps import Step, Strategy


def restricted(tcp: Nat) -> str | None:
    """The ports that are let out, as text, where a peer's are not among them; None: all are."""
    if not tcp.blocked_ports:
        return None
    return ", ".join(map(str, tcp.open_ports)) or "some"


def tcp_steps(first: Side, second: Side, whose: Whose) -> list[Step]:
    """What to try over TCP, in order; nothing if nothing practical leads there. Both sides get out."""
    for side, name in ((second, whose[1]), (first, whose[0])):
        if side.open and not side.translated:
            return [_tcp("host", f"Over TCP: anybody can connect to {name} address.", 1)]
        if side.open:
            why = f"Over TCP: anybody can connect to {name} outside port, once it is open."
            return [_tcp("reflexive", why, 1)]
    if first.moves == "not" and second.moves == "not":
        why = "Over TCP, both opening at once, if both routers let that pass as they should (RFC 5382 REQ-2)."
        return [_tcp("simultaneous-open", why, 2)]
    still, moves, name = (first, second, whose[1]) if first.moves == "not" else (second, first, whose[0])
    if "somehow" in (first.moves, second.moves):
        return []
    if {first.moves, second.moves} <= {"not", "predictably"}:
        why = f"Over TCP, both opening at once: the next of {name} outside ports can be foretold."
        return [_tcp("simultaneous-open", why, 2)]
    if still.moves != "not":
        return []
    if still.accepts == "address":
        why = f"Over TCP: {name} side connects from whatever port, since the other only looks at addresses."
        return [_tcp("simultaneous-open", why, 2)]
    return [_tcp_birthday(moves, name)]


def _tcp(strategy: Strategy, why: str, packets: int) -> Step:
    return Step(
        strategy=strategy, transport="tcp", why=why, odds=1.0, packets=(packets, packets), seconds=6.0
    )


def _tcp_birthday(moves: Side, name: str) -> Step:
    sockets, probes = min(SOCKETS, moves.size), min(PROBES, moves.size)
    return Step(
        strategy="simultaneous-open",
        transport="tcp",
        why=f"Over TCP: {sockets} of {name} ports out of {moves.size:,}, and {probes:,} tries.",
        odds=round(odds(sockets, probes, moves.size), 4),
        packets=(probes, sockets),
        seconds=round(probes / PROBES_PER_S + sockets / PROBES_PER_S + 2, 2),
    )
