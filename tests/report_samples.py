"""Reports made by hand, for tests of what draws, writes and reads them."""

from __future__ import annotations

import msgspec

from nattools.model.host import Gateway, Host, Interface
from nattools.model.nat import Layer, Nat, NatByTransport, PeerKind, Requirement
from nattools.model.observation import Binding, DialBack, Gap, Hairpin, Hop, Idle, Resolution, SecondOpinion
from nattools.model.punch import Echoes, Path, PlannedStep, Punch, Stage, Throughput
from nattools.model.report import TECHNIQUE_IDS, Advice, Report, Server, Technique, TechniqueId, Tool, Verdict

TECHNIQUES: dict[TechniqueId, tuple[Verdict, str, str]] = {
    "direct-ipv4": ("fails", "10.0.0.2 is a private address; outside you are 11.1.0.2.", ""),
    "direct-ipv6": ("fails", "This machine has no IPv6 address that others could reach.", ""),
    "upnp-igd": ("skipped", "This version does not ask routers for UPnP.", ""),
    "udp-punch": ("works", "Your NAT gives one port to everybody (11.1.0.2:40001).", ""),
    "udp-birthday": ("works", "The NAT's ports can be met by guessing from 256 sockets.", ""),
    "tcp-punch": ("unknown", "No server here answered over TCP.", "Run nattools serve on a public machine."),
}

OBSERVATIONS = (
    Binding(
        id=1,
        probe="mapping",
        at_s=0.01,
        purpose="mapping",
        transport="udp",
        family=4,
        local="10.0.0.2:40001",
        asked="11.201.0.2:3478",
        outcome="answered",
        received=1,
        rtt_s=0.0301,
        source="11.201.0.2:3478",
        mapped="11.1.0.2:40001",
    ),
    Binding(
        id=2,
        probe="filtering",
        at_s=0.2,
        purpose="filter-address",
        transport="udp",
        family=4,
        local="10.0.0.2:40002",
        asked="11.201.0.2:3478",
        change_address=True,
        change_port=True,
        outcome="timeout",
        sent=3,
        waited_s=0.4,
    ),
    Hairpin(id=3, transport="udp", family=4, local="10.0.0.2:1", target="11.1.0.2:2", sent=3, received=0),
    Idle(
        id=4,
        transport="udp",
        family=4,
        local="10.0.0.2:3",
        mapped="11.1.0.2:3",
        idle_s=30.0,
        refreshed_by="nothing",
        sent=2,
        alive=True,
    ),
    Hop(id=5, family=4, destination="11.201.0.2", ttl=1, address="10.0.0.1", sent=1, rtt_s=0.001),
    DialBack(
        id=6,
        transport="tcp",
        family=4,
        target="11.1.0.2:4",
        origin="11.201.0.3:9",
        change_address=True,
        change_port=False,
        fresh=True,
        outcome="timeout",
    ),
    Resolution(id=7, name="stun.example.org", error="no such name"),
    SecondOpinion(id=8, tool="pystun3", version="2.0.0", says="Full Cone", duration_s=8.1),
    Gap(id=9, question="filtering over TCP", reason="no server can", settle="nattools serve can"),
)

PEERS = (
    PeerKind(kind="no NAT", path="direct", strategy="reflexive", odds=1.0, seconds=0.2, why="It is open."),
    PeerKind(kind="port-restricted cone", path="direct", strategy="reflexive", why="Both keep one port."),
    PeerKind(
        kind="symmetric, random", path="direct", strategy="birthday", odds=0.98, seconds=4.0, why="Guessing."
    ),
    PeerKind(kind="UDP blocked", path="relay", strategy="relay", why="Nothing gets through to it."),
)

PLAN = (
    PlannedStep(
        strategy="birthday",
        transport="udp",
        why="Its port changes at random: 256 of its sockets open ports, and we try until one is met.",
        odds=0.9835,
        packets=(1024, 258),
        seconds=3.2,
    ),
    PlannedStep(strategy="low-ttl", transport="udp", why="The roles exchanged, in case one was too early."),
    PlannedStep(strategy="relay", transport="udp", why="A relay carries everything.", odds=1.0),
)
STAGES = (
    Stage(at_s=0.01, side="here", stage="mailbox", text="room 7 is open at 11.201.0.2:3478", ok=True),
    Stage(at_s=8.2, side="there", stage="mailbox", text="it came, with the same code", ok=True),
    Stage(at_s=8.9, side="here", stage="behaviour", text="port-restricted cone"),
    Stage(at_s=9.1, side="there", stage="behaviour", text="symmetric, ports at random"),
    Stage(at_s=9.2, side="here", stage="candidates", text="10.0.0.2:40001, 11.1.0.2:40001", ok=True),
    Stage(at_s=9.3, side="here", stage="mappings", text="the router opens no ports", ok=False),
    Stage(
        at_s=10.4, side="here", stage="attempt", text="11.2.0.2:50123 answered", ok=True, strategy="birthday",
        sent=402, seen=1,
    ),
    Stage(at_s=10.5, side="here", stage="nomination", text="10.0.0.2:40001 to 11.2.0.2:50123", ok=True),
    Stage(at_s=10.7, side="here", stage="secured", text="QUIC, bound to the code", ok=True),
)  # fmt: skip


def connected() -> Punch:
    return Punch(
        connected=True,
        path="direct",
        transport="udp",
        family=4,
        strategy="birthday",
        local="10.0.0.2:40001",
        remote="11.2.0.2:50123",
        elapsed_s=1.1,
        rtt_ms=31.4,
        probes_sent=402,
        stages=STAGES,
        why="One of our 402 packets met one of the 256 ports that its NAT had opened.",
        odds=0.9835,
        plan=PLAN,
        spares=(Path(transport="tcp", local="10.0.0.2:40002", remote="11.2.0.2:443", rtt_ms=33.0),),
        secured_by="quic",
        echoes=Echoes(sent=10, received=9, rtt_ms=(30.2, 31.4, 44.0)),
        throughput=Throughput(up_mbps=94.2, down_mbps=88.0, loss=0.01, idle_rtt_ms=31.4, loaded_rtt_ms=52.9),
    )


def not_connected() -> Punch:
    return Punch(
        connected=False,
        probes_sent=2048,
        stages=STAGES[:6],
        why="Both NATs draw ports at random, and none of 2,048 packets met an open one.",
        advice="Let nattools bind ports below 1024 on one side: sudo setcap cap_net_bind_service+ep.",
        odds=0.02,
        plan=PLAN[:1],
    )


def punched(punch: Punch | None = None) -> Report:
    return msgspec.structs.replace(
        home_router(), command="punch", punch=punch or connected(), advice=None, techniques=(), peers=()
    )


def technique(one: TechniqueId) -> Technique:
    verdict, summary, advice = TECHNIQUES.get(one, ("skipped", "This version has no probe for it.", ""))
    return Technique(id=one, verdict=verdict, confidence=0.9, summary=summary, advice=advice, evidence=(1, 2))


def port_restricted() -> Nat:
    return Nat(
        reachable=True,
        present=True,
        mapping="endpoint-independent",
        filtering="address-and-port-dependent",
        port_allocation="preserving",
        port_range=(1024, 65535),
        hairpinning=False,
        hairpinning_confidence=1.0,
        binding_lifetime_s=30.0,
        binding_lifetime_bounds_s=(29.0, 31.0),
        external=("11.1.0.2",),
        cgnat=False,
        double_nat=False,
        distance_hops=1,
        layers=(Layer(hops=1, address="10.0.0.1", role="nat"), Layer(hops=2, address=None, role="internet")),
        classic="port-restricted cone",
        blocked_ports=(53,),
        open_ports=(443, 3478),
        loss=0.0,
        rtt_ms=30.1,
        unknowns={"refreshed_by_inbound": "The server could not send to the mapping; nattools serve can."},
        evidence={"mapping": (1,)},
    )


def home_router() -> Report:
    return Report(
        tool=Tool(name="nattools", version="0.1.0"),
        command="diagnose",
        started="2026-01-02T03:04:05Z",
        duration_s=1.234,
        substrate="sim",
        scenario="home-router:alice",
        host=Host(
            os="Linux 6.1",
            python="3.11.7",
            interfaces=(Interface(name="eth0", kind="ethernet", mtu=1500, addresses=("10.0.0.2",)),),
            gateways=(Gateway(interface="eth0", family=4, address="10.0.0.1"),),
            measured_interface="eth0",
        ),
        servers=(
            Server(
                uri="stun:11.201.0.2:3478",
                address="11.201.0.2",
                answered=True,
                rfc5780=True,
                nattools=True,
            ),
            Server(uri="stun:nowhere.example", problem="the name does not resolve"),
        ),
        nat=NatByTransport(udp4=port_restricted(), tcp4=Nat(reachable=False)),
        advice=Advice(
            reachable="by punching",
            headline="This machine can be reached directly, by hole punching.",
            best="UDP hole punching: works with 8 of 9 kinds of peers.",
            to_do=("For all of them: switch on UPnP in your router (http://10.0.0.1).", "Keep a relay."),
        ),
        techniques=tuple(technique(one) for one in TECHNIQUE_IDS),
        peers=PEERS,
        requirements=(
            Requirement(
                rfc=4787,
                number="REQ-1",
                title="Endpoint-independent mapping",
                status="met",
                why="One outside port for three destinations.",
                evidence=(1,),
            ),
            Requirement(
                rfc=5382, number="REQ-4", title="Silence to a SYN", status="untested", why="No server."
            ),
        ),
        warnings=("The server stun.example.org answered from another address.",),
        observations=OBSERVATIONS,
    )
