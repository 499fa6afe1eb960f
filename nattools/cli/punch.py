"""`nattools punch`: two machines, a short code, a direct encrypted connection."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nattools.cli import running
from nattools.cli.display.eventlines import display_on
from nattools.cli.display.outputs import show, tell, write_files, write_secret
from nattools.cli.display.progress import ProgressLine
from nattools.cli.display.prompts import TokenReader, ask_code
from nattools.cli.display.punchdisplay import PunchDisplay
from nattools.cli.options import punchoptions, sharedoptions
from nattools.cli.options.punchoptions import PunchRequest
from nattools.cli.options.punchrelays import RelayChoice, relay_choice
from nattools.cli.options.sharedoptions import LabChoice, OptionGroup, Request, Servers
from nattools.cli.punchsession import CommandResult, PunchSession
from nattools.cli.running import Invocation, captured, measure_options, progress_of
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import WAIT_S, Use, Watcher
from nattools.errors import UsageError
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import Network
from nattools.traversal.codes import WORDS, new_code
from nattools.traversal.forwardspec import written

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import Journal
    from nattools.engine.punch.punch import PunchSide
    from nattools.lab.backend import Lab
    from nattools.lab.scenario import Scenario


@sharedoptions.takes(
    uses=punchoptions.USES,
    relays=OptionGroup(relay_choice),
    request=sharedoptions.measuring(
        "punch",
        without=sharedoptions.OF_NAT,
        instead={"lab": {"annotation": punchoptions.Lab}},
    ),
)
def command(
    code: punchoptions.CodeArgument = None,
    manual: punchoptions.Manual = False,
    words: punchoptions.Words = WORDS,
    wait: punchoptions.Wait = WAIT_S,
    *,
    uses: PunchRequest,
    code_file: punchoptions.CodeFile = None,
    no_map: punchoptions.NoMap = False,
    no_low_ports: sharedoptions.NoLowPorts = False,
    udp_only: punchoptions.UdpOnly = False,
    tcp_only: punchoptions.TcpOnly = False,
    mailbox: punchoptions.Mailbox = None,
    relays: RelayChoice,
    request: Request,
) -> int:
    """Connect two machines, directly where that is possible, encrypted: run it on one, which prints a code,
    and with that code on the other. Where nothing direct works, a relay is used if there is one.

    Exit code 1 if they did not connect; the report says at which stage, and why."""
    asked = (typed := " ".join(code or ()) or None) == punchoptions.ASK
    wanted = replace(
        uses,
        code=punchoptions.chosen_code(None if asked else typed, words, manual),
        manual=manual,
        mailbox=punchoptions.checked_mailbox(mailbox),
        wait_s=sharedoptions.checked_seconds(wait, "--wait") or WAIT_S,
        ask_router=not no_map,
        low_ports=False if no_low_ports else None,
        udp=not tcp_only,
        tcp=not udp_only,
        **relays._asdict(),
        code_file=punchoptions.checked_code_file(code_file),
    )
    backend = request.lab.backend if request.lab else None
    punchoptions.check_together(wanted, as_json=request.as_json, lab=backend)
    return run(
        request, replace(wanted, code=ask_code(from_terminal=uses.pipe, say=tell)) if asked else wanted
    )


def run(request: Request, wanted: PunchRequest) -> int:
    """Punch, write the report where it was asked for, and give the exit code."""
    if request.lab is not None:
        done = _run_in_lab(request, wanted, request.lab)
    else:
        done = _run_on_host(request, wanted)
    deliver(done, request, quiet=wanted.pipe)
    return done.code


def deliver(done: CommandResult, request: Request, *, quiet: bool) -> None:
    """Write the report where it was asked for, and show it; `quiet` as of `show_punch`."""
    report = running.shareable(done.report, request)
    try:
        write_files(report, request.outputs, request.detail)
    finally:
        show_punch(report, request, quiet=quiet, told=done.told and not request.redact)


def _run_on_host(request: Request, wanted: PunchRequest) -> CommandResult:
    """This machine's side."""
    sides: list[tuple[PunchDisplay, PunchSession]] = []

    async def work(
        network: Network, measuring: MeasureOptions, progress: ProgressLine, journal: Journal | None
    ) -> Report:
        display = display_on(progress, others_options(wanted, measuring))
        use = PunchSession(wanted, network, display, quiet=request.as_json)
        sides.append((display, use))
        chosen, watching = replace(wanted, measuring=measuring), watcher(wanted, display, progress)
        from nattools.engine.punch.punch import punch, punch_by_tokens

        connect = punch_by_tokens if wanted.manual else punch
        try:
            await use.listen()
            return await connect(network, chosen, watching, journal, use.use)
        finally:
            use.close()

    report = running.run(Invocation(request, work, asks_routers=wanted.ask_router, without_journal=True))
    display, use = sides[0]
    return CommandResult(report, display.told, use.problem, use.interrupted)


def watcher(wanted: PunchRequest, display: PunchDisplay, progress: ProgressLine) -> Watcher:
    """Callbacks that show what happens to the person, and ask for a token."""
    asking = TokenReader(from_terminal=wanted.pipe, say=display.line)
    return Watcher(
        emit=progress,
        code=_telling(display.token if wanted.manual else display.code, wanted.code_file),
        ask_token=asking if wanted.manual else None,
        stage=display.stage,
        plan=display.plan,
    )


def _telling(show: Callable[[str], None], file: Path | None) -> Callable[[str], None]:
    """Shows a code or token, and writes it to a file if there is one."""

    def tell_it(text: str) -> None:
        if file is not None:
            write_secret(file, f"{text}\n")
        show(text)

    return tell_it


def others_options(wanted: PunchRequest, measuring: MeasureOptions) -> tuple[str, ...]:
    """The options that the other machine needs beside the code: how to find the same mailbox, and its part in
    what this side wants."""
    return (*(() if wanted.manual else _meeting_options(wanted, measuring)), *counterpart(wanted))


def _meeting_options(wanted: PunchRequest, measuring: MeasureOptions) -> tuple[str, ...]:
    if wanted.mailbox is not None:
        scheme = "wss://" if wanted.mailbox.tls else ""
        return (f"--mailbox {shlex.quote(f'{scheme}{wanted.mailbox}')}",)
    if measuring.default_servers:
        return ()
    return tuple(f"--server {shlex.quote(server.text)}" for server in measuring.servers)


def counterpart(wanted: PunchRequest) -> Iterator[str]:
    """The other side's part in what this side wants, as its command line has it."""
    if wanted.pipe:
        yield "--pipe"
    for forward in wanted.forwards:
        yield f"--allow {shlex.quote(forward.target)}"
    for reverse in wanted.reverses:
        place = written(reverse.transport, reverse.bind, reverse.port) if reverse.bind else str(reverse.port)
        ending = "" if reverse.bind or reverse.transport == "tcp" else "/udp"
        yield f"--allow {shlex.quote(f'listen:{place}{ending}')}"


def show_punch(report: Report, request: Request, *, quiet: bool, told: bool) -> None:
    """The report on standard output. `quiet`: that belongs to the pipe, so a failure is summarised on
    standard error. What was just shown on the same terminal (`told`) is not repeated."""
    if quiet:
        from nattools.report.sections.punch import in_short

        if report.connection is not None and not report.connection.connected:
            tell("\n".join(f"nattools: {line}" for line in in_short(report.connection)))
        return
    if told and not request.quiet and not request.detail and not request.as_json and _one_terminal():
        report = _untold(report)
    show(report, as_json=request.as_json, detail=request.detail, quiet=request.quiet)


def _one_terminal() -> bool:
    return sys.stdout.isatty() and sys.stderr.isatty()


def _untold(report: Report) -> Report:
    found = report.connection
    if found is None:
        return report
    name = "punch" if found is report.punch else "pwnat"
    return msgspec.structs.replace(report, **{name: msgspec.structs.replace(found, plan=(), stages=())})


def _run_in_lab(request: Request, wanted: PunchRequest, choice: LabChoice) -> CommandResult:
    """The result, as the first machine reports it."""
    from nattools.lab.backend import open_lab
    from nattools.lab.scenariofiles import load
    from nattools.net.eventloop import ending_as_ctrl_c

    scenario = load(choice.scenario)
    hosts = pair_of(scenario, choice.host)
    with ending_as_ctrl_c(), open_lab(scenario, choice.backend, choice.seed) as lab:
        return lab.run(lambda: _punched(request, wanted, lab, hosts))


def pair_of(scenario: Scenario, named: str | None) -> tuple[str, str]:
    """The two machines: `FIRST,SECOND` if they are named, the scenario's first two if not, and beside one
    that is named the first of the others. UsageError: there are no such two."""
    from nattools.lab.backend import find_host

    names = (named or "").split(",") if named else []
    if len(names) > 2 or len(set(names)) < len(names):
        raise UsageError(f"--lab {scenario.name}:{named}: name two machines of it, as FIRST,SECOND")
    chosen = [find_host(scenario, name) for name in names]
    chosen += [host for host in scenario.host if host not in chosen]
    if len(chosen) < 2:
        raise UsageError(f"the scenario {scenario.name} has one machine only, and it takes two to punch")
    return chosen[0], chosen[1]


async def _punched(request: Request, wanted: PunchRequest, lab: Lab, hosts: tuple[str, str]) -> CommandResult:
    from nattools.trials.labrelays import accesses_of_lab

    uris = request.servers or tuple(parse_server(text) for text in lab.server_uris())
    networks = [lab.network(host) for host in hosts]
    measuring = [
        measure_options(request, network, Servers(uris), f"{lab.scenario.name}:{host}", lab.seed)
        for network, host in zip(networks, hosts, strict=True)
    ]
    if wanted.relaying != "never":
        wanted = replace(wanted, relays=accesses_of_lab(lab, wanted.relays))
    here = networks[0]
    # the first machine opens the room under whatever number the mailbox gives, the second one is told
    wanted = replace(wanted, code=wanted.code and new_code(len(wanted.code.words)))
    with (
        progress_of(here, events=request.events) as progress,
        captured(here, request.pcap) as seen,
    ):
        # in the simulator nobody waits, so the report is soon enough
        display = None if here.substrate == "sim" and not request.events else display_on(progress)
        use = PunchSession(wanted, seen, display, quiet=True)
        other = PunchSession(wanted, networks[1], None, quiet=True)
        connect = _by_tokens if wanted.manual else _by_code
        report = await connect(
            (seen, replace(wanted, measuring=measuring[0]), _onlooker(display, progress)),
            (networks[1], replace(wanted, measuring=measuring[1]), Watcher()),
            (use.use, other.use),
        )
    return CommandResult(report, display is not None and display.told, use.problem, use.interrupted)


async def _by_code(first: PunchSide, second: PunchSide, uses: tuple[Use, Use]) -> Report:
    from nattools.engine.punch.punch import punch_both

    report, _ = await punch_both(first, second, _journals(first), uses)
    return report


async def _by_tokens(first: PunchSide, second: PunchSide, uses: tuple[Use, Use]) -> Report:
    """Each is given the other's token as soon as there is one."""
    from nattools.engine.punch.punch import punch_by_tokens

    loop = asyncio.get_running_loop()
    tokens: list[asyncio.Future[str]] = [loop.create_future(), loop.create_future()]

    async def one(side: PunchSide, number: int) -> Report:
        network, chosen, watching = side
        swapping = replace(
            watching, code=tokens[number].set_result, ask_token=lambda: _token(tokens[1 - number])
        )
        journal, wall = _journals(side)[number], loop.time if network.substrate == "sim" else time.time
        return await punch_by_tokens(network, chosen, swapping, journal, uses[number], wall=wall)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(side, number)) for number, side in enumerate((first, second))]
    return tasks[0].result()


async def _token(token: asyncio.Future[str]) -> str:
    return await token


def _journals(side: PunchSide) -> tuple[Journal | None, Journal | None]:
    """The routers end with this process, and their mappings with them."""
    from nattools.engine.portmap.journal import MemoryJournal

    return (MemoryJournal(), MemoryJournal()) if side[1].ask_router else (None, None)


def _onlooker(display: PunchDisplay | None, progress: ProgressLine) -> Watcher:
    """Nobody has to type a code."""
    if display is None:
        return Watcher(emit=progress)
    return Watcher(emit=progress, stage=display.stage, plan=display.plan)
