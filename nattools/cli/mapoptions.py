"""The options of `nattools map`, as they are typed and as they are meant."""

from __future__ import annotations

from typing import Annotated

import typer

from nattools.cli.help import measure, router
from nattools.engine.options import MAPPING_LIFETIME_S, MapOptions
from nattools.errors import UsageError
from nattools.model.endpoint import Transport, parse_address
from nattools.model.portmapping import MAPPING_NAME, MappingProtocol

LONGEST_S = 604_800
SHORTEST_KEPT_S = 30
_MOST_PORTS = 16
_LONGEST_DESCRIPTION = 80
PROTOCOLS: dict[str, MappingProtocol] = {
    "upnp": "upnp-igd",
    "upnp-igd": "upnp-igd",
    "nat-pmp": "nat-pmp",
    "pcp": "pcp",
}
TRANSPORTS: dict[str, tuple[Transport, ...]] = {"udp": ("udp",), "tcp": ("tcp",), "both": ("udp", "tcp")}

Ports = Annotated[
    list[str],
    typer.Argument(metavar="[ADDRESS:]PORT...", help="Ports of this machine; the address is its own."),
]
SomePorts = Annotated[
    list[str] | None,
    typer.Argument(metavar="[[ADDRESS:]PORT...]", help="Ports of this machine that mappings lead to."),
]
Protocol = Annotated[
    str | None, router("--protocol", metavar="upnp|nat-pmp|pcp", help="Only by this one (any that works).")
]
TransportOption = Annotated[str, router("--transport", metavar="udp|tcp|both", help="For which transport.")]
ExternalPort = Annotated[
    int | None, router("--external-port", metavar="N", help="This port outside, or none at all (any).")
]
Lifetime = Annotated[
    int, router("--lifetime", metavar="S", help="Seconds until it ends by itself; 0: never (UPnP only).")
]
Description = Annotated[
    str, router("--description", metavar="TEXT", help="What the router's list calls it (UPnP).")
]
Exec = Annotated[
    str | None,
    typer.Option(
        "--exec", metavar="COMMAND", help="Run by the shell at each change; NATTOOLS_* say what changed."
    ),
]
CrossCheck = Annotated[bool, measure("--cross-check", help="Ask miniupnpc too, and compare.")]
Mine = Annotated[bool, typer.Option("--mine", help="All that nattools has made and not removed.")]


def map_options(
    ports: list[str] | None,
    *,
    protocol: str | None = None,
    transport: str = "both",
    external_port: int | None = None,
    lifetime: int = MAPPING_LIFETIME_S,
    description: str = MAPPING_NAME,
    mine: bool = False,
) -> MapOptions:
    """What is wanted. UsageError says what makes no sense, and what would."""
    host, numbers = _ports(ports or [])
    chosen = _protocol(protocol)
    if external_port is not None:
        _port(str(external_port), "--external-port")
        if len(numbers) > 1:
            raise UsageError("--external-port is for one port: give one, or leave it out")
    lifetime_s = _lifetime(lifetime, chosen)
    return MapOptions(
        ports=numbers,
        host=host,
        external_port=external_port,
        lifetime_s=lifetime_s,
        description=_description(description),
        protocol="upnp-igd" if lifetime_s == 0 else chosen,
        transports=_transports(transport),
        mine=mine,
    )


def _ports(texts: list[str]) -> tuple[str | None, tuple[int, ...]]:
    """Inside ports, and the address if one was given."""
    hosts: set[str] = set()
    numbers: list[int] = []
    for text in texts:
        address, colon, port = text.rpartition(":")
        numbers.append(_port(port, "port"))
        if colon:
            hosts.add(_address(address, text))
    if len(hosts) > 1:
        raise UsageError(f"one address at a time: {', '.join(sorted(hosts))} were given")
    if len(numbers) > _MOST_PORTS:
        raise UsageError(f"{len(numbers)} ports at once: at most {_MOST_PORTS}")
    return next(iter(hosts), None), tuple(dict.fromkeys(numbers))


def _port(text: str, what: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= 65535:
        return int(text)
    raise UsageError(f"{what} {text[:20]!r}: give a number from 1 to 65535")


def _address(text: str, whole: str) -> str:
    try:
        return str(parse_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise UsageError(
            f"{whole[:60]!r} is no port: write PORT, 192.168.1.5:PORT or [2001:db8::5]:PORT"
        ) from None


def _protocol(text: str | None) -> MappingProtocol | None:
    if text is None or text in PROTOCOLS:
        return None if text is None else PROTOCOLS[text]
    raise UsageError(f"--protocol {text[:20]!r}: there are upnp, nat-pmp and pcp")


def _transports(text: str) -> tuple[Transport, ...]:
    if text in TRANSPORTS:
        return TRANSPORTS[text]
    raise UsageError(f"--transport {text[:20]!r}: there are udp, tcp and both")


def _lifetime(seconds: int, protocol: MappingProtocol | None) -> int:
    if not 0 <= seconds <= LONGEST_S:
        raise UsageError(f"--lifetime {seconds}: give seconds from 1 to {LONGEST_S} (a week), or 0 for ever")
    if seconds == 0 and protocol in ("nat-pmp", "pcp"):
        raise UsageError(f"--lifetime 0: only UPnP makes mappings without an end, not {protocol}")
    return seconds


def _description(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > _LONGEST_DESCRIPTION:
        raise UsageError(f"--description: give 1 to {_LONGEST_DESCRIPTION} printable characters")
    return text


def check_kept(lifetime: int) -> None:
    """UsageError: a lifetime that cannot be kept."""
    if lifetime < SHORTEST_KEPT_S:
        raise UsageError(f"--lifetime {lifetime}: keep renews mappings, so give at least {SHORTEST_KEPT_S} s")
