"""The options of `nattools punch`, as they are typed and as they are meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec
import typer

from nattools.errors import UsageError
from nattools.model.endpoint import Transport
from nattools.model.serveruri import parse_server
from nattools.traversal.codes import WORDS, Code, complete, new_code, parse_code

ASK = "-"
WAIT_S = 600.0
LASTING = frozenset({"forward", "reverse", "keep"})
"""Uses of a connection that have no end by themselves."""
MOST_FORWARDS = 32
_TLS_PORT = 443
_PORT = 3478
_FORWARD_SHAPE = "write PORT:HOST:PORT, or PORT:HOST:PORT/udp"


def _completed(incomplete: str) -> list[str]:
    """What a shell offers for a code begun."""
    return complete(incomplete)


CodeArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[CODE]",
        help="The code that the other machine prints; '-' asks for it. Left out: make a new one.",
        autocompletion=_completed,
    ),
]
Manual = Annotated[bool, typer.Option("--manual", help="Swap copied tokens, without a server to meet at.")]
Words = Annotated[int, typer.Option("--words", metavar="N", help="Words of a new code: 2 to 8.")]
Wait = Annotated[float, typer.Option("--wait", metavar="S", help="How long to wait for the other machine.")]
Mailbox = Annotated[
    str | None,
    typer.Option(
        "--mailbox",
        metavar="HOST[:PORT]|wss://HOST",
        help="Meet here (wss: within TLS, port 443), not at the first --server that can.",
    ),
]
NoMap = Annotated[bool, typer.Option("--no-map", help="Ask the router for no port mapping.")]
NoLowPorts = Annotated[
    bool, typer.Option("--no-low-ports", help="Use no ports below 1024, even where that is permitted.")
]
UdpOnly = Annotated[bool, typer.Option("--udp-only", help="Connect over UDP or not at all.")]
TcpOnly = Annotated[bool, typer.Option("--tcp-only", help="Connect over TCP or not at all.")]
Pipe = Annotated[
    bool, typer.Option("--pipe", help="Standard input to the other's standard output, and back.")
]
Forward = Annotated[
    list[str] | None,
    typer.Option(
        "--forward",
        metavar="PORT:HOST:PORT[/udp]",
        help="Listen on this PORT; the other machine connects to HOST:PORT. Repeatable.",
    ),
]
Reverse = Annotated[
    list[str] | None,
    typer.Option(
        "--reverse",
        metavar="PORT:HOST:PORT[/udp]",
        help="The other machine listens on its PORT; this one connects to HOST:PORT. Repeatable.",
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="HOST:PORT[/udp]|listen:PORT[/udp]",
        help="Let the other machine's --forward reach this, or its --reverse listen here. Repeatable.",
    ),
]
Bench = Annotated[bool, typer.Option("--bench", help="Measure throughput, loss, and latency under load.")]
Keep = Annotated[bool, typer.Option("--keep", help="Hold the connection, and make it anew if it is lost.")]
Exec = Annotated[
    str | None,
    typer.Option(
        "--exec", metavar="COMMAND", help="Run by the shell when connected; NATTOOLS_* say to where."
    ),
]


Lab = Annotated[
    str | None,
    typer.Option(
        "--lab", metavar="SCENARIO[:HOST,HOST]", help="Connect two machines of a scenario, not this one."
    ),
]


class MailboxWish(NamedTuple):
    """Where to meet; `secure`: within TLS."""

    host: str
    port: int
    secure: bool


class Forwarding(NamedTuple):
    """A `port` to listen on, and where what comes there is to go."""

    port: int
    host: str
    target: int
    transport: Transport


class Allowed(NamedTuple):
    """What the other side may do here: connect to a target, or, with `host` None, listen on a port."""

    host: str | None
    port: int
    transport: Transport


class PunchWish(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked of a punch, checked. A `code` without a nameplate is a new one."""

    code: Code
    manual: bool = False
    mailbox: MailboxWish | None = None
    wait_s: float = WAIT_S
    ask_router: bool = True
    low_ports: bool = True
    udp: bool = True
    tcp: bool = True
    pipe: bool = False
    forwards: tuple[Forwarding, ...] = ()
    reverses: tuple[Forwarding, ...] = ()
    allowed: tuple[Allowed, ...] = ()
    bench: bool = False
    keep: bool = False
    hook: str | None = None

    @property
    def uses(self) -> tuple[str, ...]:
        """What the connection is wanted for, in words that the other side knows; nothing: echoes alone."""
        started = (
            ("pipe", self.pipe),
            ("forward", self.forwards),
            ("reverse", self.reverses),
            ("bench", self.bench),
            ("exec", self.hook is not None),
            ("keep", self.keep),
        )
        return tuple(name for name, wanted in started if wanted)

    @property
    def lasts(self) -> bool:
        """Is the connection wanted until somebody says that it is enough? A command or a measurement says so
        by its end."""
        finite = self.hook is not None or self.bench
        return self.keep or (not finite and bool(self.forwards or self.reverses))


def chosen_code(typed: str | None, words: int, manual: bool) -> Code:
    """The code that was typed, or a new one. UsageError says what is wrong with it."""
    if typed is None:
        return new_code(words)
    if manual:
        raise UsageError("--manual swaps tokens and needs no code: leave out one of the two")
    if words != WORDS:
        raise UsageError("--words is for a new code: the one given has its words already")
    return parse_code(typed)


def checked_mailbox(text: str | None) -> MailboxWish | None:
    """`--mailbox`; UsageError for one that cannot be read."""
    if text is None:
        return None
    scheme, separator, rest = text.rpartition("://")
    if scheme.lower() not in ("", "ws", "wss"):
        raise UsageError(f"--mailbox {text[:60]!r}: write HOST, HOST:PORT, or wss://HOST for one within TLS")
    secure = scheme.lower() == "wss"
    rest = rest.removesuffix("/").removesuffix("/mailbox") if separator else rest
    server = parse_server(rest)
    if server.text != server.text.removeprefix(f"{server.scheme}:"):
        raise UsageError(f"--mailbox {text[:60]!r}: write HOST, HOST:PORT, or wss://HOST for one within TLS")
    default = _TLS_PORT if secure else _PORT
    return MailboxWish(server.host, default if server.port is None else server.port, secure)


def checked_forwards(texts: list[str] | None, option: str) -> tuple[Forwarding, ...]:
    """`--forward` or `--reverse`; UsageError for one that cannot be read."""
    found = [_forwarding(text, option) for text in texts or []]
    if len(found) > MOST_FORWARDS:
        raise UsageError(f"{option}: at most {MOST_FORWARDS} of them")
    ports = [(each.port, each.transport) for each in found]
    twice = next((port for port in ports if ports.count(port) > 1), None)
    if twice is not None:
        raise UsageError(f"{option}: port {twice[0]} over {twice[1].upper()} is given twice")
    return tuple(found)


def _forwarding(text: str, option: str) -> Forwarding:
    rest, transport = _transport(text)
    port, _, target = rest.partition(":")
    try:
        host, number = _target(target)
        return Forwarding(_port(port), host, number, transport)
    except ValueError:
        raise UsageError(f"{option} {text[:80]!r}: {_FORWARD_SHAPE}; an IPv6 address in brackets") from None


def checked_allowed(texts: list[str] | None) -> tuple[Allowed, ...]:
    """`--allow`; UsageError for one that cannot be read."""
    return tuple(_allowed(text) for text in texts or [])


def _allowed(text: str) -> Allowed:
    rest, transport = _transport(text)
    try:
        if rest.lower().startswith("listen:"):
            return Allowed(None, _port(rest[len("listen:") :]), transport)
        return Allowed(*_target(rest), transport)
    except ValueError:
        raise UsageError(
            f"--allow {text[:80]!r}: write HOST:PORT or listen:PORT, with /udp behind it for UDP"
        ) from None


def _transport(text: str) -> tuple[str, Transport]:
    for ending, transport in _ENDINGS:
        if text.lower().endswith(ending):
            return text[: -len(ending)], transport
    return text, "tcp"


_ENDINGS: tuple[tuple[str, Transport], ...] = (("/udp", "udp"), ("/tcp", "tcp"))


def _target(text: str) -> tuple[str, int]:
    """HOST:PORT; ValueError for anything else."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or (":" in host) != (bare != host) or len(bare) > 255:
        raise ValueError(text)
    if any(each in "[]" or each.isspace() or not each.isprintable() for each in bare):
        raise ValueError(text)
    return bare, _port(port)


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535:
        return int(text)
    raise ValueError(text)


def check_together(wish: PunchWish, *, as_json: bool, in_lab: bool) -> None:
    """UsageError for options that contradict each other."""
    for wrong in _contradictions(wish, as_json=as_json, in_lab=in_lab):
        raise UsageError(wrong)


def _contradictions(wish: PunchWish, *, as_json: bool, in_lab: bool) -> Iterator[str]:
    if not wish.udp and not wish.tcp:
        yield "--udp-only and --tcp-only contradict each other: give one of them, or none"
    if wish.manual and wish.mailbox is not None:
        yield "--manual needs no mailbox: leave out one of the two"
    if wish.pipe and as_json:
        yield "with --pipe, standard output is the pipe's: write the report with -o FILE.json"
    if wish.pipe and wish.hook is not None:
        yield "--pipe and --exec both want standard input and output: give one of them"
    if in_lab and (wish.pipe or wish.forwards or wish.reverses or wish.hook is not None or wish.keep):
        yield (
            "in a scenario both machines run by themselves: there --pipe, --forward, --reverse, --exec and "
            "--keep make no sense"
        )
