"""What was tried to find out about inbound packets and the path MTU."""

from __future__ import annotations

from typing import Literal

from nattools.model.endpoint import Family
from nattools.model.observed import Observation

InboundOutcome = Literal["arrived", "timeout", "refused", "prohibited", "unreachable", "denied", "error"]


def tried(transport: str, sent: int, lost: int) -> int:
    """How many copies of a question `sent` attempts count as where something was `lost` on the path: over TCP
    three packets have to pass for each."""
    return sent // 2 if transport == "tcp" and lost else sent


class InboundCheck(Observation, frozen=True, kw_only=True, tag="inbound"):
    """A server sent to (UDP), connected to (TCP) or pinged (ICMP) this machine's own address `address`, a
    port of it that had written to nobody, from `origin`: `sent` packets or attempts.

    `outcome` "timeout": nothing arrived, and nothing came back to the server that listened for `listened_s`
    (0: it does not listen). `offender`: who sent the server the ICMP error that came instead. `reached_card`:
    did it come to this machine's interface, before any firewall of its own? None: nobody looked.
    """

    transport: Literal["udp", "tcp", "icmp"]
    family: Family
    address: str
    target: str
    origin: str | None
    outcome: InboundOutcome
    sent: int = 1
    listened_s: float = 0.0
    offender: str | None = None
    reached_card: bool | None = None
    detail: str = ""


class MtuTrial(Observation, frozen=True, kw_only=True, tag="mtu"):
    """IP packets of different sizes sent to the server `asked` with the don't-fragment bit, or over IPv6,
    where no router fragments; of each size up to `copies`.

    `passed`: the largest size that was answered; `failed`: the smallest that was not, in as many copies as
    make silence count (None: none failed). `link`: the MTU of the interface that they left by. `told`: the
    MTU that an ICMP error told, which came from `told_by`. `last_hop`: the furthest router that answered
    Time Exceeded to packets of the size `failed`, where what stands behind it answers to small ones.
    `refused_here`: this machine itself does not send that size. `deaf`: its system does not tell of ICMP
    errors.
    """

    family: Family
    asked: str
    passed: int | None = None
    failed: int | None = None
    link: int | None = None
    told: int | None = None
    told_by: str | None = None
    last_hop: str | None = None
    refused_here: bool = False
    deaf: bool = False
    copies: int = 0
    sent: int = 0


class SourceTrial(Observation, frozen=True, kw_only=True, tag="ipv6-source"):
    """A question to the server `asked` over UDP, `sent` times, from this machine's own IPv6 address
    `address`: one of each prefix, where there are several."""

    address: str
    asked: str
    answered: bool
    sent: int = 0
    detail: str = ""
