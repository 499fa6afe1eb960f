"""The options of `nattools serve` that are about its relay."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from nattools.chance import random_bytes
from nattools.errors import UsageError
from nattools.model.serveruri import parse_server
from nattools.net.system.oserrors import describe
from nattools.protocols.stun.authentication import long_term_key
from nattools.server.relay.relayservice import RelayConfig
from nattools.server.relay.turnlimits import TurnLimits

_LONGEST_SECRET = 4096


class RelayOptions(NamedTuple):
    """As given."""

    relays: bool = False
    ports: str | None = None
    low_ports: bool = False
    secret: str | None = None
    users: Iterable[str] = ()
    uris: Iterable[str] = ()


def relay_config(options: RelayOptions, *, mailbox: bool, files: int) -> RelayConfig | None:
    """What to relay, with at most half of so many files; None: nothing. UsageError: the options do not go
    together."""
    secret, users = read_secret(options.secret), dict(checked_user(each) for each in options.users)
    uris = tuple(_relay_uri(each) for each in options.uris)
    if not options.relays:
        _check_without_relay(options, secret, uris, mailbox=mailbox)
        return RelayConfig(relays=False, secret=secret, uris=uris) if uris else None
    if secret is None and uris:
        raise UsageError("--turn-uri needs the secret of those relays: --turn-secret SECRET|@FILE")
    if secret is None and not users and not mailbox:
        raise UsageError(
            "nobody could use this relay: give it users, --turn-user NAME:PASSWORD, or a secret, "
            "--turn-secret SECRET|@FILE, or leave the mailbox on, whose peers get credentials"
        )
    limits = TurnLimits()
    return RelayConfig(
        ports=_ports(options.ports) if options.ports is not None else (49152, 65535),
        users=users,
        secret=secret or random_bytes(32).hex(),
        uris=uris,
        low_ports=options.low_ports,
        limits=replace(limits, allocations=min(limits.allocations, files // 2)),
    )


def _check_without_relay(
    options: RelayOptions, secret: str | None, uris: tuple[str, ...], *, mailbox: bool
) -> None:
    if options.ports is not None or options.low_ports or tuple(options.users):
        raise UsageError("--relay-ports, --relay-low-ports and --turn-user are for --relay")
    if uris and secret is None:
        raise UsageError("--turn-uri needs the secret of those relays: --turn-secret SECRET|@FILE")
    if uris and not mailbox:
        raise UsageError("--turn-uri is offered in the mailbox, which is off")


def read_secret(text: str | None) -> str | None:
    """A secret as given: itself, or the first line of a file after `@`. UsageError: there is none."""
    secret = _first_line(Path(text[1:])) if text is not None and text.startswith("@") else text
    if secret == "":
        raise UsageError("the secret of --turn-secret is empty")
    return secret


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_SECRET + 1)
        text = data.decode()
    except (OSError, ValueError) as error:
        why = describe(error) if isinstance(error, OSError) else "it is not text in UTF-8"
        raise UsageError(f"cannot read the secret in {path}: {why}") from None
    if len(data) > _LONGEST_SECRET:
        raise UsageError(f"cannot read the secret in {path}: it is longer than {_LONGEST_SECRET} bytes")
    return text.partition("\n")[0].strip()


def checked_user(text: str) -> tuple[str, str]:
    """The name and the password of `--turn-user`. UsageError: they cannot be such."""
    name, colon, password = text.partition(":")
    if not (name and colon and password):
        raise UsageError("--turn-user takes NAME:PASSWORD, neither of them empty")
    try:
        long_term_key(name, "", password)
    except ValueError as error:
        # the password is not shown
        raise UsageError(f"--turn-user takes NAME:PASSWORD: {error}") from None
    return name, password


def _relay_uri(text: str) -> str:
    uri = parse_server(text)
    if uri.scheme not in ("turn", "turns"):
        raise UsageError(f"--turn-uri takes turn:HOST or turns:HOST, not {text!r}")
    if len(uri.text) > 300:
        raise UsageError("a URI of --turn-uri is longer than 300 characters")
    return uri.text


def _ports(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1024 <= low <= high <= 65535:
        raise UsageError(f"--relay-ports takes two ports from 1024 to 65535, as 49152-65535, not {text!r}")
    return low, high
