"""Listener and caller in the simulator: long sessions, many side by side, what is no caller, lost paths."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import Connected, Use, UseResult, Watcher
from nattools.engine.pwnat import knockchecks
from nattools.engine.pwnat.connecting import Side, both, connect, listen
from nattools.engine.pwnat.knockoptions import PwnatOptions
from nattools.errors import CannotRun
from nattools.lab.backend import open_lab
from nattools.lab.scenario import FirewallSpec, HostSpec, NatSpec, Scenario
from nattools.lab.scenariofiles import load
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.pwnat import Pwnat
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.protocols import ip, pwnat
from nattools.protocols.packet import Packet
from nattools.protocols.pwnat.knock import Knock, encode_knock
from nattools.protocols.pwnat.secret import keys_of
from nattools.traversal.plan.steps import Step
from nattools.traversal.sending import ProbeOutcome, send_step
from nattools.trials.knocks import knock_pair

SECRET = "the same on both sides"
OUTSIDE = "11.1.0.2"
KEYS = keys_of(SECRET)


def home(nat: NatSpec | None = None, **hosts: HostSpec) -> Scenario:
    """Alice behind a NAT, Carol and Mallory on the internet."""
    ordinary = {
        "alice": HostSpec(behind="home", delay_ms=10),
        "carol": HostSpec(delay_ms=10),
        "mallory": HostSpec(),
    }
    return Scenario(title="t", name="t", nat={"home": nat or NatSpec()}, host=ordinary | hosts)


def options(**more: Any) -> PwnatOptions:
    measuring = MeasureOptions("pwnat", (), families=(4,))
    return PwnatOptions(**{"secret": SECRET, "measuring": measuring, "wait_s": 20.0} | more)


def side(lab: SimLab, host: str, **more: Any) -> Side:
    return lab.network(host), options(**more), Watcher()


def run(scenario: Scenario, main: Callable[[SimLab], Awaitable[Any]], seed: int = 0) -> Any:
    with open_lab(scenario, "sim", seed) as lab:
        assert isinstance(lab, SimLab)
        return lab.run(lambda: main(lab))


def clock() -> Callable[[], float]:
    """The simulator's, for both sides."""
    return asyncio.get_running_loop().time


async def met(
    lab: SimLab, first: Side, second: Side, uses: tuple[Use | None, Use | None] = (None, None)
) -> tuple[Pwnat, Pwnat]:
    reports = await both(
        first,
        second,
        uses,
        wall=clock(),
        outside=lambda place: Endpoint(OUTSIDE, int(place.rpartition(":")[2])),
    )
    return told(reports[0]), told(reports[1])


def told(report: Report) -> Pwnat:
    assert report.pwnat is not None
    return report.pwnat


def lasting(seconds: float, *, chatty: bool) -> tuple[Use, list[int]]:
    """A use that goes on for so long, and the bytes that came meanwhile."""
    came: list[int] = []

    async def work(connected: Connected) -> UseResult:
        loop, tunnel = asyncio.get_running_loop(), connected.tunnel
        until = loop.time() + seconds
        from nattools.traversal.tunnel.measure import echoes

        while loop.time() < until and tunnel.ended is None:
            if chatty:
                found = await echoes(tunnel, 1)
                came.append(found.received)
            await asyncio.sleep(1.0)
        return UseResult(problem=tunnel.ended or "")

    return Use(work, names=("keep",)), came


@pytest.mark.parametrize("chatty", [True, False])
def test_ten_minutes(chatty: bool) -> None:
    """With traffic and without: up to the end, over the one path."""

    async def main(lab: SimLab) -> None:
        began = asyncio.get_running_loop().time()
        one, came = lasting(600, chatty=chatty)
        two, _ = lasting(600, chatty=False)
        listener, caller = await met(lab, side(lab, "alice"), side(lab, "carol"), (one, two))
        assert asyncio.get_running_loop().time() - began >= 600
        for found in (listener, caller):
            assert found.connected
            assert not [each for each in found.stages if each.stage in ("lost", "again")]
            assert len(found.paths) == 1
        if chatty:
            assert sum(came) == len(came) > 300

    run(home(), main)


def test_twenty_side_by_side() -> None:
    """Through one NAT, each with a port of its own, and another secret."""

    async def main(lab: SimLab) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    met(
                        lab,
                        side(lab, "alice", port=3000 + number, secret=f"secret number {number}"),
                        side(lab, "carol", secret=f"secret number {number}"),
                    )
                )
                for number in range(20)
            ]
        for task in tasks:
            listener, caller = task.result()
            assert listener.connected
            assert caller.connected
            assert listener.refused.forged == listener.refused.foreign == 0

    run(home(), main)


# --- what is no caller


def error(
    knock: bytes, *, port: int = 2222, target: Endpoint = pwnat.TARGETS[0], source: str = "11.102.0.2"
) -> bytes:
    return pwnat.time_exceeded(source, Endpoint(OUTSIDE, port), target, knock)


def knock(now: float, number: int = 1, **more: Any) -> bytes:
    fields: dict[str, Any] = {
        "session": b"m" * 12,
        "number": number,
        "sent_ms": int(now * 1000),
        "caller": "11.102.0.2",
        "port": 4000,
    }
    key = more.pop("key", KEYS.knock)
    return encode_knock(Knock(**fields | more), key)


def refused(scenario: Scenario, packets: Callable[[float], list[bytes]], *, wait_s: float = 8.0) -> Pwnat:
    """What the listener says after these packets have come, and no caller."""

    async def main(lab: SimLab) -> Pwnat:
        loop, mallory = asyncio.get_running_loop(), lab.network("mallory")
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(listen(*side(lab, "alice", wait_s=wait_s), wall=clock()))
            await asyncio.sleep(1.0)
            for number, packet in enumerate(packets(loop.time())):
                assert mallory.send_packet(packet) is None
                if number % 100 == 0:
                    await asyncio.sleep(0.01)
        return told(listening.result())

    found: Pwnat = run(scenario, main)
    assert not found.connected
    return found


def test_forged_replayed_cut_short_and_from_another_time() -> None:
    other = keys_of("another secret")

    def packets(now: float) -> list[bytes]:
        return [
            error(knock(now, key=other.knock)),
            error(knock(now)[:60]),
            error(knock(now)[:-1] + b"x"),
            error(knock(now, sent_ms=int((now + 1000) * 1000))),
        ]

    found = refused(home(), packets)
    assert found.errors_seen == found.refused.forged == 4
    assert found.refused.stale == 1
    assert "16 min 40 s off" in found.why
    assert found.refused.foreign == 0
    assert found.peer is None
    assert found.probes_sent == 0
    assert sum("without the secret" in stage.text for stage in found.stages) == 1  # at once, and once


def test_a_replayed_knock_brings_nothing_more() -> None:
    """The first of them is true: somebody saw it and sends it again and again."""
    found = refused(home(), lambda now: [error(knock(now))] * 50)
    assert found.errors_seen == 50
    assert found.refused.replayed == found.refused.forged == 49
    assert found.probes_sent < 30


def test_true_errors_and_those_about_other_packets() -> None:
    """Routers' own, which quote the beacon; and quotes of what was never sent, which no NAT lets in."""

    def packets(now: float) -> list[bytes]:
        genuine = error(pwnat.BEACON)
        elsewhere = error(knock(now), target=Endpoint("11.77.0.1", 443))
        another_port = error(knock(now), port=2223)
        return [genuine, elsewhere, another_port]

    found = refused(home(), packets)
    assert found.errors_seen == found.refused.foreign == 1
    assert "get in" in found.why


def test_ten_thousand_random_packets() -> None:
    draw = Random(7)

    def packets(now: float) -> list[bytes]:
        made = []
        for _ in range(10_000):
            body = draw.randbytes(draw.randrange(120))
            packet = Packet("icmp", "11.102.0.2", 7, OUTSIDE, 7, body)
            packet.icmp_type, packet.icmp_rest = draw.choice([0, 8]), draw.getrandbits(16)
            if draw.random() < 0.5:
                quoted = draw.choice([b"", b"nPW\x01", b"nPW"]) + body
                packet.about = Packet("udp", OUTSIDE, 2222, *pwnat.TARGETS[0], payload=quoted, ttl=1)
                packet.icmp_type, packet.icmp_rest = 11, 0
            made.append(ip.build(packet))
        return made

    found = refused(home(), packets)
    assert found.refused.forged + found.refused.foreign == found.errors_seen > 4000
    assert found.peer is None
    assert len(found.stages) < 10


def test_a_caller_gets_through_all_that() -> None:
    async def main(lab: SimLab) -> None:
        mallory = lab.network("mallory")

        async def attack() -> None:
            for number in range(2000):
                mallory.send_packet(error(b"nPW\x01" + number.to_bytes(84, "big")))
                await asyncio.sleep(0.001)

        async with asyncio.TaskGroup() as group:
            attacking = group.create_task(attack())
            listener, caller = await met(lab, side(lab, "alice"), side(lab, "carol"))
            attacking.cancel()
        assert listener.connected
        assert caller.connected
        assert listener.refused.forged > 0

    run(home(), main)


def test_another_machine_of_the_house_with_the_same_port() -> None:
    """Its beacons leave by another port: it hears nothing of what is meant for the first."""

    async def main(lab: SimLab) -> None:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(met(lab, side(lab, "alice"), side(lab, "carol", wait_s=5.0)))
            await asyncio.sleep(0.0)
            second = group.create_task(
                listen(*side(lab, "bob", wait_s=5.0, secret="another one"), wall=clock())
            )
        assert first.result()[0].connected
        assert not told(second.result()).connected
        assert told(second.result()).errors_seen == 0

    run(home(bob=HostSpec(behind="home", delay_ms=10)), main)


def test_a_second_caller_with_the_secret_does_not_disturb_the_first() -> None:
    async def main(lab: SimLab) -> None:
        one, _ = lasting(20, chatty=True)
        two, _ = lasting(20, chatty=False)

        async def late() -> Report:
            await asyncio.sleep(3)
            to = Endpoint(OUTSIDE, 2222)
            return await connect(*side(lab, "mallory", listener=to, wait_s=5.0), wall=clock())

        async with asyncio.TaskGroup() as group:
            first = group.create_task(met(lab, side(lab, "alice"), side(lab, "carol"), (one, two)))
            second = group.create_task(late())
        assert all(found.connected for found in first.result())
        assert not any(each.stage == "lost" for found in first.result() for each in found.stages)
        assert not told(second.result()).connected

    run(home(), main)


# --- time


@pytest.mark.parametrize("early_s", [0.0, 3.0])
def test_how_long_it_takes(early_s: float) -> None:
    """One way for the knock, one round trip for the check and its answer; or the wait for the other side."""

    async def main(lab: SimLab) -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        to = Endpoint(OUTSIDE, 2222)
        async with asyncio.TaskGroup() as group:
            began = loop.time()
            calling = group.create_task(connect(*side(lab, "carol", listener=to), wall=clock()))
            await asyncio.sleep(early_s)
            group.create_task(listen(*side(lab, "alice"), wall=clock()))
        return told(calling.result()).elapsed_s or 99.0, began

    elapsed_s, _ = run(home(), main)
    assert elapsed_s < early_s + 0.5 + 0.15


def test_packets_are_bounded_while_nobody_answers() -> None:
    async def main(lab: SimLab) -> Pwnat:
        to = Endpoint("11.1.0.9", 2222)
        report = await connect(*side(lab, "carol", listener=to, wait_s=60.0), wall=clock())
        return told(report)

    found: Pwnat = run(home(), main)
    assert not found.connected
    assert "public address" not in found.why
    assert found.knocks_sent <= 2 * (20 + 25)
    assert found.probes_sent <= 45


def test_a_private_address_is_remarked_on() -> None:
    async def main(lab: SimLab) -> Pwnat:
        to = Endpoint("10.0.1.2", 2222)
        return told(await connect(*side(lab, "carol", listener=to, wait_s=3.0), wall=clock()))

    found: Pwnat = run(home(), main)
    assert "10.0.1.2 is not a public address" in found.why


# --- lost paths


def test_a_lost_path_is_found_again() -> None:
    """The listener's NAT restarts and forgets all: the caller knocks again, and the tunnel goes on."""

    async def main(lab: SimLab) -> None:
        one, came = lasting(60, chatty=True)
        two, _ = lasting(60, chatty=False)

        async def restart() -> None:
            await asyncio.sleep(15)
            lab.restart("home")

        async with asyncio.TaskGroup() as group:
            meeting = group.create_task(met(lab, side(lab, "alice"), side(lab, "carol"), (one, two)))
            group.create_task(restart())
        listener, caller = meeting.result()
        assert listener.connected
        assert caller.connected
        assert came[-1] == 1

    run(home(), main)


def test_a_plan_is_gone_through_twice_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the listener sends by the plan is lost the first time; the second time connects."""
    lost: list[Step] = []

    async def lose_first(
        network: Network, driver: Any, socket: Any, place: Any, step: Step, **more: Any
    ) -> Any:
        if step in lost or not more["first"]:
            return await send_step(network, driver, socket, place, step, **more)
        lost.append(step)
        await asyncio.sleep(step.seconds or 0.0)
        return ProbeOutcome(None, None)

    monkeypatch.setattr(knockchecks, "send_step", lose_first)
    with open_lab(load("pwnat-hard-callers"), "sim") as lab:
        listener, caller = lab.run(lambda: knock_pair(lab, "alice", "draws"))
    assert lost
    assert told(listener).strategy == told(caller).strategy == "birthday"


def test_behind_a_firewall_that_passes_errors() -> None:
    scenario = Scenario(
        title="t",
        name="t",
        nat={"home": NatSpec()},
        firewall={"wall": FirewallSpec(errors_out="untranslated")},
        host={"alice": HostSpec(behind="home"), "carol": HostSpec(behind="wall")},
    )
    found = run(scenario, lambda lab: met(lab, side(lab, "alice"), side(lab, "carol")))
    assert all(each.connected for each in found)


# --- no network


@pytest.mark.parametrize("compat", [False, True])
def test_who_is_in_no_network_is_told_so_at_once(compat: bool) -> None:
    """Neither "no beacon could be sent" nor a minute of knocks that cannot leave."""

    async def main(lab: SimLab) -> None:
        loop = asyncio.get_running_loop()
        for host in ("alice", "carol"):
            lab.unplug(host)
        listener = Endpoint(OUTSIDE, 2222)
        with pytest.raises(CannotRun, match="no IPv4 route to the internet"):
            await listen(*side(lab, "alice", compat=compat), wall=clock())
        with pytest.raises(CannotRun, match="no IPv4 route to the internet") as raised:
            await connect(*side(lab, "carol", listener=listener, compat=compat), wall=clock())
        assert "is the cable in" in raised.value.remedy
        with pytest.raises(CannotRun, match=r"no IPv4 route to 10\.9\.0\.1"):
            await connect(*side(lab, "carol", listener=Endpoint("10.9.0.1", 2222)), wall=clock())
        assert loop.time() < 1.0

    run(home(), main)
