"""The actions of an internet gateway, called by SOAP 1.1 over HTTP (UPnP Device Architecture 2, section 3.1).

WANIPConnection:1 and :2 (WANPPPConnection:1 has the same ones) and WANIPv6FirewallControl:1. Arguments are in
the order of the service descriptions, as some routers insist on it; the protocol is in upper case.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from enum import IntEnum
from typing import Generic, TypeVar
from xml.etree.ElementTree import Element

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Transport
from nattools.protocols import http
from nattools.protocols.igd import xml
from nattools.protocols.igd.description import Service
from nattools.protocols.igd.results import (
    PROTOCOL_NAMES,
    Answer,
    PortMappingEntry,
    read_entry,
    read_external_address,
    read_firewall_status,
    read_is_working,
    read_reserved_port,
    read_rows,
    read_status,
    read_unique_id,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class ErrorCode(IntEnum):
    """UPnP errors that decide what is asked next; `wording.refusals` has them all."""

    INVALID_ACTION = 401
    INVALID_ARGS = 402
    ACTION_FAILED = 501
    INVALID_VALUE = 600
    OUT_OF_RANGE = 601
    NOT_IMPLEMENTED = 602
    TOO_LONG = 605
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
_PROTOCOL_NUMBERS: dict[Transport, str] = {"udp": "17", "tcp": "6"}
_MAX_DESCRIPTION = 80
_ENVELOPE = (
    '<?xml version="1.0"?>\r\n'
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
    's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
    '<s:Body><u:{action} xmlns:u="{service}">{arguments}</u:{action}></s:Body></s:Envelope>\r\n'
)
_MAX_VALUES = 64
_CHANGES = ("Add", "Delete")
_CODE = re.compile(r"\s*(-?\d{1,5})(?![\d.])", re.ASCII)
"""Some routers write words behind the number."""


class Fault(msgspec.Struct, frozen=True):
    """What the router refused with: a UPnP error code, or the HTTP status where it gave none
    (`from_http`)."""

    code: int
    description: str = ""
    from_http: bool = False


class Call(msgspec.Struct, Generic[T_co], frozen=True):
    """An action, its arguments in order, and how its result is read (ProtocolError)."""

    action: str
    read: Callable[[Answer], T_co]
    arguments: tuple[tuple[str, str], ...] = ()


# --- what to ask


def add_port_mapping(
    *,
    transport: Transport,
    external_port: int,
    internal_host: str,
    internal_port: int,
    description: str,
    lease_s: int,
    any_port: bool = False,
) -> Call[int | None]:
    """AddPortMapping; it also renews a mapping of the same machine. A lease of 0 means for ever.

    With `any_port` it is AddAnyPortMapping (WANIPConnection:2), which takes another external port if that one
    belongs to somebody else, and says which."""
    arguments = (
        *_which(transport, external_port),
        ("NewInternalPort", str(internal_port)),
        ("NewInternalClient", internal_host),
        ("NewEnabled", "1"),
        ("NewPortMappingDescription", description[:_MAX_DESCRIPTION]),
        ("NewLeaseDuration", str(lease_s)),
    )
    return Call("AddAnyPortMapping" if any_port else "AddPortMapping", read_reserved_port, arguments)


def delete_port_mapping(transport: Transport, external_port: int) -> Call[None]:
    """DeletePortMapping."""
    return Call("DeletePortMapping", _nothing, _which(transport, external_port))


def get_specific_entry(transport: Transport, external_port: int) -> Call[PortMappingEntry]:
    """GetSpecificPortMappingEntry."""
    return Call(
        "GetSpecificPortMappingEntry",
        lambda answer: read_entry(answer, transport, external_port),
        _which(transport, external_port),
    )


def get_generic_entry(index: int) -> Call[tuple[PortMappingEntry, ...]]:
    """GetGenericPortMappingEntry: the row number `index` of the table, from 0; error 713 behind the last.
    Two for a row of both TCP and UDP, none for one of neither."""
    return Call("GetGenericPortMappingEntry", read_rows, (("NewPortMappingIndex", str(index)),))


def add_pinhole(*, transport: Transport, internal_host: str, internal_port: int, lease_s: int) -> Call[int]:
    """AddPinhole, for all remote hosts; its result is the pinhole's number. Asked again for the same, it
    renews."""
    arguments = (
        ("RemoteHost", ""),
        ("RemotePort", "0"),
        ("InternalClient", internal_host),
        ("InternalPort", str(internal_port)),
        ("Protocol", _PROTOCOL_NUMBERS[transport]),
        ("LeaseTime", str(max(1, min(lease_s, MAX_PINHOLE_LEASE_S)))),
    )
    return Call("AddPinhole", read_unique_id, arguments)


def delete_pinhole(unique_id: int) -> Call[None]:
    """DeletePinhole."""
    return Call("DeletePinhole", _nothing, (("UniqueID", str(unique_id)),))


def check_pinhole_working(unique_id: int) -> Call[bool]:
    """CheckPinholeWorking; error 709 until a packet has passed."""
    return Call("CheckPinholeWorking", read_is_working, (("UniqueID", str(unique_id)),))


def _which(transport: Transport, external_port: int) -> tuple[tuple[str, str], ...]:
    return (
        ("NewRemoteHost", ""),
        ("NewExternalPort", str(external_port)),
        ("NewProtocol", PROTOCOL_NAMES[transport]),
    )


# --- SOAP


def encode_call(service: Service, call: Call[T]) -> bytes:
    """The HTTP request that calls an action of a service."""
    arguments = "".join(f"<{name}>{_escape(value)}</{name}>" for name, value in call.arguments)
    body = _ENVELOPE.format(action=call.action, service=_escape(service.type), arguments=arguments)
    headers = (
        ("Content-Type", 'text/xml; charset="utf-8"'),
        ("SOAPAction", f'"{service.type}#{call.action}"'),
    )
    url = service.control
    return http.encode_request("POST", url.target, url.authority, headers, body.encode())


def parse_answer(response: http.HttpResponse, action: str) -> Answer | Fault:
    """What the router says to a call of `action`. ProtocolError: neither a result nor a fault.

    Some routers say 200 to a fault, some say 4xx or 5xx without any XML, and some nothing at all to a change
    that they have made."""
    done = 200 <= response.status < 300
    if done and not response.body.strip(b" \t\r\n\0") and action.startswith(_CHANGES):
        return Answer({})
    try:
        return _answer(xml.parse(response.body), action, response)
    except ProtocolError:
        if not done:
            return Fault(response.status, response.reason, from_http=True)
        raise


def _answer(root: Element, action: str, response: http.HttpResponse) -> Answer | Fault:
    """The result or the fault, where it should stand in a SOAP envelope or without one."""
    body = xml.child(root, "Body") if xml.is_named(root, "Envelope") else None
    for element in (*(body if body is not None else ()), root):
        if xml.is_named(element, "Fault"):
            return _fault(element, response)
        # some routers repeat the name of the call
        if xml.is_named(element, f"{action}Response") or xml.is_named(element, action):
            return Answer({key.lower(): value for key, value in _values(element)})
    raise ProtocolError(f"neither a result of {action} nor a fault")


def _values(element: Element) -> list[tuple[str, str]]:
    return [(xml.local_name(each), xml.text_of(each)) for each in element][:_MAX_VALUES]


def _fault(element: Element, response: http.HttpResponse) -> Fault:
    for inner in element.iter():  # a UPnPError, or what stands in its place
        code = _CODE.match(xml.child_text(inner, "errorCode"))
        if code:
            return Fault(int(code[1]), xml.child_text(inner, "errorDescription")[:200])
    text = xml.child_text(element, "faultstring")[:200]
    if response.status < 300:
        raise ProtocolError(f"a SOAP fault without a code: {text}")
    return Fault(response.status, text, from_http=True)


def _escape(text: str) -> str:
    printable = "".join(each if each.isprintable() else " " for each in text)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&apos;")):
        printable = printable.replace(character, entity)
    return printable


def _nothing(values: Answer) -> None:
    """Success says all."""


GET_STATUS = Call("GetStatusInfo", read_status)
GET_EXTERNAL_ADDRESS = Call("GetExternalIPAddress", read_external_address)
GET_FIREWALL_STATUS = Call("GetFirewallStatus", read_firewall_status)
