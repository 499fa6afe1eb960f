"""STUN messages (RFC 8489 5 and 14): their attributes are read when they are asked for, with ProtocolError
for what a hostile or careless peer may send."""

from __future__ import annotations

from collections.abc import Container

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.attributes import (
    USERNAME_LIMIT,
    unpack_address,
    unpack_algorithms,
    unpack_change_request,
    unpack_error_code,
    unpack_fixed,
    unpack_opaque,
    unpack_response_port,
    unpack_text,
    unpack_types,
    unpack_uint32,
    unpack_uint64,
    unpack_xor_address,
)

Attribute = tuple[int, bytes]
Algorithm = tuple[int, bytes]


class Message(msgspec.Struct, frozen=True, gc=False):
    """A STUN message.

    `transaction_id` has 12 bytes, or 16 for the messages of RFC 3489, which have no magic cookie.
    `attributes` are (type, raw value) in order, without what follows MESSAGE-INTEGRITY and must be ignored
    (RFC 8489 14.5, 14.6). `raw` is the message as received, b"" for one that was built.

    The properties read one attribute each: None when it is absent, ProtocolError when it is malformed. Of
    an attribute that comes twice the first counts (RFC 8489 14).
    """

    method: int
    kind: c.Kind
    transaction_id: bytes
    attributes: tuple[Attribute, ...] = ()
    raw: bytes = b""

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
        """XOR-MAPPED-ADDRESS (or its number in old drafts), else MAPPED-ADDRESS."""
        for found, value in self.attributes:
            if found == 0x0020:
                return unpack_xor_address(value, self.transaction_id)
        old = self.get(c.OLD_XOR_MAPPED_ADDRESS)
        return (
            self._address(c.MAPPED_ADDRESS) if old is None else unpack_xor_address(old, self.transaction_id)
        )

    @property
    def other_address(self) -> Endpoint | None:
        """OTHER-ADDRESS (RFC 5780 7.4) or RFC 3489's CHANGED-ADDRESS."""
        return self._address(c.OTHER_ADDRESS) or self._address(c.CHANGED_ADDRESS)

    @property
    def response_origin(self) -> Endpoint | None:
        """RESPONSE-ORIGIN (RFC 5780 7.3) or RFC 3489's SOURCE-ADDRESS."""
        return self._address(c.RESPONSE_ORIGIN) or self._address(c.SOURCE_ADDRESS)

    @property
    def alternate_server(self) -> Endpoint | None:
        """ALTERNATE-SERVER (RFC 8489 14.15)."""
        return self._address(c.ALTERNATE_SERVER)

    @property
    def change_request(self) -> tuple[bool, bool] | None:
        """CHANGE-REQUEST (RFC 5780 7.2): (change address, change port)."""
        value = self.get(c.CHANGE_REQUEST)
        return None if value is None else unpack_change_request(value)

    @property
    def response_port(self) -> int | None:
        """RESPONSE-PORT (RFC 5780 7.5), of 2 bytes or, as coturn writes it, 4."""
        value = self.get(c.RESPONSE_PORT)
        return None if value is None else unpack_response_port(value)

    @property
    def error(self) -> tuple[int, str] | None:
        """ERROR-CODE: (code, reason phrase)."""
        value = self.get(c.ERROR_CODE)
        return None if value is None else unpack_error_code(value)

    @property
    def unknown_attributes(self) -> tuple[int, ...] | None:
        """UNKNOWN-ATTRIBUTES: what the server did not understand (with error 420)."""
        value = self.get(c.UNKNOWN_ATTRIBUTES)
        return None if value is None else unpack_types(value)

    @property
    def username(self) -> str | None:
        """USERNAME."""
        return self._text(c.USERNAME, "USERNAME", USERNAME_LIMIT)

    @property
    def realm(self) -> str | None:
        """REALM."""
        return self._text(c.REALM, "REALM")

    @property
    def software(self) -> str | None:
        """SOFTWARE."""
        return self._text(c.SOFTWARE, "SOFTWARE")

    @property
    def alternate_domain(self) -> str | None:
        """ALTERNATE-DOMAIN (RFC 8489 14.16)."""
        return self._text(c.ALTERNATE_DOMAIN, "ALTERNATE-DOMAIN")

    @property
    def nonce(self) -> bytes | None:
        """NONCE."""
        value = self.get(c.NONCE)
        return None if value is None else unpack_opaque(value, "NONCE")

    @property
    def userhash(self) -> bytes | None:
        """USERHASH (RFC 8489 14.4): 32 bytes."""
        value = self.get(c.USERHASH)
        return None if value is None else unpack_fixed(value, "USERHASH", 32)

    @property
    def password_algorithms(self) -> tuple[Algorithm, ...] | None:
        """PASSWORD-ALGORITHMS: (number, parameters), the server's favourite first."""
        value = self.get(c.PASSWORD_ALGORITHMS)
        return None if value is None else unpack_algorithms(value, "PASSWORD-ALGORITHMS")

    @property
    def password_algorithm(self) -> Algorithm | None:
        """PASSWORD-ALGORITHM: the (number, parameters) that the client chose."""
        value = self.get(c.PASSWORD_ALGORITHM)
        if value is None:
            return None
        found = unpack_algorithms(value, "PASSWORD-ALGORITHM")
        if len(found) != 1:
            raise ProtocolError(f"PASSWORD-ALGORITHM names {len(found)} algorithms")
        return found[0]

    @property
    def priority(self) -> int | None:
        """PRIORITY (RFC 8445 7.1.1)."""
        value = self.get(c.PRIORITY)
        return None if value is None else unpack_uint32(value, "PRIORITY")

    @property
    def use_candidate(self) -> bool:
        """USE-CANDIDATE (RFC 8445 7.1.2), which has no value."""
        value = self.get(c.USE_CANDIDATE)
        return value is not None and unpack_fixed(value, "USE-CANDIDATE", 0) == b""

    @property
    def ice_controlled(self) -> int | None:
        """ICE-CONTROLLED's tie-breaker (RFC 8445 7.1.3)."""
        value = self.get(c.ICE_CONTROLLED)
        return None if value is None else unpack_uint64(value, "ICE-CONTROLLED")

    @property
    def ice_controlling(self) -> int | None:
        """ICE-CONTROLLING's tie-breaker (RFC 8445 7.1.3)."""
        value = self.get(c.ICE_CONTROLLING)
        return None if value is None else unpack_uint64(value, "ICE-CONTROLLING")

    @property
    def hello(self) -> bytes | None:
        """NATTOOLS-HELLO, as it is."""
        return self.get(c.NATTOOLS_HELLO)

    def _address(self, attribute_type: int) -> Endpoint | None:
        value = self.get(attribute_type)
        return None if value is None else unpack_address(value)

    def _text(self, attribute_type: int, name: str, limit: int = 763) -> str | None:
        value = self.get(attribute_type)
        return None if value is None else unpack_text(value, name, limit)
