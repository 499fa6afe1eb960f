"""The end of a run: what is not meant to stay on the routers is removed."""

from __future__ import annotations

import asyncio

from nattools.engine.portmap.heldmapping import HeldMapping
from nattools.engine.portmap.journalentry import JournalEntry
from nattools.engine.portmap.recording import record_attempt
from nattools.engine.portmap.routersession import PortmapSession
from nattools.net.eventloop import TimeLimit
from nattools.probes.portmap import Refused
from nattools.probes.portmap.mapper import FailureKind

RELEASE_S = 12.0
"""How long removing everything may take, when somebody waits for that: slow routers need so long for a
change. Most need no time, and one that is gone is given up sooner."""
SHARED = "another nattools process uses it too"


async def release(session: PortmapSession) -> None:
    """Remove what is not meant to stay. To be awaited at the end in every case; takes a few seconds at the
    most. What cannot be removed stays in the journal, for the next start."""
    # what was not granted, as far as is known, does not stay either
    ending = [each for each in session.held if not each.entry.stays or each.granted is None]
    ended: list[HeldMapping] = []

    async def end(held: HeldMapping) -> None:
        await _release(session, held, {each.entry.id for each in ending})
        ended.append(held)

    async with TimeLimit(RELEASE_S), asyncio.TaskGroup() as group:
        for held in ending:
            group.create_task(end(held))
    for held in ending:
        if held not in ended:
            _record_left(session, held, "timeout", f"it was not confirmed within {RELEASE_S:g} s")


async def _release(session: PortmapSession, held: HeldMapping, ending: set[str]) -> None:
    """Remove it, unless another nattools holds the same: routers have it once. What only this entry can
    remove, by another protocol or nonce, stays noted until that one is gone too."""
    others = [each for each in _in_use_beside(session, held) if each.id not in ending]
    if not others:
        await session.remove(held)
        return
    _record_left(session, held, "not asked", SHARED)
    protocol = held.entry.protocol
    if protocol != "pcp" and any(each.protocol == protocol for each in others):
        session.forget(held)


def _in_use_beside(session: PortmapSession, held: HeldMapping) -> list[JournalEntry]:
    """Entries of others that are wanted, and that removing this one may hit. A nonce hits its own alone."""
    if held.granted is not None:
        return session.journal.others(held.entry, held.granted)
    return [] if held.entry.protocol == "pcp" else session.journal.in_use_at_same_inside(held.entry)


def _record_left(session: PortmapSession, held: HeldMapping, failure: FailureKind, detail: str) -> None:
    """Record that a mapping is not known to be gone."""
    now, protocol = asyncio.get_running_loop().time(), held.entry.protocol
    left = Refused(protocol=protocol, failure=failure, detail=detail)
    record_attempt(session.run.recorder, "delete", protocol, held.wanted, left, now, known=held.granted)
