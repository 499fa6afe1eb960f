"""How long does a silent mapping live, and what keeps it (RFC 4787 4.3)?"""

from __future__ import annotations

from nattools.engine.analysis.evidence import Path
from nattools.engine.analysis.finding import Finding
from nattools.model.observation import Idle

_ASK = "nattools nat --lifetime measures it; that takes as long as the mapping lives."


class LifetimeFinding(Finding["float | None"], frozen=True):
    """The value lies in the middle of `bounds`: the longest silence that a mapping survived, and the shortest
    that none did. `refreshed_by_inbound`, `refreshed_by_outbound`: does such traffic keep it?"""

    bounds: tuple[float | None, float | None] | None = None
    refreshed_by_inbound: bool | None = None
    refreshed_by_outbound: bool | None = None


def lifetime(path: Path) -> LifetimeFinding:
    """A mapping that answered was alive. One that did not was dead only if loss cannot explain the silence of
    all that should have answered by then."""
    quiet = [idle for idle in path.idles if idle.refreshed_by == "nothing"]
    if not quiet and not path.answers:
        return LifetimeFinding(None, (), "Nothing was answered.")
    if not quiet:
        gaps = [gap for gap in path.gaps if gap.probe == "lifetime"]
        why = f"{gaps[0].reason.rstrip('.')}. It takes {gaps[0].settle}." if gaps else _ASK
        return LifetimeFinding(None, (), why)
    ids = tuple(idle.id for idle in quiet)
    alive = max((idle.idle_s for idle in quiet if idle.alive), default=None)
    dead = _dead(path, quiet, alive)
    bounds = (alive, dead)
    inbound = _refreshed(path, "inbound", alive, dead)
    outbound = _refreshed(path, "outbound", alive, dead)
    if alive is None and dead is None:
        return LifetimeFinding(None, ids, f"No test was conclusive on this path. {_ASK}")
    if alive is None:
        return LifetimeFinding(None, ids, f"Shorter than {dead:g} s; no shorter time was tried.", bounds)
    if dead is None:
        why = f"At least {alive:g} s; longer was not tried."
        return LifetimeFinding(None, ids, why, bounds, inbound, outbound)
    middle = round((alive + dead) / 2, 1)
    return LifetimeFinding(middle, ids, "", bounds, inbound, outbound)


def _dead(path: Path, quiet: list[Idle], alive: float | None) -> float | None:
    """The shortest silence that is known to be deadly. A mapping that outlives a time outlives shorter ones,
    so silences of shorter waits add up."""
    copies = 0
    for idle in sorted(quiet, key=lambda one: one.idle_s):
        if idle.alive is False and (alive is None or idle.idle_s > alive):
            copies += max(0, idle.sent)
            if path.loss.conclusive(copies):
                return idle.idle_s
    return None


def _refreshed(path: Path, by: str, alive: float | None, dead: float | None) -> bool | None:
    """Was a mapping through which something passed still alive after a silence that is deadly?"""
    tests = [idle for idle in path.idles if idle.refreshed_by == by and dead is not None]
    if any(idle.alive and dead is not None and idle.idle_s >= dead for idle in tests):
        return True
    silent = [idle for idle in tests if idle.alive is False and (alive is None or idle.idle_s > alive)]
    if silent and path.loss.conclusive(sum(max(0, idle.sent) for idle in silent)):
        return False
    return None
