"""The peer in an interoperability test: aioice, told what to do by its arguments and by lines of JSON.

    aioicepeer.py controlling|controlled [STUN HOST]

It writes its credentials and candidates, reads those of its peer, connects, answers each datagram with the
same bytes until one says "end", and writes what it came to.
"""

import asyncio
import json
import sys
from typing import Any

import aioice


def say(**what: Any) -> None:
    """One line."""
    print(json.dumps(what), flush=True)


async def answer(connection: aioice.Connection) -> int:
    """Echo until the end; how many datagrams came."""
    count = 0
    while (data := await connection.recv()) != b"\xc0end":
        count += 1
        await connection.send(data)
    return count


async def main(role: str, *server: str) -> None:
    """The whole of it."""
    stun_server = (server[0], 3478) if server else None
    connection = aioice.Connection(role == "controlling", stun_server=stun_server)
    await connection.gather_candidates()
    candidates = ["candidate:" + candidate.to_sdp() for candidate in connection.local_candidates]
    say(ufrag=connection.local_username, password=connection.local_password, candidates=candidates)
    peer = json.loads(await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline))
    connection.remote_username, connection.remote_password = peer["ufrag"], peer["password"]
    for text in peer["candidates"]:
        await connection.add_remote_candidate(aioice.Candidate.from_sdp(text.removeprefix("candidate:")))
    await connection.add_remote_candidate(None)
    try:
        await connection.connect()
    except ConnectionError as error:
        say(connected=False, why=str(error))
        return
    say(connected=True, controlling=connection.ice_controlling)
    say(echoed=await answer(connection))
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
