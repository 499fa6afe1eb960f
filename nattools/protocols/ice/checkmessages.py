"""Connectivity checks as STUN messages: to make them, and to believe them or not (RFC 8445 7)."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun import constants as c

Role = Literal["controlling", "controlled"]

NOMINATION: Final = 0xC001
"""Counts the nominations, so that the last one wins whatever order they arrive in (the renomination that
libwebrtc implements, with its number). Comprehension-optional: others take each nomination as it comes."""

_ICE_CHARACTERS: Final = re.compile(r"[A-Za-z0-9+/]*")


class Credentials(NamedTuple):
    """One side's user name fragment and password (RFC 8445 5.3)."""

    ufrag: str
    password: str

    @property
    def key(self) -> bytes:
        """The key of MESSAGE-INTEGRITY."""
        return self.password.encode()


class Check(NamedTuple):
    """What a valid check says."""

    role: Role
    tie_breaker: int
    priority: int
    use_candidate: bool
    nomination: int | None
    peer_ufrag: str


class CheckRefusal(ProtocolError):  # noqa: N818 -- it reads as the sentence it is
    """A check that is not to be believed or not understood, and the STUN error to answer it with."""

    def __init__(self, code: int, reason: str, unknown: tuple[int, ...] = ()) -> None:
        super().__init__(reason)
        self.code = code
        self.unknown = unknown


def check_credentials(ufrag: str, password: str) -> Credentials:
    """ProtocolError: not what RFC 8839 5.4 allows (4 and 22 characters at least, 256 at most)."""
    for text, name, least in ((ufrag, "user name fragment", 4), (password, "password", 22)):
        if not least <= len(text) <= 256 or not _ICE_CHARACTERS.fullmatch(text):
            raise ProtocolError(f"an ICE {name} has {least} to 256 letters, digits, + or /")
    return Credentials(ufrag, password)


def build_check(transaction_id: bytes, said: Check, local_ufrag: str, remote: Credentials) -> bytes:
    """A Binding request to the peer (7.1 and 7.2.2). `said.peer_ufrag` is not used."""
    role = c.ICE_CONTROLLING if said.role == "controlling" else c.ICE_CONTROLLED
    attributes = [
        (c.USERNAME, f"{remote.ufrag}:{local_ufrag}".encode()),
        (c.PRIORITY, said.priority.to_bytes(4, "big")),
        (role, said.tie_breaker.to_bytes(8, "big")),
    ]
    if said.use_candidate:
        attributes.append((c.USE_CANDIDATE, b""))
    if said.nomination is not None:
        attributes.append((NOMINATION, said.nomination.to_bytes(4, "big")))
    message = stun.Message(stun.BINDING, "request", transaction_id, tuple(attributes))
    return stun.encode(message, key=remote.key, fingerprint=True)


def build_success(transaction_id: bytes, source: Endpoint, local: Credentials) -> bytes:
    """The answer to a check that came from `source`."""
    mapped = (c.XOR_MAPPED_ADDRESS, stun.pack_xor_address(source, transaction_id))
    message = stun.Message(stun.BINDING, "success", transaction_id, (mapped,))
    return stun.encode(message, key=local.key, fingerprint=True)


def build_error(transaction_id: bytes, refusal: CheckRefusal, local: Credentials) -> bytes:
    """A refusal; signed unless the peer has shown no knowledge of the password (RFC 8489 9.1.3)."""
    attributes = [(c.ERROR_CODE, stun.pack_error_code(refusal.code, ""))]
    if refusal.unknown:
        attributes.append((c.UNKNOWN_ATTRIBUTES, stun.pack_types(refusal.unknown)))
    message = stun.Message(stun.BINDING, "error", transaction_id, tuple(attributes))
    key = local.key if refusal.code in (420, 487) else None
    return stun.encode(message, key=key, fingerprint=True)


def read_check(message: stun.Message, local: Credentials, remote_ufrag: str | None) -> Check:
    """Believe a Binding request, or raise CheckRefusal with the reason (7.3).

    `remote_ufrag` is None as long as the peer's credentials have not come: its checks may come first."""
    try:
        return _read_check(message, local, remote_ufrag)
    except CheckRefusal:
        raise
    except ProtocolError as error:
        raise CheckRefusal(400, str(error)) from None


def _read_check(message: stun.Message, local: Credentials, remote_ufrag: str | None) -> Check:
    username = message.username
    if message.get(c.FINGERPRINT) is not None and not stun.verify_fingerprint(message):
        raise CheckRefusal(400, "a wrong FINGERPRINT")
    if username is None or message.get(c.MESSAGE_INTEGRITY) is None:
        raise CheckRefusal(400, "a check without user name or message integrity")
    ours, separator, theirs = username.partition(":")
    if not separator or ours != local.ufrag or (remote_ufrag is not None and theirs != remote_ufrag):
        raise CheckRefusal(401, "a check for another user name")
    if not stun.verify_integrity(message, local.key, algorithm="sha1"):
        raise CheckRefusal(401, "a check with wrong message integrity")
    unknown = message.unknown_required()
    if unknown:
        raise CheckRefusal(420, "a check with attributes that are not understood", unknown)
    role, tie_breaker = _role(message)
    priority = message.priority
    if not priority:
        raise CheckRefusal(400, "a check without PRIORITY")
    return Check(role, tie_breaker, priority, message.use_candidate, _nomination(message), theirs)


def _role(message: stun.Message) -> tuple[Role, int]:
    controlling, controlled = message.ice_controlling, message.ice_controlled
    if controlling is not None and controlled is None:
        return "controlling", controlling
    if controlled is not None and controlling is None:
        return "controlled", controlled
    raise CheckRefusal(400, "a check with no role, or with both")


def _nomination(message: stun.Message) -> int | None:
    value = message.get(NOMINATION)
    return None if value is None or len(value) != 4 else int.from_bytes(value, "big")


def why_not_believed(message: stun.Message, remote: Credentials) -> str | None:
    """None if a response to a check of ours may be believed (7.2.5).

    Errors about credentials come unsigned, so anybody could have sent them: they are hints at most."""
    if message.get(c.FINGERPRINT) is not None and not stun.verify_fingerprint(message):
        return "an answer with a wrong FINGERPRINT"
    if not stun.verify_integrity(message, remote.key, algorithm="sha1"):
        return "an answer with wrong or no message integrity"
    return None
