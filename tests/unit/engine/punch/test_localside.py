"""A port mapping asked for beside a punch, from routers that refuse."""

from __future__ import annotations

from typing import Any

from mapped import at_home, home, options

from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.punch.localside import RouterMapping
from nattools.engine.punch.timeline import Timeline
from nattools.engine.run import new_run
from nattools.lab.scenario import MapperSpec
from nattools.model.endpoint import Endpoint
from nattools.model.mappingseen import MapAttempt


def asked(faults: dict[str, Any], internal: Endpoint) -> tuple[Endpoint | None, list[str]]:
    """The outside address that the router gives, and the protocols by which a mapping was asked for."""

    async def main(lab: Any) -> tuple[Endpoint | None, list[str]]:
        run = new_run(lab.network("alice"), options(lab, families=(4,)), lambda event: None)
        router = RouterMapping(run, MemoryJournal(), Timeline(lambda stage: None))
        await router.discover()
        outside = await router.ask(internal)
        attempts = [seen for seen in run.recorder.observations if isinstance(seen, MapAttempt)]
        await router.release()
        return outside, [each.protocol for each in attempts if each.action == "make"]

    return at_home(main, home(MapperSpec(faults=faults)))


def test_a_port_that_upnp_forbids_is_not_asked_for_by_pcp() -> None:
    """miniupnpd 2.3.1 freezes for more than a minute when PCP asks for a forbidden port."""
    outside, protocols = asked({"upnp_error": 606}, Endpoint("10.0.1.2", 4000))
    assert outside is None
    assert protocols == ["upnp-igd"]


def test_another_refusal_by_upnp_leaves_pcp_to_be_asked() -> None:
    outside, protocols = asked({"upnp_error": 501}, Endpoint("10.0.1.2", 4000))
    assert outside == Endpoint("11.1.0.2", 4000)
    assert protocols == ["upnp-igd", "pcp"]
