"""Candidates: priorities, foundations, and their text form from friendly and hostile peers."""

from __future__ import annotations

import pytest

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import ice
from nattools.protocols.ice.candidate import foundation, priority, scope, why_not_a_target

BASE = Endpoint("192.168.1.2", 4000)
OUTSIDE = Endpoint("198.51.100.7", 40000)


class TestPriority:
    def test_the_rfcs_example(self) -> None:
        """RFC 8445 15.1: a host and a server-reflexive candidate."""
        assert priority("host") == 2130706431
        assert priority("srflx") == 1694498815

    def test_kinds_in_order(self) -> None:
        ordered = [
            priority("host"),
            priority("prflx"),
            priority("srflx", mapped=True),
            priority("srflx"),
            priority("host", tcp_type="active"),
            priority("srflx", tcp_type="so"),
            priority("relay"),
        ]
        assert ordered == sorted(ordered, reverse=True)

    def test_tcp_directions(self) -> None:
        """RFC 6544 4.2: a host rather connects, a NAT rather opens from both sides."""
        hosts = {kind: priority("host", tcp_type=kind) for kind in ("active", "passive", "so")}
        behind = {kind: priority("srflx", tcp_type=kind) for kind in ("active", "passive", "so")}
        assert hosts["active"] > hosts["passive"] > hosts["so"]
        assert behind["so"] > behind["active"] > behind["passive"]

    @pytest.mark.parametrize("bad", [-1, 65536])
    def test_impossible_local_preference(self, bad: int) -> None:
        with pytest.raises(ValueError):
            priority("host", local_preference=bad)

    def test_families_take_turns(self) -> None:
        """RFC 8421 4."""
        hosts = ["10.0.0.1", "10.0.0.2", "2a10::1", "10.0.0.3", "2a10::2"]
        preferences = ice.local_preferences(hosts)
        ordered = sorted(hosts, key=lambda host: -preferences[host])
        assert ordered == ["2a10::1", "10.0.0.1", "2a10::2", "10.0.0.2", "10.0.0.3"]


def test_foundations() -> None:
    same = foundation("srflx", "10.0.0.1", "udp", "stun.example")
    assert same == foundation("srflx", "10.0.0.1", "udp", "stun.example")
    others = {
        foundation("host", "10.0.0.1", "udp", "stun.example"),
        foundation("srflx", "10.0.0.2", "udp", "stun.example"),
        foundation("srflx", "10.0.0.1", "tcp", "stun.example"),
        foundation("srflx", "10.0.0.1", "udp", "other.example"),
    }
    assert len(others | {same}) == 5


class TestText:
    @pytest.mark.parametrize(
        "candidate",
        [
            ice.local_candidate("host", BASE),
            ice.local_candidate("host", Endpoint("2a10::5", 4000)),
            ice.local_candidate("srflx", OUTSIDE, base=BASE),
            ice.local_candidate("srflx", OUTSIDE, base=BASE, mapped=True),
            ice.local_candidate("relay", OUTSIDE, base=OUTSIDE),
            ice.local_candidate("host", Endpoint("10.0.0.1", 9), transport="tcp", tcp_type="active"),
        ],
        ids=lambda candidate: candidate.name,
    )
    def test_there_and_back(self, candidate: ice.Candidate) -> None:
        read = ice.parse(ice.encode(candidate))
        assert read.base is None
        for name in (
            "kind",
            "endpoint",
            "priority",
            "foundation",
            "transport",
            "tcp_type",
            "mapped",
            "related",
        ):
            assert getattr(read, name) == getattr(candidate, name)

    def test_the_rfcs_example(self) -> None:
        """RFC 8839 5.1."""
        text = "a=candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998"
        candidate = ice.parse(text)
        assert candidate.kind == "srflx"
        assert candidate.endpoint == Endpoint("192.0.2.3", 45664)
        assert candidate.related == Endpoint("203.0.113.141", 8998)

    def test_a_zone_stays_at_home(self) -> None:
        candidate = ice.local_candidate("host", Endpoint("fe80::1%eth0", 4000))
        assert "%" not in ice.encode(candidate)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "candidate:1 1 udp 1 10.0.0.1 9 typ",
            "1 1 udp 1 10.0.0.1 9 typ host",
            "candidate:1 2 udp 1 10.0.0.1 9 typ host",
            "candidate:1 1 sctp 1 10.0.0.1 9 typ host",
            "candidate:1 1 udp 0 10.0.0.1 9 typ host",
            "candidate:1 1 udp 2147483648 10.0.0.1 9 typ host",
            "candidate:1 1 udp 99999999999999999999999 10.0.0.1 9 typ host",
            "candidate:1 1 udp 1 10.0.0.1 65536 typ host",
            "candidate:1 1 udp 1 10.0.0.1 -9 typ host",
            "candidate:1 1 udp 1 9f.local 9 typ host",
            "candidate:1 1 udp 1 10.0.0.1 9 typ strange",
            "candidate:1 1 udp 1 10.0.0.1 9 typ host raddr",
            "candidate:1 1 tcp 1 10.0.0.1 9 typ host",
            "candidate:1 1 tcp 1 10.0.0.1 9 typ host tcptype both",
            "candidate:" + "1" * 33 + " 1 udp 1 10.0.0.1 9 typ host",
            "candidate:1 1 udp 1 10.0.0.1 9 typ host\nINVITE",
            "candidate:1 1 udp \u0661 10.0.0.1 9 typ host",
            "candidate:1 1 udp 1 10.0.0.1 9 typ host x " + "y" * 600,
        ],
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(ProtocolError):
            ice.parse(text)

    def test_a_hidden_related_address_is_no_fault(self) -> None:
        text = "candidate:1 1 udp 1 10.0.0.1 9 typ srflx raddr hidden rport x generation 0"
        assert ice.parse(text).related is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1", "global 4"),
        ("127.0.0.1", "loopback 4"),
        ("::1", "loopback 6"),
        ("fe80::1%eth0", "link-local 6"),
        ("100::1234:5678:9abc:def0", "discard-only 6"),
        ("2a10::1", "global 6"),
    ],
)
def test_scopes(address: str, expected: str) -> None:
    assert scope(address) == expected


def test_targets() -> None:
    assert why_not_a_target(Endpoint("10.0.0.1", 9)) is None
    assert why_not_a_target(Endpoint("10.0.0.1", 0)) == "port 0"
    assert why_not_a_target(Endpoint("239.1.1.1", 9)) == "a multicast address"
