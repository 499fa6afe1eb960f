"""Relays that a side of a punch can use: those that the user names, and those that a mailbox offers."""

from __future__ import annotations

import hmac
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from nattools.errors import UsageError
from nattools.model.endpoint import url_host
from nattools.model.serveruri import ServerUri, parse_server
from nattools.net.web.serverstream import Security
from nattools.protocols import derp
from nattools.protocols.mailbox import RelayOffer
from nattools.protocols.turn.credentials import LongTermCredentials, time_limited

if TYPE_CHECKING:
    from nattools.net.turn.turnsocket import RelayedSocket


class TurnAccess(NamedTuple):
    """A relay, and what it lets us in by. `security`: what its certificate is held to, None for its name.
    `until`: the loop's time at which the credentials end; `secret`: what makes new ones."""

    uri: ServerUri
    credentials: LongTermCredentials | None
    security: Security | None = None
    until: float = math.inf
    secret: str | None = None

    @property
    def text(self) -> str:
        """As the user wrote it."""
        return self.uri.text


class DerpAccess(NamedTuple):
    """A DERP server, at which the two sides meet: so both have to name it."""

    node: derp.DerpNode

    @property
    def text(self) -> str:
        """As the user wrote it, or would."""
        return self.node.uri


@dataclass(frozen=True, slots=True)
class HeldAccess:
    """An allocation that a relay has given already, because the peer had to be told of it beforehand."""

    access: TurnAccess
    socket: RelayedSocket

    @property
    def text(self) -> str:
        """As the user wrote it."""
        return self.access.text

    @property
    def until(self) -> float:
        """The loop's time at which the credentials end."""
        return self.access.until


AnyAccess = TurnAccess | DerpAccess | HeldAccess
MOST_WAYS: Final = 16
MADE_S: Final = 12 * 3600


def derp_keys(secret: bytes, attempt: int, *, leads: bool) -> derp.KeyPair:
    """By which one side of an attempt is known to a DERP server. They follow from the secret that the two
    share, so that neither has to be told the other's. CannotRun: see `derp.why_no_keys`."""
    use = f"nattools DERP {attempt} {'leader' if leads else 'follower'}"
    return derp.KeyPair(hmac.digest(secret, use.encode(), "sha256"))


def usable(uri: ServerUri) -> bool:
    """Is it a relay by TURN, as far as its URI says? TURN over DTLS is not supported."""
    return uri.scheme == "turn" or (uri.scheme == "turns" and uri.transport != "udp")


def ways_to(uri: ServerUri, credentials: LongTermCredentials | None) -> tuple[TurnAccess, ...]:
    """By the transport that the URI names, else by UDP first, then by TCP."""
    if uri.secure or uri.transport is not None:
        return (TurnAccess(uri, credentials),)
    texts = (f"{uri.text}?transport={transport}" for transport in ("udp", "tcp"))
    return tuple(TurnAccess(parse_server(text), credentials) for text in texts)


def with_new_credentials(access: AnyAccess, *, now: float) -> AnyAccess:
    """The same, and where a secret makes them with credentials that hold for `MADE_S` seconds from `now`, the
    loop's time."""
    if not isinstance(access, TurnAccess) or access.secret is None:
        return access
    made = time_limited(access.secret, "nattools", int(time.time()) + MADE_S)
    return access._replace(credentials=made, until=now + MADE_S)


def offered(offer: RelayOffer, host: str, port: int, *, tls: bool, now: float) -> tuple[TurnAccess, ...]:
    """The ways to the relays that a mailbox at this place offers: by UDP first, then by what else there is.
    `tls`: the mailbox is within TLS; `now`: the loop's time."""
    ways = _ways_offered(offer, host, port, tls=tls)
    return tuple(way._replace(until=now + offer.lifetime_s) for way in ways)


def _ways_offered(offer: RelayOffer, host: str, port: int, *, tls: bool) -> tuple[TurnAccess, ...]:
    credentials = LongTermCredentials(offer.username, offer.password)
    if offer.uris:
        return tuple(way for uri in _readable(offer.uris) for way in ways_to(uri, credentials))[:MOST_WAYS]
    name = url_host(host)
    text = f"turns:{name}:{port}?transport=tcp" if tls else f"turn:{name}:{port}"
    return ways_to(parse_server(text), credentials)


def _readable(uris: Iterable[str]) -> Iterator[ServerUri]:
    """A mailbox may write anything: what is no relay is left out."""
    for text in uris:
        try:
            uri = parse_server(text)
        except UsageError:
            continue
        if usable(uri):
            yield uri
