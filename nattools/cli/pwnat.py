"""`nattools pwnat`: two machines connected without a third one, by an ICMP Time Exceeded."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from nattools.cli import punch, running
from nattools.cli.app import new_app
from nattools.cli.display.eventlines import display_on
from nattools.cli.display.outputs import tell
from nattools.cli.display.progress import ProgressLine
from nattools.cli.display.prompts import ask_secret
from nattools.cli.display.punchdisplay import PunchDisplay
from nattools.cli.options import pwnatoptions, sharedoptions
from nattools.cli.options.punchoptions import USES, PunchRequest, check_together
from nattools.cli.options.pwnatoptions import LISTEN_WAIT_S, LISTENING, MEASURING, TEST_WITHOUT
from nattools.cli.options.sharedoptions import LabChoice, Request, Servers
from nattools.cli.punchsession import CommandResult, PunchSession
from nattools.cli.running import Invocation, captured, measure_options, progress_of
from nattools.engine.measureoptions import Emit, MeasureOptions
from nattools.engine.punch.options import Watcher
from nattools.engine.pwnat.knockoptions import CALL_WAIT_S, PORT, PwnatOptions
from nattools.errors import CannotRun, UsageError
from nattools.model.endpoint import Endpoint
from nattools.model.pwnat import PwnatRole
from nattools.model.report import Report
from nattools.model.statement import statement
from nattools.net.base import Network
from nattools.protocols.pwnat.secret import new_secret
from nattools.wording import sentence

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import Journal
    from nattools.lab.backend import Lab

pwnat_app = new_app(
    no_args_is_help=True,
    help="Connect two machines with nobody else's help: one listens, the other calls by an ICMP error.",
)
ROOT_THERE = "It takes root there, or CAP_NET_RAW."
ADDRESS_UNKNOWN = (
    "ADDRESS is this network's public IPv4 address: the router's status page shows it, or a server does with "
    "--server HOST."
)


class Wanted(NamedTuple):
    """One side's part, checked. `address`: where to knock, as typed."""

    role: PwnatRole
    options: PwnatOptions
    uses: PunchRequest
    address: str | None = None


@pwnat_app.command("listen")
@sharedoptions.takes(uses=USES, request=LISTENING)
def listen(
    secret: pwnatoptions.Secret = None,
    port: pwnatoptions.ListenerPort = PORT,
    wait: pwnatoptions.ListenWait = LISTEN_WAIT_S,
    compat: pwnatoptions.Compat = False,
    *,
    uses: PunchRequest,
    request: Request,
) -> int:
    """Wait for a caller, behind a NAT or not, and connect. It prints what to type on the other machine.

    It needs no privilege. Exit code 1 if nobody came, or no connection came of it."""
    chosen = PwnatOptions(
        secret=_secret(secret, uses) or new_secret(),
        port=pwnatoptions.checked_port(port),
        wait_s=sharedoptions.checked_seconds(wait, "--wait") or LISTEN_WAIT_S,
        compat=compat,
    )
    return _run(request, Wanted("listener", chosen, uses))


@pwnat_app.command("connect")
@sharedoptions.takes(uses=USES, request=MEASURING)
def connect(
    address: pwnatoptions.AddressArgument = None,
    secret: pwnatoptions.Secret = None,
    wait: pwnatoptions.CallWait = CALL_WAIT_S,
    outside: pwnatoptions.OutsideWord = None,
    compat: pwnatoptions.Compat = False,
    *,
    uses: PunchRequest,
    request: Request,
) -> int:
    """Call a machine where `nattools pwnat listen` runs, and connect.

    It sends packets that need CAP_NET_RAW (root). Exit code 1 if they did not connect."""
    if address is None and request.lab is None:
        raise UsageError("give the listener's address, as `nattools pwnat listen` prints it")
    if address is not None:
        pwnatoptions.host_and_port(address)
    if outside is not None and (compat or request.lab is not None):
        raise UsageError("--outside goes with an ADDRESS, and not with --lab or --compat")
    known = _secret(secret, uses)
    if known is None and request.lab is None:
        raise UsageError("--secret is needed: `nattools pwnat listen` prints it; '-' prompts for it")
    chosen = PwnatOptions(
        secret=known or new_secret(),
        wait_s=sharedoptions.checked_seconds(wait, "--wait") or CALL_WAIT_S,
        outside=pwnatoptions.checked_outside(outside),
        compat=compat,
    )
    return _run(request, Wanted("caller", chosen, uses, address))


@pwnat_app.command("test")
@sharedoptions.takes(request=sharedoptions.measuring("pwnat", without=TEST_WITHOUT))
def test(request: Request) -> int:
    """Does this network let the trick through? A nattools server tries both directions.

    As the listener: does a crafted ICMP error about this machine's packet get in? As the caller (as root):
    does one get out? Exit code 1 if neither does; 3 if no server could try it."""

    async def work(network: Network, chosen: MeasureOptions, emit: Emit, journal: Journal | None) -> Report:
        from nattools.engine.run import measure

        return await measure(network, replaced(chosen), emit)

    report = running.run(Invocation(request, work))
    running.deliver(report, request)
    found = report.pwnat
    if found is None or (found.listener, found.caller) == ("unknown", "unknown"):
        raise CannotRun("nothing could be tried", sentence(statement("pwnat-settle")))
    return 0 if "passes" in (found.listener, found.caller) else 1


def _secret(typed: str | None, uses: PunchRequest) -> str | None:
    if typed == pwnatoptions.ASK:
        typed = ask_secret(from_terminal=uses.pipe, say=tell)
    return None if typed is None else pwnatoptions.checked_secret(typed)


def _run(request: Request, wanted: Wanted) -> int:
    backend = None if request.lab is None else request.lab.backend
    check_together(wanted.uses, as_json=request.as_json, lab=backend)
    done = _on_host(request, wanted) if request.lab is None else _in_lab(request, wanted, request.lab)
    punch.deliver(done, request, quiet=wanted.uses.pipe)
    return done.code


def _on_host(request: Request, wanted: Wanted) -> CommandResult:
    sides: list[tuple[PunchDisplay, PunchSession]] = []

    async def work(
        network: Network, measuring: MeasureOptions, progress: ProgressLine, journal: Journal | None
    ) -> Report:
        display = display_on(progress)
        use = PunchSession(wanted.uses, network, display, quiet=request.as_json)
        sides.append((display, use))
        chosen = replace(wanted.options, measuring=replaced(measuring))
        watcher = Watcher(
            emit=progress, stage=display.stage, code=lambda place: _say_command(display, wanted, place)
        )
        from nattools.engine.pwnat import connecting

        try:
            await use.listen()
            if wanted.role == "listener":
                return await connecting.listen(network, chosen, watcher, use.use)
            address = wanted.address or ""
            found = await _listener_at(network, address)
            listener = pwnatoptions.at_outside(found, address, wanted.options.outside)
            return await connecting.connect(network, replace(chosen, listener=listener), watcher, use.use)
        finally:
            use.close()

    report = running.run(Invocation(request, work))
    display, use = sides[0]
    return CommandResult(report, display.told, use.problem, use.interrupted)


def replaced(measuring: MeasureOptions) -> MeasureOptions:
    """IPv4 alone: the trick is not one of IPv6."""
    import msgspec

    return msgspec.structs.replace(measuring, families=(4,))


async def _listener_at(network: Network, address: str) -> Endpoint:
    """CannotRun: the name has no address."""
    name, port = pwnatoptions.host_and_port(address)
    found = await network.resolve(name, 4)
    if isinstance(found, str) or not found:
        raise CannotRun(found if isinstance(found, str) else f"{name} has no IPv4 address")
    return Endpoint(found[0], port)


def _say_command(display: PunchDisplay, wanted: Wanted, place: str) -> None:
    """What to type on the other machine. `place`: where this one is reached, as `listen` has it."""
    place, _, outside = place.partition(" ")
    host, _, port = place.rpartition(":")
    shown = pwnatoptions.written(Endpoint(host or "ADDRESS", int(port)))
    to = (host or "ADDRESS", "--outside", outside) if outside else (shown,)
    words = ("nattools", "pwnat", "connect", *to, "--secret", shlex.quote(wanted.options.secret))
    more = (*punch.counterpart(wanted.uses), *(("--compat",) if wanted.options.compat else ()))
    display.command((*words, *more), ROOT_THERE if host else f"{ADDRESS_UNKNOWN} {ROOT_THERE}")


# --- both sides in one process


def _in_lab(request: Request, wanted: Wanted, choice: LabChoice) -> CommandResult:
    from nattools.lab.backend import open_lab
    from nattools.lab.scenariofiles import load
    from nattools.net.eventloop import ending_as_ctrl_c

    scenario = load(choice.scenario)
    hosts = punch.pair_of(scenario, choice.host)
    with ending_as_ctrl_c(), open_lab(scenario, choice.backend, choice.seed) as lab:
        return lab.run(lambda: _met(request, wanted, lab, hosts))


async def _met(request: Request, wanted: Wanted, lab: Lab, hosts: tuple[str, str]) -> CommandResult:
    """As the asked side reports it; no server is asked unless one is named."""
    from nattools.trials.knocks import connected_in_lab

    networks = [lab.network(host) for host in hosts]
    public = Servers(request.servers, public=not request.servers)
    chosen = [
        replace(
            wanted.options,
            measuring=replaced(
                measure_options(request, network, public, f"{lab.scenario.name}:{host}", lab.seed)
            ),
        )
        for network, host in zip(networks, hosts, strict=True)
    ]
    mine = 0 if wanted.role == "listener" else 1
    here = networks[mine]
    events = request.events
    with progress_of(here, events=events) as progress, captured(here, request.pcap) as seen:
        display = None if here.substrate == "sim" and not events else display_on(progress)
        networks[mine] = seen
        sessions = [PunchSession(wanted.uses, each, None, quiet=True) for each in networks]
        sessions[mine] = PunchSession(wanted.uses, seen, display, quiet=True)
        watchers = [Watcher(), Watcher()]
        watchers[mine] = Watcher(emit=progress) if display is None else Watcher(stage=display.stage)
        reports = await connected_in_lab(
            lab,
            hosts[0],
            ((networks[0], chosen[0], watchers[0]), (networks[1], chosen[1], watchers[1])),
            (sessions[0].use, sessions[1].use),
        )
    use = sessions[mine]
    return CommandResult(reports[mine], display is not None and display.told, use.problem, use.interrupted)
