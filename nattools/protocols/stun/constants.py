"""The numbers of STUN: RFC 8489, RFC 5780, RFC 8445 (ICE), RFC 8656 and 6062 (TURN), and what RFC 3489 still
shows."""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["request", "indication", "success", "error"]

MAGIC_COOKIE: Final = 0x2112A442
HEADER_SIZE: Final = 20

# Methods (RFC 8489 18.2; RFC 3489 had Shared Secret; RFC 8656 17; RFC 6062 6.1).
BINDING: Final = 0x001
ALLOCATE: Final = 0x003
REFRESH: Final = 0x004
SEND: Final = 0x006
DATA_METHOD: Final = 0x007
CREATE_PERMISSION: Final = 0x008
CHANNEL_BIND: Final = 0x009
CONNECT: Final = 0x00A
CONNECTION_BIND: Final = 0x00B
CONNECTION_ATTEMPT: Final = 0x00C

# Comprehension-required attributes, 0x0000-0x7FFF (RFC 8489 18.3, RFC 5780 9.1, RFC 8445 16,
# RFC 8656 18, RFC 6062 6.2).
MAPPED_ADDRESS: Final = 0x0001
CHANGE_REQUEST: Final = 0x0003
SOURCE_ADDRESS: Final = 0x0004  # RFC 3489 11.2.5
CHANGED_ADDRESS: Final = 0x0005  # RFC 3489 11.2.3
USERNAME: Final = 0x0006
MESSAGE_INTEGRITY: Final = 0x0008
ERROR_CODE: Final = 0x0009
UNKNOWN_ATTRIBUTES: Final = 0x000A
CHANNEL_NUMBER: Final = 0x000C
LIFETIME: Final = 0x000D
XOR_PEER_ADDRESS: Final = 0x0012
DATA: Final = 0x0013
REALM: Final = 0x0014
NONCE: Final = 0x0015
XOR_RELAYED_ADDRESS: Final = 0x0016
REQUESTED_ADDRESS_FAMILY: Final = 0x0017
EVEN_PORT: Final = 0x0018
REQUESTED_TRANSPORT: Final = 0x0019
DONT_FRAGMENT: Final = 0x001A
MESSAGE_INTEGRITY_SHA256: Final = 0x001C
PASSWORD_ALGORITHM: Final = 0x001D
USERHASH: Final = 0x001E
XOR_MAPPED_ADDRESS: Final = 0x0020
RESERVATION_TOKEN: Final = 0x0022
PRIORITY: Final = 0x0024
USE_CANDIDATE: Final = 0x0025
PADDING: Final = 0x0026
RESPONSE_PORT: Final = 0x0027
CONNECTION_ID: Final = 0x002A

# Comprehension-optional attributes, 0x8000-0xFFFF.
ADDITIONAL_ADDRESS_FAMILY: Final = 0x8000
ADDRESS_ERROR_CODE: Final = 0x8001
PASSWORD_ALGORITHMS: Final = 0x8002
ICMP: Final = 0x8004
ALTERNATE_DOMAIN: Final = 0x8003
OLD_XOR_MAPPED_ADDRESS: Final = 0x8020  # drafts of RFC 5389; old servers still send it
OLD_ADDITIONAL_ADDRESS_FAMILY: Final = 0x8032  # drafts of RFC 8656; coturn and its clients say no other
OLD_ADDRESS_ERROR_CODE: Final = 0x8033
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
        CHANNEL_NUMBER,
        LIFETIME,
        XOR_PEER_ADDRESS,
        DATA,
        REALM,
        NONCE,
        XOR_RELAYED_ADDRESS,
        REQUESTED_ADDRESS_FAMILY,
        EVEN_PORT,
        REQUESTED_TRANSPORT,
        DONT_FRAGMENT,
        MESSAGE_INTEGRITY_SHA256,
        PASSWORD_ALGORITHM,
        USERHASH,
        XOR_MAPPED_ADDRESS,
        RESERVATION_TOKEN,
        PRIORITY,
        USE_CANDIDATE,
        PADDING,
        RESPONSE_PORT,
        CONNECTION_ID,
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
SERVICE_RELAY: Final = 16
"""TURN, on the same ports."""
SERVICE_LIBP2P: Final = 32
"""libp2p over TCP, on the same ports."""
SERVICE_DIAL_BACK_LISTENS: Final = 64
"""Dial-backs that tell what came back instead, and, where the server may send them, echo requests."""
SERVICE_ERROR_TRIALS: Final = 128
"""ICMP errors, crafted on request where the server may do that, and told of (`protocols.errortrial`)."""
