"""Name servers asked for TXT records, on the simulator's clock: the ones that answer, that are silent, that
lie, that have more to say than a datagram holds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nattools.lab.scenario import HostSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network, TcpStream
from nattools.net.system.nameservers import look_up_texts, name_servers

NAME = "_dnsaddr.peers.example"
DRAWN = Scenario(
    title="a name server",
    host={"alice": HostSpec()},
    server={"names": ServerSpec(addresses=1), "silent": ServerSpec(addresses=1)},
)


def reply(question: bytes, texts: list[str], *, code: int = 0, truncated: bool = False) -> bytes:
    from scapy.layers.dns import DNS, DNSRR

    asked = DNS(question)
    records = [DNSRR(rrname=NAME, type="TXT", rdata=[each], ttl=60) for each in texts]
    return bytes(DNS(id=asked.id, qr=1, rcode=code, tc=int(truncated), qd=asked.qd, an=records, ar=[]))


class NameServer:
    """Answers over UDP; where it says that there is more, over TCP. `forged`: a wrong answer comes first."""

    def __init__(self, *, code: int = 0, truncated: bool = False, forged: bool = False) -> None:
        self.code, self.truncated, self.forged = code, truncated, forged
        self.texts = ["one", "two"]
        self.streams: asyncio.Queue[TcpStream] = asyncio.Queue()

    async def open(self, network: Network, host: str) -> None:
        socket = await network.open_udp(family=4, host=host, port=53)

        def on_datagram(data: bytes, source: Endpoint) -> None:
            if self.forged:
                lie = bytearray(reply(data, ["evil"]))
                lie[0] ^= 0xFF
                socket.send(bytes(lie), source)
                socket.send(b"\xff" * 40, source)
            texts = [] if self.truncated or self.code else self.texts
            socket.send(reply(data, texts, code=self.code, truncated=self.truncated), source)

        socket.on_datagram = on_datagram
        await network.listen_tcp(family=4, host=host, port=53, on_stream=self.streams.put_nowait)

    async def serve_stream(self, *, cut: bool = False) -> None:
        stream = await self.streams.get()
        data = await stream.read()
        whole = reply(data[2:], self.texts)
        stream.write(len(whole).to_bytes(2, "big") + (whole[:20] if cut else whole))
        stream.end()


def looked_up(server: NameServer | None, *, cut: bool = False, first: str = "names") -> tuple[object, float]:
    """What alice learns, and in which time."""

    async def main() -> tuple[object, float]:
        at = {name: lab.layout.ports_of(name)[0].addresses[0].ip for name in ("names", "silent")}
        if server is not None:
            await server.open(lab.network("names"), at["names"])
        order = [first, *(each for each in at if each != first)]
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            helper = group.create_task(server.serve_stream(cut=cut)) if server and server.truncated else None
            found = await look_up_texts(
                lab.network("alice"), NAME, [Endpoint(at[each], 53) for each in order]
            )
            if helper is not None:
                helper.cancel()
        return found, asyncio.get_running_loop().time() - began

    with SimLab(DRAWN, start_servers=False) as lab:
        return lab.run(main)


def test_the_first_that_answers_is_believed() -> None:
    assert looked_up(NameServer())[0] == ("one", "two")
    found, took_s = looked_up(NameServer(), first="silent")
    assert found == ("one", "two")
    assert took_s < 2.5


def test_a_forged_answer_is_not() -> None:
    assert looked_up(NameServer(forged=True))[0] == ("one", "two")


def test_what_is_too_long_for_a_datagram_comes_over_tcp() -> None:
    assert looked_up(NameServer(truncated=True))[0] == ("one", "two")


def test_a_stream_that_is_cut_off_is_no_answer() -> None:
    found, _ = looked_up(NameServer(truncated=True), cut=True)
    assert found == f"no name server answered for the TXT records of {NAME}"


@pytest.mark.parametrize(
    ("code", "says"), [(3, "there is no name"), (2, "answers SERVFAIL"), (5, "answers REFUSED")]
)
def test_what_a_server_says_instead(code: int, says: str) -> None:
    found, _ = looked_up(NameServer(code=code))
    assert isinstance(found, str)
    assert says in found


def test_silence_takes_no_longer_than_it_may() -> None:
    found, took_s = looked_up(None)
    assert found == f"no name server answered for the TXT records of {NAME}"
    assert took_s <= 5.0


def test_without_servers_or_a_name_nobody_is_asked() -> None:
    async def main() -> list[object]:
        alice = lab.network("alice")
        return [
            await look_up_texts(alice, NAME, []),
            await look_up_texts(alice, "a..b", [Endpoint("11.0.0.1", 53)]),
        ]

    with SimLab(DRAWN, start_servers=False) as lab:
        none, no_name = lab.run(main)
    assert none == "this system does not say which name servers it asks"
    assert no_name == "'a..b' is not a name"


def test_the_file_that_names_them(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# x\nsearch lan\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver nonsense\n")
    assert name_servers(file) == ("127.0.0.53", "fe80::1%eth0")
    assert name_servers(tmp_path / "none") == ()
