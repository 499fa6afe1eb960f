"""What a run produced, and the report that users script against: `nattools.report/1`.

Fields are added freely; to change or remove one, raise the number in `SCHEMA`.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from nattools.model.ending import Ending
from nattools.model.endpoint import Family
from nattools.model.host import Host
from nattools.model.ipv6 import Ipv6
from nattools.model.lan import Lan
from nattools.model.libp2p import Libp2p
from nattools.model.mappingseen import MapAttempt
from nattools.model.nat import NatByTransport, PeerKind, Requirement
from nattools.model.observation import AnyObservation
from nattools.model.portmapping import PortMapping
from nattools.model.provider import Provider
from nattools.model.punch import Matrix, Punch
from nattools.model.pwnat import Pwnat
from nattools.model.relay import Relay
from nattools.model.statement import Reason, Statement
from nattools.model.tailscale import Tailscale

SCHEMA = "nattools.report/1"
Substrate = Literal["host", "sim", "netns"]
Command = Literal[
    "diagnose", "nat", "ipv6", "map", "punch", "pwnat", "relay", "libp2p", "lab", "tailscale", "lan"
]
TIME_OVER = "time-over"
"""The code of the warning in a report whose --timeout was too short."""
NOT_REACHED = "mappings-not-reached"
"""The code of the warning that tells of a NAT beyond the router."""
_EARLIER_WORDS = {
    TIME_OVER: "The time given was over",
    NOT_REACHED: "Mappings on this router alone do not reach you",
}

MapAction = Literal["probe", "add", "list", "delete", "keep"]
TechniqueId = Literal[
    "direct-ipv4",
    "direct-ipv6",
    "upnp-igd",
    "nat-pmp",
    "pcp",
    "udp-punch",
    "udp-birthday",
    "tcp-punch",
    "pwnat",
    "relay-turn",
    "relay-derp",
    "lan",
    "libp2p",
    "tailscale",
]
TECHNIQUE_IDS: tuple[TechniqueId, ...] = get_args(TechniqueId)
Verdict = Literal["works", "fails", "unknown", "skipped"]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """The program that wrote the report."""

    name: str
    version: str


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server that was asked, and what it turned out to be able to do. `problem` is the text of
    `problems`."""

    uri: str
    address: str | None = None
    answered: bool = False
    rfc5780: bool | None = None
    nattools: bool | None = None
    problem: str = ""
    problems: Reason = ()


Reachable = Literal["directly", "by punching", "over tcp only", "by relay only", "unknown", "offline"]


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """The first lines of a diagnosis: can this machine be reached, which way is best, what to do. The texts
    are those of `answer`, `best_way` and `actions`."""

    reachable: Reachable
    headline: str = ""
    best: str = ""
    to_do: tuple[str, ...] = ()
    answer: Statement | None = None
    best_way: Statement | None = None
    actions: tuple[Statement, ...] = ()


class Technique(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict and what it rests on. `confidence` in 0..1; `evidence` are observation ids.

    `summary` gives the reason (for "unknown" and "skipped": what would settle it), and `advice` says what the
    user can do, or is empty: the texts of `reason` and `remedy`.
    """

    id: TechniqueId
    verdict: Verdict
    confidence: float
    summary: str = ""
    advice: str = ""
    evidence: tuple[int, ...] = ()
    reason: Reason = ()
    remedy: Reason = ()


class CrossCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What another tool says of the same network (`--cross-check`) beside our own finding: of a NAT in RFC
    3489's names, of a router's UPnP in a few words. `agrees` None: one of the two has no verdict. `why`,
    the text of `reason`, explains a disagreement."""

    tool: str
    says: str
    ours: str
    agrees: bool | None
    why: str = ""
    evidence: tuple[int, ...] = ()
    reason: Reason = ()


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """`families` are those that were measured: asked for, and with a route. `started` is RFC 3339.
    `timed_out`: the time given was over before all questions were answered. `ended`: nothing outside
    answered, and this is where it ended."""

    command: Command
    action: MapAction | None = None
    started: str
    duration_s: float
    substrate: Substrate
    scenario: str | None = None
    seed: int | None = None
    host: Host
    servers: tuple[Server, ...] = ()
    families: tuple[Family, ...] = (4,)
    lifetime_asked: bool = False
    timed_out: bool = False
    ended: Ending | None = None
    observations: tuple[AnyObservation, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one command. Unknown fields of later versions are ignored on reading. `warnings` are the
    texts of `notices`, which reports of earlier versions lack. `redacted`: null, as it was measured; else
    addresses and names are pseudonyms, and agree with those of reports that have the same text here, unless
    it is empty."""

    schema: Literal["nattools.report/1"] = "nattools.report/1"
    tool: Tool
    command: Command
    action: MapAction | None = None
    started: str
    duration_s: float
    substrate: Substrate
    scenario: str | None = None
    seed: int | None = None
    host: Host
    redacted: str | None = None
    provider: Provider | None = None
    servers: tuple[Server, ...] = ()
    nat: NatByTransport = NatByTransport()
    ipv6: Ipv6 | None = None
    mappings: tuple[PortMapping, ...] = ()
    relays: tuple[Relay, ...] = ()
    punch: Punch | None = None
    matrix: Matrix | None = None
    pwnat: Pwnat | None = None
    lan: Lan | None = None
    libp2p: Libp2p | None = None
    tailscale: Tailscale | None = None
    advice: Advice | None = None
    ended: Ending | None = None
    techniques: tuple[Technique, ...] = ()
    peers: tuple[PeerKind, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    cross_checks: tuple[CrossCheck, ...] = ()
    warnings: tuple[str, ...] = ()
    notices: tuple[Statement, ...] = ()
    observations: tuple[AnyObservation, ...] = ()

    def warns_of(self, code: str) -> bool:
        """Does a warning of this code stand in the report? Reports of earlier versions say so in words
        alone."""
        words = _EARLIER_WORDS.get(code)
        return any(notice.code == code for notice in self.notices) or (
            words is not None and any(words in warning for warning in self.warnings)
        )

    @property
    def connection(self) -> Punch | None:
        """What became of connecting two machines, if that was tried."""
        return self.punch or self.pwnat

    @property
    def new_mappings(self) -> list[PortMapping]:
        """What was made in this run; others were found, or left behind by an earlier one and removed."""
        granted = {
            each.id
            for each in self.observations
            if isinstance(each, MapAttempt) and each.action in ("make", "renew") and each.outcome == "granted"
        }
        return [each for each in self.mappings if each.created and not granted.isdisjoint(each.evidence)]

    @property
    def timed_out(self) -> bool:
        """Was the time given over too soon?"""
        return self.warns_of(TIME_OVER)
