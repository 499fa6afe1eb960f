"""The actions of an internet gateway: what to ask, and how to read what comes back.

WANIPConnection:1 and :2 (WANPPPConnection:1 has the same ones) and WANIPv6FirewallControl:1. Arguments are in
the order of the service descriptions, as some routers insist on it; the protocol is in upper case.
"""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv4Address
from typing import Protocol

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Transport


class ErrorCode(IntEnum):
    """UPnP errors that decide what is asked next; `wording.refusals` has them all."""

    INVALID_ACTION = 401
    INVALID_ARGS = 402
    ACTION_FAILED = 501
    NOT_AUTHORIZED = 606
    FIREWALL_DISABLED = 702
    PINHOLES_NOT_ALLOWED = 703
    NO_SUCH_PINHOLE = 704
    NO_TRAFFIC = 709
    ARRAY_INDEX_INVALID = 713
    NO_SUCH_ENTRY = 714
    CONFLICT = 718
    SAME_PORTS_REQUIRED = 724
    ONLY_PERMANENT_LEASES = 725
    NO_PORT_MAPS = 728
    OTHER_MECHANISM = 729
    MAPPING_NOT_FOUND = 730


MAX_LEASE_S = 604_800
"""WANIPConnection:2, section 2.3.16: a week at most."""
MAX_PINHOLE_LEASE_S = 86_400
"""WANIPv6FirewallControl:1, section 2.3.11."""
_PROTOCOLS: dict[Transport, str] = {"udp": "UDP", "tcp": "TCP"}
_PROTOCOL_NUMBERS: dict[Transport, str] = {"udp": "17", "tcp": "6"}
_MAX_DESCRIPTION = 80


class Values(Protocol):
    """An action's result."""

    def get(self, name: str) -> str | None:
        """The value of an output argument, None if the router left it out."""


class Call(msgspec.Struct, frozen=True):
    """An action and its arguments in order."""

    action: str
    arguments: tuple[tuple[str, str], ...] = ()


class PortMappingEntry(msgspec.Struct, frozen=True):
    """A row of the router's table. `lease_s` is what is left, 0: for ever; `remote_host` "": all."""

    transport: Transport
    external_port: int
    internal_host: str
    internal_port: int
    enabled: bool
    description: str
    lease_s: int
    remote_host: str = ""

    @property
    def is_blank(self) -> bool:
        """Does the row lead nowhere? Some routers give such a row instead of an error."""
        return self.internal_port == 0 and self.internal_host in ("", "0.0.0.0")


class Status(msgspec.Struct, frozen=True):
    """`uptime_s` is the connection's: when it goes back, the router was restarted."""

    connection: str
    last_error: str
    uptime_s: int | None

    @property
    def connected(self) -> bool:
        """Is the router's own connection up? ("Up" is what some old routers say.)"""
        return self.connection.lower() in ("connected", "up")


class FirewallStatus(msgspec.Struct, frozen=True):
    """`enabled`: IPv6 is filtered; `pinholes_allowed`: clients may open it."""

    enabled: bool
    pinholes_allowed: bool


# --- port mappings


def add_port_mapping(
    *,
    transport: Transport,
    external_port: int,
    internal_host: str,
    internal_port: int,
    description: str,
    lease_s: int,
    remote_host: str = "",
    any_port: bool = False,
) -> Call:
    """AddPortMapping; it also renews a mapping of the same machine. A lease of 0 means for ever.

    With `any_port` it is AddAnyPortMapping (WANIPConnection:2), which takes another external port if that one
    belongs to somebody else."""
    arguments = (
        ("NewRemoteHost", remote_host),
        ("NewExternalPort", str(external_port)),
        ("NewProtocol", _PROTOCOLS[transport]),
        ("NewInternalPort", str(internal_port)),
        ("NewInternalClient", internal_host),
        ("NewEnabled", "1"),
        ("NewPortMappingDescription", description[:_MAX_DESCRIPTION]),
        ("NewLeaseDuration", str(lease_s)),
    )
    return Call("AddAnyPortMapping" if any_port else "AddPortMapping", arguments)


def delete_port_mapping(transport: Transport, external_port: int, remote_host: str = "") -> Call:
    """DeletePortMapping."""
    return Call("DeletePortMapping", _which(transport, external_port, remote_host))


def get_specific_entry(transport: Transport, external_port: int, remote_host: str = "") -> Call:
    """GetSpecificPortMappingEntry."""
    return Call("GetSpecificPortMappingEntry", _which(transport, external_port, remote_host))


def _which(transport: Transport, external_port: int, remote_host: str) -> tuple[tuple[str, str], ...]:
    return (
        ("NewRemoteHost", remote_host),
        ("NewExternalPort", str(external_port)),
        ("NewProtocol", _PROTOCOLS[transport]),
    )


def get_generic_entry(index: int) -> Call:
    """GetGenericPortMappingEntry: the row number `index` of the table, from 0; error 713 behind the last."""
    return Call("GetGenericPortMappingEntry", (("NewPortMappingIndex", str(index)),))


def get_external_address() -> Call:
    """GetExternalIPAddress."""
    return Call("GetExternalIPAddress")


def get_status() -> Call:
    """GetStatusInfo."""
    return Call("GetStatusInfo")


# --- IPv6 pinholes


def get_firewall_status() -> Call:
    """GetFirewallStatus."""
    return Call("GetFirewallStatus")


def add_pinhole(
    *,
    transport: Transport,
    internal_host: str,
    internal_port: int,
    lease_s: int,
    remote_host: str = "",
    remote_port: int = 0,
) -> Call:
    """AddPinhole. An empty `remote_host` and a `remote_port` of 0 mean all. Asked again for the same, it
    renews."""
    return Call(
        "AddPinhole",
        (
            ("RemoteHost", remote_host),
            ("RemotePort", str(remote_port)),
            ("InternalClient", internal_host),
            ("InternalPort", str(internal_port)),
            ("Protocol", _PROTOCOL_NUMBERS[transport]),
            ("LeaseTime", str(max(1, min(lease_s, MAX_PINHOLE_LEASE_S)))),
        ),
    )


def delete_pinhole(unique_id: int) -> Call:
    """DeletePinhole."""
    return Call("DeletePinhole", (("UniqueID", str(unique_id)),))


def check_pinhole_working(unique_id: int) -> Call:
    """CheckPinholeWorking; error 709 until a packet has passed."""
    return Call("CheckPinholeWorking", (("UniqueID", str(unique_id)),))


# --- results


def read_external_address(values: Values) -> str | None:
    """The router's external IPv4 address; None where it has none: empty, 0.0.0.0, loopback or no address."""
    try:
        address = IPv4Address((values.get("NewExternalIPAddress") or "").strip())
    except ValueError:
        return None
    usable = not (address.is_unspecified or address.is_loopback or address.is_multicast)
    return str(address) if usable and int(address) >> 24 else None


def read_reserved_port(values: Values) -> int:
    """The external port that AddAnyPortMapping assigned. ProtocolError."""
    return _number(values, "NewReservedPort", 1, 65535)


def read_entry(
    values: Values, transport: Transport | None = None, external_port: int = 0
) -> PortMappingEntry:
    """A row of the table; `transport` and `external_port` are what was asked for, since
    GetSpecificPortMappingEntry does not repeat them. ProtocolError."""
    return PortMappingEntry(
        transport or _transport(values),
        external_port or _number(values, "NewExternalPort", 0, 65535),
        (values.get("NewInternalClient") or "").strip()[:100],
        _number(values, "NewInternalPort", 0, 65535),
        _boolean(values, "NewEnabled", default=True),
        (values.get("NewPortMappingDescription") or "")[:200],
        _optional(values, "NewLeaseDuration", 0xFFFFFFFF) or 0,
        (values.get("NewRemoteHost") or "")[:100],
    )


def read_status(values: Values) -> Status:
    """GetStatusInfo's result; a router that leaves something out has "" or None there."""
    return Status(
        (values.get("NewConnectionStatus") or "")[:100],
        (values.get("NewLastConnectionError") or "")[:100],
        _optional(values, "NewUptime", 0xFFFFFFFF),
    )


def read_firewall_status(values: Values) -> FirewallStatus:
    """GetFirewallStatus's result. ProtocolError."""
    return FirewallStatus(_boolean(values, "FirewallEnabled"), _boolean(values, "InboundPinholeAllowed"))


def read_unique_id(values: Values) -> int:
    """The number of a pinhole. ProtocolError."""
    return _number(values, "UniqueID", 0, 65535)


def read_is_working(values: Values) -> bool:
    """CheckPinholeWorking's result. ProtocolError."""
    return _boolean(values, "IsWorking")


def _transport(values: Values) -> Transport:
    name = (values.get("NewProtocol") or "").strip().upper()
    found = next((each for each, known in _PROTOCOLS.items() if known == name), None)
    if found is None:
        raise ProtocolError(f"a mapping of the protocol {name[:20]!r}")
    return found


def _number(values: Values, name: str, lowest: int, highest: int) -> int:
    found = _optional(values, name, highest)
    if found is None or found < lowest:
        raise ProtocolError(f"{name} is no number from {lowest} to {highest}")
    return found


def _optional(values: Values, name: str, highest: int) -> int | None:
    text = (values.get(name) or "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) <= highest else None


_BOOLEANS: dict[str, bool] = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _boolean(values: Values, name: str, *, default: bool | None = None) -> bool:
    found = _BOOLEANS.get((values.get(name) or "").strip().lower(), default)
    if found is None:
        raise ProtocolError(f"{name} is neither true nor false")
    return found
