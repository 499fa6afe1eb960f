"""Servers that are asked within TLS (`stuns:`, RFC 7064): as good as over TCP, or it is told why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from certificates import HOST, certificate
from simulated import behind_nat

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.errors import CannotRun
from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.web import tls
from nattools.server.serving import ServeConfig, serve
from nattools.traversal.serverreflexive import server_reflexive_over_tcp

SECURE = f"stuns:{HOST}:3478"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The server's certificate and key; this machine trusts it."""
    made = certificate(tmp_path)
    context = tls.client_context()
    context.load_verify_locations(made[0])
    monkeypatch.setattr(tls, "client_context", lambda: context)
    return made


def measured(files: tuple[str, str] | None, *uris: str, **nat: object) -> Report:
    """What `nat` finds, where the server has such a certificate."""
    scenario = behind_nat(NatSpec(**nat), delay_ms=20)  # type: ignore[arg-type]
    with SimLab(scenario, seed=1, start_servers=False) as lab:

        async def main() -> Report:
            hosts = lab.network("stun").interfaces()
            addresses = tuple(each for i in hosts if i.kind != "loopback" for each in i.addresses)
            running = await serve(lab.network("stun"), ServeConfig(addresses=addresses, tls_files=files))
            options = MeasureOptions("nat", tuple(map(parse_server, uris)), families=(4,))
            try:
                return await measure(lab.network("alice"), options, lambda event: None)
            finally:
                await running.close()

        return lab.run(main)


@pytest.mark.parametrize("mapping", ["endpoint-independent", "address-and-port-dependent"])
def test_the_findings_over_tcp_are_those_without_tls(mapping: str, files: tuple[str, str]) -> None:
    secure, plain = (
        measured(files, uri, mapping=mapping, allocation="sequential") for uri in (SECURE, f"stun:{HOST}")
    )
    assert secure.nat.tcp4 is not None
    assert plain.nat.tcp4 is not None
    for field in ("present", "mapping", "filtering", "external", "reachable"):
        assert getattr(secure.nat.tcp4, field) == getattr(plain.nat.tcp4, field)
    assert secure.nat.tcp4.mapping == mapping
    assert [server.answered for server in secure.servers] == [True]
    assert secure.nat.udp4 is None or secure.nat.udp4.reachable is None


def test_a_round_trip_is_told_without_the_handshake(files: tuple[str, str]) -> None:
    report = measured(files, SECURE)
    assert report.nat.tcp4 is not None
    assert report.nat.tcp4.rtt_ms == pytest.approx(40, abs=1)


def test_a_certificate_that_is_not_valid_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="no TLS with it: its certificate is not valid: self-signed"):
        measured(certificate(tmp_path), SECURE)


def test_a_server_without_tls_is_named_beside_one_that_answers() -> None:
    report = measured(None, f"stuns:{HOST}:3479", f"stun:{HOST}")
    told = [[each.code for each in server.problems] for server in report.servers]
    assert told[0] == ["server-tls"], report.servers


def test_dtls_is_not_tried(files: tuple[str, str]) -> None:
    with pytest.raises(CannotRun, match=r"DTLS is not supported.*\?transport=udp"):
        measured(files, f"turns:{HOST}:3478?transport=udp")


def test_a_punch_has_its_tcp_port_seen_within_tls(files: tuple[str, str]) -> None:
    with SimLab(behind_nat(), seed=1, start_servers=False) as lab:

        async def main() -> None:
            running = await serve(lab.network("stun"), ServeConfig(addresses=(HOST,), tls_files=files))
            network, server = lab.network("alice"), Endpoint(HOST, 3478)
            found = await server_reflexive_over_tcp(network, server, tls=HOST)
            assert found is not None
            assert found[1].host == "11.1.0.2"
            assert await server_reflexive_over_tcp(network, server, tls="elsewhere.example") is None
            found[0].close()
            await running.close()

        lab.run(main)
