"""Uplinks of the simulator with a bounded rate and bursts of losses, on its clock."""

from __future__ import annotations

import itertools

import pytest
from simulated import STUN, behind_nat, open_internet, pass_time, run, udp

from nattools.errors import UsageError
from nattools.lab.impairment import LINK_KINDS, BurstSpec, LinkKind
from nattools.lab.scenario import NatSpec
from nattools.lab.scenariofiles import parse
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint

DATA = bytes(1000 - 28)  # an IPv4 packet of 1000 bytes: 8 ms at 1 Mbit/s
BOB = "11.102.0.2"


def test_an_upload_takes_as_long_as_the_rate_says_and_the_queue_drops_the_rest() -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN)
        alice = await udp(lab.network("alice"))
        for _ in range(50):
            alice.send(DATA, STUN)
        await pass_time(10)
        # the queue holds 100 ms: 13 packets begin within it, one every 8 ms
        assert [at_s for at_s, _, _ in server.got] == pytest.approx([0.02 + 0.008 * n for n in range(1, 14)])

    run(open_internet(delay_ms=20, rate_mbps=10, rate_up_mbps=1), main)


def test_ten_seconds_of_too_much_bring_ten_seconds_of_the_rate() -> None:
    async def main(lab: SimLab) -> int:
        server = await udp(lab.network("stun"), STUN)
        alice = await udp(lab.network("alice"))
        for _ in range(5000):
            alice.send(DATA, STUN)
            await pass_time(0.002)  # 4 Mbit/s
        await pass_time(1)
        return len(server.got)

    assert run(open_internet(rate_mbps=1), main) == pytest.approx(1250, rel=0.02)


def test_the_two_directions_have_queues_of_their_own() -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN)
        alice = await udp(lab.network("alice"))
        for _ in range(10):
            alice.send(DATA, STUN)
        server.send(DATA, alice.local)
        await pass_time(1)
        assert [at_s for at_s, _, _ in alice.got] == pytest.approx([0.008])

    run(open_internet(rate_mbps=1), main)


def test_ways_to_several_neighbours_share_the_uplink() -> None:
    """Alice sends to carol beside her and to bob outside: both packets wait in the one queue."""

    async def main(lab: SimLab) -> None:
        alice, carol = await udp(lab.network("alice")), await udp(lab.network("carol"))
        bob = await udp(lab.network("bob"), Endpoint("11.101.0.2", 5000))
        alice.send(DATA, carol.local)
        alice.send(DATA, bob.local)
        await pass_time(1)
        assert [at_s for at_s, _, _ in carol.got + bob.got] == pytest.approx([0.008, 0.016])

    run(behind_nat(NatSpec(), rate_mbps=1), main)


def test_losses_come_in_bursts_and_the_seed_decides() -> None:
    async def main(lab: SimLab) -> list[float]:
        server = await udp(lab.network("stun"), STUN)
        alice = await udp(lab.network("alice"))
        for _ in range(20_000):
            alice.send(b"", STUN)
            await pass_time(0.01)
        return [at_s for at_s, _, _ in server.got]

    scenario = open_internet(bursts=BurstSpec(good_s=1, bad_s=0.25))
    came = run(scenario, main)
    gaps = [later - earlier for earlier, later in itertools.pairwise(came) if later - earlier > 0.015]
    assert len(came) == pytest.approx(16_000, rel=0.1)  # a fifth is lost
    assert sum(gaps) / len(gaps) == pytest.approx(0.26, rel=0.25)  # about 160 bursts
    assert came == run(scenario, main)
    assert came != run(scenario, main, seed=1)


@pytest.mark.parametrize("kind", LINK_KINDS)
def test_a_kind_of_link_stands_for_its_keys_and_keys_of_its_own_win(kind: LinkKind) -> None:
    text = f'title = "x"\n[nat.home]\nlink = "{kind}"\ndelay_ms = 7\n[host.alice]\nbehind = "home"'
    home = parse(text, "x").nat["home"]
    assert (home.link, home.delay_ms) == (kind, 7)
    assert home.rate_mbps == LINK_KINDS[kind]["rate_mbps"]
    assert home.rate_up_mbps == LINK_KINDS[kind]["rate_up_mbps"]
    assert (home.bursts is None) == ("bursts" not in LINK_KINDS[kind])


@pytest.mark.parametrize(
    ("keys", "line", "reason"),
    [
        ('link = "avian"', 3, "not one of 'wifi', 'weak-4g', 'satellite'"),
        ('link = ["wifi"]', 3, "not one of"),
        ("rate_mbps = 0", 3, "not above 0"),
        ("rate_mbps = nan", 3, "not above 0"),
        ("queue_ms = 5", 3, "set rate_mbps too"),
        ("rate_up_mbps = 5", 3, "set rate_mbps too"),
        ("rate_mbps = 1\nqueue_ms = -1", 4, "not between 0 and 60000"),
        ("bursts = { good_s = 1 }", 3, "'bad_s' is missing"),
        ("bursts = { good_s = 0, bad_s = 1 }", 3, "not above 0"),
        ("bursts = { good_s = 1, bad_s = 1, bad_loss = 2 }", 3, "not between 0 and 1"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(keys: str, line: int, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as refused:
        parse(f'title = "x"\n[host.alice]\n{keys}', "x.toml")
    assert f"x.toml, line {line}:" in str(refused.value)


def test_an_event_changes_no_uplink() -> None:
    event = '[[event]]\nat_s = 1\nnode = "home"\nwhat = "behaves"\nnow = { rate_mbps = 1 }'
    with pytest.raises(UsageError, match="its uplink's"):
        parse(f'title = "x"\n[nat.home]\n[host.alice]\nbehind = "home"\n{event}', "x.toml")
