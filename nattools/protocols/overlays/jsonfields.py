"""Fields of JSON that another program wrote, of whatever type they turn out to be: bounded, never trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_interface, ip_network
from typing import Any, Final

from nattools.errors import ProtocolError
from nattools.model.endpoint import parse_address, parse_endpoint

MOST: Final = 4096
"""Entries of one list that are read."""
LONGEST: Final = 253
"""Characters of a text that are kept."""

Fields = Mapping[str, Any]


def fields_of(value: Any, what: str) -> Fields:
    """An object. ProtocolError: it is none."""
    if not isinstance(value, dict):
        raise ProtocolError(f"{what} is not an object")
    return value


def fields_in(fields: Fields, name: str) -> Fields:
    """An object, empty where there is none."""
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def text_in(fields: Fields, name: str) -> str:
    """A text, "" where there is none."""
    value = fields.get(name)
    return value[:LONGEST] if isinstance(value, str) else ""


def flag_in(fields: Fields, name: str) -> bool | None:
    """None where it is neither true nor false."""
    value = fields.get(name)
    return value if isinstance(value, bool) else None


def number_in(fields: Fields, name: str) -> float | None:
    """A finite number that is not negative."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _list_in(fields: Fields, name: str) -> list[Any]:
    """A list, empty where there is none; `MOST` of its entries."""
    value = fields.get(name)
    return value[:MOST] if isinstance(value, list) else []


def objects_in(fields: Fields, name: str) -> Iterator[Fields]:
    """The objects of a list."""
    return (each for each in _list_in(fields, name) if isinstance(each, dict))


def texts_in(fields: Fields, name: str) -> tuple[str, ...]:
    """The texts of a list."""
    return tuple(each[:LONGEST] for each in _list_in(fields, name) if isinstance(each, str))


def addresses_in(fields: Fields, name: str) -> tuple[str, ...]:
    """The IP addresses of a list, with or without a prefix length; what is none is left out."""
    return _read(fields, name, address_of)


def networks_in(fields: Fields, name: str) -> tuple[str, ...]:
    """The networks of a list, as `192.0.2.0/24`; what is none is left out."""
    return _read(fields, name, _network_of)


def address_of(text: str) -> str:
    """The canonical form of an address that may have a prefix length; "" if it is none."""
    try:
        return str(ip_interface(text).ip) if "/" in text else str(parse_address(text))
    except ValueError:
        return ""


def _network_of(text: str) -> str:
    """The canonical form of a network; "" if it is none."""
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return ""


def endpoint_of(text: str) -> str:
    """The canonical form of an address and port; "" if it is none."""
    try:
        return str(parse_endpoint(text))
    except ValueError:
        return ""


def endpoints_in(fields: Fields, name: str) -> tuple[str, ...]:
    """The addresses and ports of a list; what is none is left out."""
    return _read(fields, name, endpoint_of)


def _read(fields: Fields, name: str, read: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(found for each in texts_in(fields, name) if (found := read(each)))
