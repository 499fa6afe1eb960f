"""Every probe by the name of its step. To add a probe: write it, name its step in `plan`, enter it here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TypeAlias

from nattools.engine.analyse import so_far
from nattools.engine.analysis.findings import main_family
from nattools.engine.plan import StepName
from nattools.engine.punchplans import plan_birthday, plan_punch
from nattools.model.endpoint import Family, Transport
from nattools.model.nat import Nat
from nattools.model.observation import Binding
from nattools.probes.birthday import birthday_udp
from nattools.probes.filtering import FilterPurpose, filtering_tcp, filtering_udp
from nattools.probes.hairpin import hairpin_udp
from nattools.probes.layers import layers, opener, opener_ttls
from nattools.probes.lifetime import lifetime_udp
from nattools.probes.mapping import allocation_udp, mapping_tcp, mapping_udp
from nattools.probes.probe import ProbeContext
from nattools.probes.target import Target
from nattools.probes.tcppunch import punch_tcp
from nattools.probes.udppunch import punch_udp, record_untried

Run: TypeAlias = Callable[[ProbeContext, tuple[Target, ...], float], Awaitable[None]]
MOST_FILTER_SERVERS = 2


async def _mapping(context: ProbeContext, targets: tuple[Target, ...], _longest_s: float) -> None:
    await mapping_udp(context, list(targets))


async def _filter(context: ProbeContext, targets: tuple[Target, ...], purpose: FilterPurpose) -> None:
    """With the best server; if that one answers from where it was asked, it ignores CHANGE-REQUEST and
    proves nothing, so another is asked."""
    for target in targets[:MOST_FILTER_SERVERS]:
        question = await filtering_udp(context, target, purpose)
        if question is None or question.outcome not in ("answered", "timeout"):
            continue
        if question.source != question.asked:
            return


async def _filter_address(context: ProbeContext, targets: tuple[Target, ...], _longest_s: float) -> None:
    await _filter(context, targets, "filter-address")


async def _filter_port(context: ProbeContext, targets: tuple[Target, ...], _longest_s: float) -> None:
    await _filter(context, targets, "filter-port")


async def _allocation(context: ProbeContext, targets: tuple[Target, ...], _longest_s: float) -> None:
    await allocation_udp(context, targets[0])


async def _hairpin(context: ProbeContext, targets: tuple[Target, ...], _longest_s: float) -> None:
    if targets[0].mapped is not None and targets[0].mapped.host != targets[0].local_host:
        await hairpin_udp(context, targets[0])


async def _layers(context: ProbeContext, targets: tuple[Target, ...], _longest_s: float) -> None:
    """The hops; and where the addresses tell how far the outermost NAT is, proof of it by an opener. Where
    each destination gets a port of its own, the server could not answer to the one that was opened."""
    hops = await layers(context, targets[0])
    if targets[0].two_addresses and not _mapping_varies(context, targets[0]):
        async with asyncio.TaskGroup() as group:
            for ttl in opener_ttls(hops, context.network.is_public):
                group.create_task(opener(context, targets[0], ttl))


def _mapping_varies(context: ProbeContext, target: Target) -> bool:
    """Did one local port show several outside ports to this server so far? (What the others say is no matter:
    one of them may lie.)"""
    own = {str(corner) for corner in target.corners()}
    mapped = {
        seen.mapped
        for seen in context.recorder.observations
        if isinstance(seen, Binding) and seen.purpose == "mapping" and seen.mapped
        if seen.transport == "udp" and seen.asked in own
    }
    return len(mapped) > 1


async def _lifetime(context: ProbeContext, targets: tuple[Target, ...], longest_s: float) -> None:
    await lifetime_udp(context, targets[0], longest_s)


async def _mapping_tcp(context: ProbeContext, targets: tuple[Target, ...], _longest_s: float) -> None:
    await mapping_tcp(context, list(targets))


async def _filter_address_tcp(context: ProbeContext, targets: tuple[Target, ...], _longest_s: float) -> None:
    await filtering_tcp(context, targets[0], change_address=True)


async def _filter_port_tcp(context: ProbeContext, targets: tuple[Target, ...], _longest_s: float) -> None:
    await filtering_tcp(context, targets[0], change_address=False)


async def _punch(context: ProbeContext, targets: tuple[Target, ...], _longest_s: float) -> None:
    """Where the behaviour tells which port to aim at. Of both transports one predicts ports at a time: many
    NATs count for both."""
    await context.loss_known.wait()
    target = targets[0]
    plan = plan_punch(
        _findings(context).get((target.transport, target.family)), target, context.recorder.observations
    )
    reason = context.network.missing("ttl") if target.transport == "tcp" else None
    if isinstance(plan, str) or reason is not None:
        assert target.other is not None
        record_untried(context, target, target.other, target.transport, reason or str(plan))
        return
    async with context.prediction_lock if plan.predicts else nullcontext():
        await (punch_udp if target.transport == "udp" else punch_tcp)(context, target, plan)


async def _birthday(context: ProbeContext, targets: tuple[Target, ...], _longest_s: float) -> None:
    """Where ports are drawn at random, in the family that the verdicts are about."""
    found = _findings(context)
    plan = plan_birthday(found.get(("udp", context.family)))
    if plan is not None and main_family(found.get(("udp", 4)), found.get(("udp", 6))) == context.family:
        await birthday_udp(context, targets[0], plan)


def _findings(context: ProbeContext) -> dict[tuple[Transport, Family], Nat]:
    """What is known by now."""
    seen = tuple(context.recorder.observations)
    return so_far(context.network.interfaces(), seen, is_public=context.network.is_public)


PROBES: dict[StepName, Run] = {
    "mapping": _mapping,
    "filter-address": _filter_address,
    "filter-port": _filter_port,
    "allocation": _allocation,
    "hairpin": _hairpin,
    "layers": _layers,
    "lifetime": _lifetime,
    "mapping-tcp": _mapping_tcp,
    "filter-address-tcp": _filter_address_tcp,
    "filter-port-tcp": _filter_port_tcp,
    "punch": _punch,
    "punch-tcp": _punch,
    "birthday": _birthday,
}
