"""Who stops what comes in from outside: by what reached this machine's interface, by who says so, and by how
far a packet has to go to open the filter. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nattools.engine.analysis.evidence import Finding, PathEvidence
from nattools.model.droppedat import DroppedAt
from nattools.model.endpoint import host_of
from nattools.model.observation import DialBack

_HERE, _NEXT = 1, 2
"""TTLs of a packet that passes no router, so that what it opens is a filter of this machine; and of one that
passes the next router alone."""
_STOPPED = ("timeout", "refused", "unreachable")


class Stopped(NamedTuple):
    """Something that did not get in: did it come to the interface (None: nobody looked), and does this
    machine itself say so?"""

    reached_card: bool | None
    said_here: bool = False


def who_stops(stopped: Sequence[Stopped], path: PathEvidence | None) -> DroppedAt:
    """Who stops them; there is at least one. `path`: what was seen over UDP of the same family."""
    if any(each.reached_card or each.said_here for each in stopped):
        return "host"
    opened = _opened(path)
    if opened.get(_HERE):
        return "host" if all(each.reached_card is None for each in stopped) else "unknown"
    elsewhere = any(each.reached_card is False for each in stopped) or opened.get(_HERE) is False
    if opened.get(_NEXT) and elsewhere:
        return "router"
    # what goes all the way opens it, and what passes the next router alone does not
    return "beyond" if opened.get(_NEXT) is False and punched(path) else "unknown"


def punched(path: PathEvidence | None) -> bool | None:
    """Did a hole that was punched let a packet in?"""
    outcomes = {each.outcome for each in path.punches} if path is not None else set()
    return True if "punched" in outcomes else False if outcomes == {"silent"} else None


def _opened(path: PathEvidence | None) -> dict[int, bool]:
    """By TTL, did a packet with it open the way in? False: none did, of so many that loss is no reason."""
    found: dict[int, bool] = {}
    for each in path.openers if path is not None else ():
        if each.opened:
            found[each.ttl] = True
        elif each.opened is False and path is not None and path.loss.conclusive(each.sent):
            found.setdefault(each.ttl, False)
    return found


def dropped_at(path: PathEvidence, twin: PathEvidence, *, nat: bool | None) -> Finding[DroppedAt | None]:
    """Who stops what was sent to a port that had written to nobody. None: nothing is known to be stopped, or
    the NAT is reason enough. `twin`: the same family's other transport."""
    backs = [back for back in path.dial_backs if back.untouched and back.outcome in _STOPPED]
    here = tuple(back.id for back in backs if back.reached_card)
    if here:
        return Finding("host", here)
    silent = _that_count(path, backs)
    if nat is not False or not silent:
        return Finding(None)
    over_udp = path if path.transport == "udp" else twin
    who = who_stops([Stopped(back.reached_card) for back in silent], over_udp)
    openers = tuple(each.id for each in over_udp.openers if each.ttl <= _NEXT)
    return Finding(who, (*(back.id for back in silent), *openers))


def _that_count(path: PathEvidence, backs: Iterable[DialBack]) -> list[DialBack]:
    return [back for back in backs if back.outcome != "timeout" or _conclusive(path, back)]


def _conclusive(path: PathEvidence, back: DialBack) -> bool:
    return path.loss_to(host_of(back.origin) or "").conclusive(back.sent)
