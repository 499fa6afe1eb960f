"""A control server asked for its key, as Tailscale's clients do before all else: which step fails?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from nattools.errors import ProtocolError
from nattools.model.controlurl import ControlUrl
from nattools.model.endpoint import Endpoint
from nattools.model.tailnetseen import ControlCause, ControlStep, ControlTrial
from nattools.net.base import TcpStream
from nattools.net.eventloop import TimeLimit
from nattools.net.hedging import hedged
from nattools.net.web.issuers import issuer_of
from nattools.net.web.serversteps import Cause, ServerStep, StepFailure, Steps
from nattools.net.web.serverstream import Security, addresses_of, open_server_stream
from nattools.net.web.tls import TlsStream
from nattools.net.web.webrequest import ask
from nattools.probes.tailnet.tailnetcontext import TailnetContext
from nattools.protocols import http, tailscalecontrol
from nattools.protocols.http import HttpResponse

OPEN_S: Final = 6.0
ANSWER_S: Final = 5.0
_LONGEST: Final = 300
_LOOK_S: Final = 3.0
"""For a second look, at who answers in the server's place."""
_CAUSES: Final[dict[Cause, ControlCause]] = {
    "unresolved": "unresolved",
    "timeout": "timeout",
    "refused": "refused",
    "unreachable": "unreachable",
    "prohibited": "prohibited",
    "closed": "closed",
    "certificate": "certificate",
    "not-tls": "not-tls",
}


async def try_control(context: TailnetContext, number: int, control: ControlUrl) -> None:
    """Ask, and record what happened."""
    trial = _Trial(context, control)
    try:
        await trial.run()
    finally:
        context.recorder.add(ControlTrial(probe="control", number=number, url=control.text, **trial.told))


def _leads_to_portal(response: HttpResponse, host: str) -> bool:
    """Does it send a browser to somebody else, as captive portals do (RFC 6585 6, RFC 8952)? Servers send
    browsers to HTTPS at their own name."""
    if response.status == 511:
        return True
    try:
        leads_to = urlsplit(response.headers.get("location")[:_LONGEST]).hostname
    except ValueError:  # nowhere that a browser would find
        return False
    return response.status in (302, 303, 307) and leads_to not in (None, host)


class _Trial:
    """One control server. `told`: fields of the observation."""

    def __init__(self, context: TailnetContext, control: ControlUrl) -> None:
        self._context = context
        self._control = control
        self._at: tuple[Endpoint, ...] = ()
        self.told: dict[str, Any] = {}

    async def run(self) -> None:
        stream = await self._open(Steps())
        if stream is None:
            return
        response = await self._ask(stream, self._key_request())
        if isinstance(response, str):
            self._add(False, response)
            self._fail("closed" if response.startswith("it ended") else "timeout", response)
        elif response.status != 200:
            await self._refused(response)
        else:
            await self._read(response)

    async def _open(self, steps: Steps) -> TcpStream | None:
        """Up to TLS."""
        context, control = self._context, self._control
        family = context.families[0] if len(context.families) == 1 else None
        found = await addresses_of(context.network, control.host, steps, family)
        if isinstance(found, StepFailure):
            self._took(found.steps)
            self._fail("unresolved", found.detail)
            return None
        routed = [host for host in found if context.network.route(host) is not None] or list(found)
        at = [Endpoint(host, control.port) for host in routed]
        stream, steps = await hedged(
            lambda: self._attempt(at, steps.copied()),
            conclusive=lambda made: not isinstance(made[0], StepFailure) or made[0].cause != "timeout",
            discard=lambda made: None if isinstance(made[0], StepFailure) else made[0].abort(),
        )
        if isinstance(stream, StepFailure):
            self._took(stream.steps)
            await self._explain(stream, routed)
            return None
        self._took(steps.taken)
        self._at = (stream.remote,)
        self.told["server"] = str(stream.remote)
        if isinstance(stream, TlsStream):
            self.told["issuer"] = issuer_of(stream.peer_certificate)
        return stream

    async def _attempt(self, at: list[Endpoint], steps: Steps) -> tuple[TcpStream | StepFailure, Steps]:
        return await self._stream(at, steps, self._security()), steps

    def _security(self) -> Security | None:
        control = self._control
        if control.scheme == "http":
            return None
        return Security(control.host, self._context.pinned.get(control.host, ""))

    async def _stream(
        self, endpoints: Iterable[Endpoint], steps: Steps, security: Security | None, within_s: float = OPEN_S
    ) -> TcpStream | StepFailure:
        context = self._context
        return await open_server_stream(
            context.network, endpoints, steps, security, timeout_s=within_s, interface=context.interface
        )

    async def _explain(self, failure: StepFailure, hosts: list[str]) -> None:
        """Who answers in its place?"""
        cause: ControlCause = _CAUSES.get(failure.cause, "error")
        if cause == "certificate":
            at = [Endpoint(host, self._control.port) for host in hosts]
            shown = await self._stream(at, Steps(), Security(self._control.host, unchecked=True), _LOOK_S)
            if isinstance(shown, TlsStream):
                self.told["issuer"] = issuer_of(shown.peer_certificate)
                shown.abort()
        if await self._behind_portal(hosts):
            cause = "captive-portal"
        self._fail(cause, failure.detail)

    async def _behind_portal(self, hosts: list[str]) -> bool:
        """Does `/generate_204`, which control servers answer with nothing, lead to another host?"""
        stream = await self._stream([Endpoint(host, 80) for host in hosts], Steps(), None, _LOOK_S)
        if isinstance(stream, StepFailure):
            return False
        said = await self._ask(stream, http.encode_request("GET", "/generate_204", self._control.host))
        return isinstance(said, HttpResponse) and _leads_to_portal(said, self._control.host)

    async def _ask(self, stream: TcpStream, request: bytes) -> HttpResponse | str:
        """A text says why there is no answer."""
        try:
            async with TimeLimit(ANSWER_S):
                return await ask(stream, request, max_body=tailscalecontrol.MAX_KEY_PAGE)
            return f"no answer in {ANSWER_S:g} s"
        except ProtocolError as error:
            return f"it ended the connection, or its answer makes no sense: {error}"
        finally:
            stream.abort()

    def _key_request(self) -> bytes:
        return tailscalecontrol.key_request(self._control.authority, self._control.folder)

    async def _refused(self, response: HttpResponse) -> None:
        words = f"it answers HTTP {response.status} {response.reason[:60]}".rstrip()
        self._add(False, words)
        portal = self._control.scheme == "http" and _leads_to_portal(response, self._control.host)
        self._fail("captive-portal" if portal else "error", words)

    async def _read(self, response: HttpResponse) -> None:
        try:
            key = tailscalecontrol.read_key(response)
        except ProtocolError as error:
            self._add(False, str(error))
            self._fail("not-a-control", str(error))
            return
        self._add(True, f"mkey:{key[:8]}...")
        self.told["upgrade"] = await self._upgrades()

    async def _upgrades(self) -> bool | None:
        """Is the header seen by which clients leave HTTP? Asked again where no answer comes."""
        request = tailscalecontrol.upgrade_request(self._control.authority, self._control.folder)
        for _ in range(2):
            stream = await self._stream(self._at, Steps(), self._security())
            said = "" if isinstance(stream, StepFailure) else await self._ask(stream, request)
            if isinstance(said, HttpResponse):
                return tailscalecontrol.upgrade_arrives(said)
        return None

    def _took(self, steps: Iterable[ServerStep]) -> None:
        for each in steps:
            if each.name in ("resolve", "connect", "tls"):
                self._note(ControlStep(step=each.name, ok=each.ok, ms=each.ms, detail=each.detail))
        self._began_at = asyncio.get_running_loop().time()

    def _add(self, ok: bool, detail: str) -> None:
        ms = round((asyncio.get_running_loop().time() - self._began_at) * 1000, 3)
        self._note(ControlStep(step="key", ok=ok, ms=ms, detail=detail))

    def _note(self, step: ControlStep) -> None:
        self.told["steps"] = (*self.told.get("steps", ()), step)

    def _fail(self, cause: ControlCause, detail: str) -> None:
        self.told |= {"cause": cause, "detail": detail}
