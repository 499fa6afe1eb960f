"""The options that measuring commands share, as they are typed and as they are meant."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from nattools.cli.outputs import check_writable, checked_outputs
from nattools.cli.servers import parse_all
from nattools.errors import UsageError
from nattools.model.endpoint import Family
from nattools.model.serveruri import ServerUri

if TYPE_CHECKING:
    from nattools.report.contents import Detail

Backend = Literal["sim", "netns"]
DEFAULT_MAX_LIFETIME_S = 300.0

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Output = Annotated[
    list[Path] | None,
    typer.Option("-o", "--output", metavar="FILE", help="Also write .json, .md, .html or .txt. Repeatable."),
]
Server = Annotated[
    list[str] | None,
    typer.Option("--server", metavar="HOST[:PORT]|URI", help="A server to measure with. Repeatable."),
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", metavar="S", help="Bounds the whole command, in seconds.")
]
Only4 = Annotated[bool, typer.Option("-4", help="IPv4 only.")]
Only6 = Annotated[bool, typer.Option("-6", help="IPv6 only.")]
Interface = Annotated[
    str | None, typer.Option("--interface", metavar="NAME", help="Measure through this interface.")
]
Lab = Annotated[
    str | None,
    typer.Option("--lab", metavar="SCENARIO[:HOST]", help="Run inside a scenario, not on this network."),
]
BackendOption = Annotated[
    str | None, typer.Option("--backend", metavar="sim|netns", help="How to build the scenario (sim).")
]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Chance in the scenario starts here.")]
Lifetime = Annotated[bool, typer.Option("--lifetime", help="Measure how long an idle mapping lives.")]
MaxLifetime = Annotated[
    float | None,
    typer.Option("--max-lifetime", metavar="S", help="Longest idle time to try (300). Implies --lifetime."),
]
CrossCheck = Annotated[bool, typer.Option("--cross-check", help="Ask pystun3 too, and compare.")]
Pcap = Annotated[
    Path | None, typer.Option("--pcap", metavar="FILE", help="Write what is sent and received as pcapng.")
]
Verbose = Annotated[
    int,
    typer.Option(
        "-v", "--verbose", count=True, show_default=False, help="-v: figures and RFC rows; -vv: observations."
    ),
]


class LabChoice(msgspec.Struct, frozen=True):
    """A scenario to run in: `host` None is its first host."""

    scenario: str
    host: str | None
    backend: Backend
    seed: int | None


class Request(msgspec.Struct, frozen=True):
    """What the user asked of a measuring command, checked as far as it can be before the network is known."""

    command: Literal["diagnose", "nat", "map", "punch"]
    as_json: bool = False
    outputs: tuple[Path, ...] = ()
    servers: tuple[ServerUri, ...] = ()
    timeout_s: float | None = None
    families: tuple[Family, ...] = (4, 6)
    interface: str | None = None
    lab: LabChoice | None = None
    lifetime: bool = False
    max_lifetime_s: float = DEFAULT_MAX_LIFETIME_S
    cross_check: bool = False
    pcap: Path | None = None
    detail: Detail = 0


def request_of(
    command: Literal["diagnose", "nat", "map", "punch"],
    as_json: bool,
    output: list[Path] | None,
    server: list[str] | None,
    timeout: float | None,
    only4: bool,
    only6: bool,
    interface: str | None,
    lab: str | None,
    backend: str | None,
    seed: int | None,
    verbose: int,
    *,
    cross_check: bool = False,
    pcap: Path | None = None,
) -> Request:
    """The options that all of them have. UsageError says what makes no sense."""
    return Request(
        command=command,
        as_json=as_json,
        outputs=checked_files(output, pcap),
        servers=checked_servers(server),
        timeout_s=checked_seconds(timeout, "--timeout"),
        families=checked_families(only4, only6),
        interface=interface,
        lab=checked_lab(lab, backend, seed),
        cross_check=cross_check,
        pcap=pcap,
        detail=2 if verbose >= 2 else 1 if verbose else 0,
    )


def checked_servers(texts: list[str] | None) -> tuple[ServerUri, ...]:
    """`--server`; UsageError for one that cannot be read."""
    return parse_all(texts or [], "--server")


def checked_files(outputs: list[Path] | None, pcap: Path | None) -> tuple[Path, ...]:
    """`-o` and `--pcap`; UsageError for a file that could not be written."""
    if pcap is not None:
        check_writable(pcap)
    return checked_outputs(outputs or [])


def checked_families(only4: bool, only6: bool) -> tuple[Family, ...]:
    """`-4` and `-6`."""
    if only4 and only6:
        raise UsageError("-4 and -6 contradict each other: give one of them, or none to measure both")
    return (4,) if only4 else (6,) if only6 else (4, 6)


def checked_seconds(value: float | None, option: str) -> float | None:
    """A duration that is a number greater than zero."""
    if value is None or (math.isfinite(value) and value > 0):
        return value
    raise UsageError(f"{option} {value:g}: give a number of seconds greater than 0")


def checked_lab(lab: str | None, backend: str | None, seed: int | None) -> LabChoice | None:
    """`--lab`, and the options that make sense only with it."""
    if backend not in (None, "sim", "netns"):
        raise UsageError(f"--backend {backend!r}: there are sim and netns")
    if lab is None:
        for option, value in (("--backend", backend), ("--seed", seed)):
            if value is not None:
                raise UsageError(f"{option} is for a scenario: give --lab SCENARIO too")
        return None
    scenario, host = split_lab(lab)
    return LabChoice(scenario, host, "netns" if backend == "netns" else "sim", seed)


def split_lab(text: str) -> tuple[str, str | None]:
    """`SCENARIO[:HOST]`, where SCENARIO may be a path that has colons itself."""
    scenario, colon, host = text.rpartition(":")
    if not colon or "/" in host or "\\" in host or Path(text).is_file():
        return text, None
    if not scenario or not host:
        raise UsageError(f"--lab {text!r}: write SCENARIO or SCENARIO:HOST")
    return scenario, host
