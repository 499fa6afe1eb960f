"""Who may use the relay, and what it asks of those who have not shown it yet (RFC 8489 9.2). Pure.

Nonces are stateless: an HMAC of where the request came from and of the half hour, of as many letters as the
answer has room for. Over UDP a challenge is never more than 1.6 times the request: the shortest request
(Allocate with REQUESTED-TRANSPORT, 28 bytes) is worth ERROR-CODE, this realm and 4 letters, to the byte.
Where there is room the nonce is longer, and SHA-256 is offered. A guessed nonce lets a forged source be a
client; it is of use to none but a user, who could send to that address through the relay anyway.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from nattools.chance import random_bytes
from nattools.model.endpoint import Endpoint, Transport
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.authentication import long_term_key, make_nonce, nonce_features
from nattools.protocols.stun.message import Attribute
from nattools.protocols.turn.credentials import (
    LongTermCredentials,
    expiry,
    time_limited,
    time_limited_password,
)

REALM: Final = "turn"
"""Four letters: see above."""
_ALGORITHMS: Final = stun.pack_algorithms(((c.SHA256, b""), (c.MD5, b"")))
_LETTERS: Final = 16
_WINDOW_S: Final = 1800.0
_LEAST_LETTERS: Final = 4
_COOKIE_SIZE: Final = len(make_nonce(b"", password_algorithms=True))


class Client(NamedTuple):
    """Who speaks, over what, and to which endpoint of the server: an allocation's 5-tuple (RFC 8656 3.2). TLS
    is "tcp"."""

    transport: Transport
    local: Endpoint
    remote: Endpoint


class User(NamedTuple):
    """One who has shown that he knows his password: the key, and what his request was signed with."""

    name: str
    key: bytes
    algorithm: stun.IntegrityAlgorithm


class CredentialsRefused(NamedTuple):
    """An error response instead: unsigned."""

    code: int
    attributes: tuple[Attribute, ...] = ()


class TurnUsers:
    """Lasting users with their passwords, and those whose names say until when they hold (`EXPIRY:NAME`), by
    `secret`. `clock` gives seconds since 1970. ValueError: a name or password that cannot be one."""

    def __init__(self, lasting: Mapping[str, str], secret: str | None, clock: Callable[[], float]) -> None:
        self.realm = REALM
        self._secret = secret
        self._clock = clock
        self._lasting = dict(lasting)
        for name, password in lasting.items():
            long_term_key(name, REALM, password)

    def key(self, name: str, algorithm: int) -> bytes | None:
        """The key of a user's requests; None: there is no such user (any more)."""
        password = self._lasting.get(name)
        if password is None and self._secret is not None:
            expires = expiry(name)
            if expires is not None and expires > self._clock():
                password = time_limited_password(self._secret, name)
        try:
            return None if password is None else long_term_key(name, self.realm, password, algorithm)
        except ValueError:
            return None

    def issue(self, lifetime_s: int) -> LongTermCredentials | None:
        """New time-limited credentials of somebody whom nobody knows; None: there is no secret."""
        if self._secret is None:
            return None
        return time_limited(self._secret, random_bytes(6).hex(), int(self._clock()) + lifetime_s)


class Challenges:
    """Checks requests' credentials, and makes the challenges to those that have none (RFC 8489 9.2.4)."""

    def __init__(self, users: TurnUsers, secret: bytes) -> None:
        self._users = users
        self._realm = (c.REALM, users.realm.encode())
        self._secret = secret

    def identify(
        self, request: stun.Message, client: Client, now: float, known: User | None = None
    ) -> User | CredentialsRefused:
        """Whose request is it? `known` has the allocation that the request is about: he goes on with the key
        that he began with, whatever has become of his name since. ProtocolError: malformed."""
        signed = request.get(c.MESSAGE_INTEGRITY) or request.get(c.MESSAGE_INTEGRITY_SHA256)
        if signed is None:
            return self.challenge(request, client, now, turn.constants.UNAUTHENTICATED)
        name, realm, nonce = request.username, request.realm, request.nonce
        algorithm = self._algorithm(request)
        if name is None or realm is None or nonce is None or algorithm is None:
            return CredentialsRefused(turn.constants.BAD_REQUEST)
        if not self._accepts(nonce, client, now):
            return self.challenge(request, client, now, turn.constants.STALE_NONCE)
        strong: stun.IntegrityAlgorithm = "sha1" if request.get(c.MESSAGE_INTEGRITY) else "sha256"
        if known is not None and known.name == name and stun.verify_integrity(request, known.key):
            return User(name, known.key, strong)
        key = self._users.key(name, algorithm) if realm == self._users.realm else None
        if key is None or not stun.verify_integrity(request, key):
            return self.challenge(request, client, now, turn.constants.UNAUTHENTICATED)
        return User(name, key, strong)

    def challenge(self, request: stun.Message, client: Client, now: float, code: int) -> CredentialsRefused:
        """401 or 438, as long as the request is worth."""
        room = 0xFFFF if client.transport == "tcp" else len(request.raw) * 8 // 5
        room -= c.HEADER_SIZE + 8 + 4 + (len(self._realm[1]) + 3 & ~3) + 4
        full = (_COOKIE_SIZE + _LETTERS + 3 & ~3) + 4 + len(_ALGORITHMS)
        if room >= full:
            nonce = make_nonce(self._opaque(client, now, True), password_algorithms=True)
            return CredentialsRefused(
                code, (self._realm, (c.NONCE, nonce), (c.PASSWORD_ALGORITHMS, _ALGORITHMS))
            )
        letters = max(_LEAST_LETTERS, min(_LETTERS, room & ~3))
        return CredentialsRefused(code, (self._realm, (c.NONCE, self._opaque(client, now, False)[:letters])))

    def _algorithm(self, request: stun.Message) -> int | None:
        """RFC 8489 9.2.4: MD5 if the request names none; None: it names one that was not offered."""
        offered, chosen = request.get(c.PASSWORD_ALGORITHMS), request.password_algorithm
        if offered is None and chosen is None:
            return c.MD5
        if offered != _ALGORITHMS or chosen is None or chosen[0] not in (c.SHA256, c.MD5):
            return None
        return chosen[0]

    def _accepts(self, nonce: bytes, client: Client, now: float) -> bool:
        full = nonce_features(nonce).password_algorithms
        opaque = nonce[_COOKIE_SIZE:] if full else nonce
        if len(opaque) not in ((_LETTERS,) if full else range(_LEAST_LETTERS, _LETTERS + 1, 4)):
            return False
        return any(
            hmac.compare_digest(opaque, self._opaque(client, at, full)[: len(opaque)])
            for at in (now, now - _WINDOW_S)
        )

    def _opaque(self, client: Client, now: float, full: bool) -> bytes:
        """Over TCP, where the handshake proves the source, it is good for other connections too."""
        port = client.remote.port if client.transport == "udp" else 0
        where = f"{client.transport} {client.remote.host} {port} {int(now // _WINDOW_S)} {full}"
        return urlsafe_b64encode(hmac.digest(self._secret, where.encode(), "sha256"))[:_LETTERS]
