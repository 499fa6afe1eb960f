"""A TURN relay tried in the simulator: what the report says of it."""

from __future__ import annotations

import asyncio
from typing import Any

from relayed import ALICE, HOST, beside_a_relay
from relayed import relay as hold

from nattools.engine.analysis.verdicts.relays import relays
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.relay import Relay
from nattools.model.serveruri import parse_server
from nattools.probes.probe import Recorder
from nattools.probes.relay.inflight import InFlightLimit
from nattools.probes.relay.relaycontext import RelayContext, TurnAsk
from nattools.probes.relay.turntrial import try_turn
from nattools.protocols.turn.credentials import LongTermCredentials
from nattools.server.relay.relayservice import RelayConfig
from nattools.server.relay.turnlimits import TurnLimits
from nattools.server.serving import ServeConfig, serve

OTHER = "11.202.0.2"


async def tried(
    lab: SimLab,
    uri: str = f"turn:{HOST}",
    credentials: LongTermCredentials | None = ALICE,
    **options: Any,
) -> Relay:
    """What became of it, from alice's machine."""
    recorder = Recorder(asyncio.get_running_loop().time())
    context = RelayContext(lab.network("alice"), recorder, InFlightLimit(), **options)
    server = parse_server(uri)
    await try_turn(context, TurnAsk(server, server.transport or "udp", credentials))
    (row,) = relays(recorder.observations)
    return row


def test_a_byte_goes_through_it_and_back_step_by_step() -> None:
    async def main(lab: SimLab) -> None:
        row = await tried(lab, sizes=True)
        assert row.error is None
        assert row.works
        names = ["resolve", "connect", "authenticate", "allocate", "permit", "relay"]
        assert [step.step for step in row.steps] == names
        permit, relay = row.steps[-2:]
        assert permit.ms is not None
        assert 19 < permit.ms < 25
        assert relay.ms is not None
        assert 19 < relay.ms < 60
        assert all(step.ok for step in row.steps)
        assert row.rtt_ms is not None
        assert row.direct_rtt_ms is not None
        assert 19 < row.direct_rtt_ms <= row.rtt_ms.median < 25
        assert row.loss == 0
        assert row.relayed is not None
        assert row.relayed.startswith(HOST)
        assert row.mtu is not None
        assert row.mtu >= 1400

    beside_a_relay(main)


def test_over_tcp_too() -> None:
    async def main(lab: SimLab) -> None:
        row = await tried(lab, f"turn:{HOST}?transport=tcp")
        assert row.works, row.error
        assert [step.step for step in row.steps][:2] == ["resolve", "connect"]
        assert row.transport == "tcp"

    beside_a_relay(main)


def test_where_no_udp_gets_out_the_peer_is_at_the_relay_too() -> None:
    async def main(lab: SimLab) -> None:
        row = await tried(lab, f"turn:{HOST}?transport=tcp")
        assert row.works, row.error
        assert row.rtt_ms is not None

    nat = NatSpec(udp="blocked")
    scenario = Scenario(
        title="no UDP",
        nat={"left": nat},
        host={"alice": HostSpec(behind="left", delay_ms=10)},
        server={"stun": ServerSpec()},
    )
    beside_a_relay(main, scenario=scenario)


def test_wrong_credentials_and_none() -> None:
    async def main(lab: SimLab) -> None:
        wrong = await tried(lab, credentials=LongTermCredentials("alice", "looking glass"))
        assert wrong.error is not None
        assert (wrong.error.step, wrong.error.code) == ("authenticate", 401)
        none = await tried(lab, credentials=None)
        assert none.error is not None
        assert none.error.name == "no credentials"
        old = await tried(lab, credentials=LongTermCredentials("1700000000:alice", "any"))
        assert old.error is not None
        assert old.error.name == "credentials expired"
        assert old.error.reason[0].values["detail"] == "2023-11-14 22:13 UTC"

    beside_a_relay(main)


def test_who_answers_stun_alone_is_no_relay() -> None:
    async def main(lab: SimLab) -> None:
        closed = await tried(lab, f"turn:{OTHER}")
        assert closed.error is not None
        assert closed.error.reason[0].code == "relay-port-closed"
        other = await serve(lab.network("other"), ServeConfig(addresses=(OTHER,)))
        row = await tried(lab, f"turn:{OTHER}")
        await other.close()
        assert row.error is not None
        assert row.error.reason[0].code == "relay-only-stun"

    beside_a_relay(main)


def test_how_much_goes_through() -> None:
    async def main(lab: SimLab) -> None:
        row = await tried(lab, throughput=True)
        assert row.throughput_mbps is not None
        assert row.throughput_mbps > 1

    beside_a_relay(main)


def test_what_a_relay_says_no_to_has_its_step_and_its_code() -> None:
    async def refused(lab: SimLab, **options: Any) -> tuple[str, int | None]:
        relay = RelayConfig(users=dict((ALICE,)), **options)
        other = await serve(lab.network("other"), ServeConfig(addresses=(OTHER,), relay=relay))
        held = await hold(lab.network("bob"), f"turn:{OTHER}")
        row = await tried(lab, f"turn:{OTHER}")
        held.close()
        await other.close()
        assert row.error is not None
        return row.error.step, row.error.code

    async def main(lab: SimLab) -> None:
        assert await refused(lab, permits=lambda host: False) == ("permit", 403)
        assert await refused(lab, limits=TurnLimits(allocations_per_user=1)) == ("allocate", 486)

    beside_a_relay(main)
