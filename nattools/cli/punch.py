"""`nattools punch`: two machines, a short code, a direct encrypted connection."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from nattools.cli import options, punchoptions, running
from nattools.cli.options import Request
from nattools.cli.outputs import show, write_files
from nattools.cli.progress import ProgressLine
from nattools.cli.prompts import TokenReader, ask_code
from nattools.cli.punchdisplay import PunchDisplay
from nattools.cli.punchoptions import PunchRequest, engine_options
from nattools.cli.punchsession import PunchOutcome
from nattools.cli.running import Invocation
from nattools.engine.options import MeasureOptions
from nattools.engine.punch.options import Watcher
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.traversal.codes import WORDS
from nattools.traversal.forwardspec import written

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import Journal


@options.takes_request(
    "punch", without=("lifetime", "max_lifetime", "cross_check"), instead={"lab": punchoptions.Lab}
)
def command(
    code: punchoptions.CodeArgument = None,
    manual: punchoptions.Manual = False,
    words: punchoptions.Words = WORDS,
    wait: punchoptions.Wait = punchoptions.WAIT_S,
    pipe: punchoptions.Pipe = False,
    forward: punchoptions.ForwardOption = None,
    reverse: punchoptions.ReverseOption = None,
    allow: punchoptions.AllowOption = None,
    bench: punchoptions.Bench = False,
    keep: punchoptions.Keep = False,
    hook: punchoptions.Exec = None,
    no_map: punchoptions.NoMap = False,
    no_low_ports: options.NoLowPorts = False,
    udp_only: punchoptions.UdpOnly = False,
    tcp_only: punchoptions.TcpOnly = False,
    mailbox: punchoptions.Mailbox = None,
    *,
    request: Request,
) -> int:
    """Connect two machines directly, encrypted: run it on one, it prints a code; run it with the code on the
    other.

    Exit code 1 if they did not connect; the report says at which stage, and why."""
    asked = code == punchoptions.ASK
    wanted = PunchRequest(
        code=punchoptions.chosen_code(None if asked else code, words, manual),
        manual=manual,
        mailbox=punchoptions.checked_mailbox(mailbox),
        wait_s=options.checked_seconds(wait, "--wait") or punchoptions.WAIT_S,
        ask_router=not no_map,
        low_ports=not no_low_ports,
        udp=not tcp_only,
        tcp=not udp_only,
        pipe=pipe,
        forwards=punchoptions.checked_forwards(forward, "--forward"),
        reverses=punchoptions.checked_forwards(reverse, "--reverse"),
        allowed=punchoptions.checked_allowed(allow),
        bench=bench,
        keep=keep,
        hook=hook,
    )
    backend = None if request.lab is None else request.lab.backend
    punchoptions.check_together(wanted, as_json=request.as_json, lab=backend)
    if asked:
        wanted = msgspec.structs.replace(wanted, code=ask_code(from_terminal=pipe, say=say))
    return run(request, wanted)


def say(text: str) -> None:
    """A line for a person, on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def run(request: Request, wanted: PunchRequest) -> int:
    """Punch, write the report where it was asked for, and give the exit code."""
    if request.lab is not None:
        from nattools.cli.punchlab import run_in_lab

        done = run_in_lab(request, wanted, request.lab)
    else:
        done = run_on_host(request, wanted)
    write_files(done.report, request.outputs, request.detail)
    show_punch(done.report, request, quiet=wanted.pipe, told=done.told)
    return done.code


def run_on_host(request: Request, wanted: PunchRequest) -> PunchOutcome:
    """This machine's side."""
    from nattools.cli.punchsession import PunchSession

    sides: list[tuple[PunchDisplay, PunchSession]] = []

    async def work(
        network: Network, measuring: MeasureOptions, progress: ProgressLine, journal: Journal | None
    ) -> Report:
        _end_on_sigterm()
        display = PunchDisplay(sys.stderr, progress, others_options(wanted, measuring))
        use = PunchSession(wanted, network, display, quiet=request.as_json)
        sides.append((display, use))
        chosen, watching = engine_options(wanted, measuring), watcher(wanted, display, progress)
        if wanted.manual:
            from nattools.engine.punch.punch import punch_by_tokens

            return await punch_by_tokens(network, chosen, watching, journal, use.use)
        from nattools.engine.punch.punch import punch

        return await punch(network, chosen, watching, journal, use.use)

    report = running.run(Invocation(request, work, asks_routers=wanted.ask_router, without_journal=True))
    display, use = sides[0]
    return PunchOutcome(report, display.told, use.problem, use.interrupted)


def _end_on_sigterm() -> None:
    """As on Ctrl-C, so that nothing stays open on the router. A connection that is used sees to it itself."""
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)


def watcher(wanted: PunchRequest, display: PunchDisplay, progress: ProgressLine) -> Watcher:
    """Who tells the person, and asks."""
    asking = TokenReader(from_terminal=wanted.pipe, say=display.line)
    return Watcher(
        emit=progress,
        code=display.token if wanted.manual else display.code,
        ask_token=asking if wanted.manual else None,
        stage=display.stage,
        plan=display.plan,
    )


def others_options(wanted: PunchRequest, measuring: MeasureOptions) -> tuple[str, ...]:
    """What the other machine must be told beside the code: how to find the same mailbox, and its part in what
    this side wants."""
    return (*(() if wanted.manual else _meeting_options(wanted, measuring)), *_counterpart(wanted))


def _meeting_options(wanted: PunchRequest, measuring: MeasureOptions) -> tuple[str, ...]:
    if wanted.mailbox is not None:
        host = f"[{wanted.mailbox.host}]" if ":" in wanted.mailbox.host else wanted.mailbox.host
        scheme = "wss://" if wanted.mailbox.secure else ""
        return (f"--mailbox {shlex.quote(f'{scheme}{host}:{wanted.mailbox.port}')}",)
    if measuring.default_servers:
        return ()
    return tuple(f"--server {shlex.quote(server.text)}" for server in measuring.servers)


def _counterpart(wanted: PunchRequest) -> Iterator[str]:
    if wanted.pipe:
        yield "--pipe"
    for forward in wanted.forwards:
        yield f"--allow {shlex.quote(forward.target)}"
    for reverse in wanted.reverses:
        place = written(reverse.transport, reverse.bind, reverse.port) if reverse.bind else str(reverse.port)
        ending = "" if reverse.bind or reverse.transport == "tcp" else "/udp"
        yield f"--allow {shlex.quote(f'listen:{place}{ending}')}"


def show_punch(report: Report, request: Request, *, quiet: bool, told: bool) -> None:
    """The report on standard output. `quiet`: that is the pipe's, so a failure is told in short elsewhere.
    What was `told` on the same terminal a moment ago is not told again."""
    if quiet:
        from nattools.report.sections.punch import in_short

        if report.punch is not None and not report.punch.connected:
            say("\n".join(f"nattools: {line}" for line in in_short(report.punch)))
        return
    if told and not request.detail and not request.as_json and _one_terminal():
        report = _untold(report)
    show(report, as_json=request.as_json, detail=request.detail)


def _one_terminal() -> bool:
    return sys.stdout.isatty() and sys.stderr.isatty()


def _untold(report: Report) -> Report:
    if report.punch is None:
        return report
    return msgspec.structs.replace(report, punch=msgspec.structs.replace(report.punch, plan=(), stages=()))
