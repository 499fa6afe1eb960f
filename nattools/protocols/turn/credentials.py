"""A user of a relay: a name and password that last, or time-limited ones that follow from a secret which a
relay shares with whoever hands them out (draft-uberti-behave-turn-rest 2, as coturn's `use-auth-secret`)."""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import NamedTuple

from nattools.protocols.stun.attributes import USERNAME_LIMIT
from nattools.protocols.stun.authentication import opaque_string


class LongTermCredentials(NamedTuple):
    """What the long-term mechanism of STUN needs (RFC 8489 9.2)."""

    username: str
    password: str


def time_limited_password(secret: str, username: str) -> str:
    """The password that goes with a time-limited user name."""
    return b64encode(hmac.digest(secret.encode(), username.encode(), "sha1")).decode()


def time_limited(secret: str, name: str, expires: int) -> LongTermCredentials:
    """Credentials that hold until `expires`, in seconds since 1970; `name` is for the relay's log."""
    username = f"{expires}:{name}"
    return LongTermCredentials(username, time_limited_password(secret, username))


def expiry(username: str) -> int | None:
    """Until when a user name holds, in seconds since 1970; None: it has no time limit."""
    digits = username.partition(":")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 12 else None


def problem_of(credentials: LongTermCredentials | None) -> str | None:
    """Why a user name or password cannot be one (RFC 8489 14.3, RFC 8265), or None."""
    try:
        for text in credentials or ():
            opaque_string(text)
    except ValueError as error:
        return str(error)
    if credentials is not None and len(credentials.username.encode()) > USERNAME_LIMIT:
        return f"a user name of more than {USERNAME_LIMIT} bytes"
    return None
