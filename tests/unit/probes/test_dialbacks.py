"""Ordering a dial-back over UDP and over TCP, and what is said where none comes about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from simulated import STUN, STUN_OTHER, behind_nat

from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint, Transport
from nattools.probes.dialbacks import open_inbound_listener, order_dial_back
from nattools.probes.portmap.gateway import GatewayContext, gateway_contexts
from nattools.probes.target import Target
from nattools.protocols import dialback
from nattools.protocols.stun.constants import SERVICE_DIAL_BACK_TCP, SERVICE_DIAL_BACK_UDP

NONCE = b"12345678"


def target(transport: Transport, endpoint: Endpoint = STUN) -> Target:
    services = SERVICE_DIAL_BACK_TCP | SERVICE_DIAL_BACK_UDP
    return Target("stun:11.201.0.2", endpoint, transport, None, 0.02, STUN_OTHER, True, services)


def inside(main: Callable[[GatewayContext], Awaitable[None]]) -> None:
    """Run this behind a NAT, with the gateway that leads out of it."""
    with SimLab(behind_nat(NatSpec())) as lab:
        lab.run(lambda: main(gateway_contexts(lab.network("alice"), families=(4,))[0]))


@pytest.mark.parametrize("over", ["udp", "tcp"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_server_says_what_came_of_it(over: Transport, transport: Transport) -> None:
    async def main(gateway: GatewayContext) -> None:
        ask = dialback.Ask(transport, 9, NONCE, True, True)
        result = await order_dial_back(gateway, target(over), ask)
        assert isinstance(result, dialback.Result)
        assert result.outcome in (("sent",) if transport == "udp" else ("timeout", "refused", "unreachable"))
        assert result.seen is not None

    inside(main)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_server_that_is_not_there_is_no_error_but_a_sentence(transport: Transport) -> None:
    async def main(gateway: GatewayContext) -> None:
        nobody = target(transport, Endpoint("11.201.0.77", 3478))
        said = await order_dial_back(gateway, nobody, dialback.Ask("udp", 9, NONCE))
        assert isinstance(said, str)
        assert "11.201.0.77:3478" in said

    inside(main)


def test_a_server_that_hangs_up_is_told_of() -> None:
    async def main(gateway: GatewayContext) -> None:
        listener = await gateway.network.listen_tcp(family=4, on_stream=lambda stream: stream.close())
        deaf = target("tcp", Endpoint(gateway.local, listener.local.port))
        said = await order_dial_back(gateway, deaf, dialback.Ask("tcp", 9, NONCE))
        assert isinstance(said, str)
        assert said.endswith("the connection was closed")
        listener.close()

    inside(main)


def test_a_server_that_answers_with_something_else_is_told_of() -> None:
    async def main(gateway: GatewayContext) -> None:
        listener = await gateway.network.listen_tcp(
            family=4, on_stream=lambda stream: stream.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        )
        other = target("tcp", Endpoint(gateway.local, listener.local.port))
        said = await order_dial_back(gateway, other, dialback.Ask("tcp", 9, NONCE))
        assert isinstance(said, str)
        assert "did not confirm the dial-back" in said
        listener.close()

    inside(main)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_listener_takes_its_own_nonces_alone(transport: Transport) -> None:
    async def main(gateway: GatewayContext) -> None:
        listener = await open_inbound_listener(gateway, transport)
        listener.nonces.add(NONCE)
        for data in (b"anything", dialback.encode_indication(b"another!"), dialback.encode_indication(NONCE)):
            assert not listener.reached.is_set
            if transport == "udp":
                sender = await gateway.open_udp()
                sender.send(data, listener.local)
            else:
                stream = await gateway.connect(listener.local, 1.0)
                stream.write(data)  # type: ignore[union-attr]
            await listener.reached.wait(1.0)
        assert listener.reached.is_set
        assert listener.origin is not None
        assert listener.origin.host == gateway.local
        listener.close()
        listener.close()

    inside(main)
