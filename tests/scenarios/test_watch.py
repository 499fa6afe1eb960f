"""A watch over a simulated week: each thing that happens is told, once, with the right words; nothing else
is; and nothing piles up."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter

import pytest
from openmetrics import parsed

from nattools.engine.run import measure
from nattools.lab.scenario import Scenario
from nattools.lab.scenariofiles import load, parse
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import parse_endpoint
from nattools.model.report import Report
from nattools.trials.scenarios import measure_options, no_progress
from nattools.watch.metrics import Metrics
from nattools.watch.watch import Watch, WatchEvent
from nattools.wording import sentence

FOLLOWING = ("libp2p", "libp2p.dcutr", "pwnat")
"""What follows from a NAT that behaves otherwise."""
HOUR_S, DAY_S, WEEK_S = 3600.0, 86400.0, 7 * 86400.0


def watched(
    scenario: Scenario, for_s: float, every_s: float = HOUR_S, metrics: Metrics | None = None
) -> list[WatchEvent]:
    """The events of a watch from the start of the scenario on."""
    events: list[WatchEvent] = []
    with SimLab(scenario) as lab:
        chosen = measure_options(lab, "alice")
        network = lab.network("alice")

        def told(event: WatchEvent) -> None:
            events.append(event)
            if metrics is not None:
                metrics.event(event)

        def seen(report: Report | None) -> None:
            if metrics is not None:
                metrics.report(report)

        async def main() -> None:
            async def once() -> Report:
                return await measure(network, chosen, no_progress)

            await Watch(network, once, every_s, told, seen, for_s=for_s).run()

        lab.run(main)
    return events


def about(events: list[WatchEvent], code: str) -> list[WatchEvent]:
    return [event for event in events if event.says.code == code]


def test_a_week_in_which_things_happen() -> None:
    metrics = Metrics()
    events = watched(load("changes"), WEEK_S + 60, 2 * HOUR_S, metrics)
    told = Counter(event.says.code for event in events if event.what not in FOLLOWING)
    assert told == {
        "watch-began": 1,
        "watch-flow-died": 1,  # the router restarted
        "watch-server-gone": 1,
        "watch-server-back": 1,
        "watch-offline": 1,
        "watch-online": 1,
        "diff-outside-address": 7,
        "watch-flow-moved": 8,  # with each address, and when the NAT behaved otherwise
        "diff-behaviour": 4,
    }
    assert [round(event.at_s / DAY_S) for event in about(events, "diff-outside-address")] == list(range(1, 8))
    gone, back = (about(events, code)[0].at_s for code in ("watch-offline", "watch-online"))
    assert 50000 <= gone <= 50600 <= back <= 50000 + 4 * HOUR_S
    assert {event.what for event in about(events, "diff-behaviour")} == {
        f"nat.{lane}.{field}" for lane in ("udp4", "tcp4") for field in ("mapping", "port_allocation")
    }
    died = sentence(about(events, "watch-flow-died")[0].says)
    assert "after 5 h 33 min a busy flow to 11.201.0.2:3478 got no more answers" in died
    families = parsed(metrics.text())
    changes = families["nattools_changes"].samples
    assert changes["nattools_changes_total", (("code", "diff-outside-address"),)] == 7
    assert families["nattools_up"].samples == {("nattools_up", ()): 1}


def test_mappings_that_die_under_traffic_are_told_with_their_age() -> None:
    events = watched(load("loses-mappings"), DAY_S - HOUR_S)
    assert Counter(event.says.code for event in events) == {"watch-began": 1, "watch-flow-moved": 5}
    for event in about(events, "watch-flow-moved"):
        assert event.says.values["seconds"] == pytest.approx(4 * HOUR_S, abs=60)
        assert "The NAT changed a mapping that was in use" in sentence(event.says)


@pytest.mark.parametrize("name", ["home-router", "lossy", "jitter", "symmetric-random", "cgnat"])
def test_where_nothing_happens_nothing_is_told(name: str) -> None:
    codes = [event.says.code for event in watched(load(name), DAY_S)]
    assert codes == ["watch-began"]


def test_a_host_that_moves_is_told_of_as_another_network() -> None:
    scenario = parse(
        'title = "moves"\n[nat.home]\n[nat.cafe]\nmapping = "address-and-port-dependent"\n'
        'allocation = "random"\n[host.alice]\nbehind = ["home", "cafe"]\n'
        '[[event]]\nat_s = 5000\nnode = "alice"\nwhat = "moved"\nto = "cafe"\n',
        "moves.toml",
    )
    events = watched(scenario, 3 * HOUR_S)
    codes = [event.says.code for event in events]
    assert codes[0] == "watch-began"
    assert {"diff-interface", "diff-outside-address", "diff-behaviour"} <= set(codes)
    assert "watch-offline" not in codes


def test_without_a_network_it_waits_for_one() -> None:
    scenario = parse(
        'title = "late"\n[nat.home]\n[host.alice]\nbehind = "home"\n'
        '[[event]]\nat_s = 0\nnode = "alice"\nwhat = "link-down"\n'
        '[[event]]\nat_s = 9000\nnode = "alice"\nwhat = "link-up"\n',
        "late.toml",
    )
    codes = [event.says.code for event in watched(scenario, 4 * HOUR_S)]
    assert codes == ["watch-offline", "watch-online", "watch-began"]


def held() -> tuple[int, int, int]:
    """Bytes that the watch holds, without what the other side of the simulation does; reports; tasks."""
    gc.collect()
    others = [tracemalloc.Filter(False, f"*nattools?{folder}?*") for folder in ("lab", "server")]
    traces = tracemalloc.take_snapshot().filter_traces([*others, tracemalloc.Filter(False, __file__)]).traces
    reports = sum(isinstance(each, Report) for each in gc.get_objects())
    return sum(trace.size for trace in traces), reports, len(asyncio.all_tasks())


def forget_what_other_tests_left() -> None:
    """Empty the caches: what is in them when the counting begins would not be counted, and fall out later."""
    for each in gc.get_objects():
        if isinstance(each, type(parse_endpoint)) and each.__module__.startswith("nattools."):
            each.cache_clear()


def test_nothing_piles_up() -> None:
    """Of two days, the last report is held, and one flow; the second adds less than 150 kB of memory (84,
    while the last caches fill). Ports and transaction ids are new in every measurement: where they were
    kept, it added 500 kB."""
    with SimLab(load("changes")) as lab:
        chosen, network = measure_options(lab, "alice"), lab.network("alice")
        counted: list[tuple[int, int, int]] = []

        async def main() -> None:
            async def once() -> Report:
                return await measure(network, chosen, no_progress)

            async def note() -> None:
                for at_s in (DAY_S - HOUR_S, 2 * DAY_S - HOUR_S):
                    await asyncio.sleep(at_s - lab.loop.time())
                    counted.append(held())

            async with asyncio.TaskGroup() as group:
                group.create_task(note())
                watch = Watch(network, once, 2 * HOUR_S, lambda _: None, lambda _: None, for_s=2 * DAY_S)
                await watch.run()

        before = sum(isinstance(each, Report) for each in gc.get_objects())
        forget_what_other_tests_left()
        tracemalloc.start()
        try:
            lab.run(main)
        finally:
            tracemalloc.stop()
    (first_size, *first), (last_size, *last) = counted
    assert last[0] - before <= 2
    assert last == first
    assert last_size - first_size < 150_000, (first_size, last_size)
