"""Which routers the kernel can be, and with which rules."""

from __future__ import annotations

import pytest

from nattools.lab.netns import nft, nftchanges
from nattools.lab.scenario import FirewallSpec, MapperSpec, NatSpec

APD = "address-and-port-dependent"
AD = "address-dependent"
EI = "endpoint-independent"


@pytest.mark.parametrize(
    "spec",
    [
        NatSpec(),
        NatSpec(filtering=EI),
        NatSpec(filtering=AD),
        NatSpec(mapping=APD),
        NatSpec(mapping=APD, range=(2000, 3000)),
        NatSpec(lifetime_s=10),
        NatSpec(udp="blocked", open_ports=("tcp/443",), input="open", answers_ttl=False),
        FirewallSpec(filtering=EI),
    ],
)
def test_the_kernel_can_be_this_router(spec: NatSpec | FirewallSpec) -> None:
    assert nft.gap(spec, inside_nodes=1) is None


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (NatSpec(mapping=AD), "address-dependent"),
        (NatSpec(allocation="random"), "random"),
        (NatSpec(mapping=APD, allocation="sequential"), "sequential"),
        (NatSpec(mapping=APD, block=512), "block"),
        (NatSpec(mapping=APD, filtering=EI), "filtering"),
        (NatSpec(range=(2000, 3000)), "range"),
        (NatSpec(parity=True), "parity"),
        (NatSpec(hairpinning=True), "hairpins"),
        (NatSpec(lifetime_s=2.5), "2.5 s"),
        (NatSpec(refreshed_by="outbound"), "outbound"),
        (NatSpec(session_limit=10), "limited number"),
        (NatSpec(icmp_ends_mapping=True), "ICMP"),
        (NatSpec(mapping=APD, allocation="sequential", foreign_sessions=2), "sequential"),
        (FirewallSpec(lifetime_s=0.5), "0.5 s"),
    ],
)
def test_the_kernel_cannot_be_this_router_and_the_reason_names_it(
    spec: NatSpec | FirewallSpec, why: str
) -> None:
    reason = nft.gap(spec, inside_nodes=1)
    assert reason is not None
    assert why in reason


def test_weak_filtering_is_the_kernels_for_one_machine_inside_only() -> None:
    assert nft.gap(NatSpec(filtering=EI), inside_nodes=2) is not None
    assert nft.gap(NatSpec(), inside_nodes=2) is None


def test_an_ordinary_router_keeps_ports_and_drops_what_is_new_from_outside() -> None:
    text = nft.ruleset(NatSpec(), translate=True)
    assert 'oifname "wan0" meta nfproto ipv4 masquerade\n' in text
    assert "fully-random" not in text
    assert rules(text, "forwarded")[-1] == 'iifname "wan0" drop'
    assert rules(text, "received")[-1] == "drop"


def test_an_open_input_has_no_rules() -> None:
    assert rules(nft.ruleset(NatSpec(input="open"), translate=True), "received") == []


def test_a_symmetric_nat_draws_ports_from_its_range() -> None:
    text = nft.ruleset(NatSpec(mapping=APD, range=(2000, 3000)), translate=True)
    assert "masquerade to :2000-3000 fully-random" in text


def test_weak_filters_remember_used_ports_for_the_lifetime() -> None:
    text = nft.ruleset(NatSpec(filtering=AD, lifetime_s=30, tcp_lifetime_s=60), translate=True)
    assert "update @used { meta l4proto . th sport . ip daddr timeout 30s : ip saddr }" in text
    assert "update @used { meta l4proto . th sport . ip daddr timeout 60s : ip saddr }" in text
    assert "dnat ip to meta l4proto . th dport . ip saddr map @used" in text


def test_a_userspace_router_leaves_only_filtering_to_the_kernel() -> None:
    text = nft.ruleset(NatSpec(mapping=AD, ipv6="firewall"), translate=False)
    assert "nat hook" not in text
    assert 'iifname "wan0" drop' in text


def test_forms_are_dropped_before_fragments_are_put_together() -> None:
    text = nft.ruleset(NatSpec(fragments="dropped"), translate=True)
    assert rules(text, "formed") == ["exthdr frag exists drop", "ip frag-off & 0x3fff != 0 drop"]
    assert "prerouting priority -450" in text
    text = nft.ruleset(FirewallSpec(extension_headers="dropped"), translate=True)
    assert rules(text, "formed") == ["exthdr dst exists drop"]
    assert rules(nft.ruleset(NatSpec(), translate=True), "formed") == []


def test_open_ipv6_is_let_in_before_the_drop() -> None:
    forwarded = rules(nft.ruleset(NatSpec(ipv6="open"), translate=True), "forwarded")
    assert forwarded.index('iifname "wan0" meta nfproto ipv6 accept') < len(forwarded) - 1
    assert all(
        "ipv6 accept" not in rule for rule in rules(nft.ruleset(NatSpec(), translate=True), "forwarded")
    )


def test_what_is_not_let_out() -> None:
    text = nft.ruleset(NatSpec(udp="blocked", open_ports=("tcp/443", "udp/53")), translate=True)
    assert "ct state new meta l4proto udp drop" in text
    assert "meta l4proto . th dport != { tcp . 443, udp . 53 } drop" in text
    nothing = nft.ruleset(NatSpec(open_ports=()), translate=True)
    assert "ct state new meta l4proto { tcp, udp } drop" in nothing


def test_timeouts_follow_the_lifetimes() -> None:
    assert nft.conntrack_settings(NatSpec(lifetime_s=10, tcp_lifetime_s=100)) == {
        "net/netfilter/nf_conntrack_udp_timeout": "10",
        "net/netfilter/nf_conntrack_udp_timeout_stream": "10",
        "net/netfilter/nf_conntrack_icmp_timeout": "60",
        "net/netfilter/nf_conntrack_icmpv6_timeout": "60",
        "net/netfilter/nf_conntrack_tcp_timeout_established": "100",
    }


def test_a_ruleset_takes_the_place_of_another_one_and_port_mappings_stay() -> None:
    mapped = NatSpec(filtering=AD, mapper=MapperSpec())
    before, after = (nft.ruleset(each, translate=True) for each in (mapped, NatSpec(mapping=APD)))
    text = nftchanges.replacing(before, after)
    assert text.endswith(after)
    first = text.removesuffix(after).splitlines()
    assert "flush chain inet nattools forwarded" in first
    assert first[-1] == "delete map inet nattools used"
    assert not any("mapper" in line for line in first)


def test_what_is_forgotten_is_what_there_is() -> None:
    assert nftchanges.forgetting(NatSpec()) == ""
    assert nftchanges.forgetting(NatSpec(filtering=EI)) == "flush map inet nattools used\n"
    assert nftchanges.forgetting(FirewallSpec(filtering=AD)) == "flush set inet nattools used\n"


def rules(text: str, chain: str) -> list[str]:
    """The rules of one chain, without its hook."""
    if f"chain {chain} {{" not in text:
        return []
    body = text.split(f"chain {chain} {{\n", 1)[1].split("\n  }", 1)[0]
    return [line.strip() for line in body.splitlines()[1:]]
