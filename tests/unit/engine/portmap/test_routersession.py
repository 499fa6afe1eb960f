"""Asking a router by one protocol after the other."""

from __future__ import annotations

from typing import Any

import pytest
from mapped import at_home, home, options

from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.portmap.routersession import PortmapSession
from nattools.engine.run import new_run
from nattools.lab.scenario import MapperSpec
from nattools.model.endpoint import Endpoint
from nattools.model.mappingseen import MapAttempt
from nattools.model.portmapping import MappingProtocol
from nattools.probes.portmap import MappingRequest

Made = tuple[MappingProtocol | None, list[tuple[MappingProtocol, int | None]], int]


def made(faults: dict[str, Any], protocol: MappingProtocol | None = None, family: int = 4) -> Made:
    """By which protocol the mapping was made; who was asked, with the code of the refusal; notes left."""

    async def main(lab: Any) -> Made:
        journal = MemoryJournal()
        session = PortmapSession(new_run(lab.network("alice"), options(lab), lambda event: None), journal)
        await session.discover()
        inside = Endpoint("10.0.1.2" if family == 4 else "2a10::2", 4000)
        wanted = MappingRequest(transport="udp", internal=inside, nonce=bytes(12))
        held = await session.make_by_any(session.mappers(4 if family == 4 else 6, protocol), wanted)
        attempts = [seen for seen in session.run.recorder.observations if isinstance(seen, MapAttempt)]
        asked = [seen for seen in attempts if seen.action == "make"]
        told = [(each.protocol, each.refusal.code if each.refusal else None) for each in asked]
        return held.mapper.offer.protocol if held else None, told, len(journal.entries())

    return at_home(main, home(MapperSpec(faults=faults)))


@pytest.mark.parametrize(
    ("faults", "protocol", "by", "asked"),
    [
        ({}, None, "upnp-igd", [("upnp-igd", None)]),
        ({"upnp_error": 501}, None, "pcp", [("upnp-igd", 501), ("pcp", None)]),
        (
            {"upnp_error": 501, "pcp_result": 8},
            None,
            "nat-pmp",
            [("upnp-igd", 501), ("pcp", 8), ("nat-pmp", None)],
        ),
        ({"upnp_error": 501, "pcp_result": 8}, "pcp", None, [("pcp", 8)]),
        ({"upnp_error": 606}, None, None, [("upnp-igd", 606)]),
        ({"upnp_error": 606}, "pcp", "pcp", [("pcp", None)]),
    ],
)
def test_one_protocol_after_the_other(
    faults: dict[str, Any], protocol: MappingProtocol | None, by: MappingProtocol | None, asked: list[Any]
) -> None:
    assert made(faults, protocol) == (by, asked, int(by is not None))


def test_no_router_of_that_family() -> None:
    assert made({}, family=6) == (None, [], 0)
