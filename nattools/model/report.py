"""The report that users script against: `nattools.report/1`.

Fields are added freely; to change or remove one, raise the number in `SCHEMA`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.endpoint import Family, Transport
from nattools.model.host import Host
from nattools.model.matrix import Matrix
from nattools.model.nat import NatByTransport, PeerKind, Requirement
from nattools.model.observation import AnyObservation
from nattools.model.portmapping import MappingProtocol
from nattools.model.punch import Punch
from nattools.model.technique import Technique

SCHEMA = "nattools.report/1"
Substrate = Literal["host", "sim", "netns"]
Command = Literal["diagnose", "nat", "ipv6", "map", "punch", "pwnat", "relay", "lab"]
TIME_WAS_OVER = "The time given was over before all questions were answered; what is missing is unknown."
"""The warning of a report whose --timeout was too short."""

MapAction = Literal["probe", "add", "list", "delete", "keep"]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """The program that wrote the report."""

    name: str
    version: str


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server that was asked, and what it turned out to be able to do."""

    uri: str
    address: str | None = None
    answered: bool = False
    rfc5780: bool | None = None
    nattools: bool | None = None
    problem: str = ""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """The first lines of a diagnosis: can this machine be reached, which way is best, what to do."""

    reachable: Literal["directly", "by punching", "over tcp only", "by relay only", "unknown", "offline"]
    headline: str
    best: str
    to_do: tuple[str, ...] = ()


class MappingError(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no mapping. `code` and `name` are the protocol's own; without a code the router did not
    answer, or not in a way that makes sense."""

    code: int | None
    name: str
    meaning: str
    advice: str


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """A port mapping on a router, or a pinhole in its IPv6 firewall.

    `external` is where others reach it. `lifetime_s` None: until it is deleted. `created`: the router has it,
    or had it while it was tried. `verified_inbound`: packets from outside arrived through it; False: they
    did not, though the router said yes; None: nobody tried. `removed`: it has been taken away again.
    `evidence` are observation ids.
    """

    protocol: MappingProtocol
    transport: Transport
    family: Family = 4
    internal: str
    external: str | None
    lifetime_s: int | None
    created: bool
    verified_inbound: bool | None = None
    error: MappingError | None = None
    removed: bool = False
    description: str = ""
    evidence: tuple[int, ...] = ()


class CrossCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What another tool says of the same network (`--cross-check`) beside our own finding: of a NAT in RFC
    3489's names, of a router's UPnP in a few words. `agrees` None: one of the two has no verdict. `why`
    explains a disagreement."""

    tool: str
    says: str
    ours: str
    agrees: bool | None
    why: str = ""
    evidence: tuple[int, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one command. Unknown fields of later versions are ignored on reading."""

    schema: Literal["nattools.report/1"] = "nattools.report/1"
    tool: Tool
    command: Command
    action: MapAction | None = None
    started: str
    duration_s: float
    substrate: Substrate
    scenario: str | None = None
    host: Host
    servers: tuple[Server, ...] = ()
    nat: NatByTransport = NatByTransport()
    ipv6: None = None
    mappings: tuple[Mapping, ...] = ()
    relays: tuple[None, ...] = ()
    punch: Punch | None = None
    matrix: Matrix | None = None
    pwnat: None = None
    lan: None = None
    advice: Advice | None = None
    techniques: tuple[Technique, ...] = ()
    peers: tuple[PeerKind, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    cross_checks: tuple[CrossCheck, ...] = ()
    warnings: tuple[str, ...] = ()
    observations: tuple[AnyObservation, ...] = ()
