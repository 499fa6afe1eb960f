"""The numbers of STUN: RFC 8489, RFC 5780, RFC 8445 (ICE) and what RFC 3489 still shows."""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["request", "indication", "success", "error"]

MAGIC_COOKIE: Final = 0x2112A442
HEADER_SIZE: Final = 20

# Methods (RFC 8489 18.2; RFC 3489 had Shared Secret).
BINDING: Final = 0x001
SHARED_SECRET: Final = 0x002

# Comprehension-required attributes, 0x0000-0x7FFF (RFC 8489 18.3, RFC 5780 9.1, RFC 8445 16).
MAPPED_ADDRESS: Final = 0x0001
CHANGE_REQUEST: Final = 0x0003
SOURCE_ADDRESS: Final = 0x0004  # RFC 3489 11.2.5
CHANGED_ADDRESS: Final = 0x0005  # RFC 3489 11.2.3
USERNAME: Final = 0x0006
MESSAGE_INTEGRITY: Final = 0x0008
ERROR_CODE: Final = 0x0009
UNKNOWN_ATTRIBUTES: Final = 0x000A
REALM: Final = 0x0014
NONCE: Final = 0x0015
MESSAGE_INTEGRITY_SHA256: Final = 0x001C
PASSWORD_ALGORITHM: Final = 0x001D
USERHASH: Final = 0x001E
XOR_MAPPED_ADDRESS: Final = 0x0020
PRIORITY: Final = 0x0024
USE_CANDIDATE: Final = 0x0025
PADDING: Final = 0x0026
RESPONSE_PORT: Final = 0x0027

# Comprehension-optional attributes, 0x8000-0xFFFF.
PASSWORD_ALGORITHMS: Final = 0x8002
ALTERNATE_DOMAIN: Final = 0x8003
OLD_XOR_MAPPED_ADDRESS: Final = 0x8020  # drafts of RFC 5389; old servers still send it
SOFTWARE: Final = 0x8022
ALTERNATE_SERVER: Final = 0x8023
FINGERPRINT: Final = 0x8028
ICE_CONTROLLED: Final = 0x8029
ICE_CONTROLLING: Final = 0x802A
RESPONSE_ORIGIN: Final = 0x802B
OTHER_ADDRESS: Final = 0x802C
NATTOOLS_HELLO: Final = 0xFF4E  # nattools' own

UNDERSTOOD: Final = frozenset(
    {
        MAPPED_ADDRESS,
        CHANGE_REQUEST,
        SOURCE_ADDRESS,
        CHANGED_ADDRESS,
        USERNAME,
        MESSAGE_INTEGRITY,
        ERROR_CODE,
        UNKNOWN_ATTRIBUTES,
        REALM,
        NONCE,
        MESSAGE_INTEGRITY_SHA256,
        PASSWORD_ALGORITHM,
        USERHASH,
        XOR_MAPPED_ADDRESS,
        PRIORITY,
        USE_CANDIDATE,
        PADDING,
        RESPONSE_PORT,
    }
)
"""The comprehension-required attributes that this package can read."""

# Password algorithms (RFC 8489 18.5).
MD5: Final = 1
SHA256: Final = 2

# What a nattools server says in NATTOOLS-HELLO that it does.
SERVICE_DIAL_BACK_UDP: Final = 1
SERVICE_DIAL_BACK_TCP: Final = 2
SERVICE_MAILBOX: Final = 4
SERVICE_DIAL_BACK_PORTS: Final = 8
"""Dial-backs over UDP to lists of ports."""
