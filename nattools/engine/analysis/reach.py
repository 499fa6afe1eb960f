"""Does anything come back at all, and through which destination ports?"""

from __future__ import annotations

from collections import defaultdict

from nattools.engine.analysis.evidence import Path, endpoint
from nattools.engine.analysis.finding import Finding
from nattools.model.confidence import CERTAIN_ERROR, WORST_LOSS, chance_of_silence
from nattools.model.observation import Binding

_CAME = ("answered", "error", "malformed")
_STOPPED = ("prohibited", "timeout", "unreachable")


def reachable(path: Path, twin: Path) -> Finding[bool | None]:
    """`twin` is the same family's other transport, whose answers prove that the network is up."""
    came = tuple(binding.id for binding in path.bindings if binding.outcome in _CAME)
    came += tuple(back.id for back in path.dial_backs if back.outcome == "arrived")
    came += tuple(attempt.id for attempt in path.connections if attempt.outcome == "answered")
    if path.transport == "udp" or came:
        return Finding(True, came) if came else _silent(path, twin)
    return _silent_tcp(path, twin)


def _silent(path: Path, twin: Path) -> Finding[bool | None]:
    """UDP counts as blocked if servers that are up say nothing to more copies than loss could eat."""
    up = {answer.asked.host for answer in twin.answers}
    tried = [b for b in path.bindings if (at := endpoint(b.asked)) is not None and at.host in up]
    ids = tuple(binding.id for binding in tried)
    if not up:
        return Finding(None, tuple(b.id for b in path.bindings), "No server answered over any transport.")
    copies = sum(max(0, b.sent) for b in tried if b.outcome in _STOPPED)
    if chance_of_silence(min(copies, 1000), WORST_LOSS) < CERTAIN_ERROR:
        return Finding(False, ids)
    if tried and all(binding.outcome == "prohibited" for binding in tried):
        return Finding(False, ids)
    return Finding(None, ids, f"Nothing came back to {copies} copies; more would tell it from loss.")


def _silent_tcp(path: Path, twin: Path) -> Finding[bool | None]:
    """Many STUN servers have no TCP, so silence says little: only several servers that are up are proof."""
    up = {answer.asked.host for answer in twin.answers}
    stopped = [c for c in path.connections if c.outcome in ("timeout", "prohibited", "unreachable")]
    hosts = {at.host for c in stopped if (at := endpoint(c.remote)) is not None and at.host in up}
    ids = tuple(attempt.id for attempt in path.connections)
    if len(hosts) > 1 and len(stopped) == len(path.connections):
        return Finding(False, ids)
    why = (
        "No server answered over TCP; one that is known to speak it, as nattools serve does, would settle it."
    )
    return Finding(None, ids, why)


def ports(path: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
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


def _sort_ports(path: Path) -> tuple[dict[int, set[str]], dict[int, set[str]], set[int]]:
    opened: dict[int, set[str]] = defaultdict(set)
    silent: dict[int, set[str]] = defaultdict(set)
    advertised: set[int] = set()
    for binding in path.bindings:
        at = endpoint(binding.asked)
        if at is None or binding.change_address or binding.change_port:
            continue
        if binding.purpose == "reach":
            advertised |= {at.port} | {other.port for other in path.groups.others(at.host)}
        if binding.outcome in _CAME or binding.outcome == "refused":
            opened[at.port].add(at.host)
        elif binding.outcome == "prohibited" or _silent_for_good(path, binding):
            silent[at.port].add(at.host)
    for attempt in path.connections:
        at = endpoint(attempt.remote)
        if at is not None and attempt.outcome in ("answered", "refused"):
            opened[at.port].add(at.host)
        elif at is not None and attempt.outcome in ("timeout", "prohibited"):
            silent[at.port].add(at.host)
    return opened, silent, advertised


def _silent_for_good(path: Path, binding: Binding) -> bool:
    return binding.outcome == "timeout" and path.loss.conclusive(binding.sent)
