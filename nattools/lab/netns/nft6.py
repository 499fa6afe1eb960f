"""What nftables rulesets of the lab say of IPv6 alone, of fragments, and of hosts' own firewalls: pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from nattools.lab.scenario import HostFirewall, Ipv6Treatment, RouterSpec

_DROPS_ALL: Final[tuple[Ipv6Treatment, ...]] = ("dead", "ula")
_NEIGHBOURS: Final = "{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert }"


class Prefixes(NamedTuple):
    """A network's prefix inside and outside (RFC 6296)."""

    inside: str
    outside: str


def forwarded_first(spec: RouterSpec, inside: str, outside: str) -> list[str]:
    """Before everything else: a router that passes no IPv6 on. `inside` and `outside` are interfaces."""
    if spec.ipv6 not in _DROPS_ALL:
        return []
    return [f'iifname "{name}" meta nfproto ipv6 drop' for name in (inside, outside)]


def forms_dropped(spec: RouterSpec) -> list[str]:
    """Before connection tracking, which puts fragments together."""
    rules: list[str] = []
    if spec.fragments == "dropped":
        rules += ["exthdr frag exists drop", "ip frag-off & 0x3fff != 0 drop"]
    if spec.extension_headers == "dropped":
        rules += ["exthdr dst exists drop"]
    return rules


def refused_last(spec: RouterSpec, outside: str) -> list[str]:
    """What becomes of what is not let in from outside, but to be dropped."""
    inward = f'iifname "{outside}" meta nfproto ipv6'
    if spec.ipv6 == "rejecting":
        return [
            f"{inward} meta l4proto tcp reject with tcp reset",
            f"{inward} reject with icmpv6 port-unreachable",
        ]
    if spec.ipv6 == "prohibiting":
        return [f"{inward} reject with icmpv6 admin-prohibited"]
    return []


def sent_by(spec: RouterSpec) -> list[str]:
    """Rules for a router's own packets: of one that says of no packet that it is too big."""
    if spec.says_too_big:
        return []
    return ["icmpv6 type packet-too-big drop", "icmp type destination-unreachable icmp code frag-needed drop"]


def translated(spec: RouterSpec, outside: str) -> list[str]:
    """On the way out."""
    return [f'oifname "{outside}" meta nfproto ipv6 masquerade'] if spec.ipv6 == "nat66" else []


def prefix_out(prefixes: Prefixes | None, outside: str) -> list[str]:
    """The outside prefix in place of the inside one."""
    if prefixes is None:
        return []
    both = f"{prefixes.inside} : {prefixes.outside}"
    return [f'oifname "{outside}" ip6 saddr {prefixes.inside} snat ip6 prefix to ip6 saddr map {{ {both} }}']


def prefix_in(prefixes: Prefixes | None, outside: str) -> list[str]:
    """And back."""
    if prefixes is None:
        return []
    both = f"{prefixes.outside} : {prefixes.inside}"
    return [f'iifname "{outside}" ip6 daddr {prefixes.outside} dnat ip6 prefix to ip6 daddr map {{ {both} }}']


_REFUSALS: Final[dict[HostFirewall, list[str]]] = {
    "drop": [],
    "reject": ["meta l4proto tcp reject with tcp reset", "reject with icmpx port-unreachable"],
    "prohibit": ["reject with icmpx admin-prohibited"],
}


def host_input(how: HostFirewall | None) -> list[str]:
    """A host's own firewall: answers come in."""
    if how is None:
        return []
    return [
        'iifname "lo" accept',
        "ct state established,related accept",
        f"icmpv6 type {_NEIGHBOURS} accept",
        *_REFUSALS[how],
        "drop",
    ]
