"""The numbers of TURN that are not numbers of messages and attributes: lifetimes, ranges, errors (RFC 8656,
RFC 6062)."""

from __future__ import annotations

from typing import Final

UDP: Final = 17
TCP: Final = 6
"""Protocols of IP, as REQUESTED-TRANSPORT names them."""

DEFAULT_LIFETIME_S: Final = 600
"""Of an allocation (RFC 8656 3.2)."""
MAX_LIFETIME_S: Final = 3600
"""What a server should grant at most (RFC 8656 7.2)."""
PERMISSION_LIFETIME_S: Final = 300
"""RFC 8656 9."""
CHANNEL_LIFETIME_S: Final = 600
"""RFC 8656 12."""
LAST_OLD_CHANNEL: Final = 0x7FFF
"""RFC 5766 11 had more channels than RFC 8656 12, and clients from then choose among all of them."""
CHANNEL_REUSE_S: Final = 300
"""So long after a channel has lapsed its number and its peer are not to be bound otherwise (RFC 8656 12)."""
RESERVATION_LIFETIME_S: Final = 30
"""For how long the second port of a pair is held (RFC 8656 7.2)."""
CONNECT_TIMEOUT_S: Final = 30
"""For how long a server tries to connect to a peer (RFC 6062 5.2), and for how long either waits for
ConnectionBind (RFC 6062 5.2, 5.3)."""

TRY_ALTERNATE: Final = 300
BAD_REQUEST: Final = 400
UNAUTHENTICATED: Final = 401
FORBIDDEN: Final = 403
UNKNOWN_ATTRIBUTE: Final = 420
ALLOCATION_MISMATCH: Final = 437
STALE_NONCE: Final = 438
FAMILY_NOT_SUPPORTED: Final = 440
WRONG_CREDENTIALS: Final = 441
UNSUPPORTED_TRANSPORT: Final = 442
PEER_FAMILY_MISMATCH: Final = 443
CONNECTION_EXISTS: Final = 446
CONNECTION_FAILED: Final = 447
QUOTA_REACHED: Final = 486
SERVER_ERROR: Final = 500
INSUFFICIENT_CAPACITY: Final = 508

REASONS: Final[dict[int, str]] = {
    TRY_ALTERNATE: "Try Alternate",
    BAD_REQUEST: "Bad Request",
    UNAUTHENTICATED: "Unauthenticated",
    FORBIDDEN: "Forbidden",
    UNKNOWN_ATTRIBUTE: "Unknown Attribute",
    ALLOCATION_MISMATCH: "Allocation Mismatch",
    STALE_NONCE: "Stale Nonce",
    FAMILY_NOT_SUPPORTED: "Address Family not Supported",
    WRONG_CREDENTIALS: "Wrong Credentials",
    UNSUPPORTED_TRANSPORT: "Unsupported Transport Protocol",
    PEER_FAMILY_MISMATCH: "Peer Address Family Mismatch",
    CONNECTION_EXISTS: "Connection Already Exists",
    CONNECTION_FAILED: "Connection Timeout or Failure",
    QUOTA_REACHED: "Allocation Quota Reached",
    SERVER_ERROR: "Server Error",
    INSUFFICIENT_CAPACITY: "Insufficient Capacity",
}
"""The names of error codes (RFC 8489 14.8, RFC 8656 19, RFC 6062 6.3)."""
