"""What an internet gateway is asked for next, given what it has said. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator

from nattools.model.portmapping import MAPPING_NAME, listed_lifetime
from nattools.probes.portmap.igdcall import is_broken
from nattools.probes.portmap.mapper import MappingRequest, Refused, TableEntry
from nattools.protocols import igd
from nattools.protocols.igd import ErrorCode

_SHORT_LEASE_S = 3600
_LOWEST_PORT = 1024
_VALUES = (ErrorCode.INVALID_ARGS, ErrorCode.INVALID_VALUE, ErrorCode.OUT_OF_RANGE)
_UNKNOWN_ACTION = (ErrorCode.INVALID_ACTION, ErrorCode.NOT_IMPLEMENTED)
_HAVE_IT = (ErrorCode.ACTION_FAILED, ErrorCode.CONFLICT)
# Another external port may do where these are said
_TAKEN = (ErrorCode.CONFLICT, ErrorCode.NO_PORT_MAPS, ErrorCode.OTHER_MECHANISM, ErrorCode.ACTION_FAILED)


class IgdAttempt:
    """What to ask for next, given what the router said to the last question."""

    def __init__(self, wanted: MappingRequest, *, plain: bool) -> None:
        self._wanted = wanted
        self._ports = ports_to_try(wanted)
        self._plain = plain
        self._description = wanted.description
        self.port = next(self._ports)
        self.lease_s = min(wanted.lifetime_s, igd.actions.MAX_LEASE_S)
        self.quirks: list[str] = []
        self.failed: list[int] = []
        self.unsettled = False
        self.maybe_twice = False
        self.renewed = False
        self._leases_tried = {self.lease_s}
        self._made_anew = False

    def action(self) -> igd.Call[int | None]:
        """AddPortMapping, or AddAnyPortMapping unless `plain`."""
        return igd.add_port_mapping(
            transport=self._wanted.transport,
            external_port=self.port,
            internal_host=self._wanted.internal.host,
            internal_port=self._wanted.internal.port,
            description=self._description,
            lease_s=self.lease_s,
            any_port=not self._plain,
        )

    def may_have_made(self, row: TableEntry) -> bool:
        """Is it what was asked for, or what was ours before?"""
        if row.external_port in self._wanted.own_ports:
            return True
        listed_s = listed_lifetime(self.lease_s or None, row.lifetime_s)
        fits = not row.tells_lifetime or listed_s == (self.lease_s or None)
        return row.description == self._description and fits

    def has_not_asked_for(self, row: TableEntry) -> bool:
        """Is its port neither one that was asked for in vain nor that of another mapping of ours?"""
        return row.external_port not in (*self.failed, *self._wanted.own_ports)

    def note_failure(self, refused: Refused) -> None:
        """AddAnyPortMapping may have made another port than the one asked for, unless it is unknown."""
        if not self._plain and refused.code not in _UNKNOWN_ACTION:
            self.maybe_twice = True

    def may_make_anew(self, refused: Refused, there: TableEntry) -> bool:
        """Is what is `there` to be deleted, and the same asked for again? Some routers fail when they are
        asked for what they have. Once is enough. A row without a name whose port was never asked for by UPnP
        may be another protocol's: that stays."""
        known = bool(there.description) or there.external_port in self._wanted.own_ports
        again = known and refused.code in _HAVE_IT and not self._made_anew
        self._made_anew = self._made_anew or again
        return again

    def adapt(self, refused: Refused, *, elsewhere: bool) -> bool:
        """Change what is asked for; False: nothing is left to try. `elsewhere`: another port will do."""
        code = refused.code
        if not self._plain and (is_broken(refused) or code == ErrorCode.NO_PORT_MAPS):
            # which says nothing about AddPortMapping; 728 is also said where the port is not allowed at all
            self._plain = True
            return True
        if code == ErrorCode.ONLY_PERMANENT_LEASES:
            return self._lease(0, "the router makes permanent mappings only")
        if code == ErrorCode.TOO_LONG and self._description != MAPPING_NAME:
            self._description = MAPPING_NAME
            return True
        if code == ErrorCode.SAME_PORTS_REQUIRED and not self._wanted.exact:
            return self._same_port()
        if _may_mean_lease(refused) and self._other_lease(refused):
            return True
        if code in _VALUES and self._description != MAPPING_NAME:
            self._description = MAPPING_NAME  # not all of them say 605
            return True
        if code in _TAKEN and elsewhere and not self._wanted.exact:
            self.port = next(self._ports)
            return True
        return False

    def _other_lease(self, refused: Refused) -> bool:
        """Many routers that make permanent mappings alone, or none, do not say so by 725."""
        name = "no valid answer" if refused.refusal is None else str(refused.refusal.code)
        if self.lease_s:
            return self._lease(0, f"the router refused a mapping with a lifetime ({name})")
        return self._lease(_SHORT_LEASE_S, f"the router refused a permanent mapping ({name})")

    def _lease(self, lease_s: int, quirk: str) -> bool:
        if lease_s in self._leases_tried:
            return False
        self._leases_tried.add(lease_s)
        self.lease_s = lease_s
        self.quirks.append(quirk)
        return True

    def _same_port(self) -> bool:
        if self.port == self._wanted.internal.port:
            return False
        self.port = self._wanted.internal.port
        self.quirks.append("the router wants the external port to equal the internal one")
        return True


def ports_to_try(wanted: MappingRequest) -> Iterator[int]:
    """External ports to try: the wanted one, the internal one, then others; never 0, which means all ports,
    and not below 1024 unless asked for. They are the same ones whenever the request is read again: a mapping
    whose answer was never seen can be looked for."""
    if wanted.suggested_port:
        yield wanted.suggested_port
    draw = random.Random(wanted.nonce)
    while True:
        yield draw.randint(_LOWEST_PORT, 65535)


def _may_mean_lease(refused: Refused) -> bool:
    """Might it be the lifetime that the router does not like? No standard has negative codes."""
    return is_broken(refused) or refused.code in _VALUES or (refused.code or 0) < 0
