"""Is everything that comes to the outside address passed on to this machine (a 1:1 NAT, a DMZ)?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Transport
from nattools.model.observation import DialBack
from nattools.probes.arrivalcheck import has_arrived, watching_arrivals
from nattools.probes.dialbacks import InboundListener, InboundTrial, open_inbound_listener
from nattools.probes.layers import HERE, NEXT_ROUTER, opener
from nattools.probes.ownaddress import OwnAddress
from nattools.probes.probe import LaneProbe, ProbeContext
from nattools.probes.target import Target


class Unsolicited(LaneProbe):
    """A server dials back to a port of ours that has written to nobody, so that no NAT has a mapping for it:
    to the same number outside, as a 1:1 NAT keeps it. Where a datagram arrives, a connection is tried too."""

    name = "unsolicited"
    text = "does what nobody asked for arrive?"
    commands = frozenset({"diagnose", "tailscale"})
    transport = "udp"
    tells_loss = False

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """The best one that dials back."""
        return [target for target in ranked if target.local_host and target.dials_back("udp")][:1]

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Until one arrives, or silence counts."""
        target = targets[0]
        arrived = await _try(context, target, "udp")
        if arrived and target.dials_back("tcp"):
            await _try(context, target, "tcp")
        elif not arrived and context.family == 4 and target.two_addresses:
            await _how_far(context, target)


async def _try(context: ProbeContext, target: Target, transport: Transport) -> bool:
    began = asyncio.get_running_loop().time()
    place = OwnAddress(context.network, context.interface, context.family, target.local_host or "")
    try:
        listener = await open_inbound_listener(place, transport)
    except CannotRun:
        return False
    trial = InboundTrial(context, place, target, listener, listener.local.port)
    try:
        with watching_arrivals(context.network, context.family) as watch:
            await trial.run()
            seen = has_arrived(watch, transport, listener.local.port, trial.origin, target)
    finally:
        listener.close()
    context.recorder.add(_observed(trial, listener, seen), at=began)
    return trial.outcome == "arrived"


async def _how_far(context: ProbeContext, target: Target) -> None:
    """Of a machine without a NAT: does a packet open the way that passes no router, or the next one alone?
    (Over IPv6 that is tried with other addresses too.)"""
    if not context.network.is_public(target.local_host or ""):
        return
    async with asyncio.TaskGroup() as group:
        for ttl in (HERE, NEXT_ROUTER):
            group.create_task(opener(context, target, ttl, expires=False, copies=context.estimate.copies()))


def _observed(trial: InboundTrial, listener: InboundListener, reached_card: bool | None) -> DialBack:
    target = trial.target
    seen = target.mapped.host if target.mapped is not None else trial.place.local
    return DialBack(
        probe=Unsolicited.name,
        transport=listener.transport,
        family=target.family,
        target=str(Endpoint(trial.seen or seen, trial.port)),
        origin=str(listener.origin or trial.origin or target.other or target.endpoint),
        change_address=target.two_addresses,
        change_port=True,
        fresh=True,
        untouched=True,
        outcome="timeout" if trial.outcome == "silent" else trial.outcome,
        sent=trial.sent,
        local=str(listener.local),
        reached_card=True if trial.outcome == "arrived" else reached_card,
        detail=trial.detail,
    )
