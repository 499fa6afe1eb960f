"""Whatever comes over a connection to the mailbox or from it: the connection ends in good order, no task
fails, and the server serves the next one."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from simulated import behind_nat, pass_time, run

from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure, TcpStream
from nattools.protocols.mailbox import PATH, MailboxFailure
from nattools.server.serving import ServeConfig, serve
from nattools.traversal.codes import Code, new_code
from nattools.traversal.mailboxconnection import MailboxAddress
from nattools.traversal.rendezvous import RendezvousTimeouts, rendezvous

HOST = "11.201.0.2"
REQUEST = (
    f"GET {PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()

HEADS = (0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8A, 0x8B)
frame_heads = st.sampled_from([bytes([head]) for head in HEADS])
frames = st.builds(
    lambda head, data, mask: head + bytes((len(data) | mask,)) + bytes(4 if mask else 0) + data,
    frame_heads,
    st.binary(max_size=60),
    st.sampled_from((0, 0x80)),
)
noise = st.lists(frames | st.binary(max_size=30), max_size=8).map(b"".join)


def watched() -> list[dict[str, Any]]:
    """Everything that a task of the running loop did not catch."""
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    return problems


@given(st.booleans(), st.integers(0, len(REQUEST)), noise)
@example(True, 0, bytes.fromhex("8880 00000000"))  # a close frame right behind the request
@settings(max_examples=40, deadline=None)
def test_a_server_survives_any_guest(whole: bool, cut: int, data: bytes) -> None:
    async def main(lab: SimLab) -> None:
        problems = watched()
        running = await serve(lab.network("stun"), ServeConfig(addresses=(HOST,)))
        stream = await lab.network("bob").connect_tcp(Endpoint(HOST, 3478), timeout_s=5)
        assert not isinstance(stream, TcpFailure)
        stream.write((REQUEST if whole else REQUEST[:cut]) + data)
        await pass_time(90)
        while await stream.read():
            pass
        stream.close()
        async with rendezvous(lab.network("alice"), MailboxAddress(HOST), new_code()) as alice:
            assert isinstance(await alice.opened(), Code)
        await running.close()
        assert problems == []

    run(behind_nat(), main)


@given(st.booleans(), noise)
@settings(max_examples=40, deadline=None)
def test_a_peer_survives_any_server(http: bool, data: bytes) -> None:
    async def main(lab: SimLab) -> None:
        problems = watched()

        def answer(stream: TcpStream) -> None:
            stream.write((b"HTTP/1.1 101 Switching Protocols\r\n\r\n" if http else b"") + data)

        listener = await lab.network("stun").listen_tcp(family=4, host=HOST, port=3478, on_stream=answer)
        patience = RendezvousTimeouts(first_s=6, return_s=6)
        async with rendezvous(lab.network("alice"), MailboxAddress(HOST), new_code(), patience) as alice:
            assert isinstance(await alice.opened(), MailboxFailure)
        listener.close()
        assert problems == []

    run(behind_nat(), main)
