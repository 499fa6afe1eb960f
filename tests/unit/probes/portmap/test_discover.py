"""What a machine finds out about its router, and how long that takes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from portmapped import ALICE, OUTSIDE, ROUTER, ROUTER6, Home, at_home

from nattools.lab.routers.fakerouter import start_router
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.lab.scenario import NatSpec
from nattools.model.mappingseen import MapOffer
from nattools.model.portmapping import MappingProtocol
from nattools.probes.portmap.discover import Discovery
from nattools.protocols import ssdp


def find(
    behaviour: RouterBehaviour | None = None, *, router: bool = True, nat: NatSpec | None = None
) -> Discovery:
    async def main(home: Home) -> Discovery:
        if router:
            await home.router(behaviour)
        return await home.discover()

    return at_home(main, nat=nat)


def offer(found: Discovery, protocol: MappingProtocol) -> MapOffer:
    (only,) = (each for each in found.offers if each.protocol == protocol)
    return only


def test_all_three_are_found_at_once() -> None:
    found = find()
    assert {each.protocol: each.outcome for each in found.offers} == {
        "pcp": "answered",
        "nat-pmp": "answered",
        "upnp-igd": "answered",
    }
    assert [each.offer.protocol for each in found.mappers] == ["upnp-igd", "pcp", "nat-pmp"]
    assert found.duration_s < 0.6
    upnp = offer(found, "upnp-igd")
    assert (upnp.external, upnp.connected, upnp.version) == (OUTSIDE, True, "IGD:2, WANIPConnection:2")
    assert upnp.quirks == ()
    assert offer(found, "nat-pmp").external == OUTSIDE
    assert {(each.interface, each.local) for each in found.offers} == {("eth0", ALICE)}


def test_nothing_answers() -> None:
    """Closed ports: the router says so, and nobody hears the multicast."""
    found = find(router=False)
    assert found.mappers == []
    assert {each.protocol: each.outcome for each in found.offers} == {
        "pcp": "unreachable",
        "nat-pmp": "unreachable",
        "upnp-igd": "timeout",
    }
    assert "closed" in offer(found, "upnp-igd").detail
    assert found.duration_s <= 2.5


def test_everything_is_dropped() -> None:
    async def main(home: Home) -> Discovery:
        network = home.lab.network("home")
        # sockets that swallow everything, as a router does that drops it
        swallowing = [await network.open_udp(family=4, port=port) for port in (1900, 5351)]
        found = await home.discover()
        for each in swallowing:
            each.close()
        return found

    found = at_home(main)
    assert {each.outcome for each in found.offers} == {"timeout"}
    assert offer(found, "nat-pmp").sent == 4
    # its pauses are drawn at random within a tenth each (RFC 6887 8.1.1), so the fourth may come too late
    assert offer(found, "pcp").sent in (3, 4)
    assert found.duration_s <= 2.5


@pytest.mark.parametrize(
    ("speaks", "limit_s"), [(("upnp",), 0.6), (("pcp",), 2.0), (("nat-pmp",), 2.0), (("pcp", "nat-pmp"), 2.0)]
)
def test_one_protocol_alone(speaks: tuple[str, ...], limit_s: float) -> None:
    found = find(RouterBehaviour(protocols=speaks))  # type: ignore[arg-type]
    wanted = {"upnp-igd" if each == "upnp" else each for each in speaks}
    assert {each.offer.protocol for each in found.mappers} == wanted
    assert found.duration_s <= limit_s


def test_pcp_downgraded_to_natpmp() -> None:
    """A server of NAT-PMP alone answers PCP with version 0 (RFC 6887 9)."""
    found = find(RouterBehaviour(pcp_downgrade=True))
    pcp = offer(found, "pcp")
    assert pcp.outcome == "refused"
    assert pcp.refusal is not None
    assert (pcp.refusal.name, pcp.detail) == ("UNSUPP_VERSION", "it speaks NAT-PMP")
    assert found.mapper("pcp") is None
    assert found.mapper("nat-pmp") is not None


def test_a_server_of_pcp_alone() -> None:
    found = find(RouterBehaviour(protocols=("pcp",), pcp_alone=True))
    natpmp = offer(found, "nat-pmp")
    assert (natpmp.outcome, natpmp.detail) == ("refused", "it speaks only PCP")
    assert found.mapper("pcp") is not None


def test_answers_from_another_port() -> None:
    found = find(RouterBehaviour(answer_port=40123, pmp_port=40124))
    assert offer(found, "upnp-igd").quirks == ("the answer came from port 40123",)
    assert offer(found, "nat-pmp").quirks == ("the answer came from port 40124",)
    # of PCP's answers only that to a request with a nonce counts
    assert offer(found, "pcp").outcome == "answered"
    assert offer(found, "pcp").quirks[-1] == "the answer came from port 40124"


def test_duplicate_answers_are_one_gateway() -> None:
    found = find(RouterBehaviour(copies=3))
    assert offer(found, "upnp-igd").outcome == "answered"


@pytest.mark.parametrize("target", [ssdp.ALL, ssdp.IGD1])
def test_a_router_that_knows_one_target_alone(target: str) -> None:
    assert find(RouterBehaviour(only_target=target)).mapper("upnp-igd") is not None


def test_a_router_that_does_not_hear_multicast() -> None:
    assert find(RouterBehaviour(hears_multicast=False)).mapper("upnp-igd") is not None


@pytest.mark.parametrize(
    ("host", "says"),
    [
        (OUTSIDE, "leads out of the local network"),
        ("10.0.1.3", "another host"),
        (ALICE, "leads out of the local network"),
        ("fritz.box", "a name"),
    ],
)
@pytest.mark.parametrize("what", ["location", "redirect", "control"])
def test_what_the_router_names_elsewhere_is_asked_for_at_its_own_address(
    what: str, host: str, says: str
) -> None:
    """Its outside address or a name of its own is where real routers say they are; another host of the LAN,
    or this machine, is what an attacker would have asked. Nobody else hears anything."""

    async def main(home: Home) -> tuple[Discovery, list[str], list[str]]:
        heard: list[str] = []
        carol = home.lab.network("carol")
        listeners = [
            await network.listen_tcp(
                family=4, host=host, port=5000, on_stream=lambda stream: heard.append("!")
            )
            for network, host in ((home.bob, "11.101.0.2"), (carol, "10.0.1.3"), (home.alice, ALICE))
        ]
        path = {"location": "/rootDesc.xml", "redirect": "/moved.xml", "control": "/ctl"}[what]
        router = await home.router(RouterBehaviour(**{what: f"http://{host}:5000{path}"}))  # type: ignore[arg-type]
        found = await home.discover()
        for each in listeners:
            each.close()
        return found, heard, router.requests

    found, heard, requests = at_home(main)
    upnp = offer(found, "upnp-igd")
    assert (upnp.outcome, upnp.external, heard) == ("answered", OUTSIDE, [])
    assert any(request.startswith("POST /ctl") for request in requests)
    assert what == "redirect" or says in upnp.quirks[0]


def test_location_anywhere_else_is_never_asked() -> None:
    async def main(home: Home) -> tuple[Discovery, list[str]]:
        asked: list[str] = []
        listener = await home.bob.listen_tcp(family=4, port=80, on_stream=lambda stream: asked.append("!"))
        await start_router(
            home.lab.network("carol"), "10.0.1.3", "", RouterBehaviour(location="http://11.101.0.2/x")
        )
        found = await home.discover()
        listener.close()
        return found, asked

    found, asked = at_home(main)
    assert asked == []
    assert found.mapper("upnp-igd") is None


def test_a_redirect_within_the_router() -> None:
    found = find(RouterBehaviour(redirect="/elsewhere.xml"))
    assert offer(found, "upnp-igd").outcome == "answered"


def test_a_redirect_in_a_circle_ends() -> None:
    async def main(home: Home) -> tuple[Discovery, list[str]]:
        router = await home.router(RouterBehaviour(redirect="/rootDesc.xml"))
        return await home.discover(), router.requests

    found, requests = at_home(main)
    assert offer(found, "upnp-igd").detail == "more than 2 redirects"
    assert requests.count("GET /rootDesc.xml HTTP/1.1") == 3


def test_a_hosting_providers_service_is_not_asked_for_a_description() -> None:
    """Not there, and not at the same place of the router that names it: it means no good."""
    found = find(RouterBehaviour(location="http://169.254.169.254:5000/latest/meta-data/"))
    upnp = offer(found, "upnp-igd")
    assert (upnp.outcome, upnp.server) == ("malformed", f"{ROUTER}:1900")
    assert "leads out of the local network" in upnp.detail


def test_two_gateways_the_first_of_which_is_down() -> None:
    found = find(RouterBehaviour(down_first=True))
    up, down = (each for each in found.offers if each.protocol == "upnp-igd")
    assert (up.connected, up.external) == (True, OUTSIDE)
    assert (down.connected, down.external) == (False, None)
    mapper = found.mapper("upnp-igd")
    assert mapper is not None
    assert mapper.offer == up


def test_a_gateway_of_another_host_answers_multicast_alone() -> None:
    """A second router on the LAN, offline; the first one does not speak UPnP."""

    async def main(home: Home) -> Discovery:
        await home.router(RouterBehaviour(protocols=("pcp",)))
        other = await start_router(
            home.lab.network("carol"),
            "10.0.1.3",
            "192.168.7.9",
            RouterBehaviour(protocols=("upnp",), connected=False),
        )
        home.routers.append(other)
        return await home.discover()

    found = at_home(main)
    upnp = offer(found, "upnp-igd")
    assert (upnp.server, upnp.connected) == ("http://10.0.1.3:5000/rootDesc.xml", False)


@pytest.mark.parametrize(
    "behaviour", [RouterBehaviour(delay_s=0.4), RouterBehaviour(xml="slow", delay_s=0.3)]
)
def test_the_router_is_looked_at_however_many_others_there_are(behaviour: RouterBehaviour) -> None:
    """Eight other devices claim at once to be gateways that are online, one of them by the router's name."""

    async def main(home: Home) -> Discovery:
        fake = RouterBehaviour(protocols=("upnp",), decoys=7)
        home.routers.append(await start_router(home.lab.network("carol"), "10.0.1.3", "11.9.9.9", fake))
        await home.router(msgspec.structs.replace(behaviour, protocols=("upnp",)))
        return await home.discover()

    found = at_home(main)
    first, *others = (each.offer for each in found.mappers if each.offer.protocol == "upnp-igd")
    assert (first.server, first.external) == (f"http://{ROUTER}:5000/rootDesc.xml", OUTSIDE)
    assert len(others) <= 6
    assert {each.external for each in others} == {"11.9.9.9"}


def test_another_gateway_is_not_waited_for_long_if_the_router_knows_no_upnp() -> None:
    async def main(home: Home) -> Discovery:
        await home.router(RouterBehaviour(protocols=("nat-pmp",)))
        other = RouterBehaviour(protocols=("upnp",))
        home.routers.append(await start_router(home.lab.network("carol"), "10.0.1.3", "11.9.9.9", other))
        return await home.discover()

    found = at_home(main)
    assert found.mapper("upnp-igd") is not None
    assert found.duration_s < 1.2


def test_a_slow_router_is_found() -> None:
    """Each answer takes 1.6 s, the description and the status one after the other: all that is under way is
    waited for."""
    found = find(RouterBehaviour(delay_s=1.6))
    assert [each.offer.protocol for each in found.mappers] == ["upnp-igd", "pcp", "nat-pmp"]
    assert offer(found, "upnp-igd").external == OUTSIDE


@pytest.mark.parametrize("address", ["0.0.0.0", ""])
def test_no_external_address(address: str) -> None:
    found = find(RouterBehaviour(external=address))
    assert offer(found, "upnp-igd").external is None
    natpmp = offer(found, "nat-pmp")
    assert natpmp.external is None
    assert natpmp.quirks == ("the router gives 0.0.0.0 as its external address",)


def test_switched_off_by_the_router() -> None:
    found = find(RouterBehaviour(natpmp_result=2))
    natpmp = offer(found, "nat-pmp")
    assert natpmp.outcome == "answered"
    assert natpmp.refusal is not None
    assert natpmp.refusal.name == "NOT_AUTHORIZED"


@pytest.mark.parametrize(
    ("xml", "outcome", "says"),
    [
        ("slow", "timeout", "did not answer in full"),
        ("endless", "malformed", "bytes"),
        ("entities", "malformed", "entities of its own"),
        ("not xml", "malformed", "describes no device"),
    ],
)
def test_descriptions_that_are_none(xml: str, outcome: str, says: str) -> None:
    many = ("WANIPConnection:2",) * 8  # the slow one takes longer than anybody waits
    found = find(RouterBehaviour(xml=xml, services=many))  # type: ignore[arg-type]
    upnp = offer(found, "upnp-igd")
    assert upnp.outcome == outcome
    assert says in upnp.detail
    assert found.mapper("upnp-igd") is None
    assert found.duration_s <= 5.0


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data/", "https://10.0.1.1/ctl"])
def test_a_control_url_that_leads_nowhere_is_no_service(url: str) -> None:
    found = find(RouterBehaviour(control=url))
    upnp = offer(found, "upnp-igd")
    assert upnp.outcome == "malformed"
    assert "it offers no port mappings: " in upnp.detail
    redirected = offer(find(RouterBehaviour(redirect=url)), "upnp-igd")
    assert (redirected.outcome, redirected.detail[:11]) == ("malformed", "a redirect ")


@pytest.mark.parametrize(
    ("services", "version"),
    [
        (("WANPPPConnection:1", "WANIPConnection:1"), "IGD:1, WANIPConnection:1"),
        (("WANPPPConnection:1",), "IGD:1, WANPPPConnection:1"),
        (("dsl:WANIPConnection:1",), "IGD:1, WANIPConnection:1 (DSL Forum)"),
    ],
)
def test_older_gateways(services: tuple[str, ...], version: str) -> None:
    found = find(RouterBehaviour(igd_version=1, services=services))
    assert offer(found, "upnp-igd").version == version


def test_ipv6_pinholes_are_found_beside_ipv4() -> None:
    async def main(home: Home) -> Discovery:
        await home.router()
        await home.router(RouterBehaviour(protocols=("pcp", "upnp"), hears_multicast=False), family=6)
        return await home.discover(4, 6)

    found = at_home(main, ipv6=True)
    assert {(each.offer.protocol, each.offer.family) for each in found.mappers} == {
        ("pcp", 4),
        ("upnp-igd", 4),
        ("nat-pmp", 4),
        ("pcp", 6),
        ("upnp-igd", 6),
    }
    pinholes = found.mapper("upnp-igd", 6)
    assert pinholes is not None
    assert pinholes.offer.server == f"http://[{ROUTER6}]:5000/rootDesc.xml"
    assert found.duration_s < 1.0


def test_over_ipv6_the_description_of_ipv4_is_a_hint() -> None:
    """Some routers answer SSDP over IPv4 alone."""

    async def main(home: Home) -> Discovery:
        await home.router()
        await home.router(RouterBehaviour(protocols=("upnp",), only_target="nothing"), family=6)
        return await home.discover(4, 6)

    found = at_home(main, ipv6=True)
    assert found.mapper("upnp-igd", 6) is not None
    assert found.duration_s <= 2.5


@pytest.mark.parametrize("slow", [{"delay_s": 1.5}, {"xml": "slow"}])
def test_a_slow_description_of_ipv4_is_waited_for(slow: dict[str, Any]) -> None:
    """Many routers answer no search over IPv6, and it is known over IPv4 alone that there is one."""

    async def main(home: Home) -> Discovery:
        await home.router(RouterBehaviour(protocols=("upnp",), **slow))
        await home.router(RouterBehaviour(protocols=("upnp",), only_target="nothing"), family=6)
        return await home.discover(4, 6)

    found = at_home(main, ipv6=True)
    assert {(each.offer.protocol, each.offer.family) for each in found.mappers} == {
        ("upnp-igd", 4),
        ("upnp-igd", 6),
    }


def test_nothing_answers_over_either_family() -> None:
    async def main(home: Home) -> Discovery:
        return await home.discover(4, 6)

    found = at_home(main, ipv6=True)
    assert found.mappers == []
    assert len(found.offers) == 5
    assert found.duration_s <= 2.5
