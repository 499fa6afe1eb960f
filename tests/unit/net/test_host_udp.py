"""UDP sockets of the system, on loopback alone."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest
from guard import Guard

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.net.base import IcmpError
from nattools.net.system import hostudp, linux, watchedsocket
from nattools.net.system.hostnetwork import HostNetwork
from nattools.net.system.sockets import Zones

LOOPBACK = [(4, "127.0.0.1"), (6, "::1")]
LIMIT_S = 30.0
NOBODYS = 9
"""A port that the system gives to nobody by itself: one that was given back may be somebody's at once."""
needs_error_queue = pytest.mark.skipif(not linux.AVAILABLE, reason="the error queue is Linux's")


class Inbox:
    """What a socket received, to be awaited."""

    def __init__(self, sock: Any) -> None:
        self.queue: asyncio.Queue[tuple[bytes, Endpoint]] = asyncio.Queue()
        self.errors: asyncio.Queue[IcmpError] = asyncio.Queue()
        sock.on_datagram = lambda data, source: self.queue.put_nowait((data, source))
        sock.on_icmp = self.errors.put_nowait

    async def datagram(self) -> tuple[bytes, Endpoint]:
        return await asyncio.wait_for(self.queue.get(), LIMIT_S)

    async def error(self) -> IcmpError:
        return await asyncio.wait_for(self.errors.get(), LIMIT_S)


@pytest.mark.parametrize(("family", "host"), LOOPBACK)
def test_echo(family: Any, host: str) -> None:
    async def main() -> None:
        network = HostNetwork()
        server = await network.open_udp(family=family, host=host)
        client = await network.open_udp(family=family, host=host)
        inbox = Inbox(client)
        server.on_datagram = lambda data, source: server.send(data[::-1], source)
        assert server.local.host == host
        for size in (0, 1, 1200, 30000):
            data = bytes(index % 251 for index in range(size))
            assert client.send(data, server.local) is None
            assert await inbox.datagram() == (data[::-1], server.local)
        server.close()
        client.close()

    asyncio.run(main())


@pytest.mark.parametrize(("family", "host"), LOOPBACK)
def test_more_than_one_batch_arrives_in_order(family: Any, host: str) -> None:
    async def main() -> None:
        network = HostNetwork()
        server = await network.open_udp(family=family, host=host)
        client = await network.open_udp(family=family, host=host)
        inbox = Inbox(server)
        for number in range(150):
            assert client.send(b"%d" % number, server.local) is None
        assert [int((await inbox.datagram())[0]) for _ in range(150)] == list(range(150))
        server.close()
        client.close()

    asyncio.run(main())


def test_a_handler_may_close_its_socket_in_a_batch() -> None:
    async def main() -> None:
        network = HostNetwork()
        server = await network.open_udp(family=4, host="127.0.0.1")
        client = await network.open_udp(family=4, host="127.0.0.1")
        seen: list[bytes] = []
        closed = asyncio.Event()

        def once(data: bytes, source: Endpoint) -> None:
            seen.append(data)
            server.close()
            closed.set()

        server.on_datagram = once
        client.send(b"one", server.local)
        client.send(b"two", server.local)
        await asyncio.wait_for(closed.wait(), LIMIT_S)
        assert seen == [b"one"]
        assert server.send(b"x", client.local) == "error"
        server.close()
        client.close()

    asyncio.run(main())


@needs_error_queue
@pytest.mark.parametrize(("family", "host"), LOOPBACK)
def test_port_unreachable_is_reported_with_what_was_sent(family: Any, host: str) -> None:
    async def main() -> None:
        network = HostNetwork()
        gone = Endpoint(host, NOBODYS)
        client = await network.open_udp(family=family, host=host)
        inbox = Inbox(client)
        assert client.send(b"anybody there?", gone) is None
        error = await inbox.error()
        expected = (3, 3) if family == 4 else (1, 4)
        assert (error.kind, error.icmp_type, error.icmp_code) == ("port-unreachable", *expected)
        assert (error.offender, error.destination, error.quoted) == (host, gone, b"anybody there?")
        client.close()

    asyncio.run(main())


@needs_error_queue
def test_an_error_about_one_datagram_does_not_fail_the_next_one() -> None:
    async def main() -> None:
        network = HostNetwork()
        gone = Endpoint("127.0.0.1", NOBODYS)
        server = await network.open_udp(family=4, host="127.0.0.1")
        client = await network.open_udp(family=4, host="127.0.0.1")
        received, inbox = Inbox(server), Inbox(client)
        for number in range(20):  # without a turn of the loop between: loopback answers at once
            assert client.send(b"lost", gone) is None
            assert client.send(b"%d" % number, server.local) is None
        assert [int((await received.datagram())[0]) for _ in range(20)] == list(range(20))
        assert {(await inbox.error()).destination for _ in range(20)} == {gone}
        server.close()
        client.close()

    asyncio.run(main())


def test_without_an_icmp_handler_errors_are_not_collected() -> None:
    async def main() -> None:
        network = HostNetwork()
        gone = Endpoint("127.0.0.1", NOBODYS)
        client = await network.open_udp(family=4, host="127.0.0.1")
        assert [client.send(b"lost", gone) for _ in range(3)] == [None] * 3
        client.close()

    asyncio.run(main())


@pytest.mark.parametrize(("family", "host"), LOOPBACK)
def test_ttl_is_for_one_datagram(family: Any, host: str) -> None:
    """The receiver asks the kernel for the TTL of each datagram."""

    async def main() -> None:
        network = HostNetwork()
        client = await network.open_udp(family=family, host=host)
        six = family == 6
        with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            if six:
                receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            else:
                receiver.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
            receiver.bind((host, 0))
            receiver.settimeout(LIMIT_S)
            target = Endpoint(*receiver.getsockname()[:2])
            seen = []
            for ttl in (None, 3, None, 1):
                assert client.send(b"x", target, ttl=ttl) is None
                _, ancillary, _, _ = receiver.recvmsg(100, 100)
                seen.append(int.from_bytes(ancillary[0][2][:4], "little"))
        assert seen == [64, 3, 64, 1]
        client.close()

    asyncio.run(main())


def test_ttl_by_socket_option_leaves_the_usual_one_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "AVAILABLE", False)
    test_ttl_is_for_one_datagram(4, "127.0.0.1")
    test_ttl_is_for_one_datagram(6, "::1")


def test_without_readiness_it_reads_by_completions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows' way, with the same loop underneath."""

    def refuse(self: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(watchedsocket.WatchedSocket, "_watch", refuse)
    test_echo(4, "127.0.0.1")
    test_echo(6, "::1")


def test_send_failures(guard: Guard) -> None:
    guard.pointless.add("255.255.255.255")

    async def main() -> None:
        network = HostNetwork()
        client = await network.open_udp(family=4, host="127.0.0.1")
        assert client.send(bytes(70000), client.local) == "too-big"
        # from a loopback address nothing may leave the machine, so the system refuses at once
        assert client.send(b"x", Endpoint("255.255.255.255", 9)) in ("prohibited", "unreachable", "error")
        assert client.send(b"x", Endpoint("::1", 9)) == "error"
        client.close()

    asyncio.run(main())


class FullSocket:
    """Stands in for a socket whose send buffer is full until `full` is False."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.full = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def sendto(self, data: bytes, address: Any) -> int:
        if self.full:
            raise BlockingIOError(errno.EAGAIN, "full")
        return self._sock.sendto(data, address)


def test_a_full_send_buffer_queues_64_datagrams_in_order() -> None:
    async def main() -> None:
        network = HostNetwork()
        server = await network.open_udp(family=4, host="127.0.0.1")
        inbox = Inbox(server)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        full: Any = FullSocket(sock)
        client = hostudp.HostUdpSocket(full, Endpoint(*sock.getsockname()), Zones(None))
        results = [client.send(b"%d" % number, server.local) for number in range(66)]
        assert results == [None] * 64 + ["error"] * 2
        full.full = False
        assert [int((await inbox.datagram())[0]) for _ in range(64)] == list(range(64))
        assert client.send(b"64", server.local) is None
        assert (await inbox.datagram())[0] == b"64"
        client.close()
        server.close()

    asyncio.run(main())


def test_what_cannot_be_opened_says_why() -> None:
    async def main() -> None:
        network = HostNetwork()
        taken = await network.open_udp(family=4, host="127.0.0.1")
        with pytest.raises(CannotRun, match=f"port {taken.local.port} is in use"):
            await network.open_udp(family=4, host="127.0.0.1", port=taken.local.port)
        with pytest.raises(CannotRun, match=r"no address 203\.0\.113\.77"):
            await network.open_udp(family=4, host="203.0.113.77")
        with pytest.raises(CannotRun, match="no interface nosuch0"):
            await network.open_udp(family=4, interface="nosuch0")
        taken.close()

    asyncio.run(main())


@needs_error_queue
def test_an_interface_can_be_chosen() -> None:
    async def main() -> None:
        network = HostNetwork()
        sock = await network.open_udp(family=4, interface="lo")
        peer = await network.open_udp(family=4, host="127.0.0.1")
        inbox = Inbox(peer)
        assert sock.send(b"by lo", peer.local) is None
        assert (await inbox.datagram())[0] == b"by lo"
        sock.close()
        peer.close()

    asyncio.run(main())


def test_a_wildcard_socket_tells_the_default_route_s_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_loopback(zones: Zones, destination: Endpoint, interface: str | None = None) -> str:
        return "127.0.0.9"

    monkeypatch.setattr("nattools.net.system.sockets.source_address", only_loopback)

    async def main() -> None:
        network = HostNetwork()
        sock = await network.open_udp(family=4)
        peer = await network.open_udp(family=4, host="127.0.0.1")
        inbox = Inbox(sock)
        assert sock.local.host == "127.0.0.9"
        peer.send(b"to the wildcard", Endpoint("127.0.0.5", sock.local.port))
        assert (await inbox.datagram())[1] == peer.local
        sock.close()
        peer.close()

    asyncio.run(main())


@needs_error_queue
@pytest.mark.parametrize(("family", "host"), LOOPBACK)
def test_dont_fragment_refuses_what_does_not_fit(family: Any, host: str) -> None:
    """Loopback's MTU is 65536 bytes; IPv6 takes longer datagrams in fragments."""

    async def main() -> None:
        network = HostNetwork()
        peer = await network.open_udp(family=family, host=host)
        whole = await network.open_udp(family=family, host=host, dont_fragment=True)
        loose = await network.open_udp(family=family, host=host)
        longest = 65507 if family == 4 else 65527
        fits = longest if family == 4 else 65536 - 48
        assert loose.send(bytes(longest), peer.local) is None
        assert whole.send(bytes(fits), peer.local) is None
        assert whole.send(bytes(fits + 1), peer.local) == "too-big"
        for sock in (peer, whole, loose):
            sock.close()

    asyncio.run(main())


@needs_error_queue
@pytest.mark.parametrize(("family", "host"), LOOPBACK)
def test_what_would_leave_whole_is_not_sent_as_fragments(family: Any, host: str) -> None:
    """Loopback's MTU is 65536 bytes, so that IPv4 has no datagram that does not fit."""

    async def main() -> None:
        network = HostNetwork()
        peer = await network.open_udp(family=family, host=host)
        inbox = Inbox(peer)
        sock = await network.open_udp(family=family, host=host)
        assert sock.send_formed(bytes(1600), peer.local, "fragments") == "error"
        if family == 6:
            assert sock.send_formed(bytes(65500), peer.local, "fragments") is None
            data, source = await inbox.datagram()
            assert (len(data), source) == (65500, sock.local)
        assert sock.send(b"afterwards", peer.local) is None
        assert (await inbox.datagram())[0] == b"afterwards"
        sock.close()
        assert sock.send_formed(bytes(1600), peer.local, "fragments") == "error"
        peer.close()

    asyncio.run(main())


def wakeups_with(receive: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[bytes]]:
    """How often a socket that cannot receive is asked within 1000 turns of the loop, and what arrives after
    it could again."""
    monkeypatch.setattr(watchedsocket, "PAUSE_S", 0.2)
    calls, arrived = 0, []

    async def main() -> None:
        sock = await HostNetwork().open_udp(family=4, host="127.0.0.1")
        assert isinstance(sock, hostudp.HostUdpSocket)
        works = sock._receive

        def fail(buffer: memoryview) -> Any:
            nonlocal calls
            calls += 1
            return receive(buffer)

        sock._receive = fail
        sock.send(b"waiting", sock.local)
        for _ in range(1000):
            await asyncio.sleep(0)
        sock._receive = works
        inbox = Inbox(sock)
        arrived.append((await inbox.datagram())[0])
        sock.close()

    asyncio.run(main())
    return calls, arrived


@pytest.mark.parametrize("error", [OSError(errno.ENETDOWN, "down"), BlockingIOError()])
def test_an_error_that_stays_does_not_keep_the_loop_busy(
    error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(buffer: memoryview) -> None:
        raise error

    calls, arrived = wakeups_with(fail, monkeypatch)
    assert calls < 200
    assert arrived == [b"waiting"]


@needs_error_queue
def test_errors_are_taken_from_the_queue_also_when_nobody_wants_them_any_more() -> None:
    async def main() -> None:
        sock = await HostNetwork().open_udp(family=4, host="127.0.0.1")
        assert isinstance(sock, hostudp.HostUdpSocket)
        inbox = Inbox(sock)
        gone = Endpoint("127.0.0.1", NOBODYS)
        sock.send(b"nobody is there", gone)
        await inbox.error()
        sock.on_icmp = None
        sock.send(b"nobody is there", gone)
        for _ in range(200):
            await asyncio.sleep(0)
        assert sock._failures < 5
        assert linux.read_error(sock._sock) is None
        sock.close()

    asyncio.run(main())
