"""Routers are asked for what they advertise, and asked again if none is heard."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any, cast

import pytest

from nattools.model.host import ConfiguredRouter, RouteSource
from nattools.net.system.routeradverts import _HOPLIMIT, RouterAsker, waits_for
from nattools.protocols.nat64 import WELL_KNOWN, Nat64Prefix
from nattools.protocols.routeradvert import HOP_LIMIT, SOLICITATION, advertisement

WITH = advertisement(WELL_KNOWN, 1800)
WITHOUT = WITH[:16]


class Wire:
    """A raw socket, at the other end of which `answers` are sent for each solicitation in turn."""

    def __init__(self, *answers: tuple[bytes, ...], hops: int = HOP_LIMIT) -> None:
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.asked = 0
        self._answers, self._hops = answers, hops

    def fileno(self) -> int:
        return self.near.fileno()

    def sendto(self, data: bytes, to: tuple[Any, ...]) -> None:
        assert (data, to) == (SOLICITATION, ("ff02::2", 0, 0, 7))
        self.asked += 1
        for each in self._answers[self.asked - 1] if self.asked <= len(self._answers) else ():
            self.far.send(each)

    def recvmsg(self, size: int, _: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, None]:
        hops = (socket.IPPROTO_IPV6, _HOPLIMIT, self._hops.to_bytes(4, sys.byteorder))
        return self.near.recv(size), [hops], 0, None

    def close(self) -> None:
        self.near.close()
        self.far.close()


def asked(wire: Wire) -> tuple[tuple[Nat64Prefix, ...], int]:
    """What is found, and how often the routers were asked."""
    asking = RouterAsker(cast(socket.socket, wire), [7])
    return asyncio.run(asking.prefixes((0.05, 0.05, 0.05))), wire.asked


@pytest.mark.parametrize(
    ("answers", "found", "times"),
    [
        ([(WITH,)], (WELL_KNOWN,), 1),
        ([(WITHOUT, WITH)], (WELL_KNOWN,), 1),
        ([(WITHOUT,)], (), 1),
        ([(), (WITH,)], (WELL_KNOWN,), 2),
        ([(), (b"garbage",), (WITH,)], (WELL_KNOWN,), 3),
        ([], (), 3),
    ],
    ids=["at once", "the second router's", "none is advertised", "one is lost", "two are lost", "silence"],
)
def test_a_router_that_is_not_heard_is_asked_again(
    answers: list[tuple[bytes, ...]], found: tuple[Nat64Prefix, ...], times: int
) -> None:
    assert asked(Wire(*answers)) == (found, times)


@pytest.mark.parametrize(
    ("sources", "times"),
    [(("ra",), 3), (("static", "ra"), 3), (("unknown",), 3), (("static",), 1), ((), 1)],
)
def test_where_all_routers_are_known_by_hand_one_question_is_enough(
    sources: tuple[RouteSource, ...], times: int
) -> None:
    routers = [ConfiguredRouter(address="fe80::1", interface="eth0", source=each) for each in sources]
    assert len(waits_for(routers)) == times


def test_what_comes_from_another_network_is_no_advertisement() -> None:
    assert asked(Wire((WITH,), hops=HOP_LIMIT - 1)) == ((), 3)
