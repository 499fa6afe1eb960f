"""nftables rulesets for the lab's routers: pure, from a router's spec to the text that `nft -f -` reads.

The inside interface is always `lan0`, the outside one `wan0`, that of a NAT64's translator `nat64`. What the
kernel's NAT looks like from outside:

- `masquerade` alone keeps the port until two flows collide: endpoint-independent mapping, and
  address-and-port-dependent filtering once new connections from outside are dropped;
- `masquerade fully-random` chooses a port per connection: address-and-port-dependent mapping;
- `masquerade` and a map of the ports that were used lately, by which new connections from outside are
  translated: weaker filtering, for as long as the port is in the map.

Chains are not called after keywords of nft (`fwd` is one).
"""

from __future__ import annotations

import asyncio
import subprocess
from math import inf

from nattools.lab.nat.bindings import ICMP_QUERY_S, Forwards
from nattools.lab.nat.portallocation import allocation_of
from nattools.lab.netns import nft6
from nattools.lab.netns.nft6 import Prefixes
from nattools.lab.scenario import FirewallSpec, HostFirewall, Nat64Spec, NatSpec, RouterSpec
from nattools.model.endpoint import Endpoint

LAN = "lan0"
WAN = "wan0"
TRANSLATED = "nat64"
TABLE = "nattools"
_STRICTEST = "address-and-port-dependent"
MAPPER_CHAINS = {
    "forward": "mapper_forwarded",
    "prerouting": "mapper_redirected",
    "postrouting": "mapper_translated",
}
"""Chains that a router's mapper (miniupnpd) fills with the rules of port mappings."""
_TCP_LIFETIME_S = 7440.0
"""RFC 5382 REQ-5: at least 2 hours and 4 minutes."""


def gap(spec: RouterSpec, *, inside_nodes: int) -> str | None:
    """Why the kernel cannot do what the spec says, as a clause; None when it can.

    `inside_nodes` is the number of hosts and routers that stand directly behind this router.
    """
    if isinstance(spec, FirewallSpec):
        return _lifetime_gap(spec.lifetime_s) or _errors_gap(spec)
    return (
        _errors_gap(spec)
        or _mapping_gap(spec)
        or _filtering_gap(spec, inside_nodes)
        or _lifetime_gap(spec.lifetime_s)
        or _lifetime_gap(spec.tcp_lifetime_s)
        or _behaviour_gap(spec)
    )


def _mapping_gap(spec: NatSpec) -> str | None:
    allocation = allocation_of(spec)
    if spec.mapping == "address-dependent":
        return "its mapping is address-dependent"
    if spec.mapping == "endpoint-independent" and allocation != "preserving":
        return f"its mapping is endpoint-independent with {allocation} ports"
    if spec.mapping == "address-and-port-dependent" and allocation != "random":
        return f"its ports are {allocation}, a new one for each destination"
    if spec.port_set is not None:
        return "its ports are a set with gaps"
    if spec.range is not None and allocation == "preserving":
        return "it keeps to a range of ports"
    return "it keeps the parity of ports" if spec.parity else None


def _filtering_gap(spec: NatSpec, inside_nodes: int) -> str | None:
    if spec.filtering == "address-and-port-dependent":
        return None
    if spec.mapping != "endpoint-independent":
        return f"its filtering is {spec.filtering} and its mapping is not endpoint-independent"
    if inside_nodes > 1:
        # the map of used ports would give a port to whoever used it last
        return f"its filtering is {spec.filtering} and it has {inside_nodes} machines inside"
    return None


def _errors_gap(spec: RouterSpec) -> str | None:
    if spec.errors_in == "lax":
        return "it lets in errors about packets that it has not seen"
    translated = isinstance(spec, NatSpec) and spec.errors_out == "translated"
    return "it translates errors about packets that it has not seen" if translated else None


def _lifetime_gap(lifetime_s: float) -> str | None:
    if lifetime_s != int(lifetime_s) or lifetime_s < 1:
        return f"its lifetime of {lifetime_s} s is not a whole number of seconds"
    return None


def _behaviour_gap(spec: NatSpec) -> str | None:
    behaviours = {
        "it hairpins": spec.hairpinning,
        "it has several outside addresses": spec.pool > 1,
        "it is a NAT64 with a weaker filter": spec.nat64 is not None and spec.filtering != _STRICTEST,
        "it is no hop": spec.ttl == "kept",
        "it answers in the name of others": spec.portal is not None,
        "it has a weaker filter and a host for the rest": bool(spec.dmz and spec.filtering != _STRICTEST),
        "only outbound packets refresh its mappings": spec.refreshed_by == "outbound",
        "it holds a limited number of mappings": spec.session_limit is not None,
        "an ICMP error ends its mappings": spec.icmp_ends_mapping,
        "it does not restore the checksums that ICMP errors quote": spec.quotes != "restored",
        "other hosts use its ports in between": spec.foreign_sessions > 0,
    }
    return next((why for why, found in behaviours.items() if found), None)


def conntrack_settings(spec: RouterSpec) -> dict[str, str]:
    """The timeouts of connections in its namespace, in seconds: paths below /proc/sys and their values."""
    # the first is for connections without an answer, the second for the others
    values = {
        "nf_conntrack_udp_timeout": int(spec.lifetime_s),
        "nf_conntrack_udp_timeout_stream": int(spec.lifetime_s),
        "nf_conntrack_icmp_timeout": int(ICMP_QUERY_S),
        "nf_conntrack_icmpv6_timeout": int(ICMP_QUERY_S),
    }
    if isinstance(spec, NatSpec):
        values["nf_conntrack_tcp_timeout_established"] = int(spec.tcp_lifetime_s)
    return {f"net/netfilter/{name}": str(seconds) for name, seconds in values.items()}


def ruleset(
    spec: RouterSpec, *, translate: bool, dmz: str | None = None, prefixes: Prefixes | None = None
) -> str:
    """The router's whole ruleset; `dmz` is the address that gets what belongs to nothing. With `translate`
    False the kernel filters and translates nothing of IPv4: that is then the userspace router's work, and
    only the rules for IPv6 remain in force. `prefixes`: those of IPv6 that are
    translated."""
    lines = [f"table inet {TABLE} {{"]
    lines += _maps(spec)
    lines += [f"  chain {name} {{ }}" for name in (MAPPER_CHAINS.values() if _has_mapper(spec) else ())]
    lines += _chain("formed", "filter hook prerouting priority -450", nft6.forms_dropped(spec))
    lines += _chain("received", "filter hook input priority filter", _input_rules(spec))
    lines += _chain("forwarded", "filter hook forward priority filter", _forward_rules(spec))
    silent = nft6.sent_by(spec)
    if isinstance(spec, NatSpec):
        if spec.ttl == "reset":
            lines += _chain("lifted", "filter hook postrouting priority mangle", _RESET_TTL)
        if spec.nat64 is not None:
            lines += _chain("prolonged", "filter hook prerouting priority mangle", _one_hop(spec.nat64))
        silent += _SILENT if not spec.answers_ttl else []
    lines += _chain("sent", "filter hook output priority filter", silent)
    out = [*nft6.translated(spec, WAN), *nft6.prefix_out(prefixes, WAN)]
    redirected = nft6.prefix_in(prefixes, WAN)
    if isinstance(spec, NatSpec) and translate:
        out, redirected = _masquerade(spec) + out, _dnat(spec, dmz) + redirected
    lines += _chain("translated", "nat hook postrouting priority srcnat", out)
    lines += _chain("redirected", "nat hook prerouting priority dstnat", redirected)
    return "\n".join([*lines, "}", ""])


def _one_hop(spec: Nat64Spec) -> list[str]:
    """The translator, and the kernel behind it, would be hops of their own: a NAT64 is one."""
    raised = ", ".join(f"{left} : {left + 2}" for left in range(2, 254))
    return [
        f'iifname "{LAN}" ip6 daddr {spec.prefix} ip6 hoplimit set ip6 hoplimit map {{ {raised} }}',
    ]


def host_ruleset(interfaces: list[str] | None, firewall: HostFirewall | None) -> str:
    """The ruleset of a host whose own firewall lets packets out by these interfaces alone (a kill switch;
    None: by all), and in only answers (None: everything)."""
    lines = _chain("received", "filter hook input priority filter", nft6.host_input(firewall))
    if interfaces is not None:
        lines += _chain("sent", "filter hook output priority filter", [_out_by(interfaces)])
    return "\n".join([f"table inet {TABLE} {{", *lines, "}", ""])


def _out_by(interfaces: list[str]) -> str:
    names = ", ".join(f'"{name}"' for name in ("lo", *interfaces))
    return f"oifname != {{ {names} }} drop"


_RESET_TTL = [f'oifname "{WAN}" ip ttl set 64', f'oifname "{WAN}" ip6 hoplimit set 64']
_ERRORS = "{ destination-unreachable, time-exceeded, parameter-problem }"
_SILENT = ["icmp type time-exceeded drop", "icmpv6 type time-exceeded drop"]


def _has_mapper(spec: RouterSpec) -> bool:
    return isinstance(spec, NatSpec) and spec.mapper is not None


def _mapper_first(spec: RouterSpec, hook: str) -> list[str]:
    return [f"jump {MAPPER_CHAINS[hook]}"] if _has_mapper(spec) else []


def _chain(name: str, hook: str, rules: list[str]) -> list[str]:
    if not rules:
        return []
    return [f"  chain {name} {{", f"    type {hook}; policy accept;", *(f"    {r}" for r in rules), "  }"]


def _maps(spec: RouterSpec) -> list[str]:
    """The map of ports that inside machines used lately, and to whom each belongs."""
    if spec.filtering == "address-and-port-dependent":
        return []
    remote = " . ipv4_addr" if spec.filtering == "address-dependent" else ""
    flags = "    flags dynamic, timeout;"
    if isinstance(spec, NatSpec):
        kind = f"    type inet_proto . inet_service{remote} : ipv4_addr;"
        return ["  map used {", kind, flags, "  }"]
    kind = f"    type inet_proto . inet_service . ipv4_addr{remote};"
    return ["  set used {", kind, flags, "  }"]


def _input_rules(spec: RouterSpec) -> list[str]:
    """From inside everything may reach the router itself; from outside what the spec says."""
    if isinstance(spec, NatSpec) and spec.input == "open":
        return []
    return [
        *_pcp_switched_off(spec),
        f'iifname != "{WAN}" accept',
        "ct state established,related accept",
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept",
        "drop",
    ]


def _pcp_switched_off(spec: RouterSpec) -> list[str]:
    """miniupnpd 2.3.1 answers PCP over IPv6 also where it is told not to speak it."""
    if (
        not isinstance(spec, NatSpec)
        or spec.mapper is None
        or {"pcp", "nat-pmp"} & set(spec.mapper.protocols)
    ):
        return []
    return [f'iifname "{LAN}" meta nfproto ipv6 udp dport 5351 reject']


def _forward_rules(spec: RouterSpec) -> list[str]:
    # what a NAT64 has translated comes from there
    inside = f'{{ "{LAN}", "{TRANSLATED}" }}' if isinstance(spec, NatSpec) and spec.nat64 else f'"{LAN}"'
    outward = f'iifname {inside} oifname "{WAN}"'
    inward = f'iifname "{WAN}"'
    rules = [f'iifname "{LAN}" oifname "{LAN}" accept', *nft6.forwarded_first(spec, LAN, WAN)]
    if spec.errors_out != "dropped":
        rules += [f"{outward} icmp type {_ERRORS} ct state invalid accept"]
    if spec.errors_in == "blocked":
        rules += [f"{inward} icmp type {_ERRORS} drop"]
    rules += ["ct state invalid drop"]
    rules += [f"{outward} ct state new {rule}" for rule in _blocked_outbound(spec)]
    rules += [f"{outward} {rule}" for rule in _note(spec, inbound=False)]
    rules += [f"{outward} accept"]
    rules += [f"{inward} ct state established {rule}" for rule in _note(spec, inbound=True)]
    rules += [f"{inward} ct state established,related accept"]
    rules += _mapper_first(spec, "forward")
    if spec.ipv6 == "open":
        rules += [f"{inward} meta nfproto ipv6 accept"]
    if spec.filtering != "address-and-port-dependent" or (isinstance(spec, NatSpec) and spec.dmz):
        rules += [f"{inward} {_wanted(spec)} accept"]
    return [*rules, *nft6.refused_last(spec, WAN), f"{inward} drop"]


def _blocked_outbound(spec: RouterSpec) -> list[str]:
    rules = ["meta l4proto udp drop"] if spec.udp == "blocked" else []
    if spec.open_ports is not None:
        ports = ", ".join(port.replace("/", " . ") for port in spec.open_ports)
        let_out = f"meta l4proto . th dport != {{ {ports} }} " if ports else ""
        rules.append(f"meta l4proto {{ tcp, udp }} {let_out}drop")
    return rules


def _note(spec: RouterSpec, *, inbound: bool) -> list[str]:
    """Statements that put a port into the map of used ones, or keep it there."""
    if spec.filtering == "address-and-port-dependent":
        return []
    port, own, other = ("dport", "daddr", "saddr") if inbound else ("sport", "saddr", "daddr")
    remote = f" . ip {other}" if spec.filtering == "address-dependent" else ""
    tcp_lifetime_s = spec.tcp_lifetime_s if isinstance(spec, NatSpec) else _TCP_LIFETIME_S
    rules = []
    for protocol, lifetime_s in (("udp", spec.lifetime_s), ("tcp", tcp_lifetime_s)):
        key = f"meta l4proto . th {port}"
        timeout = f"timeout {int(lifetime_s)}s"
        if isinstance(spec, NatSpec):
            entry = f"{key}{remote} {timeout} : ip {own}"
        else:
            entry = f"{key} . ip {own}{remote} {timeout}"
        rules.append(f"meta l4proto {protocol} update @used {{ {entry} }}")
    return rules


def _wanted(spec: RouterSpec) -> str:
    """Matches a new connection from outside that the filter lets in."""
    if isinstance(spec, NatSpec):
        return "ct status dnat"
    remote = " . ip saddr" if spec.filtering == "address-dependent" else ""
    return f"meta l4proto {{ tcp, udp }} meta l4proto . th dport . ip daddr{remote} @used"


def _masquerade(spec: NatSpec) -> list[str]:
    outward = f'oifname "{WAN}" meta nfproto ipv4'
    first = _mapper_first(spec, "postrouting")
    if spec.echo_ids == "rewritten":
        first = [*first, f"{outward} meta l4proto icmp masquerade fully-random"]
    if spec.mapping == "endpoint-independent":
        return [*first, f"{outward} masquerade"]
    ports = f" to :{spec.range[0]}-{spec.range[1]}" if spec.range else ""
    return [
        *first,
        f"{outward} meta l4proto {{ tcp, udp }} masquerade{ports} fully-random",
        f"{outward} masquerade",
    ]


def _dnat(spec: NatSpec, dmz: str | None) -> list[str]:
    first = _mapper_first(spec, "prerouting")
    if dmz is not None:
        return [*first, f'iifname "{WAN}" meta l4proto {{ tcp, udp }} dnat ip to {dmz}']
    if spec.filtering == "address-and-port-dependent":
        return first
    remote = " . ip saddr" if spec.filtering == "address-dependent" else ""
    return [
        *first,
        f'iifname "{WAN}" meta l4proto {{ tcp, udp }} dnat ip to meta l4proto . th dport{remote} map @used',
    ]


class NftForwards(Forwards):
    """`Forwards` that are in force in the namespace at `path`, for one address family. Only on a running
    event loop, which ends each when its time has come."""

    def __init__(self, run: Runner) -> None:
        super().__init__()
        self._run = run

    def open(self, protocol: str, outside: Endpoint, inside: Endpoint, expires: float = inf) -> None:
        super().open(protocol, outside, inside, expires)
        self._run.renew()
        if expires < inf:
            asyncio.get_running_loop().call_at(expires, self._run.renew)

    def close(self, protocol: str, outside: Endpoint) -> None:
        super().close(protocol, outside)
        self._run.renew()

    def clear(self) -> None:
        super().clear()
        self._run.renew()


class Runner:
    """The chains of one router, written anew at each change. It runs `program`, which is nft, in the
    namespace that the calling thread is in."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._all: list[NftForwards] = []

    def forwards(self) -> NftForwards:
        """New forwardings, whose rules stand in the same chains."""
        self._all.append(NftForwards(self))
        return self._all[-1]

    def renew(self) -> None:
        """Put the rules of what is alive in force."""
        now = asyncio.get_running_loop().time()
        text = "\n".join(rules([each for forwards in self._all for each in alive(forwards, now)]))
        subprocess.run([self._program, "-f", "-"], input=f"{text}\n", text=True, check=True)


Row = tuple[str, Endpoint, Endpoint]


def alive(forwards: Forwards, now: float) -> list[Row]:
    """(protocol, outside, inside) of those that have not ended."""
    return [
        (protocol, Endpoint(host, port), inside)
        for (protocol, host, port), (inside, expires) in forwards.targets.items()
        if expires > now
    ]


def rules(rows: list[Row]) -> list[str]:
    """What `nft -f` reads to put these forwardings, and no others, in force."""
    lines = [f"flush chain inet {TABLE} {chain}" for chain in MAPPER_CHAINS.values()]
    for protocol, outside, inside in rows:
        inward = f'iifname "{WAN}"'
        six = ":" in inside.host
        if not six:
            dnat = f"{protocol} dport {outside.port} dnat ip to {inside.host}:{inside.port}"
            lines.append(f"add rule inet {TABLE} {MAPPER_CHAINS['prerouting']} {inward} {dnat}")
        to = f"ip{'6' if six else ''} daddr {inside.host} {protocol} dport {inside.port}"
        lines.append(f"add rule inet {TABLE} {MAPPER_CHAINS['forward']} {inward} {to} accept")
    return lines
