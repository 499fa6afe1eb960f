"""Proving by a dial-back that a port mapping is true, and if it is not, whether it is this machine that stops
what comes.

A router's "success" is no proof: it may have mapped the wrong address, stand behind a second NAT, or forget
to open its own firewall. The port behind the mapping sends nothing, so nothing but the mapping can have let
the dial-back in; it comes from another address of the server than the one that was asked, where the server
has one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nattools.model.endpoint import Endpoint
from nattools.model.mappingseen import MapCheck
from nattools.probes.arrivalcheck import has_arrived, watching_arrivals
from nattools.probes.dialbacks import InboundListener, InboundTrial
from nattools.probes.ownfirewall import opened_here
from nattools.probes.probe import ProbeContext
from nattools.probes.target import Target

if TYPE_CHECKING:
    from nattools.probes.portmap import GatewayContext, Granted


async def verify(
    context: ProbeContext,
    gateway: GatewayContext,
    target: Target,
    granted: Granted,
    listener: InboundListener,
) -> MapCheck:
    """Have `target`, a nattools server of the mapping's family, dial back to a mapping whose inside is
    `listener`; what came of it is put on record and returned."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    trial = InboundTrial(context, gateway, target, listener, granted.external_port)
    with watching_arrivals(context.network, target.family) as watch:
        await trial.run()
        stopped = trial.outcome in ("silent", "refused")
        inside = granted.internal.port
        reached_card = (
            has_arrived(watch, granted.transport, inside, trial.origin, target) if stopped else None
        )
    opened = await _opened_here(trial, listener) if stopped and reached_card is None else None
    origin = trial.listener.origin or trial.origin
    host = trial.seen or (target.mapped.host if target.mapped else granted.external_host) or gateway.local
    check = MapCheck(
        probe="verify",
        protocol=granted.protocol,
        transport=granted.transport,
        family=granted.internal.family,
        internal=str(granted.internal),
        external=None if granted.external is None else str(granted.external),
        target=str(Endpoint(host, granted.external_port)),
        origin=None if origin is None else str(origin),
        outcome=trial.outcome,
        sent=trial.sent,
        waited_s=round(loop.time() - began, 6),
        reached_card=reached_card,
        opened_here=opened,
        detail=trial.detail,
    )
    return context.recorder.add(check, at=began)


async def _opened_here(trial: InboundTrial, listener: InboundListener) -> bool | None:
    """Over UDP alone, which can open a way without being answered."""
    return await opened_here(trial) if listener.transport == "udp" else None
