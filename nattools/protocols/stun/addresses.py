"""The values of address attributes: MAPPED-ADDRESS (RFC 8489 14.1) and XOR-MAPPED-ADDRESS (14.2) alike.

Answering and reading Binding requests is mostly this, so IPv4 goes through tables of the 256 octets, each
with the octet of the cookie that masks it already counted in; `ipaddress` would take several times as long.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address
from struct import Struct
from typing import Final

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols.stun.constants import MAGIC_COOKIE

_IPV4: Final = Struct(">HHBBBB")
_IPV6_HEAD: Final = Struct(">HH")
_COOKIE_BYTES: Final = MAGIC_COOKIE.to_bytes(4, "big")
_unpack_ipv4 = _IPV4.unpack
_pack_ipv4 = _IPV4.pack
_new_tuple = tuple.__new__  # a third of the cost of calling Endpoint

_TEXT: Final = [str(octet) for octet in range(256)]
_NUMBER: Final = {text: octet for octet, text in enumerate(_TEXT)}
_TEXT_0, _TEXT_1, _TEXT_2, _TEXT_3 = ([_TEXT[octet ^ mask] for octet in range(256)] for mask in _COOKIE_BYTES)
_MASKED_0, _MASKED_1, _MASKED_2, _MASKED_3 = (
    {text: octet ^ mask for text, octet in _NUMBER.items()} for mask in _COOKIE_BYTES
)


def ipv4_octets(host: str) -> tuple[int, int, int, int]:
    """The octets of an IPv4 address in its canonical text form. ValueError if it is none."""
    try:
        a, b, c, d = host.split(".")
        return _NUMBER[a], _NUMBER[b], _NUMBER[c], _NUMBER[d]
    except (KeyError, ValueError):
        raise ValueError(f"not an IPv4 address: {host!r}") from None


def masked_ipv4_octets(host: str) -> tuple[int, int, int, int]:
    """The same, XORed with the magic cookie."""
    try:
        a, b, c, d = host.split(".")
        return _MASKED_0[a], _MASKED_1[b], _MASKED_2[c], _MASKED_3[d]
    except (KeyError, ValueError):
        raise ValueError(f"not an IPv4 address: {host!r}") from None


def ipv6_bytes(host: str) -> bytes:
    """The 16 bytes of an IPv6 address; a zone is left out. ValueError if it is none."""
    try:
        return IPv6Address(host.partition("%")[0]).packed
    except AddressValueError as error:
        raise ValueError(str(error)) from error


def pack_address(endpoint: Endpoint) -> bytes:
    """The value of MAPPED-ADDRESS, OTHER-ADDRESS and their like. ValueError: no address or port."""
    host, port = endpoint
    _check_port(port)
    if ":" in host:
        return _IPV6_HEAD.pack(2, port) + ipv6_bytes(host)
    return _pack_ipv4(1, port, *ipv4_octets(host))


def pack_xor_address(endpoint: Endpoint, transaction_id: bytes) -> bytes:
    """The value of XOR-MAPPED-ADDRESS and its like for a message with this 12-byte transaction id."""
    host, port = endpoint
    _check_port(port)
    if ":" in host:
        return _IPV6_HEAD.pack(2, port ^ 0x2112) + _xor16(ipv6_bytes(host), transaction_id)
    return _pack_ipv4(1, port ^ 0x2112, *masked_ipv4_octets(host))


def unpack_address(value: bytes) -> Endpoint:
    """Read the value of MAPPED-ADDRESS and its like."""
    if len(value) == 8:
        family, port, a, b, c, d = _unpack_ipv4(value)
        if family & 0xFF == 1:
            return _new_tuple(Endpoint, (f"{_TEXT[a]}.{_TEXT[b]}.{_TEXT[c]}.{_TEXT[d]}", port))
    elif len(value) == 20 and value[1] == 2:
        return Endpoint(str(IPv6Address(value[4:])), value[2] << 8 | value[3])
    raise _bad_address(value)


def unpack_xor_address(value: bytes, transaction_id: bytes) -> Endpoint:
    """Read the value of XOR-MAPPED-ADDRESS and its like in a message with this transaction id.

    In a message of RFC 3489 the first 4 of the id's 16 bytes stand where the cookie is now."""
    if len(transaction_id) == 16:
        return _unpack_legacy_xor_address(value, transaction_id)
    if len(value) == 8:
        family, port, a, b, c, d = _unpack_ipv4(value)
        # The first byte is to be ignored by receivers.
        if family & 0xFF == 1:
            host = f"{_TEXT_0[a]}.{_TEXT_1[b]}.{_TEXT_2[c]}.{_TEXT_3[d]}"
            return _new_tuple(Endpoint, (host, port ^ 0x2112))
    elif len(value) == 20 and value[1] == 2:
        host = str(IPv6Address(_xor16(value[4:], transaction_id)))
        return Endpoint(host, (value[2] << 8 | value[3]) ^ 0x2112)
    raise _bad_address(value)


def _unpack_legacy_xor_address(value: bytes, transaction_id: bytes) -> Endpoint:
    """The bytes from the port on are XORed with the id; 2 bytes of it mask the port, as the cookie does."""
    mask = transaction_id[:2] + transaction_id[: len(value) - 4]
    return unpack_address(value[:2] + bytes(a ^ b for a, b in zip(value[2:], mask, strict=False)))


def _xor16(address: bytes, transaction_id: bytes) -> bytes:
    """XOR with the cookie and the 12-byte transaction id."""
    mask = _COOKIE_BYTES + transaction_id
    return (int.from_bytes(address, "big") ^ int.from_bytes(mask, "big")).to_bytes(16, "big")


def _check_port(port: int) -> None:
    if not 0 <= port <= 0xFFFF:
        raise ValueError(f"not a port: {port}")


def _bad_address(value: bytes) -> ProtocolError:
    if len(value) < 4:
        return ProtocolError(f"an address attribute of {len(value)} bytes is too short")
    return ProtocolError(f"an address attribute of family {value[1]} has {len(value)} bytes")
