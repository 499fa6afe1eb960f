"""`nattools punch --lab`: both machines of a scenario, each with its own part, connected with each other."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import msgspec

from nattools.cli import running
from nattools.cli.options import LabChoice, Request
from nattools.cli.progress import ProgressLine
from nattools.cli.punchdisplay import PunchDisplay
from nattools.cli.punchoptions import PunchRequest, engine_options
from nattools.cli.punchsession import PunchOutcome, PunchSession
from nattools.cli.running import measure_options
from nattools.cli.servers import Servers
from nattools.engine.portmap.journal import Journal, MemoryJournal
from nattools.engine.punch.options import Use, Watcher
from nattools.engine.punch.punch import PunchSide
from nattools.errors import UsageError
from nattools.lab.backend import Lab, find_host, open_lab
from nattools.lab.scenario import Scenario
from nattools.lab.scenariofiles import load
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.traversal.codes import Code


def run_in_lab(request: Request, wanted: PunchRequest, choice: LabChoice) -> PunchOutcome:
    """What came of it, as the first machine tells it."""
    scenario = load(choice.scenario)
    hosts = pair_of(scenario, choice.host)
    # the first machine opens the room under whatever number the mailbox gives, the second one is told
    wanted = msgspec.structs.replace(wanted, code=Code(None, wanted.code.words))
    with open_lab(scenario, choice.backend, choice.seed) as lab:
        return lab.run(lambda: _punched(request, wanted, lab, hosts))


def pair_of(scenario: Scenario, named: str | None) -> tuple[str, str]:
    """The two machines: `FIRST,SECOND` if they are named, the scenario's first two if not, and beside one
    that is named the first of the others. UsageError: there are no such two."""
    names = (named or "").split(",") if named else []
    if len(names) > 2 or len(set(names)) < len(names):
        raise UsageError(f"--lab {scenario.name}:{named}: name two machines of it, as FIRST,SECOND")
    chosen = [find_host(scenario, name) for name in names]
    chosen += [host for host in scenario.host if host not in chosen]
    if len(chosen) < 2:
        raise UsageError(f"the scenario {scenario.name} has one machine only, and it takes two to punch")
    return chosen[0], chosen[1]


async def _punched(request: Request, wanted: PunchRequest, lab: Lab, hosts: tuple[str, str]) -> PunchOutcome:
    uris = request.servers or tuple(parse_server(text) for text in lab.server_uris())
    networks = [lab.network(host) for host in hosts]
    measuring = [
        measure_options(request, network, Servers(uris), f"{lab.scenario.name}:{host}")
        for network, host in zip(networks, hosts, strict=True)
    ]
    here = networks[0]
    with running.progress_of(here) as progress, running.captured(here, request.pcap) as seen:
        # in the simulator nobody waits, so the report is soon enough
        display = None if here.substrate == "sim" else PunchDisplay(sys.stderr, progress)
        use, other = (
            PunchSession(wanted, seen, display, quiet=True),
            PunchSession(wanted, networks[1], None, quiet=True),
        )
        connect = _by_tokens if wanted.manual else _by_code
        report = await connect(
            (seen, engine_options(wanted, measuring[0]), _watcher(display, progress)),
            (networks[1], engine_options(wanted, measuring[1]), Watcher()),
            (use.use, other.use),
        )
    return PunchOutcome(report, display is not None and display.told, use.problem, use.interrupted)


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
            watching, code=tokens[number].set_result, ask_token=lambda: _told(tokens[1 - number])
        )
        return await punch_by_tokens(network, chosen, swapping, _journals(side)[number], uses[number])

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(side, number)) for number, side in enumerate((first, second))]
    return tasks[0].result()


async def _told(token: asyncio.Future[str]) -> str:
    return await token


def _journals(side: PunchSide) -> tuple[Journal | None, Journal | None]:
    """The routers end with this process, and their mappings with them."""
    return (MemoryJournal(), MemoryJournal()) if side[1].ask_router else (None, None)


def _watcher(display: PunchDisplay | None, progress: ProgressLine) -> Watcher:
    """Nobody has to type a code."""
    if display is None:
        return Watcher(emit=progress)
    return Watcher(emit=progress, stage=display.stage, plan=display.plan)
