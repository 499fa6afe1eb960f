"""Names to addresses, without blocking the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import Mapping

from nattools.model.endpoint import Family, family_of, parse_address
from nattools.net.eventloop import TimeLimit

TIMEOUT_S = 5.0
MOST_OF_FAMILY = 16
"""All addresses of a name may be tried, and an answer holds thousands: who answers is not to choose whom this
machine sends to."""

_FAMILIES: dict[Family | None, socket.AddressFamily] = {
    None: socket.AF_UNSPEC,
    4: socket.AF_INET,
    6: socket.AF_INET6,
}


def numeric(name: str) -> str | None:
    """The canonical text form if `name` is an address already (brackets are allowed), else None."""
    plain = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        address = str(parse_address(plain))
    except ValueError:
        return None
    zone = plain.partition("%")[2]
    return f"{address}%{zone}" if zone else address


def of_family(name: str, addresses: tuple[str, ...], family: Family | None) -> tuple[str, ...] | str:
    """Those of the family asked for, the first `MOST_OF_FAMILY` of each, or a text that says that there are
    none."""
    of_each = {each: [one for one in addresses if family_of(one) == each][:MOST_OF_FAMILY] for each in (4, 6)}
    wanted = tuple(
        one for one in addresses if family in (None, family_of(one)) and one in of_each[family_of(one)]
    )
    if wanted:
        return wanted
    return f"{name} has no IPv{family} address" if addresses else f"{name} has no address"


def from_table(
    name: str, names: Mapping[str, tuple[str, ...]], family: Family | None
) -> tuple[str, ...] | str | None:
    """What a table of host names says; None if it does not know the name."""
    addresses = names.get(name.rstrip(".").lower())
    return None if addresses is None else of_family(name, addresses, family)


def texts_from_table(name: str, texts: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | str:
    """What a table of TXT records says."""
    return texts.get(name.rstrip(".").lower()) or f"{name} has no TXT records"


async def look_up(name: str, family: Family | None, timeout_s: float = TIMEOUT_S) -> tuple[str, ...] | str:
    """Ask the system's resolver, for at most `timeout_s` seconds."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[str, ...] | str] = loop.create_future()

    def deliver(result: tuple[str, ...] | str) -> None:
        if not answer.done():
            answer.set_result(result)

    def work() -> None:
        result = _ask_system(name, family)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, result)

    # A thread of its own: the loop's executor is joined at exit, and a resolver may hang for half a minute
    try:
        threading.Thread(target=work, name=f"resolve {name}", daemon=True).start()
    except RuntimeError as error:
        return f"{name!r} cannot be looked up: {error}"
    async with TimeLimit(timeout_s):
        return await answer
    return f"no name server answered for {name} in {timeout_s:g} s{_if_none_is_configured()}"


def _ask_system(name: str, family: Family | None) -> tuple[str, ...] | str:
    try:
        found = socket.getaddrinfo(name, None, _FAMILIES[family], socket.SOCK_STREAM)
    except socket.gaierror as error:
        return _explain(name, family, error)
    except (OSError, ValueError) as error:  # ValueError: no host name at all, as with an empty label
        return f"{name!r} cannot be looked up: {error}"
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return of_family(name, tuple(addresses), family)


def _explain(name: str, family: Family | None, error: socket.gaierror) -> str:
    if error.errno == socket.EAI_AGAIN:
        return f"no name server answered for {name}{_if_none_is_configured()}"
    if error.errno == getattr(socket, "EAI_NODATA", None) or error.errno == socket.EAI_FAMILY:
        return f"{name} has no address" if family is None else f"{name} has no IPv{family} address"
    if error.errno == socket.EAI_NONAME:
        return f"there is no host {name}" if family is None else f"{name} has no IPv{family} address"
    return f"{name} cannot be looked up: {error.strerror}"


def _if_none_is_configured() -> str:
    """What to add where the system knows no name server: it asks this machine then, which is seldom one."""
    if sys.platform != "linux":
        return ""
    from nattools.net.system import nameservers

    return "" if nameservers.name_servers() else f": {nameservers.RESOLV_CONF} names none"
