"""A network as its author draws it: the types of a scenario file. Everything left out has the ordinary value.

Reading a file, and errors with line and reason: `lab.scenariofiles`. Addresses and wiring: `lab.layout`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from nattools.lab.impairment import Impairment
from nattools.lab.scenarioevents import EventSpec
from nattools.model.host import Environment
from nattools.model.portmapping import MAPPING_PROTOCOLS, MappingProtocol

Routing = Literal["by-source", "by-metric", "by-rule", "by-halves"]
Behaviour = Literal["endpoint-independent", "address-dependent", "address-and-port-dependent"]
Pooling = Literal["paired", "arbitrary", "per-destination", "in-turn"]
Ipv6Treatment = Literal["firewall", "open", "rejecting", "prohibiting", "nat66", "nptv6", "ula", "dead"]
"""What a router does with IPv6. "firewall": only answers come in (RFC 6092 3), the rest is dropped;
"rejecting": it is reset or refused, "prohibiting": the router says that it is prohibited. "open": everything
comes in. "nat66": all inside hosts share the router's own address; "nptv6": they have another prefix outside
(RFC 6296). "ula": inside addresses are local ones, which nobody outside can answer. "dead": nothing
passes."""
LOCAL_INSIDE: tuple[Ipv6Treatment, ...] = ("nat66", "nptv6", "ula")
"""Those with unique local addresses inside (RFC 4193)."""
HostFirewall = Literal["drop", "reject", "prohibit"]
ErrorsIn = Literal["strict", "lax", "blocked"]
ErrorsOut = Literal["dropped", "untranslated", "translated"]
Passage = Literal["passed", "dropped"]
LOWEST_MAPPED_PORT = 1024


class MapperSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a NAT router offers to those who want port mappings, and pinholes where it has IPv6 inside.

    `protocols`: those that it speaks. `igd`: the version of UPnP's InternetGatewayDevice; version 1 knows no
    pinholes. `ports`: the lowest and highest port that it maps, inside and outside. `shortest_s` and
    `longest_s`: the bounds of a mapping's lifetime. `faults`: what is wrong with it, by the names of
    `lab.routers.RouterBehaviour`. On netns a kernel router without faults runs miniupnpd, whose NAT-PMP and
    PCP come together. Where its outside address is not public, a router makes no mappings.
    """

    protocols: tuple[MappingProtocol, ...] = MAPPING_PROTOCOLS
    igd: Literal[1, 2] = 2
    ports: tuple[int, int] = (LOWEST_MAPPED_PORT, 65535)
    shortest_s: int = 120
    longest_s: int = 86400
    faults: dict[str, Any] = {}


class Nat64Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A router whose inside has IPv6 alone, and IPv4 by translation (RFC 6146).

    `prefix`: the IPv6 addresses that stand for IPv4 ones. `dns64`: its name server makes such addresses for
    names that have none (RFC 6147); `says`: with this prefix, where that is another one. `advertised`: the
    router tells of it (RFC 8781). On netns, tayga translates and the kernel's NAT does the rest.
    """

    prefix: str = "64:ff9b::/96"
    dns64: bool = True
    says: str | None = None
    advertised: bool = False


class LanSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the inside of a router lets through between its hosts. `isolated`: nothing; each reaches the
    router alone, as with an access point's client isolation. `multicast`: "flooded" to all, or "dropped", as
    where a switch passes nothing on to a group that it has not heard of. "forgotten": a switch remembers who
    has joined a group for `remembered_s` (RFC 3376 8.4) and no longer, as where nobody asks who listens;
    groups of 224.0.0.0/24 pass always (RFC 4541 2.1.2)."""

    isolated: bool = False
    multicast: Literal["flooded", "dropped", "forgotten"] = "flooded"
    remembered_s: float = 260.0


class NatSpec(Impairment, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A NAT router. RFC 4787's axes, with an ordinary home router's values.

    `behind`: the NAT or firewall on its outside, None for the internet. `address`: the inside network.
    `step` is for sequential allocation, `block` the number of ports for block allocation, `range` the lowest
    and highest outside port. `input`: what the router does with packets from outside to itself that match no
    session: "drop" or "open" (it answers them; early packets then poison the mapping).
    `refreshed_by`: what restarts a UDP binding's lifetime. `session_limit`: how many bindings it holds.
    `icmp_ends_mapping`: an ICMP error removes the binding (against RFC 4787 REQ-12).
    `errors_in`: which ICMP errors from outside get in: about a packet of a session ("strict"), about any
    packet that may have come from a port in use ("lax"), or none. `errors_out`: what becomes of an ICMP
    error from inside that is about no packet of a session. `echo_ids`: are the identifiers of echo requests
    kept where they can be, or always others? `quotes`: what becomes of the UDP datagram that an ICMP error
    quotes when the inside address and port are put back: its checksum is corrected ("restored"), left as it
    was outside ("translated"), or 0 ("zero"); or no more than 28 bytes are quoted ("short").
    `udp`: "blocked" drops all UDP from inside; `open_ports`: destination ports let out (None: all),
    as "udp/53" or "tcp/443". `reserved_wan`: its outside address is not public though nothing else says so.
    `ttl`: what it does to the TTL of what it passes on from inside: "kept" makes it no hop, "reset" hides all
    hops behind it. `engine`: "kernel" or "tun" forces a netns backend; "auto" takes the kernel where it can
    do all this.
    `ipv6`: None: no IPv6 inside; else what becomes of it.
    `says_too_big`: it says so of packets that do not fit its links (RFC 1191, RFC 8201), else they vanish.
    `fragments`: what becomes of packets that come in fragments, over either family; `extension_headers`: of
    those over IPv6 that have a header with destination options (RFC 8200 4.6).
    `port_set` (mask, value): only ports with `port & mask == value` are its own, as where customers share an
    address by MAP-E or MAP-T (RFC 7597 5.1).
    `foreign_sessions`: outside ports that other hosts take between two own allocations (sequential only).
    `dmz`: the host behind it that gets all that comes in and belongs to nothing: with one host, a 1:1 NAT.
    `mapper`: what it offers to those who want port mappings (None: nothing).
    `portal`: nothing gets out, and it answers all connections itself ("connections"), also by giving all
    names an address of its own ("names"), or also STUN over UDP ("stun"). "tcp": all but TCP gets out.
    `nat64`: what makes it one (None: hosts inside have IPv4).
    `pool`: how many outside addresses it has, where it stands on the internet; `pooling`: which of them
    a new mapping gets (RFC 4787 4.1): one for each inside host, any, one for each destination address, or
    one for all until the event "new-address" goes on to the next ("in-turn").
    """

    behind: str | None = None
    address: str | None = None
    mapping: Behaviour = "endpoint-independent"
    filtering: Behaviour = "address-and-port-dependent"
    allocation: Literal["preserving", "sequential", "random", "block"] | None = None
    step: int = 1
    block: int | None = None
    range: tuple[int, int] | None = None
    parity: bool = False
    port_set: tuple[int, int] | None = None
    hairpinning: bool = False
    lifetime_s: float = 180.0
    tcp_lifetime_s: float = 7440.0
    refreshed_by: Literal["outbound", "both"] = "both"
    input: Literal["drop", "open"] = "drop"
    session_limit: int | None = None
    icmp_ends_mapping: bool = False
    errors_in: ErrorsIn = "strict"
    errors_out: ErrorsOut = "dropped"
    echo_ids: Literal["kept", "rewritten"] = "kept"
    quotes: Literal["restored", "translated", "zero", "short"] = "restored"
    udp: Literal["open", "blocked"] = "open"
    open_ports: tuple[str, ...] | None = None
    answers_ttl: bool = True
    ttl: Literal["lowered", "kept", "reset"] = "lowered"
    foreign_sessions: int = 0
    engine: Literal["auto", "kernel", "tun"] = "auto"
    ipv6: Ipv6Treatment | None = None
    says_too_big: bool = True
    fragments: Passage = "passed"
    extension_headers: Passage = "passed"
    dmz: str | None = None
    mapper: MapperSpec | None = None
    nat64: Nat64Spec | None = None
    lan: LanSpec = LanSpec()
    portal: Literal["connections", "names", "stun", "tcp"] | None = None
    pool: int = 1
    pooling: Pooling = "paired"


class FirewallSpec(Impairment, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A router that filters and does not translate: stateful, or `filtering` weaker than that. `errors_in`
    and `errors_out`: as of a NAT; here "translated" is as "untranslated". `fragments` and
    `extension_headers` too."""

    behind: str | None = None
    filtering: Behaviour = "address-and-port-dependent"
    udp: Literal["open", "blocked"] = "open"
    open_ports: tuple[str, ...] | None = None
    lifetime_s: float = 180.0
    ipv6: Ipv6Treatment | None = None
    says_too_big: bool = True
    fragments: Passage = "passed"
    extension_headers: Passage = "passed"
    errors_in: ErrorsIn = "strict"
    errors_out: ErrorsOut = "dropped"


class HostSpec(Impairment, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine. `behind`: one NAT or firewall, several (an interface for each, the first preferred), or
    None: directly on the internet. `ipv6` is for hosts on the internet; behind a router the router decides.
    `vpn`: the routers of `behind` that a tunnel leads to, and no cable. `default_route`: has it default
    routes, or which of those routers do they lead to ("home", or "home/6" for one family)? `routing`: what
    chooses among several ways out. "by-source": the own address that a packet has, else the order of
    `behind`; "by-metric": that order alone; the first one overrides the others by a rule and a table of its
    own ("by-rule"), or by two routes to half of all addresses each ("by-halves"). `lets_out`: the routers
    that this machine's own firewall lets packets out to (None: all). `runs_in`: what it says that it runs in,
    so that the router before it is no router of a home. `lacks`: "link" (its cable is out), "address" (nobody
    gave it one), or "names" (its name servers know none). `firewall`: its own one, which lets in answers
    alone and drops, resets or refuses, or says of the rest that it is prohibited (None: it has none).
    `services`: it announces these by multicast DNS, as "_http._tcp"; `nattools_lan`: it runs `nattools lan`
    all the time. `blocked_names`: servers for whose names its name server says 0.0.0.0, as one does that
    blocks advertising. `mapper`: it makes port mappings, as a router with a line of its own; `standby`:
    another host behind the same router to which a second default route leads, that is not taken."""

    behind: str | tuple[str, ...] | None = None
    ipv6: bool = False
    ipv4: bool = True
    vpn: tuple[str, ...] = ()
    default_route: bool | tuple[str, ...] = True
    routing: Routing = "by-source"
    lets_out: tuple[str, ...] | None = None
    runs_in: Environment | None = None
    firewall: HostFirewall | None = None
    lacks: Literal["link", "address", "names"] | None = None
    services: tuple[str, ...] = ()
    nattools_lan: bool = False
    blocked_names: tuple[str, ...] = ()
    mapper: MapperSpec | None = None
    standby: str | None = None

    @property
    def addressed(self) -> bool:
        """Has it addresses at all?"""
        return self.lacks not in ("link", "address")


class DerpSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A DERP server as derper is: over TLS at `port`, with STUN at the server's own port, and an answer at
    port 80 to who looks for captive portals. `verifies`: it lets in only the keys of its own network, none
    of which is here (headscale's does so, and has `port_80 = false`). `fault`: "drops" (lets everybody in
    and relays nothing), "silent" (takes connections and says nothing), "no-derp" (is another web server),
    "lies" (breaks the protocol once it has let somebody in), "restarts" (once, soon after its first client
    has come), "portal" (a captive portal answers in its place, with a certificate of its own)."""

    port: int = 443
    tls: bool = True
    stun: bool = True
    port_80: bool = True
    verifies: bool = False
    fault: Literal["drops", "silent", "no-derp", "lies", "restarts", "portal"] | None = None


class ControlSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A control server of a tailnet, at `port` and at port 80: it gives its key, and hears of clients that
    want to leave HTTP. `fault`: "silent" (takes connections and says nothing), "inspected" (a proxy on the
    way answers with a certificate of its own), "proxied" (a reverse proxy before it takes the Upgrade header
    away), "another" (is another web server). `status`: what its client on the measuring machine prints, by
    the names of `tailscale status --json`."""

    port: int = 443
    tls: bool = True
    fault: Literal["silent", "inspected", "proxied", "another"] | None = None
    status: dict[str, Any] = {}


class TurnSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A relay (TURN) at the server's port, over UDP and TCP. `users`: names with their passwords; `secret`:
    what makes time-limited credentials. `tls`: within TLS as well. `fault`: "drops" (gives addresses and
    relays nothing), "private-address" (gives a private one, as behind a NAT that it does not know of),
    "not-reached" (nothing from outside reaches the addresses that it gives), "other-address" (it gives a
    public address that is not its own)."""

    users: dict[str, str] = {}
    secret: str | None = None
    tls: bool = False
    fault: Literal["drops", "private-address", "not-reached", "other-address"] | None = None


class Libp2pSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A libp2p peer at the server's port over TCP, as `nattools serve --libp2p` is one: it dials from its
    second address, if it has two. `relay`: it relays, and gives `places` to each source. `name`: it is known
    by a name alone, as `/dnsaddr/NAME`, of which name servers have its addresses (TXT records)."""

    relay: bool = True
    places: int = 8
    name: str | None = None


class ServerSpec(Impairment, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A STUN server on the internet.

    `kind`: "nattools" (nattools serve, RFC 5780 and dial-back), "rfc5780" (coturn's abilities), "plain"
    (Binding only), "xor-only", "rfc3489" (old), "silent", or one that errs: "garbage" (answers noise),
    "wrong-address" (now and then another address as mapped), "fake-other" (claims another address and
    answers CHANGE-REQUEST from its first), "ignores-change" (ignores CHANGE-REQUEST), "drops-change"
    (has two addresses and answers no CHANGE-REQUEST at all), "refuses" (answers with the error `error`).
    `says`: what it says of its clients, always: an address, or an address and port ("own": its own address;
    "mapped": theirs, as an IPv4-mapped IPv6 address); `rewritten`: what an ALG on the way makes of
    MAPPED-ADDRESS in it. "rfc3489" has no other attribute, "plain" has both.
    `program`: on netns, run this real daemon instead ("coturn"). `derp`, `control`: it is such a server, and
    no other. `relay`: a server of kind "nattools", or coturn, that relays. `libp2p`: one of kind "nattools"
    that is a libp2p peer, too.
    """

    kind: Literal[
        "nattools",
        "rfc5780",
        "plain",
        "xor-only",
        "rfc3489",
        "silent",
        "garbage",
        "wrong-address",
        "fake-other",
        "ignores-change",
        "drops-change",
        "refuses",
    ] = "nattools"
    says: str | None = None
    rewritten: str | None = None
    error: int = 401
    addresses: int = 2
    port: int = 3478
    ipv6: bool = True
    tcp: bool = True
    program: Literal["nattools", "coturn"] = "nattools"
    derp: DerpSpec | None = None
    control: ControlSpec | None = None
    relay: TurnSpec | None = None
    libp2p: Libp2pSpec | None = None


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole network. Without servers of its own it has one, `server.stun`, a `nattools serve` with two
    addresses. `expect` holds, per host, what a correct report must say: see `lab.expect`."""

    title: str
    description: str = ""
    nat: dict[str, NatSpec] = {}
    firewall: dict[str, FirewallSpec] = {}
    host: dict[str, HostSpec] = {}
    server: dict[str, ServerSpec] = msgspec.field(default_factory=lambda: {"stun": ServerSpec()})
    event: tuple[EventSpec, ...] = ()
    expect: dict[str, Any] = {}
    options: dict[str, Any] = {}
    name: str = ""


RouterSpec = NatSpec | FirewallSpec
INTERNET = "internet"
"""The name of the node that joins everything public."""


def routers(scenario: Scenario) -> dict[str, RouterSpec]:
    """NATs and firewalls by name, in the order of the file."""
    return {**scenario.nat, **scenario.firewall}


NodeKind = Literal["internet", "nat", "firewall", "host", "server"]


def nodes_by_kind(scenario: Scenario) -> dict[NodeKind, dict[str, Any]]:
    """All nodes but the internet, as the file has them."""
    return {
        "nat": scenario.nat,
        "firewall": scenario.firewall,
        "host": scenario.host,
        "server": scenario.server,
    }


def inside_network(scenario: Scenario, router: str) -> str:
    """The IPv4 network on the inside of a NAT, or of a firewall (public addresses)."""
    index = list(routers(scenario)).index(router) + 1
    nat = scenario.nat.get(router)
    return f"11.{150 + index}.0.0/24" if nat is None else nat.address or f"10.0.{index}.0/24"


def has_ipv6(scenario: Scenario, router: str) -> bool:
    """A router has IPv6 inside if it and all routers outside it have."""
    name: str | None = router
    while name is not None:
        spec = routers(scenario)[name]
        if spec.ipv6 is None:
            return False
        name = spec.behind
    return True


def inside_network6(scenario: Scenario, router: str) -> str | None:
    """The IPv6 network on the inside of a router; None: it has none."""
    if not has_ipv6(scenario, router):
        return None
    index, spec = list(routers(scenario)).index(router) + 1, routers(scenario)[router]
    return f"{'fd00' if spec.ipv6 in LOCAL_INSIDE else '2a10'}:{index:x}:0:1::/64"


def outside_network6(scenario: Scenario, router: str) -> str | None:
    """What takes its place outside, where the prefix is translated."""
    index = list(routers(scenario)).index(router) + 1
    translated = routers(scenario)[router].ipv6 == "nptv6" and has_ipv6(scenario, router)
    return f"2a10:{index:x}:0:1::/64" if translated else None


def server_uris(scenario: Scenario) -> tuple[str, ...]:
    """The servers as `--server` takes them, in the order of the file: by name, since one may have addresses
    of both families. DERP servers answer nobody's STUN but their own clients', control servers none."""
    return tuple(
        f"stun:{name}:{spec.port}"
        for name, spec in scenario.server.items()
        if spec.derp is None and spec.control is None
    )


def neighbours(scenario: Scenario) -> tuple[str, ...]:
    """The hosts that have something running for the others on their network."""
    hosts = scenario.host.items()
    return tuple(name for name, spec in hosts if spec.services or spec.nattools_lan or spec.mapper)


def host_behind(scenario: Scenario, host: str) -> tuple[str, ...]:
    """The routers a host is behind; empty: it is on the internet."""
    behind = scenario.host[host].behind or ()
    return (behind,) if isinstance(behind, str) else behind
