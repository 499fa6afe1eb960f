"""Peers that lie, stall and flood: what is said of them is true, in bounded time and memory."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from simulated import run

from nattools.engine.libp2pmeasurement import measure_libp2p
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.peersearch import PeerSearch
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint, Family
from nattools.model.observation import Gap
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import TcpStream
from nattools.net.libp2p.peerconnection import MuxStream, StreamMessages
from nattools.net.libp2p.peerhost import PING, PeerHost
from nattools.probes.libp2p.peervisits import PeerContext, PeerPlace, locate
from nattools.probes.probe import Recorder
from nattools.protocols.libp2p import autonat, circuit
from nattools.protocols.libp2p.hostkey import HostKey
from nattools.protocols.libp2p.identify import IDENTIFY
from nattools.protocols.libp2p.multiaddr import Multiaddr, multiaddr_at, parse_multiaddr
from nattools.protocols.libp2p.uvarint import delimited

EVIL, KEY = Endpoint("11.101.0.2", 4001), HostKey(b"e" * 32)
SCENARIO = Scenario(
    title="evil",
    nat={"home": NatSpec()},
    host={"alice": HostSpec(behind="home"), "bob": HostSpec()},
    server={"stun": ServerSpec(ipv6=False)},
)
LONGEST_S = 60.0
MOST_KB = 32_768
"""So much more memory than before, of both ends and the simulator."""
Serve = Callable[[MuxStream], Awaitable[None]]


async def hang(stream: MuxStream) -> None:
    """Say nothing for ever."""
    await asyncio.get_running_loop().create_future()


async def close(stream: MuxStream) -> None:
    """Say nothing, and go."""


async def flood(stream: MuxStream) -> None:
    """Messages without end."""
    while not stream.over:
        stream.write(delimited(bytes(4000)))
        await stream.drain()


async def endless(stream: MuxStream) -> None:
    """One message that says it is large."""
    stream.write(b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(100))


async def noise(stream: MuxStream) -> None:
    """A message that is none."""
    stream.write(delimited(b"\xff" * 50))


async def claim(stream: MuxStream) -> None:
    """Say that it dialled."""
    messages = StreamMessages(stream, 10_000)
    await messages.expect()
    messages.write(autonat.encode_autonat(autonat.DialResponse("ok", 0, "ok")))


async def another(stream: MuxStream) -> None:
    """Say that it dialled an address that was not asked for."""
    messages = StreamMessages(stream, 10_000)
    await messages.expect()
    messages.write(autonat.encode_autonat(autonat.DialResponse("ok", 7, "ok")))


async def greedy(stream: MuxStream) -> None:
    """Ask for more data than anybody gives."""
    messages = StreamMessages(stream, 10_000)
    await messages.expect()
    messages.write(autonat.encode_autonat(autonat.DialDataRequest(0, 1 << 40)))
    await hang(stream)


async def insatiable(stream: MuxStream) -> None:
    """Ask for data, and then for more."""
    messages = StreamMessages(stream, 10_000)
    await messages.expect()
    for _ in range(3):
        messages.write(autonat.encode_autonat(autonat.DialDataRequest(0, 100_000)))
    while await messages.read():
        pass


async def refuse(stream: MuxStream) -> None:
    """Give no reservation."""
    messages = StreamMessages(stream, 10_000)
    await messages.expect()
    messages.write(circuit.encode_hop(circuit.CircuitMessage("status", "reservation-refused")))


async def grant_nothing(stream: MuxStream) -> None:
    """Give a place, and connections that lead nowhere."""
    messages = StreamMessages(stream, 10_000)
    await messages.expect()
    messages.write(circuit.encode_hop(circuit.CircuitMessage("status", "ok")))
    await hang(stream)


def measured(serve: Callable[[PeerHost], None], *, expected: HostKey = KEY, wait_s: float = 0.0) -> Report:
    """Alice asks a peer on bob's machine that is set up so, and waits for calls."""

    async def main(lab: SimLab) -> Report:
        from nattools.server.serving import ServeConfig
        from nattools.server.serving import serve as serve_stun

        running = await serve_stun(
            lab.network("stun"), ServeConfig(addresses=("11.201.0.2", "11.201.0.3"), libp2p=None)
        )
        async with PeerHost(lab.network("bob"), KEY) as evil:
            evil.servers |= {autonat.DIAL_REQUEST: close, circuit.HOP: close}
            serve(evil)
            await evil.listen(4, host=EVIL.host, port=EVIL.port)
            options = MeasureOptions(
                command="libp2p",
                servers=(parse_server("stun:stun:3478"),),
                families=(4,),
                libp2p=PeerSearch((multiaddr_at(EVIL, expected.peer),), named=True, wait_s=wait_s),
            )
            report = await measure_libp2p(lab.network("alice"), options, lambda event: None)
        await running.close()
        return report

    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = run(SCENARIO, main)
    assert report.duration_s < LONGEST_S
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < MOST_KB
    return report


@pytest.mark.parametrize("serve", [hang, close, flood, endless, noise])
def test_who_does_not_say_who_it_is_is_not_asked_further(serve: Serve) -> None:
    report = measured(lambda host: host.servers.update({IDENTIFY: serve}))
    assert report.libp2p is not None
    (peer,) = report.libp2p.peers
    assert not peer.identified
    assert peer.why
    assert report.libp2p.autonat == ()


@pytest.mark.parametrize("serve", [hang, close, flood, endless, noise])
def test_a_ping_that_does_not_come_back_is_none(serve: Serve) -> None:
    report = measured(lambda host: host.servers.update({PING: serve}))
    assert report.libp2p is not None
    (peer,) = report.libp2p.peers
    assert peer.identified
    assert peer.rtt_ms is None


@pytest.mark.parametrize("serve", [hang, close, flood, endless, noise, claim, another, greedy, insatiable])
def test_what_a_server_claims_of_its_dials_proves_nothing(serve: Serve) -> None:
    report = measured(lambda host: host.servers.update({autonat.DIAL_REQUEST: serve}))
    assert report.libp2p is not None
    (address,) = report.libp2p.autonat
    assert address.reachable is None
    assert not address.false_positive
    assert address.why


def test_numbers_that_nobody_gave_out_hide_none_that_was() -> None:
    """It comes, as one may whom the port has written to, and says a thousand other numbers first."""

    def serve(host: PeerHost) -> None:
        async def drown(stream: MuxStream) -> None:
            messages = StreamMessages(stream, 10_000)
            request = autonat.decode_autonat(await messages.expect())
            assert isinstance(request, autonat.DialRequest)
            for connection in host.connections:
                for nonce in (*range(1000), request.nonce):
                    said = await connection.open(autonat.DIAL_BACK, timeout_s=5.0)
                    if said is None:
                        break
                    said.write(delimited(autonat.encode_nonce(nonce)))
                    said.close()
            messages.write(autonat.encode_autonat(autonat.DialResponse("ok", 0, "ok")))

        host.servers[autonat.DIAL_REQUEST] = drown

    report = measured(serve)
    assert report.libp2p is not None
    (address,) = report.libp2p.autonat
    assert address.reason[0].code == "address-only-known"


@pytest.mark.parametrize("serve", [hang, close, flood, endless, noise, grant_nothing])
def test_a_relay_that_carries_nothing_is_no_relay(serve: Serve) -> None:
    report = measured(lambda host: host.servers.update({circuit.HOP: serve}))
    assert report.libp2p is not None
    (relay,) = report.libp2p.relays
    assert relay.carries is not True
    assert relay.why


def test_what_a_peer_offers_is_seen_among_many_protocols() -> None:
    def serve(host: PeerHost) -> None:
        host.servers = {f"/app/{number}": close for number in range(60)} | host.servers

    report = measured(serve)
    assert report.libp2p is not None
    (peer,) = report.libp2p.peers
    assert (peer.autonat, peer.relay) == (True, True)


def test_a_name_with_very_many_addresses_stands_for_the_first_few() -> None:
    class ManyAddresses:
        async def resolve(self, name: str, family: Family | None = None) -> tuple[str, ...]:
            last = tuple(f"11.9.0.{number}" for number in range(1, 200))
            return (*(f"2a00::{number}" for number in range(1, 200)), *last)

    async def main(lab: SimLab) -> PeerPlace | None:
        network: Any = ManyAddresses()
        context = PeerContext(network, Recorder(0.0), KEY)
        return await locate(context, parse_multiaddr("/dns4/many.example/tcp/4001"))

    place = run(SCENARIO, main)
    assert place is not None
    assert [each.host for each in place.endpoints] == ["2a00::1", "2a00::2", "11.9.0.1", "11.9.0.2"]


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (None, "no peer here relays"),
        (refuse, "gives no reservation"),
        (grant_nothing, "nobody called in 7 s"),
    ],
)
def test_why_nobody_called_is_said(serve: Serve | None, words: str) -> None:
    def set_up(host: PeerHost) -> None:
        if serve is None:
            del host.servers[circuit.HOP]
        else:
            host.servers[circuit.HOP] = serve

    gaps = [each for each in measured(set_up, wait_s=7.0).observations if isinstance(each, Gap)]
    assert any("relayed connection" in gap.question and words in gap.reason for gap in gaps), gaps


def test_another_peer_than_the_one_that_was_named_is_not_believed() -> None:
    report = measured(lambda host: None, expected=HostKey(b"x" * 32))
    assert report.libp2p is not None
    (peer,) = report.libp2p.peers
    assert not peer.identified
    assert "not this peer" in peer.why


async def silent(stream: TcpStream) -> None:
    while await stream.read():
        pass


async def talkative(stream: TcpStream) -> None:
    while not stream.over:
        stream.write(b"\x13/multistream/1.0.0\n\x06/nope\n" * 100)
        await stream.drain()


async def web(stream: TcpStream) -> None:
    await stream.read()
    stream.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    stream.close()


@pytest.mark.parametrize("serve", [silent, talkative, web])
def test_what_is_no_libp2p_peer_is_told_as_that(serve: Callable[[TcpStream], Awaitable[None]]) -> None:
    async def main(lab: SimLab) -> Report:
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []

            def accept(stream: TcpStream) -> None:
                async def whole() -> None:
                    await serve(stream)

                tasks.append(group.create_task(whole()))

            listener = await lab.network("bob").listen_tcp(
                family=4, host=EVIL.host, port=EVIL.port, on_stream=accept
            )
            options = MeasureOptions(
                command="libp2p",
                servers=(parse_server("stun:11.201.0.2:3478"),),
                families=(4,),
                timeout_s=60.0,
                libp2p=PeerSearch((Multiaddr(multiaddr_at(EVIL).parts),), named=True),
            )
            report = await measure_libp2p(lab.network("alice"), options, lambda event: None)
            listener.close()
            for task in tasks:
                task.cancel()
        return report

    report = run(SCENARIO, main)
    assert report.libp2p is not None
    (peer,) = report.libp2p.peers
    assert not peer.identified
    assert peer.peer is None
    assert peer.why
