"""The options of `nattools punch`: as typed, as checked, and as the engine gets them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nattools.cli.display.help import connect, lab, meet, use
from nattools.cli.display.outputs import check_writable, is_replaceable
from nattools.cli.options import completion
from nattools.cli.options.sharedoptions import Backend, OptionGroup
from nattools.engine.punch.options import PunchOptions
from nattools.errors import UsageError
from nattools.model.serveruri import parse_server
from nattools.traversal.codes import WORDS, Code, complete, new_code, parse_code
from nattools.traversal.forwardspec import Allowed, Forward, parse_forward

if TYPE_CHECKING:
    from nattools.traversal.mailboxconnection import MailboxAddress

ASK = "-"
LASTING = frozenset({"forward", "reverse", "keep"})
"""Uses of a connection that have no end by themselves."""
MOST_FORWARDS = 32
_TLS_PORT = 443
_PORT = 3478


def _completed(incomplete: str) -> list[str]:
    """What a shell offers for a code begun."""
    return complete(incomplete)


CodeArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CODE]",
        help="The code that the other machine prints; '-' prompts for it. If omitted, a new one is made.",
        autocompletion=_completed,
    ),
]
Manual = Annotated[
    bool, meet("--manual", help="Exchange tokens by copy and paste, without a server to meet at.")
]
CodeFile = Annotated[
    Path | None,
    meet("--code-file", metavar="FILE", help="Write the code (or token) to FILE too, for you alone to read."),
]
Words = Annotated[int, meet("--words", metavar="N", help="Words in a new code, 2 to 8.")]
Wait = Annotated[float, meet("--wait", metavar="S", help="How long to wait for the other machine.")]
Mailbox = Annotated[
    str | None,
    meet(
        "--mailbox",
        metavar="HOST[:PORT]|wss://HOST",
        help="Meet here (wss: over TLS, port 443), not at the first --server with a mailbox.",
    ),
]
NoMap = Annotated[bool, connect("--no-map", help="Do not ask the router for a port mapping.")]
UdpOnly = Annotated[bool, connect("--udp-only", help="Connect over UDP or not at all.")]
TcpOnly = Annotated[bool, connect("--tcp-only", help="Connect over TCP or not at all.")]
Pipe = Annotated[bool, use("--pipe", help="Connect standard input and output with the other machine's.")]
ForwardOption = Annotated[
    list[str] | None,
    use(
        "--forward",
        metavar="[ADDRESS:]PORT:HOST:PORT[/udp]",
        help="Listen on this PORT; the other machine connects to HOST:PORT. Repeatable.",
    ),
]
ReverseOption = Annotated[
    list[str] | None,
    use(
        "--reverse",
        metavar="[ADDRESS:]PORT:HOST:PORT[/udp]",
        help="The other machine listens on its PORT; this one connects to HOST:PORT. Repeatable.",
    ),
]
AllowOption = Annotated[
    list[str] | None,
    use(
        "--allow",
        metavar="HOST:PORT[/udp]|listen:PORT[/udp]",
        help="Let the other machine's --forward reach this, or its --reverse listen here. Repeatable.",
    ),
]
Bench = Annotated[bool, use("--bench", help="Measure throughput, loss, and latency under load.")]
Keep = Annotated[
    bool, use("--keep", help="Keep the connection; if it is lost, try to reconnect for up to 7 days.")
]
Exec = Annotated[
    str | None,
    use(
        "--exec",
        metavar="COMMAND",
        help="Shell command to run when connected; NATTOOLS_* variables say to where.",
    ),
]
Lab = Annotated[
    str | None,
    lab(
        "--lab",
        metavar="SCENARIO[:HOST,HOST]",
        help="Connect two machines of a scenario, not this one.",
        autocompletion=completion.labs,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PunchRequest(PunchOptions):
    """What the user asked of a punch, checked: beside how to connect, by what way the two meet, and what the
    connection is for. `measuring` is filled in once the network is known."""

    manual: bool = False
    pipe: bool = False
    forwards: tuple[Forward, ...] = ()
    reverses: tuple[Forward, ...] = ()
    allowed: Allowed | None = None
    bench: bool = False
    keep: bool = False
    hook: str | None = None
    code_file: Path | None = None

    @property
    def uses(self) -> tuple[str, ...]:
        """What the connection is wanted for, in words that the other side knows; nothing: echoes alone."""
        started = (
            ("pipe", self.pipe),
            ("forward", self.forwards),
            ("reverse", self.reverses),
            ("allow", self.allowed is not None),
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
        raise UsageError("--manual exchanges tokens and takes no code: give only one of the two")
    if words != WORDS:
        raise UsageError("--words is for a new code: the one given has its words already")
    return parse_code(typed)


def checked_code_file(path: Path | None) -> Path | None:
    """`--code-file`; UsageError for one that cannot be written."""
    if path is not None:
        check_writable(path)
        if not is_replaceable(path):
            raise UsageError(f"--code-file {path}: it is not a file")
    return path


def checked_mailbox(text: str | None) -> MailboxAddress | None:
    """`--mailbox`; UsageError for one that cannot be read."""
    if text is None:
        return None
    from nattools.net.web.tls import client_context
    from nattools.traversal.mailboxconnection import MailboxAddress

    scheme, separator, rest = text.rpartition("://")
    if scheme.lower() not in ("", "ws", "wss"):
        raise UsageError(f"--mailbox {text[:60]!r}: write HOST, HOST:PORT, or wss://HOST for one within TLS")
    secure = scheme.lower() == "wss"
    rest = rest.removesuffix("/").removesuffix("/mailbox") if separator else rest
    server = parse_server(rest)
    if server.text != server.text.removeprefix(f"{server.scheme}:"):
        raise UsageError(f"--mailbox {text[:60]!r}: write HOST, HOST:PORT, or wss://HOST for one within TLS")
    default = _TLS_PORT if secure else _PORT
    port = default if server.port is None else server.port
    return MailboxAddress(server.host, port, client_context if secure else None)


def checked_forwards(texts: list[str] | None, option: str) -> tuple[Forward, ...]:
    """`--forward` or `--reverse`; UsageError for one that cannot be read."""
    if len(texts or []) > MOST_FORWARDS:
        raise UsageError(f"{option}: at most {MOST_FORWARDS} of them")
    try:
        return tuple(parse_forward(text) for text in texts or [])
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def checked_allowed(texts: list[str] | None) -> Allowed | None:
    """`--allow`, None without one; UsageError for one that cannot be read."""
    if not texts:
        return None
    try:
        return Allowed.parse(texts)
    except UsageError as error:
        raise UsageError(f"--allow: {error}") from None


def uses(
    *,
    pipe: Pipe = False,
    forward: ForwardOption = None,
    reverse: ReverseOption = None,
    allow: AllowOption = None,
    bench: Bench = False,
    keep: Keep = False,
    hook: Exec = None,
) -> PunchRequest:
    """What the connection is for; UsageError for what cannot be read."""
    return PunchRequest(
        pipe=pipe,
        forwards=checked_forwards(forward, "--forward"),
        reverses=checked_forwards(reverse, "--reverse"),
        allowed=checked_allowed(allow),
        bench=bench,
        keep=keep,
        hook=hook,
    )


USES = OptionGroup(uses)
"""What a connection is for: options of `punch` and of `pwnat`."""


def check_together(wanted: PunchRequest, *, as_json: bool, lab: Backend | None) -> None:
    """UsageError for options that contradict each other. `lab`: what a scenario is built on."""
    for wrong in _contradictions(wanted, as_json=as_json, lab=lab):
        raise UsageError(wrong)


def _contradictions(wanted: PunchRequest, *, as_json: bool, lab: Backend | None) -> Iterator[str]:
    if not wanted.udp and not wanted.tcp:
        yield "--udp-only and --tcp-only contradict each other: give one of them, or none"
    if wanted.manual and wanted.mailbox is not None:
        yield "--manual needs no mailbox: give only one of the two"
    if wanted.manual and wanted.relaying == "only" and not wanted.relays and lab is None:
        yield "--manual with --relay-only: name the relay, --turn URI, since nobody is there to offer one"
    if wanted.pipe and as_json:
        yield "with --pipe, standard output is the pipe's: write the report with -o FILE.json"
    if wanted.pipe and wanted.hook is not None:
        yield "--pipe and --exec both want standard input and output: give one of them"
    if lab is not None and (
        wanted.pipe
        or wanted.forwards
        or wanted.reverses
        or wanted.allowed
        or wanted.hook is not None
        or wanted.keep
    ):
        yield (
            "--pipe, --forward, --reverse, --allow, --exec and --keep make no sense in a scenario, where "
            "both machines run in this process"
        )
    if lab is not None and wanted.code_file is not None:
        yield "--code-file makes no sense in a scenario: both machines run in this process"
    if lab == "sim" and wanted.bench:
        yield ("--bench: throughput in the simulator means nothing; add --backend netns (as root)")
