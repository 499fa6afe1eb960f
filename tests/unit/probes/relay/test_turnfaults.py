"""What usually goes wrong with relays, each told from the others."""

from __future__ import annotations

import asyncio

import pytest

from nattools.engine.analysis.verdicts.relays import relays
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec, TurnSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Transport
from nattools.model.relay import Relay
from nattools.model.serveruri import parse_server
from nattools.probes.probe import Recorder
from nattools.probes.relay.inflight import InFlightLimit
from nattools.probes.relay.relaycontext import RelayContext, TurnAsk
from nattools.probes.relay.turntrial import try_turn
from nattools.protocols.turn.credentials import LongTermCredentials

ALICE = LongTermCredentials("alice", "wonderland")
APD = "address-and-port-dependent"
HOME = NatSpec()
RANDOM = NatSpec(mapping=APD, allocation="random")
BLOCKED = NatSpec(udp="blocked")


def tried(nat: NatSpec, spec: TurnSpec, transport: Transport = "udp", *, seed: int = 0) -> Relay:
    """What became of it, behind that NAT."""
    scenario = Scenario(
        title="relay",
        nat={"home": nat},
        host={"alice": HostSpec(behind="home", delay_ms=10)},
        server={"relay": ServerSpec(relay=spec)},
    )
    with SimLab(scenario, seed=seed) as lab:

        async def main() -> Relay:
            recorder = Recorder(asyncio.get_running_loop().time())
            context = RelayContext(lab.network("alice"), recorder, InFlightLimit())
            await try_turn(context, TurnAsk(parse_server("turn:relay"), transport, ALICE))
            (row,) = relays(recorder.observations)
            return row

        return lab.run(main)


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("drops", "relays nothing"),
        ("private-address", "private address"),
        ("not-reached", "not reached from outside"),
        ("other-address", "wrong address"),
    ],
)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_each_fault_is_named(fault: str, name: str, transport: Transport) -> None:
    spec = TurnSpec(users={"alice": "wonderland"}, fault=fault)  # type: ignore[arg-type]
    row = tried(HOME, spec, transport)
    assert row.works is False
    assert row.error is not None
    assert (row.error.step, row.error.name) == ("relay", name)


@pytest.mark.parametrize("nat", [HOME, RANDOM, NatSpec(mapping=APD, allocation="sequential")])
@pytest.mark.parametrize("seed", range(3))
def test_a_relay_works_behind_any_nat(nat: NatSpec, seed: int) -> None:
    row = tried(nat, TurnSpec(users={"alice": "wonderland"}), seed=seed)
    assert row.works, row.error


def test_where_no_udp_gets_out_a_relay_that_relays_is_not_blamed() -> None:
    row = tried(BLOCKED, TurnSpec(users={"alice": "wonderland"}), "tcp")
    assert row.works, row.error
    spec = TurnSpec(users={"alice": "wonderland"}, fault="drops")
    refused = tried(BLOCKED, spec, "tcp")
    assert refused.error is not None
    assert refused.error.name == "relays nothing"
