"""Calling UPnP actions: SOAP 1.1 over HTTP (UPnP Device Architecture 2, section 3.1)."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import msgspec

from nattools.errors import ProtocolError
from nattools.protocols import http
from nattools.protocols.igd import xml
from nattools.protocols.igd.actions import Call
from nattools.protocols.igd.description import Service
from nattools.protocols.lan import LanUrl

_ENVELOPE = (
    '<?xml version="1.0"?>\r\n'
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
    's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
    '<s:Body><u:{action} xmlns:u="{service}">{arguments}</u:{action}></s:Body></s:Envelope>\r\n'
)
_MAX_VALUES = 64
_CODE = re.compile(r"\s*(-?\d{1,5})\s*", re.ASCII)


class Answer(msgspec.Struct, frozen=True):
    """What an action returned: names and values as the router wrote them. Names are matched by `get` without
    regard to case."""

    values: dict[str, str]

    def get(self, name: str) -> str | None:
        """The value of an output argument, None if the router left it out."""
        return self.values.get(name.lower())


class Fault(msgspec.Struct, frozen=True):
    """What the router refused with: a UPnP error code, or the HTTP status where it gave none
    (`from_http`)."""

    code: int
    description: str = ""
    from_http: bool = False


def encode_call(service: Service, call: Call) -> bytes:
    """The HTTP request that calls an action of a service."""
    body = _ENVELOPE.format(action=call.action, service=_escape(service.type), arguments=_arguments(call))
    headers = (
        ("Content-Type", 'text/xml; charset="utf-8"'),
        ("SOAPAction", f'"{service.type}#{call.action}"'),
    )
    url: LanUrl = service.control
    return http.encode_request("POST", url.target, url.authority, headers, body.encode())


def parse_answer(response: http.HttpResponse, action: str) -> Answer | Fault:
    """What the router says to a call of `action`. ProtocolError: neither a result nor a fault.

    Some routers say 200 to a fault, and some say 4xx or 5xx without any XML."""
    try:
        body = _body(xml.parse(response.body))
    except ProtocolError:
        if response.status != 200:
            return Fault(response.status, response.reason, from_http=True)
        raise
    for element in body:
        name = xml.local_name(element)
        if name == "Fault":
            return _fault(element, response)
        if name in (f"{action}Response", action):  # some routers repeat the name of the call
            return Answer({key.lower(): value for key, value in _values(element)})
    if response.status != 200:
        return Fault(response.status, response.reason, from_http=True)
    raise ProtocolError(f"neither a result of {action} nor a fault")


def _body(root: Element) -> Element:
    body = xml.child(root, "Body")
    if xml.local_name(root) != "Envelope" or body is None:
        raise ProtocolError("not a SOAP envelope")
    return body


def _values(element: Element) -> list[tuple[str, str]]:
    return [(xml.local_name(each), xml.text_of(each)) for each in element][:_MAX_VALUES]


def _fault(element: Element, response: http.HttpResponse) -> Fault:
    for inner in element.iter():  # a UPnPError, or what stands in its place
        code = _CODE.fullmatch(xml.child_text(inner, "errorCode"))
        if code:
            return Fault(int(code[1]), xml.child_text(inner, "errorDescription")[:200])
    text = xml.child_text(element, "faultstring")[:200]
    if response.status == 200:
        raise ProtocolError(f"a SOAP fault without a code: {text}")
    return Fault(response.status, text, from_http=True)


def _arguments(call: Call) -> str:
    return "".join(f"<{name}>{_escape(value)}</{name}>" for name, value in call.arguments)


def _escape(text: str) -> str:
    printable = "".join(each if each.isprintable() else " " for each in text)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&apos;")):
        printable = printable.replace(character, entity)
    return printable
