"""Which router should have said Packet Too Big, and when nobody can know that none did."""

from __future__ import annotations

import pytest

from nattools.engine.measureoptions import Event, MeasureOptions
from nattools.engine.run import measure
from nattools.lab.scenariofiles import load
from nattools.lab.sim.simlab import SimLab, SimNetwork
from nattools.model.ipv6 import PathMtu
from nattools.model.observation import Hop
from nattools.model.serveruri import parse_server
from nattools.net.base import Capability
from nattools.probes.pathmtu import last_before_silence
from nattools.probes.sizesearch import largest_for


def silent(event: Event) -> None:
    """No progress."""


def test_a_system_that_tells_of_no_errors_knows_of_no_black_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(network: SimNetwork, capability: Capability) -> str | None:
        return "no such thing here" if capability == "icmp-errors" else None

    monkeypatch.setattr(SimNetwork, "missing", missing)
    with SimLab(load("ipv6-black-hole")) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions(command="ipv6", servers=servers, mtu=True)
        report = lab.run(lambda: measure(lab.network("alice"), options, silent))
    assert report.ipv6 is not None
    assert report.ipv6.path_mtu.ipv6 == PathMtu(bytes=1280, link=1500)
    assert "black-hole" not in [each.code for each in report.ipv6.problems]


@pytest.mark.parametrize(
    ("came_to", "small", "last"),
    [
        ({1: "a"}, ["a", "b"], "a"),
        ({1: "a", 2: "b"}, ["a", "b"], "b"),  # the server itself is next
        ({1: "a", 3: "c"}, ["a", None, "c", "d"], "c"),
        ({1: "a"}, ["a", None, "c"], None),  # large packets may have come to the silent one
        ({1: "a", 5: "e"}, ["a", "b", "c", "d", "e"], None),  # farther was not looked
        ({}, ["a"], None),
        ({}, [], None),
    ],
)
def test_the_last_router_is_named_where_the_next_one_would_have_answered(
    came_to: dict[int, str], small: list[str | None], last: str | None
) -> None:
    hops = [
        Hop(probe="layers", family=6, destination="s", ttl=ttl, address=address, sent=1)
        for ttl, address in enumerate(small, 1)
    ]
    assert last_before_silence(came_to, hops) == last


def test_what_fits_the_interface_in_whole_words() -> None:
    assert [largest_for(link) for link in (None, 1454, 1492, 65536)] == [1500, 1452, 1492, 9216]
