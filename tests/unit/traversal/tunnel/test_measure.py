from __future__ import annotations

import asyncio
from itertools import count

import pytest
from links import Pair, run_pair

from nattools.errors import CannotRun
from nattools.model.punch import Echoes, Throughput
from nattools.protocols.tunnel import Bench
from nattools.traversal.tunnel.measure import DATAGRAMS, USE, BenchUse, echoes


def test_ten_echoes() -> None:
    async def main(pair: Pair) -> Echoes:
        return await echoes(pair.one)

    assert run_pair(main) == Echoes(sent=10, received=10, rtt_ms=(20.0, 20.0, 20.0))


def test_echoes_that_do_not_come_are_counted() -> None:
    async def main(pair: Pair) -> Echoes:
        await pair.one.present.wait()
        await pair.one.echo(1.0)
        assert pair.one.link is not None
        pair.one.link.abort()
        await pair.one.lost.wait()
        return await echoes(pair.one, 3)

    assert run_pair(main) == Echoes(sent=3, received=0)


def measured(rate: float, *, drops: int = 0, kind: str = "quic", seconds: float = 5.0) -> Throughput:
    async def main(pair: Pair) -> Throughput:
        uses = [BenchUse(tunnel) for tunnel in (pair.one, pair.other)]
        links = pair.join(0.02, rate)
        number = count()
        for link in links:
            link.kind = kind  # type: ignore[assignment]
        if drops:
            links[0].drops_datagram = lambda data: next(number) % drops == 0
        return await uses[0].run(seconds)

    return run_pair(main, uses=(USE,), joined=False)


def test_the_rate_of_the_link_is_found_each_way() -> None:
    result = measured(1e6)
    assert result.up_mbps == pytest.approx(8.0, rel=0.05)
    assert result.down_mbps == pytest.approx(8.0, rel=0.05)
    assert result.loss == 0
    assert result.idle_rtt_ms == pytest.approx(40, abs=1)
    assert result.loaded_rtt_ms is not None
    assert result.loaded_rtt_ms > 60


def test_a_slow_link_is_measured_in_the_time_given() -> None:
    async def main(pair: Pair) -> tuple[Throughput, float]:
        uses = [BenchUse(tunnel) for tunnel in (pair.one, pair.other)]
        pair.join(0.02, 20_000)
        throughput = await uses[0].run(5.0)
        return throughput, asyncio.get_running_loop().time()

    result, took_s = run_pair(main, uses=(USE,), joined=False)
    assert result.up_mbps == pytest.approx(0.16, rel=0.2)
    assert took_s < 60


def test_lost_datagrams_are_found() -> None:
    # the link that drops says that it sent them
    async def main(pair: Pair) -> Throughput:
        uses = [BenchUse(tunnel) for tunnel in (pair.one, pair.other)]
        links = pair.join(0.02, 1e6)
        arriving, number = links[1], count()
        await pair.other.present.wait()
        deliver = arriving.on_datagram
        assert deliver is not None
        arriving.on_datagram = lambda data: deliver(data) if next(number) % 10 else None
        return await uses[0].run(0.5)

    result = run_pair(main, uses=(USE,), joined=False)
    assert result.loss == pytest.approx(0.1, abs=1 / DATAGRAMS)


def test_over_tls_no_loss_is_told() -> None:
    assert measured(1e6, kind="tls", seconds=0.5).loss is None


def test_both_sides_measure_one_after_the_other() -> None:
    async def main(pair: Pair) -> list[Throughput]:
        uses = [BenchUse(tunnel) for tunnel in (pair.one, pair.other)]
        pair.join(0.02, 1e6)
        return list(await asyncio.gather(*(use.run(2.0) for use in uses)))

    for result in run_pair(main, uses=(USE,), other_uses=(USE,), joined=False):
        assert result.up_mbps == pytest.approx(8.0, rel=0.05)
        assert result.down_mbps == pytest.approx(8.0, rel=0.05)


def test_a_refused_measurement_gives_no_figures() -> None:
    async def main(pair: Pair) -> None:
        with pytest.raises(CannotRun, match="takes no part"):
            await BenchUse(pair.one).run()

    run_pair(main)


def test_nothing_is_measured_unasked() -> None:
    async def main(pair: Pair) -> str | None:
        BenchUse(pair.other)
        return await pair.one.open(Bench("down", 60.0)).finished()

    assert run_pair(main) == "the side that asks was not started to measure"


def test_a_peer_measures_so_often_and_no_more() -> None:
    async def main(pair: Pair) -> list[str | None]:
        use = BenchUse(pair.one)
        BenchUse(pair.other)
        await use.run(0.1)
        await use.run(0.1)
        await use.run(0.1)
        return [await pair.one.open(Bench(what, 60.0)).finished() for what in ("up", "down")]

    assert run_pair(main, uses=(USE,)) == ["enough has been measured"] * 2


def test_one_measurement_at_a_time() -> None:
    async def main(pair: Pair) -> str | None:
        BenchUse(pair.other)
        pair.join()
        first, second = (pair.one.open(Bench("down", 5.0)) for _ in range(2))
        assert await first.read()
        return await second.finished()

    assert run_pair(main, uses=(USE,), joined=False) == "a measurement is already running"


def test_a_measurement_ends_with_the_tunnel() -> None:
    async def main(pair: Pair) -> None:
        uses = [BenchUse(tunnel) for tunnel in (pair.one, pair.other)]
        pair.join(0.02, 1e6)
        asyncio.get_running_loop().call_later(3.0, pair.other.stop, "gone")
        asyncio.get_running_loop().call_later(4.0, pair.one.stop, "no way was found again")
        with pytest.raises(CannotRun, match="no way was found again"):
            await uses[0].run()

    run_pair(main, uses=(USE,), joined=False)
