"""What rulesets say of IPv6, and of hosts' own firewalls."""

from __future__ import annotations

import pytest

from nattools.lab.netns import nft
from nattools.lab.netns.nft6 import Prefixes
from nattools.lab.scenario import FirewallSpec, HostFirewall, Ipv6Treatment, NatSpec


def rules(text: str, chain: str) -> list[str]:
    """The rules of a chain, without its first line."""
    lines = text.split(f"  chain {chain} {{\n", 1)
    return [line.strip() for line in lines[1].split("  }", 1)[0].splitlines()[1:]] if len(lines) > 1 else []


@pytest.mark.parametrize(
    ("treatment", "last"),
    [
        ("firewall", []),
        (
            "rejecting",
            [
                'iifname "wan0" meta nfproto ipv6 meta l4proto tcp reject with tcp reset',
                'iifname "wan0" meta nfproto ipv6 reject with icmpv6 port-unreachable',
            ],
        ),
        ("prohibiting", ['iifname "wan0" meta nfproto ipv6 reject with icmpv6 admin-prohibited']),
    ],
)
def test_what_is_not_let_in(treatment: Ipv6Treatment, last: list[str]) -> None:
    for spec in (NatSpec(ipv6=treatment), FirewallSpec(ipv6=treatment)):
        forwarded = rules(nft.ruleset(spec, translate=True), "forwarded")
        assert forwarded[-1] == 'iifname "wan0" drop'
        refused = [rule for rule in forwarded if "reject" in rule]
        assert refused == last


@pytest.mark.parametrize("treatment", ["dead", "ula"])
def test_a_dead_router_passes_nothing_before_it_looks(treatment: Ipv6Treatment) -> None:
    forwarded = rules(nft.ruleset(NatSpec(ipv6=treatment), translate=True), "forwarded")
    assert forwarded[1] == 'iifname "lan0" meta nfproto ipv6 drop'


def test_ipv6_is_translated_whoever_translates_ipv4() -> None:
    for translate in (True, False):
        out = rules(nft.ruleset(NatSpec(ipv6="nat66"), translate=translate), "translated")
        assert out[-1] == 'oifname "wan0" meta nfproto ipv6 masquerade'


def test_prefixes_are_translated_both_ways() -> None:
    prefixes = Prefixes("fd00:1:0:1::/64", "2a10:1:0:1::/64")
    text = nft.ruleset(NatSpec(ipv6="nptv6"), translate=True, prefixes=prefixes)
    assert "map { fd00:1:0:1::/64 : 2a10:1:0:1::/64 }" in rules(text, "translated")[-1]
    assert "map { 2a10:1:0:1::/64 : fd00:1:0:1::/64 }" in rules(text, "redirected")[-1]


def test_a_black_hole_says_of_nothing_that_it_is_too_big() -> None:
    sent = rules(nft.ruleset(FirewallSpec(says_too_big=False), translate=False), "sent")
    assert sent == [
        "icmpv6 type packet-too-big drop",
        "icmp type destination-unreachable icmp code frag-needed drop",
    ]
    assert rules(nft.ruleset(FirewallSpec(), translate=False), "sent") == []


@pytest.mark.parametrize(("how", "count"), [("drop", 0), ("reject", 2), ("prohibit", 1)])
def test_a_hosts_own_firewall(how: HostFirewall, count: int) -> None:
    text = nft.host_ruleset(None, how)
    received = rules(text, "received")
    assert received[-1] == "drop"
    assert sum("reject" in rule for rule in received) == count
    assert rules(text, "sent") == []


def test_a_kill_switch_lets_everything_in() -> None:
    text = nft.host_ruleset(["tun0"], None)
    assert rules(text, "received") == []
    assert rules(text, "sent") == ['oifname != { "lo", "tun0" } drop']
