"""What a router has really made: its table is believed, not its answer. Pure."""

from __future__ import annotations

import msgspec

from nattools.model.endpoint import Endpoint, parse_address
from nattools.model.portmapping import READ_BACK_WITHIN_S, listed_lifetime
from nattools.probes.portmap import Granted, Refused, TableEntry


def as_listed(granted: Granted, row: TableEntry | Refused | None) -> Granted:
    """A mapping as the router's table has it, by its port too. `row`: what was read back; None or a refusal
    that does not deny it: nothing is known."""
    if isinstance(row, TableEntry):
        return msgspec.structs.replace(
            granted,
            listed=True,
            lifetime_s=listed_lifetime(granted.lifetime_s, row.lifetime_s),
            external_port=row.external_port,
            named=row.description,
            quirks=(*granted.quirks, *row.quirks),
        )
    if row is not None and row.denied:
        return msgspec.structs.replace(granted, listed=False)
    return granted


def runs_on(before: Granted | None, passed_s: float, renewed: Granted) -> bool:
    """Has a mapping that was made or renewed `passed_s` ago, as `before`, not become younger by a renewal?"""
    if before is None or before.lifetime_s is None or renewed.lifetime_s is None:
        return False
    ends_as_before = renewed.lifetime_s <= before.lifetime_s - passed_s + READ_BACK_WITHIN_S / 2
    return passed_s > READ_BACK_WITHIN_S and ends_as_before


def is_closed_pinhole(known: Granted, found: Refused) -> bool:
    """Does the router know no more what it has known as a pinhole? miniupnpd 2.3.1 says 402 then."""
    if known.unique_id is None:
        return False
    from nattools.protocols.igd import ErrorCode

    return found.code in (ErrorCode.NO_SUCH_PINHOLE, ErrorCode.INVALID_ARGS)


def leads_to(row: TableEntry, internal: Endpoint) -> bool:
    """Is it to that inside? Some routers name the machine instead of giving its address: then the port has to
    do."""
    if row.internal.port != internal.port:
        return False
    try:
        return parse_address(row.internal.host) == parse_address(internal.host)
    except ValueError:
        return True
