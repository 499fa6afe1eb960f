"""aioice as one side of a bench, told what to do by lines on standard input; every answer is a line of JSON.

    aioicetimer.py controlling|controlled STUN_HOST

`gather` makes a new connection and tells of its credentials and candidates; the next line, those of the peer
in JSON, makes it connect and tell how long that took, in seconds, or why it did not.
"""

import asyncio
import json
import sys
import time
from typing import Any

import aioice

LIMIT_S = 15.0
"""Seen once: aioice waited for ever."""


def say(**what: Any) -> None:
    """One line."""
    print(json.dumps(what), flush=True)


async def hear() -> str:
    """The next line; empty at the end."""
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def connect(connection: aioice.Connection, peer: dict[str, Any]) -> float | None:
    """From the peer's candidates known to a chosen path; None if there is none."""
    connection.remote_username, connection.remote_password = peer["ufrag"], peer["password"]
    began = time.perf_counter()
    for text in peer["candidates"]:
        await connection.add_remote_candidate(aioice.Candidate.from_sdp(text))
    await connection.add_remote_candidate(None)
    try:
        async with asyncio.timeout(LIMIT_S):
            await connection.connect()
    except (ConnectionError, TimeoutError):
        return None
    return time.perf_counter() - began


async def main(role: str, server: str) -> None:
    """Until there is nothing more to do."""
    while await hear():
        connection = aioice.Connection(role == "controlling", stun_server=(server, 3478))
        await connection.gather_candidates()
        candidates = [candidate.to_sdp() for candidate in connection.local_candidates]
        say(ufrag=connection.local_username, password=connection.local_password, candidates=candidates)
        elapsed_s = await connect(connection, json.loads(await hear()))
        say(elapsed_s=elapsed_s)
        await hear()
        await connection.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
