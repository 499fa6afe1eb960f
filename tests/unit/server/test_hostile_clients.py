"""What a client does over TCP costs the server little, and the others nothing."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from attackers import CLOSE, HANDSHAKE, PING, frame
from simulated import behind_nat, ends_within, pass_time, run

from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure, TcpStream
from nattools.protocols import stun
from nattools.protocols.mailbox import messages as m
from nattools.server.connections import Reception
from nattools.server.limits import RateLimit
from nattools.server.mailbox import Mailbox
from nattools.server.serving import Running, ServeConfig, serve
from nattools.traversal.codes import Code, new_code
from nattools.traversal.mailboxconnection import MailboxAddress
from nattools.traversal.rendezvous import rendezvous

SERVER = Endpoint("11.201.0.2", 3478)
JOIN = frame(m.Join(m.VERSION, bytes(16)))


class Attacked:
    """A server, what went wrong in it, and a way to it for mallory (bob's machine) and for alice."""

    def __init__(self, lab: SimLab, running: Running, faults: list[dict[str, Any]]) -> None:
        self.lab = lab
        self.running = running
        self.faults = faults

    async def connect(self, host: str = "bob") -> TcpStream:
        stream = await self.lab.network(host).connect_tcp(SERVER, timeout_s=5)
        assert not isinstance(stream, TcpFailure)
        return stream

    async def open_room(self) -> None:
        """An honest peer gets a code."""
        async with rendezvous(self.lab.network("alice"), MailboxAddress(SERVER.host), new_code()) as alice:
            assert isinstance(await alice.opened(), Code)


def attacked(test: Callable[[Attacked], Awaitable[None]], **options: Any) -> None:
    """Run a test against a server; afterwards it still serves, and none of its tasks has failed."""

    async def main(lab: SimLab) -> None:
        faults: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        config = ServeConfig(addresses=(SERVER.host,), **options)
        running = await serve(lab.network("stun"), config)
        it = Attacked(lab, running, faults)
        await test(it)
        await it.open_room()
        await running.close()
        assert faults == []

    run(behind_nat(), main)


@pytest.mark.parametrize("rest", [JOIN + CLOSE, CLOSE, PING, b"\r\n", JOIN])
def test_nothing_may_follow_a_handshake_before_its_answer(rest: bytes, caplog: Any) -> None:
    """Then the library's state is not what it says; the room that was joined so could never be closed."""

    async def test(it: Attacked) -> None:
        for cut in (0, len(HANDSHAKE) - 1, len(HANDSHAKE) - 3):
            stream = await it.connect()
            stream.write(HANDSHAKE[:cut])
            await pass_time(0.5)
            stream.write(HANDSHAKE[cut:] + rest)
            assert await ends_within(stream, 5)
        await pass_time(4000)

    with caplog.at_level(logging.WARNING):
        attacked(test)
    assert caplog.records == []


def test_rooms_are_swept_although_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Mailbox.sweep
    faults = [ValueError("a room that cannot be closed")]

    def fails_once(self: Mailbox, now: float) -> list[Any]:
        if faults:
            raise faults.pop()
        return sweep(self, now)

    monkeypatch.setattr(Mailbox, "sweep", fails_once)

    async def test(it: Attacked) -> None:
        stream = await it.connect()
        stream.write(HANDSHAKE)
        assert await stream.read()
        stream.write(JOIN)
        for _ in range(300):
            await pass_time(15)
            stream.write(PING)
        assert await ends_within(stream, 5), "the room has expired"
        assert [str(each["exception"]) for each in it.faults] == ["a room that cannot be closed"]
        it.faults.clear()

    attacked(test)


def test_pipelined_requests_wait_and_others_do_not() -> None:
    async def test(it: Attacked) -> None:
        mallory = await it.connect()
        alice = await it.connect("alice")
        mallory.write(stun.binding_request(bytes(12), hello=False) * 20_000)
        framer, answered, loop = stun.Framer(), 0, asyncio.get_running_loop()
        began = loop.time()
        while loop.time() < began + 2:
            answered += len(framer.feed(await mallory.read()))
        assert 100 < answered < 16_000, "400,000 bytes: 128,000 at once, then 64,000 a second"
        asked = loop.time()
        alice.write(stun.binding_request(bytes(12)))
        assert await alice.read()
        assert loop.time() < asked + 0.5
        mallory.abort()
        alice.close()

    attacked(test)


def test_a_head_of_http_is_short() -> None:
    async def test(it: Attacked) -> None:
        stream = await it.connect()
        stream.write(b"GET /mailbox HTTP/1.1\r\n")
        for number in range(3):
            stream.write(b"X-%d: %s\r\n" % (number, b"x" * 4000))
        assert await ends_within(stream, 2)

    attacked(test)


def test_who_joins_nothing_is_gone_in_ten_seconds_whatever_it_pings() -> None:
    async def test(it: Attacked) -> None:
        stream = await it.connect()
        stream.write(HANDSHAKE)
        assert await stream.read()
        for _ in range(5):
            await pass_time(2)
            stream.write(PING)
        assert await ends_within(stream, 2)

    attacked(test)


def test_a_source_connects_so_often() -> None:
    async def test(it: Attacked) -> None:
        for _ in range(10):
            (await it.connect()).close()
        stream = await it.connect()
        stream.write(stun.binding_request(bytes(12)))
        assert await ends_within(stream, 2)
        await pass_time(2)
        later = await it.connect()
        later.write(stun.binding_request(bytes(12)))
        assert await later.read()
        later.close()

    attacked(test, arrival_rate=1, arrival_burst=10)


def test_one_who_is_idle_makes_room() -> None:
    async def test(it: Attacked) -> None:
        idle = await it.connect()
        idle.write(b"\0")
        await pass_time(1)
        busy = await it.connect()
        busy.write(stun.binding_request(bytes(12)))
        assert await busy.read()
        alice = await it.connect("alice")
        alice.write(stun.binding_request(bytes(12)))
        assert await alice.read()
        assert await ends_within(idle, 1)
        busy.write(stun.binding_request(bytes(12)))
        assert await busy.read()
        for stream in (busy, alice):
            stream.close()
        await pass_time(1)

    attacked(test, streams=2)


class Dead:
    """A client's stream with much that was said and is not read yet; the client is gone."""

    local = remote = Endpoint("11.102.0.2", 5000)
    over = True
    write = drain = end = None

    def __init__(self) -> None:
        self.read_bytes = 0
        self.ends: list[str] = []

    def close(self) -> None:
        self.ends.append("closed")

    def abort(self) -> None:
        self.ends.append("reset")

    async def read(self, limit: int = 65536) -> bytes:
        self.read_bytes += limit
        return bytes(limit) if self.read_bytes < 200_000 else b""


def test_what_a_client_that_is_gone_had_said_too_much_is_not_worked_on() -> None:
    """It took minutes, and as much memory as 500 connections may have, in an attack that goes on."""

    async def main(lab: SimLab) -> int:
        octets = RateLimit(rate=1000.0, burst=10_000.0, total_rate=1e6, total_burst=1e6)
        arrivals = RateLimit(rate=1.0, burst=1.0, total_rate=1.0, total_burst=1.0)
        dead = Dead()
        stream = Reception(arrivals, octets).admit(cast(TcpStream, dead))
        assert stream is not None
        while await stream.read():
            pass
        return dead.read_bytes

    assert run(behind_nat(), main) <= 11_000


def test_who_does_not_take_what_is_left_is_reset() -> None:
    """Such connections were in no table any more, and 1,000 of them used up the server's descriptors."""

    async def main(lab: SimLab) -> list[list[str]]:
        arrivals = RateLimit(rate=1.0, burst=1.0, total_rate=1.0, total_burst=1.0)
        dead = Dead()
        stream = Reception(arrivals, arrivals).admit(cast(TcpStream, dead))
        assert stream is not None
        seen = []
        for seconds in (9, 2):
            stream.close()
            await pass_time(seconds)
            seen.append(list(dead.ends))
        return seen

    assert run(behind_nat(), main) == [["closed"], ["closed", "reset"]]


def test_a_connection_that_is_closed_and_has_nothing_to_send_takes_no_memory() -> None:
    """4,000 of the last ten seconds were held, each with 4 KB, while the attack went on."""

    async def main(lab: SimLab) -> bool:
        arrivals = RateLimit(rate=1.0, burst=1.0, total_rate=1.0, total_burst=1.0)
        dead = Dead()
        there = weakref.ref(dead)
        stream = Reception(arrivals, arrivals).admit(cast(TcpStream, dead))
        assert stream is not None
        stream.close()
        del dead, stream
        return there() is None

    assert run(behind_nat(), main)


def test_after_many_connections_it_is_called_once_they_had_time_to_go() -> None:
    async def main(lab: SimLab) -> list[float]:
        loop, calls = asyncio.get_running_loop(), list[float]()
        arrivals = RateLimit(rate=1e6, burst=1e6, total_rate=1e6, total_burst=1e6)
        reception = Reception(arrivals, arrivals, after_many=lambda: calls.append(loop.time() - began))
        began = loop.time()
        for _ in range(3):
            for _ in range(300):
                reception.admit(cast(TcpStream, Dead()))
            await pass_time(9)
        await pass_time(60)
        return calls

    assert run(behind_nat(), main) == [10, 28]
