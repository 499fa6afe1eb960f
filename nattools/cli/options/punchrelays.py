"""The options of `nattools punch` that are about relays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from nattools.cli.display.help import connect
from nattools.cli.options.turnoptions import TurnSecret, TurnUser, credentials_of
from nattools.errors import UsageError
from nattools.model.serveruri import parse_server

if TYPE_CHECKING:
    from nattools.traversal.relayaccess import AnyAccess, DerpAccess
    from nattools.traversal.tokens import Relaying

MOST_RELAYS = 8

NoRelay = Annotated[bool, connect("--no-relay", help="Connect directly or not at all.")]
RelayOnly = Annotated[
    bool, connect("--relay-only", help="Use a relay, so that the other machine sees no address of this one.")
]
Turn = Annotated[
    list[str] | None,
    connect(
        "--turn",
        metavar="URI",
        help="A relay to use in place of the mailbox's: turn:HOST, turns:HOST, or derp://HOST on both "
        "machines. Repeatable.",
    ),
]


class RelayChoice(NamedTuple):
    """When a relay is used, and which ones in place of the mailbox's."""

    relaying: Relaying
    relays: tuple[AnyAccess, ...] = ()


def relay_choice(
    *,
    no_relay: NoRelay = False,
    relay_only: RelayOnly = False,
    turn: Turn = None,
    turn_user: TurnUser = None,
    turn_secret: TurnSecret = None,
) -> RelayChoice:
    """UsageError says what makes no sense."""
    if no_relay and (relay_only or turn):
        raise UsageError("--no-relay contradicts --relay-only and --turn: give one of them")
    if not turn and (turn_user is not None or turn_secret is not None):
        raise UsageError("--turn-user and --turn-secret are for the relays of --turn URI")
    if len(turn or ()) > MOST_RELAYS:
        raise UsageError(f"--turn: at most {MOST_RELAYS} of them")
    relays = tuple(_accesses(turn, turn_user, turn_secret)) if turn else ()
    return RelayChoice("never" if no_relay else "only" if relay_only else "reserve", relays)


def _derp_access(text: str) -> DerpAccess:
    """CannotRun: PyNaCl is missing."""
    from nattools.cli.relay import derp_node
    from nattools.protocols.derp import why_no_keys
    from nattools.traversal.relayaccess import DerpAccess

    node, missing = derp_node(text), why_no_keys()
    if missing is not None:
        raise missing
    return DerpAccess(node)


def _accesses(uris: Iterable[str], user: str | None, secret: str | None) -> Iterator[AnyAccess]:
    from nattools.cli.relay import DERP
    from nattools.engine.relaysearch import time_limited_user
    from nattools.traversal.relayaccess import usable, ways_to

    credentials, found = credentials_of(user, secret)
    if found is not None:
        credentials = time_limited_user(found)  # of those that are made anew for every attempt
    for text in uris:
        if text.startswith(DERP):
            yield _derp_access(text)
            continue
        uri = parse_server(text)
        if not usable(uri):
            raise UsageError(f"--turn takes turn:HOST, turns:HOST or derp://HOST, not {text[:80]!r}")
        yield from (way._replace(secret=found) for way in ways_to(uri, credentials))
