"""What a system has been told of IPv6: its name servers, and what stands before its routes."""

from __future__ import annotations

from pathlib import Path

import pytest

from nattools.net.system import ipv6setup, netlink
from nattools.protocols.rtnetlink import BlockingRoute, KernelLink, SilentNeighbour, TableRoute


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ("nameserver 2a10::53\nnameserver 10.0.0.53\n", "nameserver 127.0.0.53\n", ("2a10::53", "10.0.0.53")),
        ("# none yet\n", "nameserver fe80::1%eth0\nnameserver nonsense\n", ("fe80::1",)),
        ("nameserver 127.0.0.1\n", "nameserver 10.0.0.53\n", ("10.0.0.53",)),
        (None, "nameserver 10.0.0.53\n", ("10.0.0.53",)),
        ("nameserver ::1\n", None, ()),
    ],
)
def test_name_servers(
    first: str | None,
    second: str | None,
    named: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = (tmp_path / "first", tmp_path / "second")
    for file, text in zip(files, (first, second), strict=True):
        if text is not None:
            file.write_text(text)
    monkeypatch.setattr(ipv6setup, "_RESOLVER_FILES", files)
    assert ipv6setup.ipv6_setup(resolvers=True).resolvers == named


DEFAULT = TableRoute(6, 3, gateway="fe80::1", metric=1024)


@pytest.mark.parametrize(
    ("routes", "blocking", "blocked"),
    [
        ((DEFAULT,), (), False),
        ((DEFAULT,), (BlockingRoute(6, metric=1),), True),
        ((DEFAULT,), (BlockingRoute(6, metric=4096),), False),
        ((DEFAULT,), (BlockingRoute(6, 3, "2000::", metric=4096),), True),
        # what is sent elsewhere, or by rules of its own, is not all that is sent
        ((DEFAULT,), (BlockingRoute(6, 7, "fc00::", metric=1),), False),
        ((DEFAULT,), (BlockingRoute(6, 32, "2001:503::", metric=1),), False),
        ((DEFAULT,), (BlockingRoute(6, metric=1, table=100),), False),
        ((), (BlockingRoute(6, metric=1),), False),
        ((DEFAULT, TableRoute(6, 4, 1, "::", "fe80::2")), (BlockingRoute(6, metric=1),), False),
    ],
)
def test_a_route_that_forbids_ipv6(
    routes: tuple[TableRoute, ...],
    blocking: tuple[BlockingRoute, ...],
    blocked: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(netlink, "table_routes", lambda family: [*routes])
    monkeypatch.setattr(netlink, "blocking_routes", lambda family: [*blocking])
    assert ipv6setup.ipv6_setup(resolvers=False).blocked is blocked


def test_a_router_that_was_looked_for_in_vain_is_silent_on_its_own_link_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = TableRoute(6, 4, gateway="fe80::1", metric=1025)
    monkeypatch.setattr(netlink, "links", lambda: [KernelLink(3, "eth0", 1, 1), KernelLink(4, "eth1", 1, 1)])
    monkeypatch.setattr(netlink, "addresses", lambda family: [])
    monkeypatch.setattr(netlink, "table_routes", lambda family: [DEFAULT, other])
    monkeypatch.setattr(netlink, "blocking_routes", lambda family: [])
    monkeypatch.setattr(netlink, "silent_neighbours", lambda family: [SilentNeighbour(3, "fe80::1")])
    routers = ipv6setup.ipv6_setup(resolvers=False).routers
    assert {each.interface: each.silent for each in routers} == {"eth0": True, "eth1": False}
