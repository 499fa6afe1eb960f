"""What somebody who has the code, or who wrote the token, can make a machine send to others: no more than was
announced, however often he begins anew."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hostile import named
from punching import MATRIX_KINDS, pair, punching

from nattools.engine.punch.connection import PunchConnection
from nattools.engine.punch.connector import Connector
from nattools.engine.punch.options import Connected, PunchOptions, Use, UseResult, Watcher
from nattools.engine.punch.punch import punch_both, punch_by_tokens
from nattools.engine.punch.signals import AttemptAim
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report
from nattools.model.statement import Statement, statement
from nattools.protocols import ice
from nattools.traversal.budget import ADDRESSES
from nattools.traversal.tokens import TokenCandidate, decode_token, encode_token

OWN_OUTSIDE = "11.1.0.2"
"""Where a measurement looks for hairpinning."""


def limits(report: Report) -> tuple[int, int]:
    """The last ones that alice's report tells."""
    assert report.punch is not None
    said = [each for stage in report.punch.stages for each in stage.statements if each.code == "plan-limit"]
    return int(str(said[-1].values["packets"])), int(str(said[-1].values["addresses"]))


def by_host(sent: Counter[Endpoint], *known: str) -> Counter[str]:
    """Packets by address, but for those to these."""
    found: Counter[str] = Counter()
    for place, count in sent.items():
        if place.host not in known:
            found[place.host] += count
    return found


@pytest.mark.parametrize("kind", ["full-cone", "symmetric-random"])
def test_a_peer_who_loses_the_path_and_names_new_victims_each_time(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as he likes; alice wants to keep the connection, too."""
    victims = (f"11.{number // 250 + 60}.{number % 250}.9" for number in itertools.count())
    prepare, loss = Connector._prepare, PunchConnection._event

    with SimLab(pair(MATRIX_KINDS[kind], MATRIX_KINDS["full-cone"], delay_ms=5), seed=3) as lab:
        bob = lab.network("bob")

        async def evil_prepare(self: Connector, *arguments: Any) -> Any:
            introduction, bases = await prepare(self, *arguments)
            if self.own.run.network is bob:
                places = [Endpoint(next(victims), 53) for _ in range(40)]
                more = tuple(ice.encode(ice.local_candidate("host", place)) for place in places)
                introduction = msgspec.structs.replace(
                    introduction, candidates=introduction.candidates + more
                )
            return introduction, bases

        async def evil_loss(self: PunchConnection) -> Statement | AttemptAim | None:
            if self.connector.own.run.network is not bob:
                return await loss(self)
            await asyncio.sleep(0.5)
            return statement("peer-lost-path")

        async def at_once(self: PunchConnection, pause_s: float) -> bool:
            if self.connector.own.run.network is not bob:
                await asyncio.sleep(pause_s)
            return False

        monkeypatch.setattr(Connector, "_prepare", evil_prepare)
        monkeypatch.setattr(PunchConnection, "_event", evil_loss)
        monkeypatch.setattr(PunchConnection, "_recovers_within", at_once)

        async def stay(connected: Connected) -> UseResult:
            while connected.tunnel.ended is None:
                await connected.tunnel.changed()
            return UseResult()

        async def quarter_of_an_hour(_: Connected) -> UseResult:
            await asyncio.sleep(900.0)
            return UseResult()

        async def main() -> Report:
            options = PunchOptions(measuring=punching(lab), low_ports=False)
            report, _ = await punch_both(
                (lab.network("alice"), options, Watcher()),
                (bob, options, Watcher()),
                uses=(Use(quarter_of_an_hour, names=("keep",)), Use(stay, names=("keep",))),
            )
            return report

        sent = named(lab, "alice")
        report = lab.run(main)
    packets, addresses = limits(report)
    others = by_host(sent, OWN_OUTSIDE, "11.2.0.2")
    assert 0 < others.total() <= packets <= 8000
    assert len(others) <= addresses == ADDRESSES


@pytest.mark.parametrize(
    "kinds",
    [
        ("port-restricted", "port-restricted"),
        ("port-restricted", "symmetric-random"),
        ("udp-blocked", "symmetric-random"),
    ],
    ids=" x ".join,
)
def test_a_token_that_names_thirty_victims(kinds: tuple[str, str]) -> None:
    """Alice waits for ten minutes for somebody who never comes."""

    async def main(lab: SimLab) -> Report:
        options = PunchOptions(measuring=punching(lab), low_ports=False)
        shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def evil() -> str:
            token = decode_token(await shown)
            places = [Endpoint(f"11.60.{number}.9", 53) for number in range(30)]
            told = [TokenCandidate("server-reflexive", place) for place in places]
            told.append(TokenCandidate("server-reflexive", places[0], "tcp", "simultaneous-open"))
            return encode_token(replace(token, candidates=tuple(told)))

        async def never() -> str:
            return await asyncio.get_running_loop().create_future()

        async with asyncio.TaskGroup() as group:
            bob = group.create_task(
                punch_by_tokens(lab.network("bob"), options, Watcher(code=shown.set_result, ask_token=never))
            )
            report = await punch_by_tokens(lab.network("alice"), options, Watcher(ask_token=evil))
            bob.cancel()
        return report

    with SimLab(pair(*(MATRIX_KINDS[kind] for kind in kinds), delay_ms=5), seed=3) as lab:
        sent = named(lab, "alice")
        report = lab.run(lambda: main(lab))
    packets, addresses = limits(report)
    others = by_host(sent, OWN_OUTSIDE)
    assert report.punch is not None
    assert not report.punch.connected
    assert 0 < report.punch.probes_sent <= packets <= 8000
    assert others.total() <= packets
    assert len(others) <= addresses == ADDRESSES
