"""Calling the actions of a UPnP service: one HTTP request each."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from nattools.errors import ProtocolError
from nattools.probes.portmap import httpclient
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.mapper import Refused
from nattools.protocols import igd
from nattools.protocols.igd import ErrorCode
from nattools.protocols.routerurls import LanUrl
from nattools.wording.refusals import upnp_refusal

T = TypeVar("T")

LOOK_S = httpclient.REQUEST_S
"""How long an answer that only tells something is waited for."""
CHANGE_S = 10.0
"""How long a change is waited for: slow routers take 4 s and more to make a mapping, and who gives up on them
does not know whether it was made."""
CLOSED_S = 5.0
"""How long somebody is waited for where nobody listens any more."""
_BROKEN = (ErrorCode.INVALID_ACTION, ErrorCode.ACTION_FAILED, ErrorCode.NOT_IMPLEMENTED)
_CHANGES = ("Add", "Delete", "Update")


async def call(
    gateway: GatewayContext, service: igd.Service, action: igd.Call[T], *, insist_s: float | None = None
) -> T | Refused:
    """Call an action and read its result; a fault becomes a refusal in plain words. `insist_s`: for how long
    a router is asked again that hangs up, as where it still works on what another process has asked for. A
    deletion is insisted on always: for what else is to be done there is another way. Where nobody listens any
    more, changes are asked for again: some routers' UPnP ends at a question, and is started again."""
    patience_s = CHANGE_S if action.action.startswith(_CHANGES) else LOOK_S
    closed_s = CLOSED_S if action.action.startswith(_CHANGES) else 0.0
    if action.action.startswith("Delete"):
        insist_s = closed_s = CHANGE_S

    def encode(at: LanUrl) -> bytes:
        return igd.encode_call(msgspec.structs.replace(service, control=at), action)

    response = await httpclient.ask(
        gateway, service.control, encode, timeout_s=patience_s, insist_s=insist_s, closed_s=closed_s
    )
    if isinstance(response, httpclient.HttpFailure):
        failure, detail, closed = response.failure, response.detail, response.closed
        return Refused(protocol="upnp-igd", failure=failure, detail=detail, closed=closed)
    try:
        answer = igd.parse_answer(response, action.action)
        if isinstance(answer, igd.Answer):
            return action.read(answer)
    except ProtocolError as error:
        return Refused(protocol="upnp-igd", failure="malformed", detail=str(error))
    told = upnp_refusal(
        answer.code,
        pinhole=service.kind == "WANIPv6FirewallControl",
        description=answer.description,
        from_http=answer.from_http,
    )
    return Refused(protocol="upnp-igd", failure="refused", refusal=told, detail=answer.description)


def is_broken(refused: Refused) -> bool:
    """Does an action fail in a way that says nothing about other actions and services?"""
    if refused.refusal is None:
        return refused.failure in ("unreachable", "malformed")
    return refused.refusal.http or refused.code in _BROKEN
