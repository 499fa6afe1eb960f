"""A mapping that a run has made and answers for, and what is noted of it. What is noted already is kept all
the same where nothing can be written any more, as on a full disk."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.engine.portmap.journal import Journal
from nattools.engine.portmap.journalentry import JournalEntry
from nattools.probes.portmap import Granted, Mapper, MappingRequest

Remade = Literal["refused", "runs on"]
"""The router refused to renew it, or said yes and let the old lifetime run on."""


class HeldMapping(msgspec.Struct):
    """A mapping that this session has made and not removed, or may have made. `at`: when it was last granted,
    on the loop's clock. `remade`: why it was deleted and made anew instead of being renewed, the last
    time."""

    entry: JournalEntry
    mapper: Mapper
    wanted: MappingRequest
    granted: Granted | None = None
    at: float = 0.0
    remade: Remade | None = None


def note_grant(journal: Journal, held: HeldMapping, granted: Granted) -> None:
    """The router said yes, the first time or to a renewal. OSError: the first time could not be written."""
    try:
        journal.granted(held.entry, granted)
    except OSError:
        if held.granted is None:
            raise


def note_question(journal: Journal, held: HeldMapping, own_ports: tuple[int, ...], port: int) -> None:
    """An external port is about to be asked for. OSError: nothing can be written, and this port is not one
    of those noted, `own_ports`."""
    try:
        journal.asking(held.entry, port)
    except OSError:
        if port not in own_ports:
            raise


def note_again(journal: Journal, held: HeldMapping) -> None:
    """Another process may have deleted what this one keeps, and its note with it."""
    old = held.entry
    if not any(each.id == old.id for each in journal.entries()):
        held.entry = journal.add(
            old.wanted,
            old.protocol,
            interface=old.interface,
            gateway=old.gateway,
            router=old.router,
            stays=old.stays,
        )
        held.granted = None
