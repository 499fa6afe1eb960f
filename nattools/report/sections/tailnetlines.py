"""What was seen of tailnets, as sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nattools.model import tailnetseen as seen
from nattools.wording.terms import number, seconds

ASKED_BY = {"stun": "STUN", "https": "HTTPS", "icmp": "echo requests"}


def _tailnet(o: seen.TailnetAsked) -> str:
    control = f", control server {o.control}" if o.control else ""
    place = f" of {o.map}" if o.map else ""
    problem = f": {o.problem}" if o.problem else ""
    return f"tailnet {o.name}{control}, {number(len(o.regions))} DERP regions{place}{problem}"


def _status(o: seen.TailnetStatus) -> str:
    who = f"{o.status.program} {o.status.version}".strip()
    return f"status of {who} from {o.source}: {o.status.state or '?'}, {number(len(o.status.peers))} peers"


def _control(o: seen.ControlTrial) -> str:
    steps = ", ".join(f"{step.step} {'ok' if step.ok else 'failed'}" for step in o.steps)
    outcome = "gives its key" if o.cause is None else o.cause
    detail = f" ({o.detail})" if o.detail else ""
    upgrade = {True: ", takes upgrades", False: ", gets no upgrades", None: ""}[o.upgrade]
    return f"control server {o.url}: {steps or 'not asked'}: {outcome}{upgrade}{detail}"


def _region(o: seen.RegionTrial) -> str:
    came = "no answer" if o.latency_s is None else seconds(o.latency_s)
    mapped = f", seen as {', '.join(dict.fromkeys(o.mapped))}" if o.mapped else ""
    how = f"IPv{o.family} by {ASKED_BY[o.by]}"
    return f"DERP region {number(o.region)} over {how}: {came}, {number(o.sent)} sent{mapped}"


def _challenge(o: seen.ChallengeTrial) -> str:
    met = {True: "answers as it should", False: "somebody else answers", None: "no answer"}[o.met]
    return f"captive portal challenge to {o.uri}: {met}"


def _port(o: seen.ClientPort) -> str:
    return f"UDP port {number(o.port)} of this machine: {'taken' if o.taken else 'free'}"


LINES: dict[type, Callable[[Any], str]] = {
    seen.TailnetAsked: _tailnet,
    seen.TailnetStatus: _status,
    seen.ControlTrial: _control,
    seen.RegionTrial: _region,
    seen.ChallengeTrial: _challenge,
    seen.ClientPort: _port,
}
