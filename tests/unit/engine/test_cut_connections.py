"""Firewalls that answer each SYN, or each first segment, with a reset, and proxies that take every
connection: no silence, and no fault of names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import NothingAnswered, measure
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import Network, TcpFailure, TcpStream
from nattools.wording import text_of

WEB = "11.201.0.2:443"
REFUSED = "No server answered; connections were refused, by the server's machine or by a firewall."
HALTED = "No server answered: connections were made"


class Intercepted:
    """A simulated machine's network in which something answers over TCP in the servers' place: `says` is what
    it sends on a connection; None: it resets each; `refuses`: each SYN."""

    def __init__(self, network: Network, says: bytes | None, refuses: bool) -> None:
        self._network, self._says, self._refuses = network, says, refuses

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    async def connect_tcp(self, remote: Endpoint, **options: Any) -> TcpStream | TcpFailure:
        if self._refuses:
            return TcpFailure("refused", "connection refused")
        made = await self._network.connect_tcp(remote, **options)
        return made if isinstance(made, TcpFailure) else _Answered(made, self._says)


class _Answered:
    def __init__(self, stream: TcpStream, says: bytes | None) -> None:
        self._stream, self._says = stream, says
        self._aborted = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, data: bytes) -> None:
        """Nothing of it gets on."""

    def abort(self) -> None:
        self._aborted.set()
        self._stream.abort()

    async def read(self, limit: int = 65536) -> bytes:
        if self._says == b"":
            await self._aborted.wait()
        said, self._says = self._says, None
        return said or b""


def drawn(home: NatSpec) -> Scenario:
    """Alice behind it, and a server that listens at port 443."""
    hosts, servers = {"alice": HostSpec(behind="home")}, {"web": ServerSpec(port=443)}
    return Scenario(title="t", nat={"home": home}, host=hosts, server=servers)


def left(
    scenario: Scenario, options: MeasureOptions, as_seen: Callable[[Network], Any] = lambda network: network
) -> Report:
    """What alice has in the end, where nothing answers; `as_seen`: her network."""
    with SimLab(scenario) as lab:

        async def main() -> Report:
            with pytest.raises(NothingAnswered) as caught:
                await measure(as_seen(lab.network("alice")), options, lambda event: None)
            return caught.value.report

        return lab.run(main)


def ended(uri: str, says: bytes | None = None, *, refuses: bool = False) -> Report:
    options = MeasureOptions("diagnose", (parse_server(uri),), families=(4,))
    return left(drawn(NatSpec(udp="blocked")), options, lambda network: Intercepted(network, says, refuses))


def told(report: Report) -> tuple[str, str, str]:
    """The headline, where it ended, and what is said of the server."""
    assert report.advice is not None
    assert report.advice.answer is not None
    assert report.ended is not None
    assert report.ended.step == "answer"
    assert [each.code for each in report.advice.actions] == ["check-port"]
    (server,) = report.servers
    return text_of([report.advice.answer]), text_of(report.ended.reason), text_of(server.problems)


@pytest.mark.parametrize("scheme", ["stun", "stuns"])
def test_a_reset_for_each_syn_is_a_refusal(scheme: str) -> None:
    answer, reason, server = told(ended(f"{scheme}:{WEB}", refuses=True))
    assert answer == REFUSED
    assert f"Refused: {WEB}" in reason
    assert server == "it, or a firewall on the way, refused the connection"


def test_a_reset_for_each_question_is_a_cut() -> None:
    answer, reason, server = told(ended(f"stun:{WEB}"))
    assert answer.startswith(HALTED)
    assert f"Connections were cut when something was asked: {WEB}." in reason
    assert server == "it, or a firewall on the way, cut the connection when it was asked"


def test_a_reset_for_each_tls_hello_is_no_silence() -> None:
    answer, reason, server = told(ended(f"stuns:{WEB}"))
    assert answer.startswith(HALTED)
    assert f"Connected, but no TLS: {WEB}" in reason
    assert server == "no TLS with it: the connection ended during the TLS handshake"


def test_a_proxy_that_answers_in_http_is_named() -> None:
    answer, reason, server = told(ended(f"stun:{WEB}", b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert answer.startswith(HALTED)
    assert f"What answered is not a STUN server: {WEB}." in reason
    assert "it is HTTP, as from a web server or a proxy" in server


def test_a_proxy_that_says_nothing_has_taken_the_connection() -> None:
    answer, reason, server = told(ended(f"stun:{WEB}", b""))
    assert answer.startswith(HALTED)
    assert f"Connected, but no answer came: {WEB}." in reason
    assert server == "no answer"


def test_silence_over_tls_alone_is_no_fault_of_names() -> None:
    options = MeasureOptions("diagnose", (parse_server(f"stuns:{WEB}"),), families=(4,))
    report = left(drawn(NatSpec(open_ports=("udp/1",))), options)
    assert report.ended is not None
    assert report.ended.step == "answer"


def test_a_server_that_was_not_asked_has_an_address_all_the_same() -> None:
    alice = HostSpec(behind="home", lacks="address")
    scenario = Scenario(title="t", nat={"home": NatSpec()}, host={"alice": alice})
    report = left(scenario, MeasureOptions("diagnose", (parse_server("stun:11.201.0.2"),)))
    assert [text_of(server.problems) for server in report.servers] == ["nothing was sent to it"]
