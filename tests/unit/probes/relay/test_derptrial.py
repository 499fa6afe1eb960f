"""A DERP server tried in the simulator: what the report says of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from derped import between_walls, derp_node, run

from nattools.engine.analysis.verdicts.relays import relays
from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.relay import Relay
from nattools.probes.probe import Recorder
from nattools.probes.relay.derptrial import how_far, try_derp
from nattools.probes.relay.inflight import InFlightLimit
from nattools.probes.relay.pinger import open_pinger
from nattools.probes.relay.relaycontext import DerpAsk, RelayContext

OPEN = NatSpec(delay_ms=10)


async def tried(lab: SimLab, *, sizes: bool = False) -> Relay:
    """What became of it, from alice's machine."""
    network = lab.network("alice")
    recorder = Recorder(asyncio.get_running_loop().time())
    context = RelayContext(network, recorder, InFlightLimit(), sizes=sizes)
    ask = DerpAsk(derp_node(lab), "Here")
    pinger = await open_pinger(network, 4, context.flight)
    far = await how_far(context, ask, {4: pinger})
    pinger.socket.close()
    await try_derp(context, ask, far)
    (row,) = relays(recorder.observations)
    return row


@pytest.mark.parametrize("nat", [OPEN, NatSpec(delay_ms=10, udp="blocked", open_ports=("tcp/443",))])
def test_a_byte_goes_to_the_own_key(nat: NatSpec) -> None:
    async def main(lab: SimLab) -> None:
        row = await tried(lab)
        assert row.error is None
        assert row.works
        assert [step.step for step in row.steps] == ["resolve", "connect", "tls", "authenticate", "relay"]
        assert row.rtt_ms is not None
        assert row.direct_rtt_ms is not None
        assert 19 < row.direct_rtt_ms < 25
        assert 19 < row.rtt_ms.median < 25
        assert (row.region, row.transport) == ("Here", "tls")

    run(between_walls(nat), main)


@pytest.mark.parametrize(("mtu", "least"), [(1500, 65_536), (576, 65_536)])
def test_datagrams_of_any_size_pass_whatever_the_links_carry(mtu: int, least: int) -> None:
    async def main(lab: SimLab) -> None:
        row = await tried(lab, sizes=True)
        assert row.mtu == least

    run(between_walls(NatSpec(delay_ms=10, mtu=mtu)), main)


@pytest.mark.parametrize(
    ("spec", "step", "name"),
    [
        ({"verifies": True}, "authenticate", "verifies clients"),
        ({"fault": "drops"}, "relay", "relays nothing"),
        ({"fault": "no-derp"}, "authenticate", "no relay"),
        ({"fault": "silent"}, "tls", "no answer"),
        ({"fault": "portal"}, "tls", "captive portal"),
        ({"fault": "portal", "port_80": False}, "tls", "certificate"),
    ],
)
def test_what_goes_wrong_has_its_step_and_its_name(spec: dict[str, Any], step: str, name: str) -> None:
    async def main(lab: SimLab) -> None:
        row = await tried(lab)
        assert row.works is False
        assert row.error is not None
        assert (row.error.step, row.error.name) == (step, name)

    run(between_walls(OPEN, **spec), main)
