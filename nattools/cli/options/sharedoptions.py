"""The options that measuring commands share, as typed and as checked; and which servers to ask: those named
on the command line, else in the environment, else in the configuration file, else the public ones."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args

import msgspec

from nattools.cli.display.help import connect, lab, measure, output, watch
from nattools.cli.display.outputs import check_writable, checked_outputs
from nattools.cli.options import completion
from nattools.engine.measureoptions import PUBLIC_SERVERS
from nattools.errors import UsageError
from nattools.model.endpoint import Family
from nattools.model.serveruri import ServerUri, parse_server
from nattools.report.safetext import safe

if TYPE_CHECKING:
    from nattools.cli.watchcommand import WatchRequest
    from nattools.report.document import Detail

Backend = Literal["sim", "netns"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
MeasuringName = Literal[
    "diagnose", "nat", "ipv6", "map", "punch", "pwnat", "relay", "libp2p", "tailscale", "lan"
]
DEFAULT_MAX_LIFETIME_S = 300.0
SERVER_VARIABLE = "NATTOOLS_SERVER"
CONFIG_NAME = "config.toml"

Json = Annotated[bool, output("--json", help="One JSON document on standard output.")]
Output = Annotated[
    list[Path] | None,
    output("-o", "--output", metavar="FILE", help="Also write .json, .md, .html or .txt. Repeatable."),
]
Server = Annotated[
    list[str] | None,
    measure("--server", metavar="HOST[:PORT]|URI", help="A server to measure with. Repeatable."),
]
Timeout = Annotated[
    float | None, measure("--timeout", metavar="S", help="Time limit for the whole command, in seconds.")
]
Only4 = Annotated[bool, measure("-4", help="IPv4 only.")]
Only6 = Annotated[bool, measure("-6", help="IPv6 only.")]
Interface = Annotated[
    str | None,
    measure(
        "--interface",
        metavar="NAME",
        help="Measure through this interface.",
        autocompletion=completion.interfaces,
    ),
]
Lab = Annotated[
    str | None,
    lab(
        "--lab",
        metavar="SCENARIO[:HOST]",
        help="Run inside a scenario, not on this network.",
        autocompletion=completion.labs,
    ),
]
BackendOption = Annotated[
    str | None,
    lab(
        "--backend",
        metavar="sim|netns",
        help="What to build the scenario on (default: sim).",
        autocompletion=completion.one_of("sim", "netns"),
    ),
]
Seed = Annotated[int | None, lab("--seed", metavar="N", help="Random seed of the scenario (default: 0).")]
Lifetime = Annotated[bool, measure("--lifetime", help="Measure how long an idle mapping lives.")]
MaxLifetime = Annotated[
    float | None,
    measure("--max-lifetime", metavar="S", help="Longest idle time to try (300). Implies --lifetime."),
]
CrossCheck = Annotated[bool, measure("--cross-check", help="Also ask pystun3, and compare.")]
NoDerp = Annotated[bool, measure("--no-derp", help="Skip Tailscale's public DERP servers.")]
NoLowPorts = Annotated[
    bool, connect("--no-low-ports", help="Do not use ports below 1024, even if permitted.")
]
Pcap = Annotated[
    Path | None, output("--pcap", metavar="FILE", help="Write what is sent and received as pcapng.")
]
Quiet = Annotated[bool, output("-q", "--quiet", help="Only the answer, in one line; no progress.")]
Redact = Annotated[bool, output("--redact", help="Replace addresses, names and tokens with pseudonyms.")]
Events = Annotated[bool, output("--events", help="Progress as JSON lines on standard error.")]
WatchEvery = Annotated[
    float | None,
    watch("--watch", metavar="S", help="Measure again every S seconds and report changes."),
]
WatchFor = Annotated[
    float | None, watch("--for", metavar="S", help="Stop watching after S seconds (default: on Ctrl-C).")
]
MetricsTo = Annotated[
    str | None,
    watch("--metrics", metavar="PORT|FILE", help="OpenMetrics: served at this local port, or in a file."),
]
Verbose = Annotated[
    int,
    output(
        "-v", "--verbose", count=True, show_default=False, help="-v: tables and figures; -vv: observations."
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

    command: MeasuringName
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
    no_derp: bool = False
    pcap: Path | None = None
    redact: bool = False
    watch: WatchRequest | None = None
    events: bool = False
    quiet: bool = False
    detail: Detail = 0


def _request_of(
    command: MeasuringName,
    *,
    as_json: Json = False,
    output: Output = None,
    server: Server = None,
    timeout: Timeout = None,
    only4: Only4 = False,
    only6: Only6 = False,
    interface: Interface = None,
    lab: Lab = None,
    backend: BackendOption = None,
    seed: Seed = None,
    lifetime: Lifetime = False,
    max_lifetime: MaxLifetime = None,
    cross_check: CrossCheck = False,
    no_derp: NoDerp = False,
    pcap: Pcap = None,
    redact: Redact = False,
    watch_every: WatchEvery = None,
    watch_for: WatchFor = None,
    metrics: MetricsTo = None,
    events: Events = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> Request:
    """The options that measuring commands share, checked. UsageError says what makes no sense."""
    longest_s = checked_seconds(max_lifetime, "--max-lifetime")
    _check_together(quiet and bool(verbose), redact and pcap is not None, cross_check and lab is not None)
    return Request(
        command=command,
        as_json=as_json,
        outputs=checked_files(output, pcap),
        servers=_parse_all(server or [], "--server"),
        timeout_s=checked_seconds(timeout, "--timeout"),
        families=checked_families(only4, only6),
        interface=interface,
        lab=checked_lab(lab, backend, seed),
        lifetime=lifetime or longest_s is not None,
        max_lifetime_s=longest_s or DEFAULT_MAX_LIFETIME_S,
        cross_check=cross_check,
        no_derp=no_derp,
        pcap=pcap,
        redact=redact,
        watch=_watch(watch_every, watch_for, metrics),
        events=events,
        quiet=quiet,
        detail=detail_of(verbose),
    )


def _check_together(contradiction: bool, holds_it_all: bool, has_no_way: bool) -> None:
    """UsageError for options that make no sense together: -q and -v, --redact and --pcap, --cross-check and
    --lab."""
    if contradiction:
        raise UsageError("-q and -v contradict each other")
    if holds_it_all:
        raise UsageError("--redact changes the report alone: what --pcap writes would still hold it all")
    if has_no_way:
        raise UsageError(
            "--cross-check runs other programs, which have no way into a scenario from here: in namespaces, "
            "nattools lab exec SCENARIO HOST nattools nat --cross-check"
        )


def _watch(every_s: float | None, for_s: float | None, metrics: str | None) -> WatchRequest | None:
    if every_s is None and for_s is None and metrics is None:
        return None
    from nattools.cli.watchcommand import watch_request

    return watch_request(every_s, for_s, metrics)


def detail_of(verbose: int) -> Detail:
    """What `-v`, so many times, asks for."""
    return 2 if verbose >= 2 else 1 if verbose else 0


class OptionGroup(NamedTuple):
    """Options that several commands share: the parameters of `build`, which checks them and gives one value.
    `without`: names of those that make no sense for a command; `instead`: what is different about others, as
    `Parameter.replace` takes it."""

    build: Callable[..., object]
    without: Sequence[str] = ()
    instead: Mapping[str, Mapping[str, Any]] = {}

    def parameters(self) -> list[Parameter]:
        """What the command line takes."""
        return [
            each.replace(kind=Parameter.KEYWORD_ONLY, **self.instead.get(each.name, {}))
            for each in signature(self.build, eval_str=True).parameters.values()
            if each.name not in self.without
        ]


def takes(**groups: OptionGroup) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Make a command of a function: in place of a parameter that is named here, the command line has the
    options of that group."""
    shared = {name: group.parameters() for name, group in groups.items()}

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        def called(**given: Any) -> int:
            for name, group in groups.items():
                given[name] = group.build(**{each.name: given.pop(each.name) for each in shared[name]})
            return function(**given)

        own = signature(function, eval_str=True)
        parameters: list[Parameter] = []
        for each in own.parameters.values():
            parameters += shared.get(each.name) or [each.replace(kind=Parameter.KEYWORD_ONLY)]
        called.__dict__["__signature__"] = own.replace(parameters=parameters)
        called.__annotations__ = {each.name: each.annotation for each in parameters}
        called.__doc__ = function.__doc__
        return called

    return decorate


def measuring(
    command: MeasuringName,
    *,
    without: Sequence[str] = (),
    instead: Mapping[str, Mapping[str, Any]] | None = None,
) -> OptionGroup:
    """The options of `_request_of`, for a command."""
    others = () if command == "diagnose" else ("no_derp",)
    watching = () if command in _WATCHED else ("watch_every", "watch_for", "metrics")
    return OptionGroup(partial(_request_of, command), (*without, *others, *watching), instead or {})


OF_NAT = ("lifetime", "max_lifetime", "cross_check")
"""What only those can use that measure a NAT."""
_WATCHED = ("diagnose", "nat", "relay")
"""Commands that can run on."""


def check_choice(option: str, value: str | None, choices: Iterable[str]) -> None:
    """UsageError: the value of an option is none of those that there are."""
    if value is not None and value not in choices:
        raise UsageError(f"{option} {value[:20]!r}: must be one of {', '.join(choices)}")


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
    check_choice("--backend", backend, BACKENDS)
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
    if not colon or "/" in host or "\\" in host or os.path.isfile(text):
        return text, None
    if not scenario or not host:
        raise UsageError(f"--lab {text!r}: write SCENARIO or SCENARIO:HOST")
    return scenario, host


class Servers(NamedTuple):
    """Servers to ask; `public`: they are the built-in list."""

    uris: tuple[ServerUri, ...]
    public: bool = False


def chosen_servers(named: tuple[ServerUri, ...]) -> Servers:
    """The servers to use; UsageError if the environment or the file names one wrongly."""
    for servers in (named, _from_environment(), _from_config(config_path())):
        if servers:
            return Servers(servers)
    return Servers(tuple(parse_server(text) for text in PUBLIC_SERVERS), public=True)


def config_path() -> Path:
    """`config.toml` in the user's configuration folder."""
    from platformdirs import user_config_path

    return user_config_path("nattools", appauthor=False) / CONFIG_NAME


def _parse_all(texts: list[str], where: str = "") -> tuple[ServerUri, ...]:
    """Parse each server, each once; UsageError says where the bad one stands."""
    try:
        return tuple({parse_server(text): None for text in texts})
    except UsageError as error:
        raise UsageError(f"{where}: {error}" if where else str(error)) from None


def _from_environment() -> tuple[ServerUri, ...]:
    texts = [text for text in re.split(r"[\s,]+", os.environ.get(SERVER_VARIABLE, "")) if text]
    return _parse_all(texts, f"the environment variable {SERVER_VARIABLE}")


def _from_config(path: Path) -> tuple[ServerUri, ...]:
    from nattools.boundedtoml import read_text, toml_table

    try:
        text = read_text(path, str(path))
    except FileNotFoundError:
        return ()
    try:
        return _servers_of(toml_table(text))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _servers_of(config: dict[str, Any]) -> tuple[ServerUri, ...]:
    unknown = [key for key in config if key != "server"]
    if unknown:
        raise UsageError(f"unknown key {safe(unknown[0], 60)!r}; there is only 'server'")
    value = config.get("server", [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UsageError('write server = ["HOST:PORT", ...]')
    return _parse_all(texts)
