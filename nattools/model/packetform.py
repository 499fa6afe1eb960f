"""In which form an IP packet travels that some routers drop, and what passes here."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.endpoint import Family
from nattools.model.observed import Observation

PacketForm = Literal["whole", "fragments", "destination-options"]
"""As ever; in fragments (RFC 791 3.2, RFC 8200 4.5), none of them above 1,280 bytes over IPv6; over IPv6
alone, with an extension header that says nothing (RFC 8200 4.6)."""
FormOutcome = Literal["passed", "silent", "not tried"]


class FormTrial(Observation, frozen=True, kw_only=True, tag="packet-form"):
    """Packets in one `form`, up to `sent` of them, to the server `asked` (`outward`) or from there to a port
    that had written to it. `size`: of the UDP payload, in bytes.

    `outcome` "silent": none arrived, in as many copies as make silence count; "not tried": `detail` says why.
    `able`: the server is known to take such packets, so that silence is not its fault.
    """

    family: Family
    form: PacketForm
    outward: bool
    asked: str
    outcome: FormOutcome
    able: bool = False
    size: int = 0
    sent: int = 0
    detail: str = ""


class FormPassage(msgspec.Struct, frozen=True, kw_only=True):
    """Do such packets pass, out from here and in from a server? None: not known."""

    outbound: bool | None = None
    inbound: bool | None = None


class FragmentsByFamily(msgspec.Struct, frozen=True, kw_only=True):
    """None: not tried."""

    ipv4: FormPassage | None = None
    ipv6: FormPassage | None = None
