"""The way to an allocation, step by step: a relay's name, a connection where there is one, credentials, and
what is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Final, TypedDict, Unpack

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.serveruri import ServerUri, is_host
from nattools.net.base import Network, TcpStream
from nattools.net.eventloop import TimeLimit
from nattools.net.turn.turndriver import Carrier, TurnDriver, TurnStream
from nattools.net.turn.turnsocket import RelayedSocket
from nattools.net.turn.turnstreams import RelayedStreams
from nattools.net.web.serversteps import Cause, StepFailure, StepName, Steps
from nattools.net.web.serverstream import Security, addresses_of, open_server_stream
from nattools.protocols.turn.clientallocation import ClientAllocation
from nattools.protocols.turn.credentials import LongTermCredentials, problem_of
from nattools.protocols.turn.refusal import TurnRefusal
from nattools.protocols.turn.requests import AllocationSpec

OPEN_S: Final = 10.0
MOST_REDIRECTIONS: Final = 2
_WITH_CREDENTIALS: Final = frozenset({401, 438, 441})
_CAUSES: Final[dict[str, Cause]] = {
    "port-unreachable": "refused",
    "refused": "refused",
    "prohibited": "prohibited",
    "closed": "closed",
}
"""By what an ICMP error or a failed attempt to send says; all else is "unreachable"."""


class RelayAccess(TypedDict, total=False):
    """How to reach a relay: by the `transport` that its URI names, else by this one, else by UDP, and over
    TLS for `turns:`; `family` is that of the way to it. `security`: what its certificate is held to, its name
    by default. `timeout_s`: for all steps together; `rto_s`: as for `stun.Transaction`."""

    transport: Transport
    family: Family | None
    interface: str | None
    security: Security | None
    rto_s: float
    timeout_s: float


async def open_relayed(
    network: Network,
    server: ServerUri,
    credentials: LongTermCredentials | None,
    spec: AllocationSpec | None = None,
    **options: Unpack[RelayAccess],
) -> RelayedSocket | StepFailure:
    """Ask a relay for an allocation. A redirection is followed a few times (RFC 8489 10)."""
    opening = _Opening(network, credentials, spec or AllocationSpec(), options)
    driver = await opening.open(server)
    return driver if isinstance(driver, StepFailure) else RelayedSocket(driver, opening.steps.taken)


async def open_relayed_streams(
    network: Network,
    server: ServerUri,
    credentials: LongTermCredentials | None,
    **options: Unpack[RelayAccess],
) -> RelayedStreams | StepFailure:
    """Ask a relay for an allocation for TCP, over TCP or TLS (RFC 6062 4.1)."""
    opening = _Opening(network, credentials, AllocationSpec(tcp=True), {**options, "transport": "tcp"})
    driver = await opening.open(server)
    if isinstance(driver, StepFailure):
        return driver
    another = partial(opening.stream_to, driver.allocation.server)
    return RelayedStreams(driver, opening.steps.taken, another)


class _Opening:
    """One attempt to get an allocation, until its time is over."""

    def __init__(
        self,
        network: Network,
        credentials: LongTermCredentials | None,
        spec: AllocationSpec,
        options: RelayAccess,
    ) -> None:
        self.steps = Steps()
        self._network = network
        self._credentials = credentials
        self._spec = spec
        self._options = options
        self._security: Security | None = None
        self._interface = options.get("interface")
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self._until = self._began_at + options.get("timeout_s", OPEN_S)

    async def open(self, server: ServerUri) -> TurnDriver | StepFailure:
        """Whatever it takes."""
        by = server.transport or self._options.get("transport") or ("tcp" if server.secure else "udp")
        if (problem := problem_of(self._credentials)) is not None:
            return self.steps.failed("authenticate", "no-credentials", problem)
        if server.secure and by == "udp":
            return self.steps.failed("tls", "not-tls", "TURN over DTLS is not supported")
        if server.secure:
            self._security = self._options.get("security") or Security(server.host)
        hosts = await addresses_of(self._network, server.host, self.steps, self._options.get("family"))
        if isinstance(hosts, StepFailure):
            return hosts
        endpoints = [Endpoint(host, server.port_or_default) for host in hosts]
        routed = [each for each in endpoints if self._network.route(each.host) is not None]
        return await self._follow(routed or endpoints, by)

    async def stream_to(self, server: Endpoint, timeout_s: float) -> TcpStream | StepFailure:
        """Another connection to the relay."""
        return await open_server_stream(
            self._network, [server], Steps(), self._security, timeout_s=timeout_s, interface=self._interface
        )

    async def _follow(self, endpoints: list[Endpoint], by: Transport) -> TurnDriver | StepFailure:
        """At the first of these endpoints that answers, or where it sends us. With 437 our own end is known
        there, from an earlier allocation, and another one is taken, once (RFC 8656 7.4)."""
        asked: set[Endpoint] = set()
        again = True
        while True:
            driver = await self._ask(endpoints, by)
            if isinstance(driver, StepFailure) or driver.allocation.state == "standing":
                return driver
            refusal = driver.allocation.refusal
            driver.close()
            code = None if refusal is None else refusal.code
            if refusal is not None and code == 300:
                asked.add(driver.allocation.server)
                if not self._may_be_sent_to(refusal, driver.allocation.server, asked):
                    words = f"it sends us on to {refusal.alternate or 'nowhere'}"
                    return self.steps.failed("allocate", "error", words, 300)
                if self._security is not None and refusal.domain:
                    self._security = Security(refusal.domain)
                endpoints = [alternate for alternate in (refusal.alternate,) if alternate is not None]
            elif code == 437 and again:
                again, endpoints = False, [driver.allocation.server]
            else:
                return self._failed(driver, refusal, by)

    def _may_be_sent_to(self, refusal: TurnRefusal, server: Endpoint, asked: set[Endpoint]) -> bool:
        """To a few others, by the same family (RFC 8489 10), and from outside not into our own network."""
        alternate = refusal.alternate
        if alternate is None or alternate in asked or len(asked) > MOST_REDIRECTIONS:
            return False
        if refusal.domain and not is_host(refusal.domain):
            return False
        inward = self._network.is_public(server.host) and not self._network.is_public(alternate.host)
        return alternate.port != 0 and alternate.family == server.family and not inward

    async def _ask(self, endpoints: list[Endpoint], by: Transport) -> TurnDriver | StepFailure:
        """An allocation that stands or is over, at the first endpoint that answers."""
        driver: TurnDriver | None = None
        for number, endpoint in enumerate(endpoints):
            if driver is not None:
                driver.close()
            carrier = await self._carrier(endpoint, endpoints, by)
            if isinstance(carrier, StepFailure):
                return carrier
            left_s = max(0.0, self._until - self._loop.time())
            if isinstance(carrier, TurnStream):  # the first that took the connection
                return await self._wait(carrier, carrier.remote, left_s)
            driver = await self._wait(carrier, endpoint, left_s / (len(endpoints) - number))
            if driver.allocation.answered:
                break
        assert driver is not None  # a name that is resolved has an address
        return driver

    async def _carrier(
        self, endpoint: Endpoint, endpoints: Iterable[Endpoint], by: Transport
    ) -> Carrier | StepFailure:
        if by == "udp":
            whole = self._spec.dont_fragment and self._network.missing("dont-fragment") is None
            try:
                return await self._network.open_udp(
                    family=endpoint.family, interface=self._interface, dont_fragment=whole
                )
            except CannotRun as error:
                return self.steps.failed("connect", "unreachable", str(error))
        stream = await open_server_stream(
            self._network,
            endpoints,
            self.steps,
            self._security,
            timeout_s=max(0.0, self._until - self._loop.time()),
            interface=self._interface,
        )
        return stream if isinstance(stream, StepFailure) else TurnStream(stream)

    async def _wait(self, carrier: Carrier, server: Endpoint, patience_s: float) -> TurnDriver:
        allocation = ClientAllocation(
            server,
            self._credentials,
            self._spec,
            stream=isinstance(carrier, TurnStream),
            rto_s=self._options.get("rto_s", 0.5),
        )
        driver = TurnDriver(carrier, allocation)
        try:
            async with TimeLimit(patience_s):
                while allocation.state == "asking":
                    await driver.change()
        except BaseException:
            driver.close()
            raise
        if not isinstance(carrier, TurnStream) and allocation.answered:
            self.steps.done("connect", at_once=True)
        if allocation.state == "standing":
            self._stands(allocation)
        return driver

    def _stands(self, allocation: ClientAllocation) -> None:
        at = allocation.challenged_at
        self.steps.done(
            "authenticate", "it asks for no credentials" if at is None else "", at_once=at is None, at=at
        )
        self.steps.done("allocate", ", ".join(str(each) for each in allocation.relayed))

    def _failed(self, driver: TurnDriver, refusal: TurnRefusal | None, by: Transport) -> StepFailure:
        """Which step it was, and why."""
        allocation = driver.allocation
        step: StepName = "allocate"
        if not allocation.answered and by == "udp":
            step = "connect"
        elif allocation.challenged_at is None or (refusal is not None and refusal.code in _WITH_CREDENTIALS):
            step = "authenticate"
        else:
            self.steps.done("authenticate", at=allocation.challenged_at)
        cause, detail = self._cause(driver, refusal)
        return self.steps.failed(step, cause, detail, None if refusal is None else refusal.code)

    def _cause(self, driver: TurnDriver, refusal: TurnRefusal | None) -> tuple[Cause, str]:
        if refusal is None or refusal.state == "timed out":
            waited_s = self._loop.time() - self._began_at
            return "timeout", driver.allocation.doubt or f"no answer within {waited_s:.2g} s"
        if refusal.state == "not authentic":
            return "challenge", refusal.detail
        if refusal.state == "abandoned":
            return _CAUSES.get(driver.problem or "", "unreachable"), refusal.detail
        if refusal.code is None:
            return "not-a-relay", refusal.detail
        if refusal.code == 401 and self._credentials is None:
            return "no-credentials", "it asks for a user name and a password"
        if refusal.code == 401 and driver.allocation.challenged_at is None:
            return "challenge", refusal.detail
        words = refusal.detail if refusal.detail.lower() not in refusal.reason.lower() else ""
        return "error", f"{refusal.reason}: {words}" if words else refusal.reason
