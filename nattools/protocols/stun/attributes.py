"""The values of STUN's other attributes, to bytes and back (RFC 8489 14, RFC 5780 7, RFC 8445 7.1).

`pack_*` take sensible values and raise ValueError for others; `unpack_*` take a peer's bytes and raise
ProtocolError.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import AddressValueError, IPv6Address
from struct import Struct
from typing import Final

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.constants import MAGIC_COOKIE

# RFC 8489 14.3, 14.9, 14.10, 14.14: fewer than 509 bytes, or fewer than 128 characters of UTF-8.
USERNAME_LIMIT: Final = 508
TEXT_LIMIT: Final = 763

_UINT32: Final = Struct(">I")
_ALGORITHM_HEAD: Final = Struct(">HH")
_CHANGE_ADDRESS: Final = 0x04
_CHANGE_PORT: Final = 0x02


def pack_change_request(change_address: bool, change_port: bool) -> bytes:
    """CHANGE-REQUEST (RFC 5780 7.2)."""
    return _UINT32.pack(_CHANGE_ADDRESS * change_address | _CHANGE_PORT * change_port)


def unpack_change_request(value: bytes) -> tuple[bool, bool]:
    """(change address, change port)."""
    flags = unpack_number(value, "CHANGE-REQUEST", 4)
    return bool(flags & _CHANGE_ADDRESS), bool(flags & _CHANGE_PORT)


def pack_response_port(port: int) -> bytes:
    """RESPONSE-PORT (RFC 5780 7.5)."""
    return port.to_bytes(2, "big")


def unpack_response_port(value: bytes) -> int:
    """The port; coturn counts the two bytes of padding as part of the value, so 4 bytes are read too."""
    if len(value) not in (2, 4):
        raise ProtocolError(f"RESPONSE-PORT has {len(value)} bytes instead of 2")
    return value[0] << 8 | value[1]


def pack_error_code(code: int, reason: str) -> bytes:
    """ERROR-CODE (RFC 8489 14.8)."""
    if not 300 <= code <= 699:
        raise ValueError(f"not a STUN error code: {code}")
    return bytes((0, 0, code // 100, code % 100)) + reason.encode()[:TEXT_LIMIT]


def unpack_error_code(value: bytes) -> tuple[int, str]:
    """(code 300..699, reason phrase). The phrase is for people: what is not UTF-8 in it is replaced."""
    if len(value) < 4:
        raise ProtocolError(f"ERROR-CODE has {len(value)} bytes, fewer than 4")
    hundreds, number = value[2] & 7, value[3]
    if not 3 <= hundreds <= 6 or number > 99:
        raise ProtocolError(f"ERROR-CODE has class {hundreds} and number {number}")
    return hundreds * 100 + number, value[4:].rstrip(b"\0").decode(errors="replace")


def pack_types(types: Iterable[int]) -> bytes:
    """UNKNOWN-ATTRIBUTES (RFC 8489 14.13)."""
    return b"".join(number.to_bytes(2, "big") for number in types)


def unpack_types(value: bytes) -> tuple[int, ...]:
    """The attribute types that a server did not understand."""
    if len(value) % 2:
        raise ProtocolError(f"UNKNOWN-ATTRIBUTES has {len(value)} bytes, an odd number")
    return tuple(value[i] << 8 | value[i + 1] for i in range(0, len(value), 2))


def unpack_number(value: bytes, name: str, size: int) -> int:
    """PRIORITY, ICE-CONTROLLED and other numbers of `size` bytes; `name` is for the error."""
    return int.from_bytes(unpack_fixed(value, name, size), "big")


def unpack_text(value: bytes, name: str, limit: int = TEXT_LIMIT) -> str:
    """USERNAME, REALM and their like: UTF-8 of at most `limit` bytes."""
    try:
        return unpack_opaque(value, name, limit).decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{name} is not UTF-8") from error


def unpack_opaque(value: bytes, name: str, limit: int = TEXT_LIMIT) -> bytes:
    """NONCE: at most `limit` bytes."""
    if len(value) > limit:
        raise ProtocolError(f"{name} has {len(value)} bytes, more than {limit}")
    return value


def unpack_fixed(value: bytes, name: str, size: int) -> bytes:
    """USERHASH and other values of one size."""
    if len(value) != size:
        raise ProtocolError(f"{name} has {len(value)} bytes instead of {size}")
    return value


def pack_algorithms(algorithms: Iterable[tuple[int, bytes]]) -> bytes:
    """PASSWORD-ALGORITHMS and PASSWORD-ALGORITHM (RFC 8489 14.11, 14.12): (number, parameters) each."""
    return b"".join(
        _ALGORITHM_HEAD.pack(number, len(parameters)) + parameters + bytes(-len(parameters) % 4)
        for number, parameters in algorithms
    )


def unpack_algorithms(value: bytes, name: str) -> tuple[tuple[int, bytes], ...]:
    """(number, parameters) each, in the sender's order of preference."""
    found, position, size = [], 0, len(value)
    while position < size:
        if position + 4 > size:
            raise ProtocolError(f"{name} ends within an algorithm")
        number, length = _ALGORITHM_HEAD.unpack_from(value, position)
        end = position + 4 + length
        if end > size:
            raise ProtocolError(f"{name} ends within an algorithm's parameters")
        found.append((number, value[position + 4 : end]))
        position = end + -length % 4
    return tuple(found)


def unpack_algorithm(value: bytes, name: str) -> tuple[int, bytes]:
    """(number, parameters) of the only one."""
    found = unpack_algorithms(value, name)
    if len(found) != 1:
        raise ProtocolError(f"{name} names {len(found)} algorithms")
    return found[0]


_HEADER: Final = Struct(">HHI")
_ATTRIBUTE: Final = Struct(">HH")
unpack_header = _HEADER.unpack_from
unpack_attribute = _ATTRIBUTE.unpack_from

_CLASS_BITS: Final[dict[c.Kind, int]] = {
    "request": 0x000,
    "indication": 0x010,
    "success": 0x100,
    "error": 0x110,
}
KINDS: Final[dict[int, c.Kind]] = {bits: kind for kind, bits in _CLASS_BITS.items()}


def message_type(method: int, kind: c.Kind) -> int:
    """The first two bytes: 12 bits of method with the 2 bits of class among them (RFC 8489 5)."""
    if not 0 <= method <= 0xFFF:
        raise ValueError(f"not a STUN method: {method:#x}")
    return method & 0xF | (method & 0x70) << 1 | (method & 0xF80) << 2 | _CLASS_BITS[kind]


def method_of(number: int) -> int:
    """The method in a message's first two bytes."""
    return number & 0xF | number >> 1 & 0x70 | number >> 2 & 0xF80


def build_header(number: int, length: int, transaction_id: bytes) -> bytes:
    """The 20 bytes before the attributes; a 16-byte id makes a message of RFC 3489."""
    if len(transaction_id) == 12:
        return _HEADER.pack(number, length, c.MAGIC_COOKIE) + transaction_id
    if len(transaction_id) == 16:
        return _ATTRIBUTE.pack(number, length) + transaction_id
    raise ValueError(f"a transaction id of {len(transaction_id)} bytes")


def pack_attribute(attribute_type: int, value: bytes) -> bytes:
    """One attribute with its padding, of zeroes."""
    return _ATTRIBUTE.pack(attribute_type, len(value)) + value + bytes(-len(value) % 4)


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


def _ipv4_octets(host: str) -> tuple[int, int, int, int]:
    """The octets of an IPv4 address in its canonical text form. ValueError if it is none."""
    try:
        a, b, c, d = host.split(".")
        return _NUMBER[a], _NUMBER[b], _NUMBER[c], _NUMBER[d]
    except (KeyError, ValueError):
        raise ValueError(f"not an IPv4 address: {host!r}") from None


def masked_ipv4_octets(host: str) -> tuple[int, int, int, int]:
    """The four octets of an IPv4 address, XORed with the magic cookie."""
    try:
        a, b, c, d = host.split(".")
        return _MASKED_0[a], _MASKED_1[b], _MASKED_2[c], _MASKED_3[d]
    except (KeyError, ValueError):
        raise ValueError(f"not an IPv4 address: {host!r}") from None


def _ipv6_bytes(host: str) -> bytes:
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
        return _IPV6_HEAD.pack(2, port) + _ipv6_bytes(host)
    return _pack_ipv4(1, port, *_ipv4_octets(host))


def pack_xor_address(endpoint: Endpoint, transaction_id: bytes) -> bytes:
    """The value of XOR-MAPPED-ADDRESS and its like for a message with this 12-byte transaction id."""
    host, port = endpoint
    _check_port(port)
    if ":" in host:
        return _IPV6_HEAD.pack(2, port ^ 0x2112) + _xor16(_ipv6_bytes(host), transaction_id)
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
