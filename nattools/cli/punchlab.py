"""`nattools punch --lab`: both machines of a scenario, each with its own part, connected with each other."""

from __future__ import annotations

import sys

import msgspec

from nattools.cli import running
from nattools.cli.options import LabChoice, Request
from nattools.cli.progress import Progress
from nattools.cli.punch import engine_options
from nattools.cli.punchoptions import PunchWish
from nattools.cli.punchtalk import Talk
from nattools.cli.running import measure_options
from nattools.cli.servers import Servers
from nattools.engine.punch.options import Watcher
from nattools.errors import UsageError
from nattools.lab.base import Lab
from nattools.lab.open import find_host, load_scenario, open_lab
from nattools.lab.scenario import Scenario
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import Network
from nattools.traversal.codes import Code


def run_in_lab(request: Request, wish: PunchWish, choice: LabChoice) -> tuple[Report, bool]:
    """The first machine's report; and was it told of while it went on?"""
    scenario = load_scenario(choice.scenario)
    hosts = pair_of(scenario, choice.host)
    # the first machine opens the room under whatever number the mailbox gives, the second one is told
    wish = msgspec.structs.replace(wish, code=Code(None, wish.code.words))
    with open_lab(scenario, choice.backend, choice.seed) as lab:
        return lab.run(lambda: _punched(request, wish, lab, hosts))


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


async def _punched(
    request: Request, wish: PunchWish, lab: Lab, hosts: tuple[str, str]
) -> tuple[Report, bool]:
    from nattools.engine.portmap.journal import MemoryJournal
    from nattools.engine.punch.both import punch_both

    uris = request.servers or tuple(parse_server(text) for text in lab.server_uris())
    here, there = (lab.network(host) for host in hosts)
    measuring = [
        measure_options(request, network, Servers(uris), f"{lab.scenario.name}:{host}")
        for network, host in zip((here, there), hosts, strict=True)
    ]
    with running.progress_of(here) as progress, running.captured(here, request.pcap) as seen:
        talk = Talk(sys.stderr, progress)
        report, _ = await punch_both(
            (seen, engine_options(wish, measuring[0]), _watcher(talk, progress, here)),
            (there, engine_options(wish, measuring[1]), Watcher()),
            (MemoryJournal(), MemoryJournal()) if wish.ask_router else (None, None),
        )
    return report, talk.told


def _watcher(talk: Talk, progress: Progress, network: Network) -> Watcher:
    """Nobody has to type a code; and in the simulator nobody waits, so the report is soon enough."""
    if network.substrate == "sim":
        return Watcher(emit=progress)
    return Watcher(emit=progress, stage=talk.stage, plan=talk.plan)
