"""TLS links: who is refused, and what keeps within bounds."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
from linked import OTHER_SECRET, SECRET, both, read_all, streams, tls_links
from simulated import open_internet, pass_time, run

from nattools.lab.sim.simlab import SimLab
from nattools.model.statement import Statement, statement
from nattools.net.base import TcpStream
from nattools.net.system.hostnetwork import HostNetwork
from nattools.net.web.tls import TlsStream, start_tls
from nattools.traversal.identity import NAME, UNPROVEN, identity
from nattools.traversal.links.tlslink import (
    LONGEST,
    WINDOW,
    RecordReader,
    TlsLink,
    record,
    records_of,
    tls_link,
)
from nattools.wording import sentence


def on_streams(main: Callable[[TcpStream, TcpStream], Awaitable[None]]) -> None:
    """Run `main` with two ends of a connection with a round trip of 40 ms."""

    async def with_streams(lab: SimLab) -> None:
        await main(*await streams(lab.network("alice"), lab.network("bob")))

    run(open_internet(delay_ms=20), with_streams)


def test_a_wrong_secret_is_refused_on_both_sides() -> None:
    async def main(one: TcpStream, other: TcpStream) -> None:
        answers = await both(
            tls_link(one, SECRET, leads=True, timeout_s=5),
            tls_link(other, OTHER_SECRET, leads=False, timeout_s=5),
        )
        assert all(isinstance(answer, Statement) and UNPROVEN in sentence(answer) for answer in answers)

    on_streams(main)


@pytest.mark.parametrize("leads", [True, False])
def test_two_of_the_same_role_are_no_pair(leads: bool) -> None:
    async def main(one: TcpStream, other: TcpStream) -> None:
        answers = await both(*(tls_link(each, SECRET, leads=leads, timeout_s=5) for each in (one, other)))
        assert all(isinstance(answer, Statement) for answer in answers)

    on_streams(main)


@pytest.mark.parametrize("leads", [True, False])
@pytest.mark.parametrize("shows", ["his own", "none"])
def test_a_man_in_the_middle_is_refused(leads: bool, shows: str, tmp_path: Path) -> None:
    """He trusts anybody, and has a key and certificate that call themselves what ours do."""
    own = identity(OTHER_SECRET, leads=not leads)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if leads else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if leads or shows == "his own":
        context.load_cert_chain(written(own, tmp_path))

    async def main(one: TcpStream, other: TcpStream) -> None:
        async def impostor() -> TlsStream | str:
            answer = await start_tls(other, context, timeout_s=5, server_name=None if leads else NAME)
            if isinstance(answer, TlsStream):
                answer.write(record("alive") + records_of(b"believe me"))
                await answer.read()
            return answer

        answer, _ = await both(tls_link(one, SECRET, leads=leads, timeout_s=5), impostor())
        assert isinstance(answer, Statement)
        assert UNPROVEN in sentence(answer)

    on_streams(main)


def written(own: object, folder: Path) -> Path:
    """An identity in a file, as `ssl` wants it."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from nattools.traversal.identity import Identity

    assert isinstance(own, Identity)
    path = folder / "identity.pem"
    path.write_bytes(own.pem + own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.mark.parametrize("garbage", [b"", b"GET / HTTP/1.1\r\n\r\n", bytes(5000)])
@pytest.mark.parametrize("leads", [True, False])
def test_garbage_is_refused(leads: bool, garbage: bytes) -> None:
    async def main(one: TcpStream, other: TcpStream) -> None:
        other.write(garbage)
        other.close()
        answer = await tls_link(one, SECRET, leads=leads, timeout_s=5)
        assert isinstance(answer, Statement)
        assert "TLS" in sentence(answer) or UNPROVEN in sentence(answer)

    on_streams(main)


def test_a_silent_peer_is_not_waited_for_longer_than_told() -> None:
    async def main(one: TcpStream, other: TcpStream) -> None:
        answer = await tls_link(one, SECRET, leads=True, timeout_s=5)
        assert answer == statement("link-silent", protocol="TLS", limit_s=5)
        assert asyncio.get_running_loop().time() < 5.1

    on_streams(main)


def test_what_was_altered_on_the_way_ends_the_link() -> None:
    async def main(one: TcpStream, other: TcpStream) -> None:
        ours, theirs = await tls_links(one, other)
        one.write(b"\x17\x03\x03\x00\x20" + bytes(32))  # a TLS record that nobody sealed
        ours.write(b"hello")
        assert await theirs.read() == b""
        assert theirs.ended == "the peer broke it off"

    on_streams(main)


def test_unread_bytes_are_bounded() -> None:
    async def main(one: TcpStream, other: TcpStream) -> None:
        ours, theirs = await tls_links(one, other)
        data = Random(3).randbytes(1 << 20) * 6
        ours.write(data)
        await pass_time(120)
        assert WINDOW <= theirs._inbox.waiting <= WINDOW + LONGEST
        _, got = await both(ours.close(), read_all(theirs))
        assert got == data

    on_streams(main)


def test_over_the_system_s_own_sockets() -> None:
    async def main() -> None:
        network = HostNetwork()
        ours, theirs = await tls_links(*await loopback(network))
        data = Random(9).randbytes(1 << 20)
        ours.write(data)
        _, got = await both(ours.close(), read_all(theirs))
        assert got == data

    asyncio.run(main())


async def loopback(network: HostNetwork) -> tuple[TcpStream, TcpStream]:
    accepted: asyncio.Future[TcpStream] = asyncio.get_running_loop().create_future()
    listener = await network.listen_tcp(family=4, host="127.0.0.1", on_stream=accepted.set_result)
    stream = await network.connect_tcp(listener.local, timeout_s=60)
    assert not isinstance(stream, (str,))
    other = await accepted
    listener.close()
    return stream, other  # type: ignore[return-value]


def test_identities_are_the_same_wherever_they_are_made() -> None:
    made = {identity(SECRET, leads=True).der, identity(SECRET, leads=True).der}
    assert len(made) == 1
    made |= {identity(SECRET, leads=False).der, identity(OTHER_SECRET, leads=True).der}
    assert len(made) == 3


def test_a_secret_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        identity(bytes(31), leads=True)


def test_records_are_told_apart_wherever_the_stream_is_cut() -> None:
    draw = Random(1)
    wanted = [("bytes", draw.randbytes(LONGEST)), ("alive", b""), ("datagram", b"x"), ("goodbye", b"")]
    whole = b"".join(record(kind, data) for kind, data in wanted)
    for size in (1, 2, 3, 1000, len(whole)):
        reader = RecordReader()
        found = [one for at in range(0, len(whole), size) for one in reader.feed(whole[at : at + size])]
        assert found == wanted
    with pytest.raises(ValueError, match="do not fit"):
        record("bytes", bytes(LONGEST + 1))


def test_a_link_is_made_of_a_stream_that_it_owns() -> None:
    async def main(one: TcpStream, other: TcpStream) -> None:
        ours, theirs = await tls_links(one, other)
        assert isinstance(ours, TlsLink)
        assert (ours.local, ours.remote) == (one.local, one.remote) == (theirs.remote, theirs.local)
        ours.abort()
        assert await one.read() == b""

    on_streams(main)
