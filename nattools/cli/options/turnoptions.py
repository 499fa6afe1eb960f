"""The options by which a client of TURN relays has its credentials."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from nattools.cli.display.help import connect
from nattools.errors import UsageError

if TYPE_CHECKING:
    from nattools.protocols.turn.credentials import LongTermCredentials

USER_VARIABLE = "NATTOOLS_TURN_USER"
SECRET_VARIABLE = "NATTOOLS_TURN_SECRET"

TurnUser = Annotated[
    str | None,
    connect(
        "--turn-user",
        metavar="NAME:PASSWORD",
        help=f"Credentials for relays by TURN. Also {USER_VARIABLE}.",
    ),
]
TurnSecret = Annotated[
    str | None,
    connect(
        "--turn-secret",
        metavar="SECRET|@FILE",
        help=f"Make time-limited credentials with the relay's secret. Also {SECRET_VARIABLE}.",
    ),
]


def credentials_of(user: str | None, secret: str | None) -> tuple[LongTermCredentials | None, str | None]:
    """A TURN user's name and password, and the secret that makes them: as given, else from the environment.
    UsageError: they cannot be such."""
    from nattools.cli.options.relayoptions import checked_user, read_secret
    from nattools.engine.relaysearch import read_user

    given = user is not None or secret is not None
    if not given:
        user, secret = os.environ.get(USER_VARIABLE) or None, os.environ.get(SECRET_VARIABLE) or None
    if given and user is not None and secret is not None:
        raise UsageError("--turn-user and --turn-secret: give one of them")
    if user is None:
        return None, read_secret(secret)
    found = read_user(user)
    checked_user(user)
    return found, None
