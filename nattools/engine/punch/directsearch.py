"""When a direct path is looked for again while a relay passes everything on, and which paths were used."""

from __future__ import annotations

import asyncio
from typing import Final

from msgspec.structs import replace

from nattools.model.punch import RelayUse, UsedPath
from nattools.traversal.path import SelectedPath

PAUSES_S: Final = (5.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""After a relayed path was found, and after each search in vain; the last one again and again."""
MOST_JOINED: Final = 12
WITHIN_S: Final = 3600.0
"""So many searches of the peer's are joined in so long a time: each costs packets that may go to others."""
MOST_PATHS: Final = 40


class DirectSearch:
    """`due` on the side that leads, which begins the searches; `join` on the other. `number`: of the search
    that is due, counted from 1."""

    def __init__(self) -> None:
        self.number = 0
        self._next_at: float | None = None
        self._joined: list[float] = []

    def due(self, relayed: bool, now: float) -> bool:
        """Is it time for a search?"""
        if not relayed:
            self._next_at, self.number = None, 0
            return False
        if self._next_at is None:
            self._next_at = now + PAUSES_S[0]
        if now < self._next_at:
            return False
        self.number += 1
        self._next_at = now + PAUSES_S[min(self.number, len(PAUSES_S) - 1)]
        return True

    def join(self, now: float) -> bool:
        """Is the peer's search one that this side joins?"""
        self._joined = [each for each in self._joined if now - each < WITHIN_S]
        if len(self._joined) >= MOST_JOINED:
            return False
        self._joined.append(now)
        return True


class PathLog:
    """The paths that were used, in order; times in seconds since `began` on the loop's clock."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._loop = asyncio.get_running_loop()
        self._used: list[UsedPath] = []

    def note(self, path: SelectedPath | None) -> None:
        """This one is in use now."""
        if path is None:
            return
        now = round(self._loop.time() - self._began, 3)
        used = _described(path, now)
        before = self._used[-1] if self._used else None
        if before is not None and _way(before) == _way(used):
            self._used[-1] = _lasting(before, now, used.rtt_ms)
            return
        if len(self._used) >= MOST_PATHS:
            del self._used[1]
        if before is not None:
            self._used[-1] = _lasting(before, now, None)
        self._used.append(used)

    @property
    def used(self) -> tuple[UsedPath, ...]:
        """All of them."""
        return tuple(self._used)

    @property
    def relay(self) -> RelayUse | None:
        """The relay that was used last, if any was."""
        found = [each for each in self._used if each.relay is not None]
        if not found:
            return None
        last = found[-1]
        seconds = sum(each.seconds for each in found if each.relay == last.relay)
        return RelayUse(
            kind="derp" if (last.relay or "").startswith("derp:") else "turn",
            uri=last.relay or "",
            rtt_ms=last.rtt_ms,
            since_s=next(each.since_s for each in found if each.relay == last.relay),
            seconds=round(seconds, 3),
        )


def _described(path: SelectedPath, now: float) -> UsedPath:
    return UsedPath(
        path="relayed" if path.relayed else "direct",
        transport=path.transport,
        family=path.family,
        strategy=path.strategy,
        local=str(path.local),
        remote=str(path.remote),
        since_s=now,
        rtt_ms=path.rtt_ms,
        relay=path.relay,
    )


def _way(used: UsedPath) -> tuple[object, ...]:
    return used.path, used.transport, used.local, used.remote


def _lasting(used: UsedPath, now: float, rtt_ms: float | None) -> UsedPath:
    seconds = round(now - used.since_s, 3)
    return replace(used, seconds=seconds, rtt_ms=used.rtt_ms if rtt_ms is None else rtt_ms)
