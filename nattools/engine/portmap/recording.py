"""What routers offered and said, as observations."""

from __future__ import annotations

import asyncio
from typing import Literal

from msgspec.structs import replace

from nattools.model.mappingseen import MapAttempt, MapEntry, MapOffer, MapTable
from nattools.model.portmapping import MappingProtocol
from nattools.probes.portmap import Granted, Listing, MappingRequest, Refused, TableEntry
from nattools.probes.probe import Recorder

Action = Literal["make", "renew", "delete", "read back"]


def record_offer(recorder: Recorder, offer: MapOffer, began: float, replies: str | None) -> None:
    """One way in which a router offers mappings, or does not, with the interface by which replies leave."""
    rtt_s = None if offer.rtt_s is None else round(offer.rtt_s, 6)
    recorder.add(replace(offer, replies=replies, rtt_s=rtt_s), at=began)


def record_attempt(
    recorder: Recorder,
    action: Action,
    protocol: MappingProtocol,
    wanted: MappingRequest,
    result: Granted | Refused | TableEntry | None,
    began: float,
    *,
    known: Granted | None = None,
) -> None:
    """A question to a router and its answer; None: what was to be deleted is gone. `known`: the mapping as it
    was before, if there was one for certain."""
    refused = result if isinstance(result, Refused) else None
    granted = result if isinstance(result, Granted) else None
    entry = result if isinstance(result, TableEntry) else None
    recorder.add(
        MapAttempt(
            probe="map",
            action=action,
            protocol=protocol,
            transport=wanted.transport,
            family=wanted.family,
            internal=str(wanted.internal),
            wanted_port=wanted.external_port,
            outcome=_outcome(result),
            external=_external(granted or known, entry),
            lifetime_s=_lifetime_s(result, known),
            took_s=round(asyncio.get_running_loop().time() - began, 6),
            refusal=refused.refusal if refused else None,
            quirks=granted.quirks if granted else entry.quirks if entry else (),
            detail=refused.detail if refused else "",
        ),
        at=began,
    )


def _lifetime_s(result: Granted | Refused | TableEntry | None, known: Granted | None) -> int | None:
    """Of what is there; of what could not be removed what is left at most."""
    if isinstance(result, Refused):
        return result.left_s or (known.lifetime_s if known is not None else None)
    return None if result is None else result.lifetime_s


def record_not_asked(recorder: Recorder, protocol: MappingProtocol, wanted: MappingRequest) -> None:
    """The router has said by UPnP that it forbids the port (`policy.may_ask`)."""
    left = Refused(protocol=protocol, failure="not asked", detail="UPnP calls the port forbidden")
    record_attempt(recorder, "make", protocol, wanted, left, asyncio.get_running_loop().time())


def _outcome(
    result: Granted | Refused | TableEntry | None,
) -> Literal["granted", "deleted", "found", "refused", "timeout", "unreachable", "malformed", "not asked"]:
    if isinstance(result, Refused):
        return result.failure
    if isinstance(result, Granted):
        return "granted"
    return "deleted" if result is None else "found"


def _external(granted: Granted | None, entry: TableEntry | None) -> str | None:
    """The address and port, or the port alone as `:5000` where the router does not know its address."""
    if entry is not None:
        return f":{entry.external_port}"
    if granted is None:
        return None
    return f":{granted.external_port}" if granted.external is None else str(granted.external)


def record_entry(recorder: Recorder, protocol: MappingProtocol, entry: TableEntry, *, ours: bool) -> None:
    """A row of a router's table."""
    recorder.add(
        MapEntry(
            probe="map-list",
            protocol=protocol,
            transport=entry.transport,
            family=entry.internal.family,
            internal=str(entry.internal),
            external_port=entry.external_port,
            external_host=entry.external_host,
            lifetime_s=entry.lifetime_s,
            description=entry.description,
            enabled=entry.enabled,
            ours=ours,
        )
    )


def record_table(recorder: Recorder, protocol: MappingProtocol, table: Listing) -> None:
    """How far a router's table could be read; its rows are recorded each for itself."""
    seen = MapTable(
        probe="map-list",
        protocol=protocol,
        rows=len(table.entries),
        incomplete=table.incomplete,
        refusal=table.refusal,
    )
    recorder.add(seen)
