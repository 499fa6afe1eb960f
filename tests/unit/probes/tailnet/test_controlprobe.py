"""What answers in a control server's place may be anything."""

from __future__ import annotations

import asyncio

import pytest
from pages import Pages, response
from simulated import open_internet, run

from nattools.lab.sim.simlab import SimLab
from nattools.model.controlurl import ControlUrl
from nattools.model.tailnetseen import ControlTrial
from nattools.probes.probe import Recorder
from nattools.probes.relay.inflight import InFlightLimit
from nattools.probes.tailnet.controlprobe import try_control
from nattools.probes.tailnet.tailnetcontext import TailnetContext


class Anything(dict[str, bytes]):
    """The same page, whatever is asked for."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self._page = page

    def __contains__(self, target: object) -> bool:
        return True

    def __getitem__(self, target: str) -> bytes:
        return self._page


def trial(page: bytes) -> ControlTrial:
    """What is recorded of a server that answers with this page."""

    async def main(lab: SimLab) -> ControlTrial:
        await Pages(Anything(page)).open(lab.network("bob"))
        recorder = Recorder(asyncio.get_running_loop().time())
        context = TailnetContext(lab.network("alice"), recorder, InFlightLimit(), (4,))
        await try_control(context, 1, ControlUrl("http://bob", "http", "bob", 80, ""))
        (found,) = recorder.observations
        assert isinstance(found, ControlTrial)
        return found

    return run(open_internet(), main)


@pytest.mark.parametrize(
    ("location", "cause"),
    [
        ("https://log.in/", "captive-portal"),
        ("https://bob/key", "error"),
        ("http://[", "error"),
        ("//\u2100.example/", "error"),
        ("\0", "error"),
    ],
)
def test_where_it_leads_may_be_no_url(location: str, cause: str) -> None:
    found = trial(response(b"", "302 Found", f"Location: {location}"))
    assert found.cause == cause
