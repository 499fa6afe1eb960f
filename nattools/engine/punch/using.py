"""From a partner to the end of a connection, however the two have met."""

from __future__ import annotations

import asyncio
import contextlib

from nattools.engine.punch.attempt import Failed
from nattools.engine.punch.connection import Connection
from nattools.engine.punch.connector import Connector
from nattools.engine.punch.messages import story_of
from nattools.engine.punch.telling import Standing
from nattools.engine.punch.use import Connected, Use, Used
from nattools.model.report import Report

STORY_S = 2.0


async def connect_and_use(standing: Standing, connector: Connector, use: Use) -> None:
    """Find a way, secure it, use it; `standing` says how far it has come."""
    standing.connector = connector
    way = standing.result = await connector.connect()
    attempt = connector.last
    if isinstance(way, Failed) or attempt is None:
        await _swap_stories(connector)
        return
    connection = Connection(connector, leads=attempt.leads, uses=use.names)
    try:
        use.prepare(connection.tunnel)
        problem = await connection.secure(way)
        if problem is not None:
            standing.result = Failed(f"A path was found, but: {problem}")
            await _swap_stories(connector)
            return
        await _use(standing, connection, use)
    finally:
        standing.result = standing.result if connection.way is None else connection.way
        connection.close()


async def _use(standing: Standing, connection: Connection, use: Use) -> None:
    def so_far() -> Report:
        standing.result = connection.way
        return standing.report()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(connection.tunnel.run())
        holding = group.create_task(connection.hold())
        stories = group.create_task(_swap_stories(connection.connector))
        standing.used = await _until_ended(connection, use, Connected(connection.tunnel, so_far))
        await connection.tunnel.finish()
        await asyncio.wait((stories,))
        standing.timeline.note("end", standing.used.problem or "both sides are done")
        so_far()
        for task in (running, holding):
            task.cancel()


async def _until_ended(connection: Connection, use: Use, connected: Connected) -> Used:
    """Use it, no longer than there is a tunnel."""
    async with asyncio.TaskGroup() as group:
        using = group.create_task(use.run(connected))
        ended = group.create_task(_ended(connection))
        await asyncio.wait((using, ended), return_when=asyncio.FIRST_COMPLETED)
        if not using.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asyncio.wait((using,))
        for task in (using, ended):
            task.cancel()
        await asyncio.wait((using, ended))
    if using.cancelled():
        return Used(problem=connection.tunnel.ended or "")
    return using.result()


async def _ended(connection: Connection) -> None:
    while connection.tunnel.ended is None:
        await connection.tunnel.changed()


async def _swap_stories(connector: Connector) -> None:
    """Both sides' view of the attempt in one timeline."""
    attempt, timeline = connector.last, connector.timeline
    if attempt is None or attempt.known_at is None:
        return
    story = story_of(attempt.number, timeline.since(attempt.known_at))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STORY_S):
            told = await connector.partner.swap_stories(story)
            if told is not None:
                timeline.merge(told.stages, attempt.known_at)
