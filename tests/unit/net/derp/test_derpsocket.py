"""A relayed path between two keys: datagrams, ICE and QUIC over it, and what goes wrong with servers."""

from __future__ import annotations

import asyncio
import random

import pytest
from derped import between_walls, derp_node, run
from simulated import Notes, pass_time

from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.statement import Statement
from nattools.net.derp.derpsocket import MOST_UNSENT, DerpSocket, open_derp
from nattools.net.web.serversteps import StepFailure
from nattools.protocols import derp, ice
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.path import IcePath

SENT = random.Random(1).randbytes(1_000_000)


async def opened(lab: SimLab, host: str, **changes: object) -> DerpSocket:
    socket = await open_derp(lab.network(host), derp_node(lab, **changes))
    assert isinstance(socket, DerpSocket), socket
    return socket


async def two(lab: SimLab) -> tuple[DerpSocket, DerpSocket]:
    """Connected and permitted to each other."""
    alice, bob = await opened(lab, "alice"), await opened(lab, "bob")
    alice.permit(bob.key)
    bob.permit(alice.key)
    return alice, bob


def test_datagrams_of_every_size_pass_between_two_keys_where_udp_is_blocked() -> None:
    async def main(lab: SimLab) -> None:
        alice, bob = await two(lab)
        heard, answers = Notes(bob, echo=True), Notes(alice)
        sizes = (0, 1, 1200, 65536)
        for size in sizes:
            assert alice.send(bytes(size), bob.local) is None
            await pass_time(1)
        assert [len(data) for data in heard.payloads] == list(sizes)
        assert heard.sources == [alice.local] * 4
        assert [len(data) for data in answers.payloads] == list(sizes)
        assert alice.send(bytes(65537), bob.local) == "too-big"
        names = [step.name for step in alice.steps]
        assert names == ["resolve", "connect", "tls", "authenticate"]
        assert all(step.ok for step in alice.steps)
        assert alice.steps[0].ms is None
        assert alice.steps[1].ms == pytest.approx(20, abs=1)
        alice.close()
        bob.close()

    run(between_walls(), main)


def test_a_byte_comes_back_to_the_one_who_sent_it() -> None:
    async def main(lab: SimLab) -> None:
        alice = await opened(lab, "alice")
        notes, own = Notes(alice), alice.permit(alice.key)
        assert alice.send(b"x", own) is None
        await pass_time(1)
        assert notes.payloads == [b"x"]
        alice.close()
        assert alice.send(b"x", own) == "unreachable"

    run(between_walls(), main)


def test_strangers_are_not_heard_and_peers_that_leave_are_told_of() -> None:
    async def main(lab: SimLab) -> None:
        alice, bob = await opened(lab, "alice"), await opened(lab, "bob")
        heard, gone = Notes(bob), []
        alice.on_gone = gone.append
        assert alice.send(b"x", bob.local) == "prohibited"
        place = alice.permit(bob.key)
        alice.send(b"x", bob.local)
        alice.send(b"x", alice.permit(derp.KeyPair().public))  # derper says nothing of who is not there
        await pass_time(1)
        assert heard.payloads == []
        bob.permit(alice.key)
        alice.send(b"y", bob.local)
        bob.send(b"z", alice.local)
        await pass_time(1)
        assert heard.payloads == [b"y"]
        assert gone == []
        bob.close()
        await pass_time(1)
        assert gone == [place]
        alice.close()

    run(between_walls(), main)


def test_what_the_connection_does_not_carry_is_dropped_and_nothing_grows() -> None:
    async def main(lab: SimLab) -> None:
        alice, bob = await two(lab)
        for _ in range(2000):
            assert alice.send(bytes(1200), bob.local) is None
        assert alice.dropped > 2000 - 2 * MOST_UNSENT // 1200
        await pass_time(10)
        assert alice.send(b"x", bob.local) is None
        alice.close()
        bob.close()

    run(between_walls(), main)


def test_batches_are_passed_on_as_one() -> None:
    async def main(lab: SimLab) -> None:
        alice, bob = await two(lab)
        batches: list[tuple[int, int]] = []
        bob.on_batch = lambda data, size, source: batches.append((len(data), size))
        alice.send_many([bytes(1200)] * 5 + [bytes(300), bytes(1200)], bob.local)
        notes = Notes(bob)
        await pass_time(1)
        assert sum(size for size, _ in batches) + sum(map(len, notes.payloads)) == 5 * 1200 + 1500
        assert max(size for size, _ in batches) > 1200
        alice.close()
        bob.close()

    run(between_walls(), main)


def test_ice_and_quic_go_over_it_as_over_any_socket() -> None:
    async def main(lab: SimLab) -> tuple[bytes, IcePath]:
        sides = await two(lab)
        drivers = [IceDriver(ice.Agent(role)) for role in ("controlling", "controlled")]
        for driver, socket in zip(drivers, sides, strict=True):
            driver.listen(socket)
            driver.offer(ice.local_candidate("relay", socket.local))
        for driver, other, socket in zip(drivers, reversed(drivers), reversed(sides), strict=True):
            driver.set_peer(*other.agent.credentials)
            driver.add_peer_candidate(ice.encode(ice.local_candidate("relay", socket.local)))
        paths = [IcePath(driver, await selected(driver), "relay", 0.0) for driver in drivers]
        sender, receiver = await asyncio.gather(
            *(path.secure(bytes(32), leads=path is paths[0]) for path in paths)
        )
        assert not isinstance(sender, Statement)
        assert not isinstance(receiver, Statement)
        sender.write(SENT)
        got = b""
        while len(got) < len(SENT):
            got += await receiver.read()
        await asyncio.gather(sender.close(), receiver.close())
        for path in paths:
            path.close()
        return got, paths[0]

    async def selected(driver: IceDriver) -> ice.Pair:
        pair = await driver.connected(10)
        assert pair is not None
        return pair

    got, path = run(between_walls(), main)
    assert got == SENT
    assert path.relayed
    assert path.remote.host.startswith("100::")


@pytest.mark.parametrize(
    ("spec", "changes", "step", "cause"),
    [
        ({}, {"host": "nowhere", "ipv4": "", "ipv6": ""}, "resolve", "unresolved"),
        ({}, {"port": 80, "ipv4": "11.201.0.9"}, "connect", "timeout"),
        ({"port": 8443}, {}, "connect", "timeout"),
        ({"port_80": False}, {"port": 80}, "connect", "refused"),
        ({}, {"certificate": ""}, "tls", "certificate"),
        ({}, {"certificate": "sha256-raw:" + "0" * 64}, "tls", "certificate"),
        ({"tls": False}, {}, "tls", "not-tls"),
        ({}, {"tls": False}, "authenticate", "closed"),
        ({"tls": False, "fault": "silent"}, {"tls": False}, "authenticate", "timeout"),
        ({"fault": "silent"}, {}, "tls", "timeout"),
        ({"fault": "no-derp"}, {}, "authenticate", "not-a-relay"),
        ({"verifies": True}, {}, "authenticate", "verifies"),
    ],
)
def test_the_first_step_that_fails_is_named(
    spec: dict[str, object], changes: dict[str, object], step: str, cause: str
) -> None:
    async def main(lab: SimLab) -> StepFailure:
        began_at = lab.loop.time()
        failure = await open_derp(lab.network("alice"), derp_node(lab, **changes), timeout_s=5)
        assert isinstance(failure, StepFailure), failure
        assert lab.loop.time() - began_at <= 5.01
        return failure

    failure = run(between_walls(NatSpec(open_ports=("tcp/443", "tcp/80"), delay_ms=10), **spec), main)
    assert (failure.step, failure.cause) == (step, cause), failure
    assert failure.detail
    assert all(each.ok for each in failure.steps[:-1])


def test_an_unchecked_certificate_and_plain_http_lead_there_too() -> None:
    async def main(lab: SimLab) -> None:
        (await opened(lab, "alice", certificate="", unchecked=True)).close()
        (await opened(lab, "alice", port=80, tls=False)).close()

    run(between_walls(), main)


def test_a_server_that_restarts_is_come_back_to_with_the_same_key() -> None:
    async def main(lab: SimLab) -> None:
        alice, bob = await two(lab)  # alice's connection ends after two seconds
        heard = Notes(bob)
        await pass_time(1.9)
        alice.send(b"before", bob.local)
        await pass_time(2)
        assert alice.ended is None
        alice.send(b"after", bob.local)
        await pass_time(1)
        assert heard.payloads == [b"before", b"after"]
        alice.close()
        bob.close()

    run(between_walls(fault="restarts"), main)


@pytest.mark.parametrize("away_s", [3, 28, 45])
def test_a_server_that_was_gone_for_a_while_is_come_back_to(away_s: float) -> None:
    async def main(lab: SimLab) -> None:
        alice, bob = await two(lab)
        heard = Notes(bob)
        await pass_time(30)
        lab.cut("derp")
        await pass_time(away_s)
        lab.mend("derp")
        await pass_time(15)
        assert alice.ended is None
        assert alice.send(b"back", bob.local) is None
        await pass_time(1)
        assert heard.payloads == [b"back"]
        alice.close()
        bob.close()

    run(between_walls(), main)


def test_a_server_that_is_gone_for_good_is_given_up() -> None:
    async def main(lab: SimLab) -> None:
        alice = await opened(lab, "alice")
        await pass_time(3600)  # idle for an hour, and still there
        assert alice.ended is None
        lab.cut("derp")
        await pass_time(70)
        assert alice.ended is not None
        assert alice.send(b"x", alice.permit(alice.key)) == "unreachable"
        alice.close()

    run(between_walls(), main)


def test_a_server_that_lies_is_left_alone_ever_longer() -> None:
    async def main(lab: SimLab) -> None:
        alice = await opened(lab, "alice")
        alice.permit(alice.key)
        notes = Notes(alice)
        await pass_time(60)
        assert alice.ended is not None
        assert "broke its protocol" in alice.ended
        assert len(notes.payloads) < 15

    run(between_walls(fault="lies"), main)


def test_an_opening_that_is_cancelled_leaves_nothing_open() -> None:
    async def main(lab: SimLab) -> None:
        for seconds in (0.01, 0.03, 0.05, 0.07):
            opening = asyncio.ensure_future(open_derp(lab.network("alice"), derp_node(lab)))
            await pass_time(seconds)
            opening.cancel()
            await asyncio.wait([opening])
            assert opening.cancelled()
        await pass_time(60)

    run(between_walls(), main)
