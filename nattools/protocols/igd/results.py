"""What the actions of an internet gateway return, as values. Pure.

Routers pad numbers and addresses, leave arguments out, and have words of their own: whatever can be
understood is. Readers raise ProtocolError for what cannot.
"""

from __future__ import annotations

import contextlib
import logging
import re
from ipaddress import IPv4Address

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Transport

logger = logging.getLogger(__name__)

PROTOCOL_NAMES: dict[Transport, str] = {"udp": "UDP", "tcp": "TCP"}
_ENDLESS = 0xFFFFFFFF
"""What some routers call the lease of a mapping that stays."""
_BOTH = ("BOTH", "TCPUDP", "UDPTCP")
_CONNECTION = {
    **dict.fromkeys(("connected", "up", "pendingdisconnect"), True),
    **dict.fromkeys(("unconfigured", "connecting", "authenticating", "disconnecting", "disconnected"), False),
    "down": False,
}
_PADDED = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)
_BOOLEANS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class Answer(msgspec.Struct, frozen=True):
    """What an action returned: names and values as the router wrote them. Names are matched by `get` without
    regard to case."""

    values: dict[str, str]

    def get(self, name: str) -> str | None:
        """The value of an output argument, None if the router left it out."""
        return self.values.get(name.lower())


class PortMappingEntry(msgspec.Struct, frozen=True):
    """A row of the router's table. `lease_s` is what is left, 0: for ever, None: it does not say;
    `remote_host` "": for all."""

    transport: Transport
    external_port: int
    internal_host: str
    internal_port: int
    enabled: bool
    description: str
    lease_s: int | None
    remote_host: str = ""

    @property
    def is_blank(self) -> bool:
        """Does the row lead nowhere? Some routers give such a row instead of an error."""
        return self.internal_port == 0 and self.internal_host in ("", "0.0.0.0")


class Status(msgspec.Struct, frozen=True):
    """`uptime_s` is the connection's: when it goes back, the router was restarted."""

    connection: str
    uptime_s: int | None

    @property
    def connected(self) -> bool | None:
        """Is the router's own connection up? None: it says nothing that can be understood. ("Up" is what some
        old routers say; one that is about to end is up.)"""
        return _CONNECTION.get(self.connection.strip().lower())


class FirewallStatus(msgspec.Struct, frozen=True):
    """`enabled`: IPv6 is filtered; `pinholes_allowed`: clients may open it."""

    enabled: bool
    pinholes_allowed: bool


def read_external_address(values: Answer) -> str | None:
    """The router's external IPv4 address; None where it has none: empty, 0.0.0.0, loopback or no address."""
    try:
        address = IPv4Address(_unpadded(values.get("NewExternalIPAddress") or ""))
    except ValueError:
        return None
    usable = not (address.is_unspecified or address.is_loopback or address.is_multicast)
    return str(address) if usable and int(address) >> 24 else None


def read_reserved_port(values: Answer) -> int | None:
    """The external port that AddAnyPortMapping assigned; None: the one asked for. ProtocolError."""
    if values.get("NewReservedPort") is None:
        return None
    return _number(values, "NewReservedPort", 1, 65535)


def read_entry(
    values: Answer, transport: Transport | None = None, external_port: int = 0
) -> PortMappingEntry:
    """A row of the table; `transport` and `external_port` are what was asked for, since
    GetSpecificPortMappingEntry does not repeat them. ProtocolError."""
    return PortMappingEntry(
        transport or _transport(values),
        external_port or _number(values, "NewExternalPort", 0, 65535),
        _host(values),
        _number(values, "NewInternalPort", 0, 65535),
        _boolean(values, "NewEnabled", default=True),
        (values.get("NewPortMappingDescription") or "")[:200],
        _lease(values),
        (values.get("NewRemoteHost") or "")[:100],
    )


def read_rows(values: Answer) -> tuple[PortMappingEntry, ...]:
    blank = PortMappingEntry("tcp", 0, _host(values), 0, False, "", 0)
    if blank.is_blank and not _optional(values, "NewInternalPort", 65535):
        return (blank,)
    protocol = re.sub("[^A-Z]", "", (values.get("NewProtocol") or "").upper())
    if protocol in _BOTH:
        with contextlib.suppress(ProtocolError):
            whole = read_entry(values, "udp")
            return whole, msgspec.structs.replace(whole, transport="tcp")
    if protocol and protocol not in PROTOCOL_NAMES.values():
        logger.debug("a row of the router's table with the protocol %.20r", protocol)
        return ()
    return (read_entry(values),)


def _lease(values: Answer) -> int | None:
    """Some routers leave it out, or have words for it; less than none is what some call for ever."""
    if (values.get("NewLeaseDuration") or "").strip().startswith("-"):
        return 0
    lease_s = _optional(values, "NewLeaseDuration", 10 * _ENDLESS)
    return 0 if lease_s is not None and lease_s >= _ENDLESS else lease_s


def _host(values: Answer) -> str:
    return _unpadded(values.get("NewInternalClient") or "")[:100]


def _unpadded(text: str) -> str:
    """An address as it is written everywhere else: some routers pad its numbers with zeros."""
    text = text.strip()
    return re.sub(r"(?<![^.])0+(?=\d)", "", text) if _PADDED.fullmatch(text) else text


def read_status(values: Answer) -> Status:
    """GetStatusInfo's result; a router that leaves something out has "" or None there."""
    return Status(values.get("NewConnectionStatus") or "", _optional(values, "NewUptime", 0xFFFFFFFF))


def read_firewall_status(values: Answer) -> FirewallStatus:
    """GetFirewallStatus's result. ProtocolError."""
    return FirewallStatus(_boolean(values, "FirewallEnabled"), _boolean(values, "InboundPinholeAllowed"))


def read_unique_id(values: Answer) -> int:
    """The number of a pinhole. ProtocolError."""
    return _number(values, "UniqueID", 0, 65535)


def read_is_working(values: Answer) -> bool:
    """CheckPinholeWorking's result. ProtocolError."""
    return _boolean(values, "IsWorking")


def _transport(values: Answer) -> Transport:
    name = (values.get("NewProtocol") or "").strip().upper()
    found = next((each for each, known in PROTOCOL_NAMES.items() if known == name), None)
    if found is None:
        raise ProtocolError(f"a mapping of the protocol {name[:20]!r}")
    return found


def _number(values: Answer, name: str, lowest: int, highest: int) -> int:
    found = _optional(values, name, highest)
    if found is None or found < lowest:
        raise ProtocolError(f"{name} is not a number from {lowest} to {highest}")
    return found


def _optional(values: Answer, name: str, highest: int) -> int | None:
    text = (values.get(name) or "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) <= highest else None


def _boolean(values: Answer, name: str, *, default: bool | None = None) -> bool:
    found = _BOOLEANS.get((values.get(name) or "").strip().lower(), default)
    if found is None:
        raise ProtocolError(f"{name} is neither true nor false")
    return found
