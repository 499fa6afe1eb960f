"""How far away a DERP server is, and whether it is the server that answers."""

from __future__ import annotations

import pytest
from derped import between_walls, derp_node, run
from pages import Pages, response

from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.net.derp.derplatency import captive_portal, https_latency
from nattools.net.web.serversteps import StepFailure

OPEN = NatSpec(delay_ms=10)


def test_where_udp_is_blocked_http_measures() -> None:
    async def main(lab: SimLab) -> None:
        alice, node = lab.network("alice"), derp_node(lab)
        for asked in (node, derp_node(lab, tls=False, port=80)):
            assert await https_latency(alice, asked) == pytest.approx(0.02, abs=0.002)
        assert await captive_portal(alice, node) is False

    run(between_walls(), main)


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        ({"fault": "silent"}, "timeout"),
        ({"port": 8443}, "timeout"),
    ],
)
def test_what_does_not_answer_https_is_named(spec: dict[str, object], cause: str) -> None:
    async def main(lab: SimLab) -> None:
        failure = await https_latency(lab.network("alice"), derp_node(lab), timeout_s=3)
        assert isinstance(failure, StepFailure)
        assert failure.cause == cause

    run(between_walls(**spec), main)


@pytest.mark.parametrize(
    ("said", "portal"),
    [
        (response(b"", "302 Found", "Location: http://portal/"), True),
        (response(b"<html>"), True),
        (response(b"", "204 No Content"), True),
        (response(b"", "204 No Content", "X-Tailscale-Response: response nt_derp"), False),
        (b"\0\0\r\n\r\n", None),
    ],
)
def test_a_portal_that_answers_in_the_servers_place_is_found(said: bytes, portal: bool | None) -> None:
    async def main(lab: SimLab) -> bool | None:
        await Pages({"/generate_204": said}).open(lab.network("derp"))
        return await captive_portal(lab.network("alice"), derp_node(lab, answers_port_80=True))

    assert run(between_walls(OPEN, port_80=False), main) is portal


def test_a_server_that_does_not_answer_at_port_80_is_not_asked() -> None:
    async def main(lab: SimLab) -> bool | None:
        return await captive_portal(lab.network("alice"), derp_node(lab))

    assert run(between_walls(OPEN, port_80=False), main) is None


def test_a_name_that_is_none_is_the_step_that_failed() -> None:
    async def main(lab: SimLab) -> None:
        alice = lab.network("alice")
        node = derp_node(lab, host="nowhere.example", ipv4="", ipv6=None, answers_port_80=True)
        failure = await https_latency(alice, node, timeout_s=3)
        assert isinstance(failure, StepFailure)
        assert failure.step == "resolve"
        assert await captive_portal(alice, node) is None

    run(between_walls(OPEN), main)


def test_nobody_at_port_80_is_no_portal() -> None:
    async def main(lab: SimLab) -> bool | None:
        return await captive_portal(lab.network("alice"), derp_node(lab, answers_port_80=True))

    assert run(between_walls(OPEN, port_80=False), main) is None


@pytest.mark.parametrize(
    ("said", "cause"), [(b"\0\0\r\n\r\n", "not-a-relay"), (response(b"", "404 Not Found"), "not-a-relay")]
)
def test_another_server_in_its_place(said: bytes, cause: str) -> None:
    async def main(lab: SimLab) -> None:
        await Pages({"/derp/latency-check": said}).open(lab.network("derp"))
        node = derp_node(lab, tls=False, port=80)
        failure = await https_latency(lab.network("alice"), node, timeout_s=3)
        assert isinstance(failure, StepFailure)
        assert (failure.step, failure.cause) == ("relay", cause)

    run(between_walls(OPEN, port_80=False), main)
