"""Fragments and extension headers, tried on the simulator against several servers."""

from __future__ import annotations

import pytest

from nattools.engine.measureoptions import Event, MeasureOptions
from nattools.engine.run import measure
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab, SimNetwork
from nattools.lab.sim.simsockets import SimUdpSocket
from nattools.model.endpoint import Endpoint
from nattools.model.ipv6 import Ipv6
from nattools.model.packetform import FormPassage, FormTrial, PacketForm
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import Capability, SendFailure


def silent(event: Event) -> None:
    """No progress."""


def measured(server: ServerSpec | None = None, **nat: str) -> Report:
    scenario = Scenario(
        title="a home",
        nat={"home": NatSpec(ipv6="firewall", **nat)},  # type: ignore[arg-type]
        host={"alice": HostSpec(behind="home")},
        server={"stun": server or ServerSpec()},
    )
    with SimLab(scenario) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions(command="ipv6", servers=servers, mtu=False)

        async def work() -> Report:
            return await measure(lab.network("alice"), options, silent)

        return lab.run(work)


def ipv6(report: Report) -> Ipv6:
    assert report.ipv6 is not None
    return report.ipv6


PASS, DROP = FormPassage(outbound=True, inbound=True), FormPassage(outbound=False, inbound=False)


@pytest.mark.parametrize(
    ("nat", "fragments", "headers"),
    [
        ({}, PASS, PASS),
        ({"fragments": "dropped"}, DROP, PASS),
        ({"extension_headers": "dropped"}, PASS, DROP),
        ({"fragments": "dropped", "extension_headers": "dropped"}, DROP, DROP),
    ],
)
def test_by_what_the_router_does(nat: dict[str, str], fragments: FormPassage, headers: FormPassage) -> None:
    found = ipv6(measured(**nat))
    assert (found.fragments.ipv4, found.fragments.ipv6) == (fragments, fragments)
    assert found.extension_headers == headers


@pytest.mark.parametrize(("dropped", "out"), [("passed", True), ("dropped", None)])
def test_of_a_plain_server_an_answer_is_proof_and_silence_is_none(dropped: str, out: bool | None) -> None:
    found = ipv6(measured(ServerSpec(kind="plain"), fragments=dropped, extension_headers=dropped))
    assert found.fragments.ipv6 == FormPassage(outbound=out)
    assert found.extension_headers == FormPassage(outbound=out)
    assert "does not send on request" in found.unknowns["fragments.inbound"]
    if out is None:
        assert "nattools serve would settle it" in found.unknowns["fragments.outbound"]


def test_who_may_send_no_extension_header_is_told_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: SimNetwork, capability: Capability) -> str | None:
        return "it takes root or CAP_NET_RAW" if capability == "extension-headers" else None

    monkeypatch.setattr(SimNetwork, "missing", missing)
    found = ipv6(measured())
    assert found.fragments.ipv6 == PASS
    assert found.extension_headers == FormPassage(inbound=True)
    assert "CAP_NET_RAW" in found.unknowns["extension_headers.outbound"]


def test_a_server_that_may_not_send_them_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = SimUdpSocket.send_formed

    def refused(self: SimUdpSocket, data: bytes, to: Endpoint, form: PacketForm) -> SendFailure | None:
        return "error" if self.local.port in (3478, 3479) else honest(self, data, to, form)

    monkeypatch.setattr(SimUdpSocket, "send_formed", refused)
    report = measured()
    assert ipv6(report).fragments.ipv6 == FormPassage(outbound=True)
    inward = [each for each in report.observations if isinstance(each, FormTrial) and not each.outward]
    assert {each.outcome for each in inward} == {"not tried"}
    assert all(each.detail for each in inward)
