"""The options of `nattools pwnat`: as typed, and as checked."""

from __future__ import annotations

from typing import Annotated

import typer

from nattools.cli.display.help import lab, measure, meet
from nattools.cli.options import completion, sharedoptions
from nattools.engine.punch.options import WAIT_S
from nattools.engine.pwnat.knockoptions import PORT
from nattools.errors import ProtocolError, UsageError
from nattools.model.endpoint import Endpoint
from nattools.protocols.pwnat.outside import Outside, parse_outside
from nattools.protocols.pwnat.secret import LEAST_SECRET

ASK = "-"
LONGEST_SECRET = 200

AddressArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[ADDRESS[:PORT]]",
        help=f"The listener's public address, and its outside port unless {PORT}. With --lab: left out.",
    ),
]
Secret = Annotated[
    str | None, meet("--secret", metavar="TEXT", help="What both sides know; '-' prompts for it.")
]
ListenerPort = Annotated[
    int, meet("--port", metavar="N", help="This machine's port; 0: one that the system chooses.")
]
ListenWait = Annotated[float, meet("--wait", metavar="S", help="How long to wait for a caller.")]
CallWait = Annotated[float, meet("--wait", metavar="S", help="How long to knock.")]
OutsideWord = Annotated[
    str | None,
    meet(
        "--outside",
        metavar="WORD",
        help="The word that `listen` prints if its router reveals its ports.",
    ),
]
Compat = Annotated[bool, meet("--compat", help="Use the original pwnat's packets; takes root on both sides.")]
BindingLifetime = Annotated[
    bool,
    measure("--lifetime", help="First measure how long a mapping lives, and send beacons only that often."),
]
Lab = Annotated[
    str | None,
    lab(
        "--lab",
        metavar="SCENARIO[:HOST,HOST]",
        help="Connect two machines of a scenario; the first one listens.",
        autocompletion=completion.labs,
    ),
]
LISTEN_WAIT_S = WAIT_S


LISTENING = sharedoptions.measuring(
    "pwnat",
    without=("only4", "only6", "max_lifetime", "cross_check"),
    instead={"lab": {"annotation": Lab}, "lifetime": {"annotation": BindingLifetime}},
)
TEST_WITHOUT = ("only4", "only6", *sharedoptions.OF_NAT)
MEASURING = sharedoptions.measuring(
    "pwnat",
    without=TEST_WITHOUT,
    instead={"lab": {"annotation": Lab}},
)


def checked_secret(text: str) -> str:
    """UsageError: it is too easy to guess, or no text."""
    if not LEAST_SECRET <= len(text) <= LONGEST_SECRET or not text.isprintable():
        raise UsageError(
            f"--secret: {LEAST_SECRET} to {LONGEST_SECRET} characters, and none that cannot be seen. A knock "
            "passes many networks, so let `nattools pwnat listen` make one"
        )
    return text


def checked_outside(text: str | None) -> Outside | None:
    """UsageError: it is none."""
    if text is None:
        return None
    try:
        return parse_outside(text)
    except ProtocolError as error:
        raise UsageError(f"--outside {text[:40]!r}: {error}; copy it from there, as 51234-random") from None


def at_outside(listener: Endpoint, address: str, outside: Outside | None) -> Endpoint:
    """Where to knock. UsageError: a port was typed, and it is not the one that `outside` gives."""
    if outside is None:
        return listener
    port = outside.port(listener.host)
    if ":" in address and listener.port != port:
        raise UsageError(f"{address[:60]!r}: with --outside the port is {port}; give the address alone")
    return Endpoint(listener.host, port)


def checked_port(port: int) -> int:
    """UsageError: it is none."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: give a number from 0 to 65535")
    return port


def host_and_port(text: str) -> tuple[str, int]:
    """Where to knock. UsageError: it cannot be read."""
    host, colon, port = text.rpartition(":")
    if text.count(":") > 1:
        raise UsageError(f"{text[:60]!r}: the trick works over IPv4; give an IPv4 address or a name")
    if not colon:
        return text, PORT
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{text[:60]!r}: write ADDRESS or ADDRESS:PORT")
    return host, int(port)


def written(place: Endpoint) -> str:
    """As `connect` takes it."""
    return place.host if place.port == PORT else str(place)
