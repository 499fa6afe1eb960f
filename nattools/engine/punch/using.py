"""From a partner to the end of a connection, however the two have met."""

from __future__ import annotations

import asyncio
import contextlib

from nattools.engine.punch.attempt import Failed
from nattools.engine.punch.connection import GIVE_UP_S, Connection
from nattools.engine.punch.connector import Connector
from nattools.engine.punch.messages import Story
from nattools.engine.punch.telling import report_of
from nattools.engine.punch.timeline import Timeline
from nattools.engine.punch.use import Connected, Use, Used
from nattools.engine.run import Looked
from nattools.model.report import Report

STORY_S = 2.0


async def connect_and_use(connector: Connector, looked: Looked, timeline: Timeline, use: Use) -> Report:
    """Find a way, secure it, use it."""
    way = await connector.connect()
    if isinstance(way, Failed):
        await _swap_stories(connector, timeline)
        return report_of(looked, timeline, connector, way)
    attempt = connector.last
    assert attempt is not None
    keep = connector.own.options.keep
    connection = Connection(
        connector,
        timeline,
        leads=attempt.leads,
        uses=use.names,
        give_up_s=None if keep else GIVE_UP_S,
    )
    try:
        use.prepare(connection.tunnel)
        problem = await connection.secure(way)
        if problem is not None:
            await _swap_stories(connector, timeline)
            return report_of(looked, timeline, connector, Failed(f"A path was found, but: {problem}"))
        return await _used(connection, connector, looked, timeline, use)
    finally:
        connection.close()


async def _used(
    connection: Connection, connector: Connector, looked: Looked, timeline: Timeline, use: Use
) -> Report:
    way = connection.way
    assert way is not None
    used = Used()

    def so_far() -> Report:
        return report_of(looked, timeline, connector, connection.way or way, used)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(connection.tunnel.run())
        holding = group.create_task(connection.hold())
        stories = group.create_task(_swap_stories(connector, timeline))
        used = await _until_ended(connection, use, Connected(connection.tunnel, so_far))
        await connection.tunnel.finish()
        await asyncio.wait((stories,))
        timeline.note("end", "both sides are done" if not used.problem else used.problem)
        report = so_far()
        for task in (running, holding):
            task.cancel()
    return report


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


async def _swap_stories(connector: Connector, timeline: Timeline) -> None:
    """Both sides' view of the attempt in one timeline."""
    attempt = connector.last
    if attempt is None or attempt.known_at is None:
        return
    story = Story(attempt=attempt.number, stages=timeline.since(attempt.known_at)[:60])
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STORY_S):
            told = await connector.partner.swap_stories(story)
            if told is not None:
                timeline.merge(told.stages, attempt.known_at)
