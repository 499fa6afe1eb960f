"""Whoever knows the secret of a pwnat listener and says what he likes: no more packets nor addresses than one
attempt may cost, none to places where nobody may be, and who comes after him is let in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hostile import named
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import Watcher
from nattools.engine.pwnat.connecting import connect, listen
from nattools.engine.pwnat.knockoptions import PwnatOptions
from nattools.lab.backend import open_lab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint, parse_address
from nattools.model.report import Report
from nattools.protocols import pwnat
from nattools.protocols.pwnat.knock import CallerNat, Knock, encode_knock
from nattools.protocols.pwnat.outside import LARGEST_STEP, ListenerPorts
from nattools.protocols.pwnat.secret import keys_of
from nattools.traversal.budget import ADDRESSES, MOST

SECRET = "the same on both sides"
LISTENER = Endpoint("11.1.0.2", 2222)
KEYS = keys_of(SECRET)
PATIENCE_S = 120.0
PLACES = (
    None,
    "11.101.0.2",
    "127.0.0.1",
    "::1",
    "2a10:99::1",
    "224.0.0.251",
    "ff02::fb",
    "0.0.0.1",
    "255.255.255.255",
    "169.254.7.7",
    "10.0.1.1",
    "10.0.1.2",
    "10.0.1.255",
    "192.168.7.7",
    "11.1.0.2",
    "11.201.0.2",
    "fe80::1",
    "64:ff9b::b00:1",
)
places = st.sampled_from(PLACES) | st.integers(0, 199).map(lambda number: f"11.70.0.{number}")
ports = st.sampled_from([0, 1, 53, 80, 1023, 1024, 2222, 65_535]) | st.integers(0, 65_535)
nats = st.builds(
    CallerNat,
    st.sampled_from(["none", "endpoint-independent", "address-and-port-dependent", "unknown"]),
    st.sampled_from(["endpoint-independent", "address-and-port-dependent", "unknown"]),
    st.sampled_from(["preserving", "sequential", "random", "unknown"]),
    st.integers(-0x8000, 0x7FFF),
    st.none() | st.tuples(ports, ports),
    st.booleans(),
    st.booleans(),
)
moves = st.builds(
    ListenerPorts, st.sampled_from(["not", "predictably", "at random"]), st.integers(0, LARGEST_STEP)
)
knocks = st.fixed_dictionaries(
    {
        "wait_s": st.sampled_from([0.0, 0.01, 0.3, 1.0, 3.0, 7.0]),
        "session": st.integers(0, 3),
        "caller": places,
        "port": ports,
        "attempt": st.sampled_from([0, 0, 0, 1, 2, 255]),
        "step": st.sampled_from([0, 0, 1, 2, 3, 9, 255]),
        "nat": nats,
        "listener": moves,
        "source": st.sampled_from(["11.101.0.2", "127.0.0.1", "224.0.0.1", "10.0.1.1", "11.1.0.2"]),
        "late_s": st.sampled_from([0.0, 0.0, 0.0, -3600.0, 290.0]),
    }
)


def options(wait_s: float) -> PwnatOptions:
    measuring = MeasureOptions("pwnat", (), families=(4,))
    return PwnatOptions(secret=SECRET, measuring=measuring, wait_s=wait_s, listener=LISTENER)


def packet(number: int, said: dict[str, Any], now: float) -> bytes:
    fields = {name: said[name] for name in ("caller", "port", "attempt", "step", "nat", "listener")}
    sent_ms = max(0, int((now + said["late_s"]) * 1000))
    session = bytes([said["session"]]) * 12
    data = encode_knock(Knock(session=session, number=number, sent_ms=sent_ms, **fields), KEYS.knock)
    return pwnat.time_exceeded(said["source"], LISTENER, pwnat.TARGETS[number % 2], data)


@pytest.mark.parametrize("kind", [NatSpec(), NatSpec(filtering="endpoint-independent")], ids=["home", "cone"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(said=st.lists(knocks, max_size=30))
def test_whatever_a_caller_with_the_secret_says(kind: NatSpec, said: list[dict[str, Any]]) -> None:
    scenario = Scenario(
        title="t",
        name="t",
        nat={"home": kind},
        host={"alice": HostSpec(behind="home", delay_ms=10), "carol": HostSpec(), "dave": HostSpec()},
    )
    with open_lab(scenario, "sim") as lab:
        assert isinstance(lab, SimLab)
        lab.run(lambda: conversation(lab, said))


async def conversation(lab: SimLab, said: list[dict[str, Any]]) -> None:
    loop = asyncio.get_running_loop()
    sent = named(lab, "alice")
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(
            listen(lab.network("alice"), options(PATIENCE_S), Watcher(), wall=loop.time)
        )
        await asyncio.sleep(1.0)
        for number, each in enumerate(said):
            await asyncio.sleep(each["wait_s"])
            lab.network("carol").send_packet(packet(number, each, loop.time()))
        calling = group.create_task(
            connect(lab.network("dave"), options(PATIENCE_S), Watcher(), wall=loop.time)
        )
    assert sum(sent.values()) <= MOST
    assert len({place.host for place in sent}) <= ADDRESSES
    for place in sent:
        address = parse_address(place.host)
        one_host = not any((address.is_loopback, address.is_multicast, address.is_unspecified))
        assert one_host, place
        assert place.host not in ("255.255.255.255", "192.168.7.7", "169.254.7.7"), place
    assert connected(listening.result())
    assert connected(calling.result())


def connected(report: Report) -> bool:
    assert report.pwnat is not None
    return report.pwnat.connected
