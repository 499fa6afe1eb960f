"""At which of the servers the two meet, and how."""

from __future__ import annotations

import asyncio

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.meeting import choose_mailbox
from nattools.engine.punch.options import PunchOptions
from nattools.engine.run import CompletedRun
from nattools.model.serveruri import parse_server


@pytest.mark.parametrize(
    ("server", "place", "secure"),
    [
        ("example.org", "example.org:3478", False),
        ("stun:example.org:443", "example.org:443", False),
        ("stuns:example.org", "example.org:5349", True),
        ("stuns:example.org:443", "example.org:443", True),
    ],
)
def test_the_only_server_that_is_named_within_tls_if_it_is(server: str, place: str, secure: bool) -> None:
    options = PunchOptions(measuring=MeasureOptions("punch", (parse_server(server),)))

    async def main() -> None:
        looking: asyncio.Future[CompletedRun] = asyncio.get_running_loop().create_future()
        chosen = await choose_mailbox(looking, options)  # type: ignore[arg-type]
        assert str(chosen) == place
        assert (chosen.tls is not None) == secure

    asyncio.run(main())
