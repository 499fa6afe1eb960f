"""Birthday probing by `diagnose`: proof where a random port is met, and no wrong "fails" where none is."""

from __future__ import annotations

import random
from typing import Any

import pytest

from nattools.engine.measureoptions import Event, MeasureOptions
from nattools.engine.run import measure
from nattools.errors import CannotRun, ProtocolError
from nattools.lab.scenariofiles import parse
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.observation import BirthdayTrial
from nattools.model.report import Command, Report, Technique
from nattools.model.serveruri import parse_server
from nattools.net.trace import Trace, TracedNetwork
from nattools.probes import birthday
from nattools.probes.probe import ProbeContext
from nattools.probes.question import StunClient
from nattools.protocols import dialback, stun
from nattools.server import serving
from nattools.server.dialbackserver import Order
from nattools.server.dialling import Dialled, Dialler
from nattools.traversal.plan.stepbuilding import PROBES_PER_S

NAT = '[nat.n]\n{}\n[host.a]\nbehind = "n"\n'
VARIES = 'mapping = "address-and-port-dependent"\n'
RANDOM = VARIES + 'allocation = "random"\n'
BLOCK = VARIES + 'allocation = "block"\nblock = 512\n'
SECOND = Endpoint("11.201.0.3", 3479)


@pytest.fixture(autouse=True)
def _same_ports_each_time() -> None:
    """The ports that are tried are drawn anew by every run."""
    random.seed(7)


def silent(event: Event) -> None:
    """No progress."""


def measured(
    drawing: str, seed: int = 1, command: Command = "diagnose", trace: Trace | None = None
) -> Report:
    with SimLab(parse(f'title = "trial"\n{drawing}', "trial"), seed=seed) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions(command=command, servers=servers)  # type: ignore[arg-type]
        network: Any = lab.network("a")
        if trace is not None:
            network = TracedNetwork(network, trace)
        return lab.run(lambda: measure(network, options, silent))


def trials(report: Report) -> list[BirthdayTrial]:
    return [each for each in report.observations if isinstance(each, BirthdayTrial)]


def verdict(report: Report) -> Technique:
    return next(each for each in report.techniques if each.id == "udp-birthday")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("nat", "sockets", "planned"), [(RANDOM, 256, 2048), (BLOCK, 32, 512)])
def test_a_random_port_is_met(nat: str, sockets: int, planned: int, seed: int) -> None:
    report = measured(NAT.format(nat), seed)
    (trial,) = trials(report)
    assert (trial.outcome, trial.sockets, trial.planned) == ("punched", sockets, planned)
    assert trial.seen == f"11.1.0.2:{trial.hit}", "the port that was hit belongs to this very socket"
    assert 0 < trial.sent <= planned
    found = verdict(report)
    assert (found.verdict, found.confidence) == ("works", pytest.approx(0.97))
    assert trial.id in found.evidence
    assert f"number {trial.sent:,} got in" in found.summary


@pytest.mark.parametrize(
    "drawing",
    [
        "[host.a]\n",
        NAT.format(""),
        NAT.format(VARIES + 'allocation = "sequential"\n'),
        NAT.format('allocation = "random"\n'),
        NAT.format(RANDOM) + "[server.s]\naddresses = 1\n",
        NAT.format(RANDOM) + '[server.s]\nkind = "rfc5780"\n',
    ],
)
def test_elsewhere_nothing_is_tried(drawing: str) -> None:
    report = measured(drawing)
    assert not trials(report)
    assert "got in (" not in verdict(report).summary


def test_only_a_diagnosis_tries() -> None:
    assert not trials(measured(NAT.format(RANDOM), command="nat"))


def test_a_server_that_does_not_announce_it_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_DIAL_BACK", 3)
    report = measured(NAT.format(RANDOM))
    assert not trials(report)
    assert "Predicted, not tested" in verdict(report).summary


def test_it_comes_last_and_says_nothing_about_the_nat() -> None:
    """Its hundreds of mappings disturb no other probe, and none of its answers is taken for one of theirs."""
    report = measured(NAT.format(RANDOM))
    assert isinstance(report.observations[-1], BirthdayTrial)
    end_s = max(each.at_s for each in report.observations[:-1])
    assert report.observations[-1].at_s >= end_s
    assert report.duration_s < 8


def lists_dropped(monkeypatch: pytest.MonkeyPatch, *, but_sorted: bool) -> None:
    """As if what the server sends to lists of ports never got in; but to sorted lists, if that is asked. Only
    ports that were told are in order."""
    send = Dialler._send_copies

    async def lossy(self: Dialler, order: Order) -> Dialled:
        ports = list(order.ask.ports)
        if ports and not (but_sorted and ports == sorted(ports)):
            return Dialled("sent", SECOND)
        return await send(self, order)

    monkeypatch.setattr(Dialler, "_send_copies", lossy)


@pytest.mark.parametrize(
    ("nat", "open_ports_let_in", "expected", "words"),
    [
        (RANDOM, True, "works", "bad luck are up to 0."),
        (BLOCK, True, "unknown", "not bad luck"),
        (RANDOM, False, "fails", "lets nothing in"),
        (BLOCK, False, "fails", "lets nothing in"),
    ],
)
def test_where_none_is_met(
    nat: str, open_ports_let_in: bool, expected: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists_dropped(monkeypatch, but_sorted=open_ports_let_in)
    report = measured(NAT.format(nat))
    (trial,) = trials(report)
    assert (trial.outcome, trial.sent, trial.checked) == ("silent", trial.planned, 24)
    assert (trial.open, trial.entered) == (24, 24 if open_ports_let_in else 0)
    assert verdict(report).verdict == expected
    assert words in verdict(report).summary


def test_a_miss_leaves_what_is_reckoned_with_less_confidence(monkeypatch: pytest.MonkeyPatch) -> None:
    lists_dropped(monkeypatch, but_sorted=True)
    assert verdict(measured(NAT.format(RANDOM))).confidence == pytest.approx(0.6)


def test_under_loss_it_does_not_fail() -> None:
    for seed in range(4):
        report = measured(NAT.format(RANDOM) + "loss = 0.1\ndelay_ms = 10\n", seed)
        assert verdict(report).verdict == "works"


def test_one_run_passes_the_server_s_limit_and_many_in_a_row_do_not() -> None:
    with SimLab(parse(f'title = "t"\n{NAT.format(RANDOM)}', "t"), seed=3) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions(command="diagnose", servers=servers)

        async def runs() -> list[Report]:
            return [await measure(lab.network("a"), options, silent) for _ in range(20)]

        reports = lab.run(runs)
    outcomes = [trials(report)[0].outcome for report in reports]
    assert outcomes[0] == "punched"
    assert {"denied", "silent"} & set(outcomes)
    assert {verdict(report).verdict for report in reports} == {"works"}
    denied = [report for report in reports if trials(report)[0].outcome == "denied"]
    assert all("too many requests" in verdict(report).summary for report in denied)


def test_with_few_sockets_it_takes_fewer_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a low limit on open files: 256 on some systems."""
    opened = birthday.open_stun_client
    count = 0

    async def scarce(context: ProbeContext) -> StunClient:
        nonlocal count
        count += 1
        if count > 101:
            raise CannotRun("too many open files")
        return await opened(context)

    monkeypatch.setattr(birthday, "open_stun_client", scarce)
    report = measured(NAT.format(RANDOM))
    (trial,) = trials(report)
    assert trial.outcome in ("punched", "silent")
    assert trial.sockets == 100 - birthday.SPARE_SOCKETS
    assert "too many open files" in trial.detail
    assert f"{trial.sockets} of 256 ports" in verdict(report).summary


def test_a_router_with_few_sessions_makes_no_other_finding_wrong() -> None:
    plain, limited = (measured(NAT.format(f"{RANDOM}{more}")) for more in ("", "session_limit = 120\n"))
    assert limited.nat == plain.nat or _without_figures(limited) == _without_figures(plain)
    others = [{t.id: t.verdict for t in r.techniques if t.id != "udp-birthday"} for r in (plain, limited)]
    assert others[0] == others[1]
    assert verdict(limited).verdict in ("works", "unknown")


def _without_figures(report: Report) -> list[Any]:
    nat = report.nat.udp4
    assert nat is not None
    return [nat.mapping, nat.filtering, nat.port_allocation, nat.hairpinning, nat.classic]


@pytest.mark.parametrize("nat", [RANDOM, BLOCK])
def test_it_is_no_faster_than_agreed_and_ends_with_the_hit(nat: str) -> None:
    trace = Trace(0.0)
    report = measured(NAT.format(nat), trace=trace)
    (trial,) = trials(report)
    sent = [e for e in trace.events if e.kind == "datagram" and e.outgoing and str(e.remote) == trial.towards]
    openers = [e.at_s for e in sent if e.at_s >= trial.at_s and e.data[:2] == b"\x00\x11"]
    assert len(openers) == trial.openers
    assert trial.openers in (trial.sockets, 2 * trial.sockets)
    assert max(sum(at <= each < at + 0.25 for each in openers) for at in openers) <= PROBES_PER_S / 4 + 5
    arrived = [e for e in trace.events if e.kind == "datagram" and not e.outgoing and is_nonce(e.data)]
    first = min(e.at_s for e in arrived if e.at_s >= trial.at_s)
    orders = [e.at_s for e in trace.events if e.kind == "datagram" and e.outgoing and is_order(e.data)]
    assert orders
    assert max(orders) <= first


def is_order(data: bytes) -> bool:
    message = message_of(data)
    if message is None or message.method != dialback.METHOD:
        return False
    return message.get(dialback.DIAL_BACK_PORTS) is not None


def is_nonce(data: bytes) -> bool:
    message = message_of(data)
    return message is not None and dialback.decode_indication(message) is not None


def message_of(data: bytes) -> stun.Message | None:
    """Not all that is sent is STUN: pwnat's beacons are not."""
    try:
        return stun.decode(data)
    except ProtocolError:
        return None
