"""What was seen of a tailnet's servers: its control server, the regions of its DERP map, and what its client
on this machine says."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.endpoint import Family
from nattools.model.observed import Observation
from nattools.model.overlay import OverlayStatus

ControlStepName = Literal["resolve", "connect", "tls", "key"]
ControlCause = Literal[
    "unresolved",
    "timeout",
    "refused",
    "unreachable",
    "prohibited",
    "closed",
    "not-tls",
    "certificate",  # it is not valid for that name
    "captive-portal",
    "error",  # it answers with an HTTP error
    "not-a-control",  # what answers is no control server
]


class ControlStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step on the way to a control server's key. `ms` as in `RelayStep`."""

    step: ControlStepName
    ok: bool
    ms: float | None = None
    detail: str = ""


class ListedRegion(msgspec.Struct, frozen=True, kw_only=True):
    """A region of a DERP map. `home`: clients may choose it as theirs."""

    id: int
    code: str = ""
    name: str = ""
    servers: int = 0
    home: bool = True


class TailnetAsked(Observation, frozen=True, kw_only=True, tag="tailnet"):
    """A tailnet whose servers were asked; `number` counts from 1. `control`: its URL. `map`: where its DERP
    map is from, with its `regions`; `problem` says why there is none."""

    number: int
    name: str
    control: str | None = None
    map: str | None = None
    regions: tuple[ListedRegion, ...] = ()
    problem: str = ""


class TailnetStatus(Observation, frozen=True, kw_only=True, tag="tailnet-status"):
    """What a client says of itself and its peers, read from `source`."""

    number: int
    source: str
    status: OverlayStatus


class ControlTrial(Observation, frozen=True, kw_only=True, tag="control-trial"):
    """A control server asked for its key, step by step; `cause`: why it gave none. `issuer`: who vouches for
    the certificate that was shown, where it is not valid or somebody intercepts. `upgrade`: do requests that
    leave HTTP for Tailscale's protocol reach it; False: something before it takes that header away; None:
    what came says neither."""

    number: int
    url: str
    server: str | None = None
    steps: tuple[ControlStep, ...] = ()
    cause: ControlCause | None = None
    detail: str = ""
    issuer: str = ""
    upgrade: bool | None = None

    @property
    def answers(self) -> bool | None:
        """Did it give its key? None: it was not waited for."""
        if self.cause is not None:
            return False
        return any(step.step == "key" and step.ok for step in self.steps) or None


class RegionTrial(Observation, frozen=True, kw_only=True, tag="region-trial"):
    """A region's servers asked over one family how far away they are, `sent` times; `latency_s` is the
    shortest round trip, None if none answered. By STUN, from one port for all: `mapped` are the addresses
    that the answers named, in the order in which they came; by HTTPS or an echo request, none. `at_first_s`:
    when the first answer came, in seconds since the measurement began."""

    number: int
    region: int
    family: Family
    by: Literal["stun", "https", "icmp"]
    sent: int = 0
    latency_s: float | None = None
    mapped: tuple[str, ...] = ()
    at_first_s: float | None = None


class ChallengeTrial(Observation, frozen=True, kw_only=True, tag="challenge-trial"):
    """A DERP server asked for `/generate_204` with a challenge, which a captive portal cannot answer. `met`
    None: nobody answered."""

    number: int
    uri: str
    met: bool | None


class ClientPort(Observation, frozen=True, kw_only=True, tag="client-port"):
    """Does a program on this machine hold the UDP port that Tailscale's clients take?"""

    port: int
    taken: bool


TailnetObservation = TailnetAsked | TailnetStatus | ControlTrial | RegionTrial | ChallengeTrial | ClientPort
