"""What differs on Windows, macOS and systems without Linux's own, by faking what the platform says."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any

import netifaces
import pytest

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.host import Gateway, Interface
from nattools.net.base import LowTtlSyn, TcpFailure
from nattools.net.eventloop import run_interruptibly
from nattools.net.system import (
    hosticmp,
    hosttcp,
    hostudp,
    interfaces,
    linux,
    netlink,
    oserrors,
    shell,
    sockets,
    watchedsocket,
)
from nattools.net.system.hostnetwork import HostNetwork
from nattools.net.system.libc import libc_call
from nattools.net.system.sockets import Zones


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes this system look like another one."""

    def become(platform: str) -> None:
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setattr(linux, "AVAILABLE", False)

    return become


class Recorder:
    """A socket that only notes its options."""

    def __init__(self, family: int = socket.AF_INET, refuses: OSError | None = None) -> None:
        self.family = family
        self.options: list[tuple[int, int, Any]] = []
        self._refuses = refuses

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if self._refuses is not None:
            raise self._refuses
        self.options.append((level, option, value))


# --- interfaces and gateways


def describe(monkeypatch: pytest.MonkeyPatch, known: dict[str, dict[int, list[dict[str, str]]]]) -> None:
    """netifaces knows these interfaces; what is not known it calls invalid."""

    def addresses(name: str) -> dict[int, list[dict[str, str]]]:
        if not known[name]:
            raise ValueError("You must specify a valid interface name.")
        return known[name]

    monkeypatch.setattr(netifaces, "interfaces", lambda: list(known))
    monkeypatch.setattr(netifaces, "ifaddresses", addresses)


def test_interfaces_of_windows(on: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    on("win32")
    describe(
        monkeypatch,
        {
            "WireGuard Tunnel": {socket.AF_INET: [{"addr": "10.6.0.2"}]},
            "Office": {socket.AF_INET: [{"addr": "10.0.0.4"}, {"addr": "nonsense"}, {"peer": "10.0.0.1"}]},
            "Unplugged": {},
        },
    )
    assert HostNetwork().interfaces() == (
        Interface(name="WireGuard Tunnel", kind="vpn", up=True, addresses=("10.6.0.2",)),
        Interface(name="Office", kind="unknown", up=True, addresses=("10.0.0.4",)),
        Interface(name="Unplugged", kind="unknown", up=False, addresses=()),
    )
    assert interfaces.interface_with("10.0.0.4") == "Office"
    assert interfaces.interface_with("10.0.0.5") is None


def test_interfaces_of_macos(on: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    on("darwin")
    addresses = [{"addr": "fe80::1%en0"}, {"addr": "2a10::5"}]
    describe(monkeypatch, {"utun3": {}, "en0": {socket.AF_INET6: addresses}})
    assert HostNetwork().interfaces() == (
        Interface(name="utun3", kind="vpn", up=False, addresses=()),
        Interface(name="en0", kind="ethernet", up=True, addresses=("fe80::1%en0", "2a10::5")),
    )


def test_linux_without_netlink_asks_netifaces(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(netlink, "_asked", refuse)
    monkeypatch.setattr(netifaces, "gateways", lambda: {socket.AF_INET: [("10.0.0.1", "eth0")]})
    assert HostNetwork().gateways() == (Gateway(interface="eth0", family=4, address="10.0.0.1"),)


# --- sockets bound to an interface


def test_macos_binds_to_an_interface_by_its_number(
    on: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    on("darwin")
    monkeypatch.setattr(socket, "if_nametoindex", {"en0": 7}.__getitem__)
    bound: list[Any] = [Recorder(), Recorder(socket.AF_INET6)]
    sockets.bind_to_interface(bound[0], 4, "en0")
    sockets.bind_to_interface(bound[1], 6, "en0")
    assert bound[0].options == [(socket.IPPROTO_IP, 25, 7)]
    assert bound[1].options == [(socket.IPPROTO_IPV6, 125, 7)]


@pytest.mark.parametrize(
    ("refusal", "message", "remedy"),
    [
        (
            PermissionError(errno.EPERM, "no"),
            "not permitted to bind to the interface en0",
            "Linux before 5.7",
        ),
        (OSError(errno.ENODEV, "no"), "no interface en0", ""),
    ],
)
def test_an_interface_that_may_not_be_had(
    monkeypatch: pytest.MonkeyPatch, refusal: OSError, message: str, remedy: str
) -> None:
    monkeypatch.setattr(socket, "if_nametoindex", lambda name: 7)
    sock: Any = Recorder(refuses=refusal)
    with pytest.raises(CannotRun, match=message) as caught:
        sockets.bind_to_interface(sock, 4, "en0")
    assert remedy in (caught.value.remedy or "")


def test_windows_binds_to_an_interface_s_address(
    on: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    on("win32")
    describe(monkeypatch, {"Ethernet": {socket.AF_INET: [{"addr": "127.0.0.1"}]}, "Unplugged": {}})

    async def main() -> None:
        sock = await HostNetwork().open_udp(family=4, interface="Ethernet")
        assert sock.local.host == "127.0.0.1"
        assert sock.local.port
        sock.close()
        with pytest.raises(CannotRun, match="has no IPv4 address"):
            await HostNetwork().open_udp(family=4, interface="Unplugged")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (10048, "port 5000 is in use by another program"),
        (10013, "not permitted to use port 5000"),
        (10049, "this machine has no address 10.0.0.9"),
        (errno.ENOBUFS, "cannot bind to 10.0.0.9, port 5000: "),
    ],
)
def test_why_windows_does_not_bind(monkeypatch: pytest.MonkeyPatch, number: int, message: str) -> None:
    def refuse(self: socket.socket, address: Any) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(CannotRun, match=message):
        asyncio.run(HostNetwork().open_udp(family=4, host="10.0.0.9", port=5000))


def test_a_system_without_the_family(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EAFNOSUPPORT, "no")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(CannotRun, match="cannot open an IPv6 socket: "):
        sockets.bound_socket(socket.SOCK_DGRAM, Zones(None), family=6)


def test_zones_without_a_name() -> None:
    zones = Zones(None)
    assert zones.endpoint(("fe80::1", 5, 0, 999_999)) == Endpoint("fe80::1%999999", 5)
    assert zones.address(Endpoint("fe80::1%999999", 5)) == ("fe80::1", 5, 0, 999_999)
    with pytest.raises(OSError, match=r"o such device|no interface"):
        zones.number("nothing-of-that-name")


def test_groups_join_by_the_interface_that_has_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    describe(monkeypatch, {"none": {socket.AF_INET: []}, "lo": {socket.AF_INET6: [{"addr": "fe80::7%lo"}]}})
    sock: Any = Recorder(socket.AF_INET6)
    sockets.join(sock, Zones(None), "ff02::c", "fe80::7", None)
    (_, option, request), *_ = sock.options
    assert option == socket.IPV6_JOIN_GROUP
    assert int.from_bytes(request[16:], sys.byteorder) == socket.if_nametoindex("lo")
    with pytest.raises(
        CannotRun, match="cannot join the multicast group ff02::c: no interface has the address"
    ):
        sockets.join(sock, Zones(None), "ff02::c", "fe80::8", None)


# --- what a system cannot do


@pytest.mark.parametrize(
    ("platform", "capability", "reason"),
    [
        ("win32", "icmp-errors", "Windows does not"),
        ("darwin", "icmp-errors", "macOS does not"),
        ("win32", "dont-fragment", None),
        ("darwin", "dont-fragment", None),
        ("freebsd14", "dont-fragment", "the don't-fragment bit on freebsd14"),
        ("win32", "icmp", "needs Linux"),
        ("darwin", "raw-packets", "needs Linux"),
        ("darwin", "ttl", None),
    ],
)
def test_what_is_missing(
    on: Callable[[str], None], platform: str, capability: Any, reason: str | None
) -> None:
    on(platform)
    missing = HostNetwork().missing(capability)
    assert missing is None if reason is None else reason in (missing or "")


@pytest.mark.parametrize(
    ("platform", "family", "option"),
    [
        ("darwin", socket.AF_INET, (socket.IPPROTO_IP, 28, 1)),
        ("darwin", socket.AF_INET6, (socket.IPPROTO_IPV6, 62, 1)),
        ("win32", socket.AF_INET, (socket.IPPROTO_IP, 14, 1)),
        ("win32", socket.AF_INET6, (socket.IPPROTO_IPV6, 14, 1)),
    ],
)
def test_the_dont_fragment_bit(
    on: Callable[[str], None], platform: str, family: int, option: tuple[int, int, int]
) -> None:
    on(platform)
    sock: Any = Recorder(family)
    hostudp.set_fragmentation(sock, False)
    hostudp.set_fragmentation(sock, True)
    assert sock.options == [option]


def test_no_dont_fragment_bit(on: Callable[[str], None]) -> None:
    on("freebsd14")
    with pytest.raises(CannotRun, match="don't-fragment"):
        asyncio.run(HostNetwork().open_udp(family=4, host="127.0.0.1", dont_fragment=True))


def test_icmp_needs_linux(on: Callable[[str], None]) -> None:
    on("darwin")
    with pytest.raises(CannotRun, match="cannot use ICMP on darwin"):
        asyncio.run(HostNetwork().open_icmp(family=4))
    with pytest.raises(CannotRun, match="cannot send crafted packets on darwin"):
        HostNetwork().send_packet(b"\x45" + bytes(19))


def test_no_tcp_option_for_what_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_NOTSENT_LOWAT", raising=False)
    sock: Any = Recorder()
    hosttcp.send_promptly(sock)
    assert sock.options == [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


# --- Windows' event loop


def test_reading_by_completions_survives_errors(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Windows reports an ICMP error about an earlier datagram as a failure to receive."""

    def no_readiness(*arguments: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(watchedsocket, "PAUSE_S", 0.01)
    caplog.set_level(logging.DEBUG, "nattools.net")
    reset = ConnectionResetError(10054, "reset")
    answers: list[Any] = [reset] * (watchedsocket.MOST_FAILURES + 2) + [(b"late", ("127.0.0.1", 9))]

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def receive(sock: socket.socket, size: int) -> Any:
            answer = answers.pop(0) if answers else await loop.create_future()
            if isinstance(answer, OSError):
                raise answer
            return answer

        monkeypatch.setattr(loop, "add_reader", no_readiness)
        monkeypatch.setattr(loop, "sock_recvfrom", receive)
        sock = await HostNetwork().open_udp(family=4, host="127.0.0.1")
        arrived: asyncio.Queue[tuple[bytes, Endpoint]] = asyncio.Queue()
        sock.on_datagram = lambda data, source: arrived.put_nowait((data, source))
        assert await arrived.get() == (b"late", Endpoint("127.0.0.1", 9))
        sock.close()
        sock.close()
        assert sock.send(b"x", Endpoint("127.0.0.1", 9)) == "error"

    asyncio.run(main())
    assert "receiving pauses" in caplog.text


def test_a_loop_without_signals_runs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        return 7

    def refuse(*arguments: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr("asyncio.unix_events._UnixSelectorEventLoop.add_signal_handler", refuse)
    assert run_interruptibly(main) == 7


def test_a_refused_call_of_the_c_library_says_why() -> None:
    with pytest.raises(OSError, match="ad file descriptor"):
        libc_call("close", -1)


# --- ICMP, with what Linux gives faked


def test_without_privilege_every_kind_of_icmp_socket_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    def refuse(family: int, kind: int, protocol: int) -> None:
        tried.append((kind, protocol))
        raise PermissionError(errno.EPERM, "no")

    async def main() -> None:
        monkeypatch.setattr(linux, "AVAILABLE", True)
        monkeypatch.setattr(socket, "socket", refuse)
        network = HostNetwork()
        reason = network.missing("icmp")
        assert reason is not None
        assert "not permitted to open ICMP sockets" in reason
        assert tried == [
            (socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
            (socket.SOCK_RAW, socket.IPPROTO_ICMP),
        ]
        with pytest.raises(CannotRun) as caught:
            await network.open_icmp(family=6)
        assert caught.value.remedy == hosticmp.ADVICE
        with pytest.raises(CannotRun, match="not permitted to send crafted packets") as caught:
            network.send_packet(b"\x60" + bytes(39))
        assert caught.value.remedy == oserrors.RAW_ADVICE
        assert network.missing("raw-packets") is not None
        assert network.send_packet(b"\x60" + bytes(20)) == "error"
        monkeypatch.undo()

    asyncio.run(main())


# --- a user's command on Windows


def test_windows_ends_a_command_by_its_process_alone(
    on: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    kill = asyncio.subprocess.Process.kill
    monkeypatch.setattr(asyncio.subprocess.Process, "terminate", lambda process: ended.append("terminate"))

    def killed(process: asyncio.subprocess.Process) -> None:
        ended.append("kill")
        kill(process)

    monkeypatch.setattr(asyncio.subprocess.Process, "kill", killed)
    monkeypatch.setattr(shell, "MERCY_S", 0.05)
    on("win32")
    assert asyncio.run(shell.run_command("exec sleep 20", {}, limit_s=0.05)) is None
    assert ended == ["terminate", "kill"]


# --- TCP


@pytest.mark.skipif(not linux.AVAILABLE, reason="a low TTL for the first segments is Linux's")
def test_an_attempt_that_begins_with_a_low_ttl() -> None:
    async def main() -> None:
        network = HostNetwork()
        for host in ("127.0.0.1", "::1"):
            listener = await network.listen_tcp(
                family=6 if ":" in host else 4, host=host, on_stream=lambda stream: stream.close()
            )
            opener = LowTtlSyn(ttl=1, seconds=5)
            stream = await network.connect_tcp(listener.local, timeout_s=5, opener=opener)
            assert not isinstance(stream, TcpFailure)
            assert await stream.read() == b""
            stream.close()
            listener.close()

    asyncio.run(main())


def test_a_port_that_cannot_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async def refuse(*arguments: Any, **options: Any) -> None:
            raise OSError(errno.EADDRINUSE, "no")

        monkeypatch.setattr(asyncio.get_running_loop(), "create_server", refuse)
        with pytest.raises(CannotRun, match=r"cannot listen on 127\.0\.0\.1:"):
            await HostNetwork().listen_tcp(family=4, host="127.0.0.1", on_stream=lambda stream: None)

    asyncio.run(main())


def test_an_attempt_that_is_cancelled_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the last moment too, when the transport has just been made."""

    async def main() -> None:
        loop, network = asyncio.get_running_loop(), HostNetwork()
        create, socks = loop.create_connection, []

        async def cancelled(make: Any, sock: socket.socket) -> None:
            socks.append(sock)
            await create(make, sock=sock)
            raise asyncio.CancelledError

        monkeypatch.setattr(loop, "create_connection", cancelled)
        listener = await network.listen_tcp(family=4, host="127.0.0.1", on_stream=lambda stream: None)
        with pytest.raises(asyncio.CancelledError):
            await network.connect_tcp(listener.local, timeout_s=5)
        assert socks[0].fileno() == -1
        listener.close()

    asyncio.run(main())
