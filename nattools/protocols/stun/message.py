"""STUN messages (RFC 8489 5 and 14): their attributes are read when they are asked for, with ProtocolError
for what a hostile or careless peer may send."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Generic, TypeVar

import msgspec

from nattools.model.endpoint import Endpoint
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.attributes import (
    USERNAME_LIMIT,
    unpack_address,
    unpack_algorithm,
    unpack_algorithms,
    unpack_change_request,
    unpack_error_code,
    unpack_fixed,
    unpack_number,
    unpack_opaque,
    unpack_response_port,
    unpack_text,
    unpack_types,
    unpack_xor_address,
)
from nattools.protocols.stun.turnattributes import (
    unpack_address_error,
    unpack_channel,
    unpack_even_port,
    unpack_family,
    unpack_icmp,
    unpack_transport,
)

Attribute = tuple[int, bytes]
T = TypeVar("T")


class _Reader(Generic[T]):
    """Reads one attribute of a message with `unpack`, whose arguments are its value and these."""

    def __init__(self, number: int, unpack: Callable[..., T], *arguments: object) -> None:
        self._number = number
        self._unpack = unpack
        self._arguments = arguments

    def __get__(self, message: Message, owner: type[Message]) -> T | None:
        value = message.get(self._number)
        return None if value is None else self._unpack(value, *self._arguments)


class Message(msgspec.Struct, frozen=True, gc=False):
    """A STUN message.

    `transaction_id` has 12 bytes, or 16 for the messages of RFC 3489, which have no magic cookie.
    `attributes` are (type, raw value) in order, without what follows MESSAGE-INTEGRITY and must be ignored
    (RFC 8489 14.5, 14.6). `raw` is the message as received, b"" for one that was built.

    Its properties read one attribute each: None when it is absent, ProtocolError when it is malformed. Of
    an attribute that comes twice the first counts (RFC 8489 14).
    """

    method: int
    kind: c.Kind
    transaction_id: bytes
    attributes: tuple[Attribute, ...] = ()
    raw: bytes = b""

    alternate_server = _Reader(c.ALTERNATE_SERVER, unpack_address)
    """ALTERNATE-SERVER (RFC 8489 14.15)."""
    change_request = _Reader(c.CHANGE_REQUEST, unpack_change_request)
    """CHANGE-REQUEST (RFC 5780 7.2): (change address, change port)."""
    response_port = _Reader(c.RESPONSE_PORT, unpack_response_port)
    """RESPONSE-PORT (RFC 5780 7.5), of 2 bytes or, as coturn writes it, 4."""
    error = _Reader(c.ERROR_CODE, unpack_error_code)
    """ERROR-CODE: (code, reason phrase)."""
    unknown_attributes = _Reader(c.UNKNOWN_ATTRIBUTES, unpack_types)
    """UNKNOWN-ATTRIBUTES: what the server did not understand (with error 420)."""
    username = _Reader(c.USERNAME, unpack_text, "USERNAME", USERNAME_LIMIT)
    """USERNAME."""
    realm = _Reader(c.REALM, unpack_text, "REALM")
    """REALM."""
    software = _Reader(c.SOFTWARE, unpack_text, "SOFTWARE")
    """SOFTWARE."""
    alternate_domain = _Reader(c.ALTERNATE_DOMAIN, unpack_text, "ALTERNATE-DOMAIN")
    """ALTERNATE-DOMAIN (RFC 8489 14.16)."""
    nonce = _Reader(c.NONCE, unpack_opaque, "NONCE")
    """NONCE."""
    userhash = _Reader(c.USERHASH, unpack_fixed, "USERHASH", 32)
    """USERHASH (RFC 8489 14.4): 32 bytes."""
    password_algorithms = _Reader(c.PASSWORD_ALGORITHMS, unpack_algorithms, "PASSWORD-ALGORITHMS")
    """PASSWORD-ALGORITHMS: (number, parameters), the server's favourite first."""
    password_algorithm = _Reader(c.PASSWORD_ALGORITHM, unpack_algorithm, "PASSWORD-ALGORITHM")
    """PASSWORD-ALGORITHM: the (number, parameters) that the client chose."""
    priority = _Reader(c.PRIORITY, unpack_number, "PRIORITY", 4)
    """PRIORITY (RFC 8445 7.1.1)."""
    ice_controlled = _Reader(c.ICE_CONTROLLED, unpack_number, "ICE-CONTROLLED", 8)
    """ICE-CONTROLLED's tie-breaker (RFC 8445 7.1.3)."""
    ice_controlling = _Reader(c.ICE_CONTROLLING, unpack_number, "ICE-CONTROLLING", 8)
    """ICE-CONTROLLING's tie-breaker (RFC 8445 7.1.3)."""
    channel = _Reader(c.CHANNEL_NUMBER, unpack_channel)
    """CHANNEL-NUMBER (RFC 8656 18.1), 0x4000-0x4FFF."""
    lifetime_s = _Reader(c.LIFETIME, unpack_number, "LIFETIME", 4)
    """LIFETIME (RFC 8656 18.2): seconds."""
    requested_family = _Reader(c.REQUESTED_ADDRESS_FAMILY, unpack_family, "REQUESTED-ADDRESS-FAMILY")
    """REQUESTED-ADDRESS-FAMILY (RFC 8656 18.6): 4 or 6; None too for a family that is neither."""
    additional_family = _Reader(c.ADDITIONAL_ADDRESS_FAMILY, unpack_family, "ADDITIONAL-ADDRESS-FAMILY")
    """ADDITIONAL-ADDRESS-FAMILY (RFC 8656 18.11), in the same way."""
    old_additional_family = _Reader(
        c.OLD_ADDITIONAL_ADDRESS_FAMILY, unpack_family, "ADDITIONAL-ADDRESS-FAMILY"
    )
    """The same under the number that it had in drafts, and has at coturn."""
    even_port = _Reader(c.EVEN_PORT, unpack_even_port)
    """EVEN-PORT (RFC 8656 18.7): is the next higher port to be reserved?"""
    requested_transport = _Reader(c.REQUESTED_TRANSPORT, unpack_transport)
    """REQUESTED-TRANSPORT (RFC 8656 18.8): a protocol number of IP."""
    reservation_token = _Reader(c.RESERVATION_TOKEN, unpack_fixed, "RESERVATION-TOKEN", 8)
    """RESERVATION-TOKEN (RFC 8656 18.10): 8 bytes."""
    address_error = _Reader(c.ADDRESS_ERROR_CODE, unpack_address_error)
    """ADDRESS-ERROR-CODE (RFC 8656 18.12): (family, code, reason phrase)."""
    old_address_error = _Reader(c.OLD_ADDRESS_ERROR_CODE, unpack_address_error)
    """The same under the number that it had in drafts, and has at coturn."""
    icmp = _Reader(c.ICMP, unpack_icmp)
    """ICMP (RFC 8656 18.13): (type, code, error data)."""
    connection_id = _Reader(c.CONNECTION_ID, unpack_number, "CONNECTION-ID", 4)
    """CONNECTION-ID (RFC 6062 6.2.1)."""

    def get(self, attribute_type: int) -> bytes | None:
        """The raw value of the first attribute of this type."""
        for found, value in self.attributes:
            if found == attribute_type:
                return value
        return None

    def unknown_required(self, understood: Container[int] = c.UNDERSTOOD) -> tuple[int, ...]:
        """Types of the comprehension-required attributes that are not in `understood`, in order, once each.

        A request with such is answered with error 420, a response with such means failure (RFC 8489 6.3).
        """
        unknown = (found for found, _ in self.attributes if found < 0x8000 and found not in understood)
        return tuple(dict.fromkeys(unknown))

    @property
    def legacy(self) -> bool:
        """Without the magic cookie: RFC 3489."""
        return len(self.transaction_id) == 16

    @property
    def mapped(self) -> Endpoint | None:
        """XOR-MAPPED-ADDRESS (or its number in old drafts), else MAPPED-ADDRESS.

        Without the magic cookie MAPPED-ADDRESS counts (RFC 8489 11): with what a server masked the other,
        nobody knows.
        """
        identity = self.transaction_id
        if len(identity) != 16:  # as `legacy` says, without the call: every answer comes here
            for found, value in self.attributes:
                if found == 0x0020:
                    return unpack_xor_address(value, identity)
        elif (plain := self._address(c.MAPPED_ADDRESS)) is not None:
            return plain
        old = self.get(c.OLD_XOR_MAPPED_ADDRESS)
        return self._address(c.MAPPED_ADDRESS) if old is None else unpack_xor_address(old, identity)

    @property
    def other_address(self) -> Endpoint | None:
        """OTHER-ADDRESS (RFC 5780 7.4) or RFC 3489's CHANGED-ADDRESS."""
        return self._address(c.OTHER_ADDRESS) or self._address(c.CHANGED_ADDRESS)

    @property
    def response_origin(self) -> Endpoint | None:
        """RESPONSE-ORIGIN (RFC 5780 7.3) or RFC 3489's SOURCE-ADDRESS."""
        return self._address(c.RESPONSE_ORIGIN) or self._address(c.SOURCE_ADDRESS)

    @property
    def use_candidate(self) -> bool:
        """USE-CANDIDATE (RFC 8445 7.1.2), which has no value."""
        value = self.get(c.USE_CANDIDATE)
        return value is not None and unpack_fixed(value, "USE-CANDIDATE", 0) == b""

    @property
    def peers(self) -> tuple[Endpoint, ...]:
        """XOR-PEER-ADDRESS (RFC 8656 18.3), of which a CreatePermission request may have several."""
        return self._xor_addresses(c.XOR_PEER_ADDRESS)

    @property
    def relayed(self) -> tuple[Endpoint, ...]:
        """XOR-RELAYED-ADDRESS (RFC 8656 18.5), of which there is one for each family."""
        return self._xor_addresses(c.XOR_RELAYED_ADDRESS)

    @property
    def dont_fragment(self) -> bool:
        """DONT-FRAGMENT (RFC 8656 18.9), which has no value."""
        value = self.get(c.DONT_FRAGMENT)
        return value is not None and unpack_fixed(value, "DONT-FRAGMENT", 0) == b""

    @property
    def hello(self) -> bytes | None:
        """NATTOOLS-HELLO, as it is."""
        return self.get(c.NATTOOLS_HELLO)

    def _address(self, attribute_type: int) -> Endpoint | None:
        value = self.get(attribute_type)
        return None if value is None else unpack_address(value)

    def _xor_addresses(self, attribute_type: int) -> tuple[Endpoint, ...]:
        return tuple(
            unpack_xor_address(value, self.transaction_id)
            for found, value in self.attributes
            if found == attribute_type
        )
