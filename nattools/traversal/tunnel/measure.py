"""Echoes, which are the default use of a connection, and `--bench`: how much the
connection carries, each way by itself, and what that does to its round trip.
"""

from __future__ import annotations

import asyncio
import os
from statistics import median
from typing import Final, Literal

import msgspec

from nattools.errors import CannotRun
from nattools.model.punch import Echoes, Throughput
from nattools.net.eventloop import TimeLimit
from nattools.protocols.tunnel import Bench
from nattools.protocols.tunnel.frames import MAX_BENCH_S
from nattools.traversal.tunnel.stream import TunnelStream
from nattools.traversal.tunnel.tunnel import Tunnel

What = Literal["up", "down", "datagrams"]
USE: Final = "bench"
"""What a tunnel's `uses` says of a side that measures."""
SECONDS: Final = 5.0
DATAGRAMS: Final = 400
DATAGRAM_SIZE: Final = 500
DATAGRAM_EVERY_S: Final = 0.005
"""Together 0.8 Mbit/s for two seconds: little enough for almost any path to carry all of it."""
_IDLE_ECHOES: Final = 5
_ECHO_EVERY_S: Final = 0.1
_ECHO_WAIT_S: Final = 10.0
_BLOCK: Final = os.urandom(65_536)  # nobody on the way can make it smaller
_MEASURED: Final = "measured"
_SETTLE_S: Final = 1.0
_GRACE_S: Final = 30.0
_QUIET_S: Final = 3.0
_MOST_SERVED: Final = 9  # three whole measurements, or one that was begun anew


class Count(msgspec.Struct, frozen=True, array_like=True):
    """What has arrived after the first piece: bytes, or datagrams with that one; and in which time."""

    arrived: int
    seconds: float


_decoder: Final = msgspec.msgpack.Decoder(Count)


class BenchUse:
    """Takes part in the other side's measurements if that was started for them: one at a time, each bounded,
    and few of them. Make it before the tunnel runs; `run` measures. Where both sides measure (USE among
    both's `uses`), the leading one goes first."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self._busy = asyncio.Lock()
        self._served_at = asyncio.get_running_loop().time()
        self._served_all = False
        self._served = 0
        tunnel.serve(Bench, self._serve)

    async def run(self, seconds: float = SECONDS) -> Throughput:
        """Up, then down, for so many seconds each (0.1 to 60); then datagrams. CannotRun: why there are no
        figures."""
        seconds = max(0.1, min(seconds, MAX_BENCH_S))
        await self._turn()
        idle = [await self._tunnel.echo(_ECHO_WAIT_S) for _ in range(_IDLE_ECHOES)]
        loaded: list[float | None] = []
        async with asyncio.TaskGroup() as group:
            echoing = group.create_task(self._echo(loaded))
            up, down = await self._up(seconds), await self._down(seconds)
            echoing.cancel()
        return Throughput(
            up_mbps=_mbps(up),
            down_mbps=_mbps(down),
            loss=await self._loss(),
            idle_rtt_ms=_median_ms(idle),
            loaded_rtt_ms=_median_ms(loaded),
        )

    async def _turn(self) -> None:
        """Two measurements at once would measure each other."""
        tunnel, loop = self._tunnel, asyncio.get_running_loop()
        while tunnel.peer_uses is None and tunnel.ended is None:
            await tunnel.changed()
        if tunnel.leads or USE not in (tunnel.peer_uses or ()):
            return
        self._served_at = loop.time()
        while tunnel.ended is None and not self._served_all:
            if not self._busy.locked() and loop.time() - self._served_at > _QUIET_S:
                return
            await asyncio.sleep(_ECHO_EVERY_S)

    async def _echo(self, rtts_s: list[float | None]) -> None:
        while True:
            rtts_s.append(await self._tunnel.echo(_ECHO_WAIT_S))
            await asyncio.sleep(_ECHO_EVERY_S)

    # What is asked here.

    async def _up(self, seconds: float) -> Count | str:
        stream = self._open("up", seconds)
        if isinstance(stream, str):
            return stream
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_send(stream, seconds))
            count = await _answer(stream)
            sending.cancel()
        stream.reset(_MEASURED)
        return count

    async def _down(self, seconds: float) -> Count | str:
        stream = self._open("down", seconds)
        if isinstance(stream, str):
            return stream
        count = await _arrivals(stream, seconds)
        failed = stream.failed
        stream.reset(_MEASURED)
        return failed or count

    def _open(self, what: What, seconds: float) -> TunnelStream | str:
        try:
            return self._tunnel.open(Bench(what, seconds))
        except CannotRun as error:
            return str(error)

    async def _loss(self) -> float | None:
        """None where datagrams are not sent as such."""
        size = min(DATAGRAM_SIZE, self._tunnel.max_datagram)
        link = self._tunnel.link
        stream = self._open("datagrams", DATAGRAMS * DATAGRAM_EVERY_S)
        if isinstance(stream, str) or not await stream.read(1):
            return None
        sent = 0
        if link is not None and link.kind == "quic" and size > 0:
            sent = await _send_datagrams(stream, size)
        stream.end()
        count = await _answer(stream)
        stream.reset(_MEASURED)
        return None if isinstance(count, str) or not sent else round(max(0.0, 1 - count.arrived / sent), 4)

    # What the other side asks.

    async def _serve(self, stream: TunnelStream) -> None:
        assert isinstance(stream.purpose, Bench)
        if USE not in (self._tunnel.peer_uses or ()):
            stream.reset("the side that asks was not started to measure")
            return
        self._served += 1
        if self._served > _MOST_SERVED:
            stream.reset("enough has been measured")
            return
        async with TimeLimit(_SETTLE_S) as limit:  # the one before may just be ending
            await self._busy.acquire()
        if limit.expired():
            stream.reset("a measurement is already running")
            return
        try:
            async with TimeLimit(2 * stream.purpose.seconds + _GRACE_S) as limit:
                await _serve(stream, stream.purpose.what, stream.purpose.seconds)
            if limit.expired():
                stream.reset("the measurement took too long")
        finally:
            self._busy.release()
            self._served_at = asyncio.get_running_loop().time()
            self._served_all = stream.purpose.what == "datagrams"


async def _serve(stream: TunnelStream, what: What, seconds: float) -> None:
    if what == "down":
        await _send(stream, seconds)
        return
    count = await (_arrivals(stream, seconds) if what == "up" else _datagrams(stream))
    stream.write(msgspec.msgpack.encode(count))
    stream.end()
    await stream.finished()


async def _send(stream: TunnelStream, seconds: float) -> None:
    """Until the other side, which counts for so many seconds, has had enough."""
    loop = asyncio.get_running_loop()
    until = loop.time() + 2 * seconds + _GRACE_S
    while not stream.over and loop.time() < until:
        stream.write(_BLOCK)
        await stream.drain()
        await asyncio.sleep(0)  # a drain that need not wait lets nobody else run


async def _arrivals(stream: TunnelStream, seconds: float) -> Count:
    """Count the bytes that come in so many seconds from the first on."""
    loop = asyncio.get_running_loop()
    await stream.read()
    began = last = loop.time()
    arrived = 0
    async with TimeLimit(seconds):
        while data := await stream.read():
            arrived += len(data)
            last = loop.time()
    return Count(arrived, last - began)


async def _answer(stream: TunnelStream) -> Count | str:
    """The other side's count, or why there is none."""
    answer = b""
    while len(answer) < 64 and (data := await stream.read(64)):
        answer += data
    try:
        return _decoder.decode(answer)
    except msgspec.MsgspecError:
        return stream.failed or "the other side sent an invalid count"


async def _send_datagrams(stream: TunnelStream, size: int) -> int:
    """At a steady rate; returns how many left this machine."""
    loop = asyncio.get_running_loop()
    began, sent = loop.time(), 0
    for number in range(DATAGRAMS):
        await asyncio.sleep(began + number * DATAGRAM_EVERY_S - loop.time())
        sent += stream.send_datagram(_BLOCK[:size])
    await asyncio.sleep(_SETTLE_S)
    return sent


async def _datagrams(stream: TunnelStream) -> Count:
    """Count them until the other side has sent all."""
    loop, times = asyncio.get_running_loop(), [0.0, 0.0, 0.0]

    def arrived(data: bytes) -> None:
        times[0] += 1
        times[1:] = (times[1] or loop.time(), loop.time())

    stream.on_datagram = arrived
    stream.write(b"+")
    while await stream.read():
        pass
    stream.on_datagram = None
    return Count(int(times[0]), times[2] - times[1])


def _mbps(count: Count | str) -> float:
    """CannotRun: there is no count, but a reason."""
    if isinstance(count, str):
        raise CannotRun(f"the measurement ended: {count}")
    return 0.0 if count.seconds <= 0 else round(count.arrived * 8 / count.seconds / 1e6, 3)


def _median_ms(values_s: list[float | None]) -> float | None:
    known = [value for value in values_s if value is not None]
    return round(median(known) * 1000, 3) if known else None


ECHOES: Final = 10
WAIT_S: Final = 2.0


async def echoes(tunnel: Tunnel, count: int = ECHOES) -> Echoes:
    """One after the other; each is waited for `WAIT_S` at most, and so is a link if there is none."""
    sent, rtts_ms = 0, []
    while sent < count and tunnel.ended is None:
        sent += 1
        rtt_s = await _one(tunnel)
        if rtt_s is not None:
            rtts_ms.append(rtt_s * 1000)
    return Echoes(sent=sent, received=len(rtts_ms), rtt_ms=_three(rtts_ms))


async def _one(tunnel: Tunnel) -> float | None:
    async with TimeLimit(WAIT_S) as limit:
        await tunnel.present.wait()
    return None if limit.expired() else await tunnel.echo(WAIT_S)


def _three(values_ms: list[float]) -> tuple[float, float, float] | None:
    if not values_ms:
        return None
    return round(min(values_ms), 3), round(median(values_ms), 3), round(max(values_ms), 3)
