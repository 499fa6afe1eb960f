"""Which prefix a network without IPv4 has, and what is made of what is said of it."""

from __future__ import annotations

import asyncio

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.scenariofiles import parse
from nattools.lab.sim.simlab import SimLab
from nattools.model.ipv6 import Nat64Use
from nattools.model.observation import Gap, Nat64
from nattools.model.serveruri import parse_server
from nattools.net.translated import TranslatedNetwork
from nattools.probes.nat64prefix import GUESS_S, find_nat64
from nattools.protocols.nat64 import Nat64Prefix


def found(drawn: str, *servers: str) -> tuple[list[tuple[str, str, bool | None, bool]], float]:
    """(prefix, learnt, works, used) of each, and the seconds that it took."""
    scenario = parse(
        f'title = "t"\n{drawn}\n[host.alice]\nbehind = "net"\n[server.stun]\nipv6 = false', "t.toml"
    )

    async def work() -> tuple[list[Nat64 | Gap], float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        network = lab.network("alice")
        return await find_nat64(network, [(name, 3478) for name in servers or ("stun",)]), loop.time() - began

    with SimLab(scenario) as lab:
        seen, took_s = lab.run(work)
    told = [each for each in seen if isinstance(each, Nat64)]
    assert told == seen
    return [(each.prefix, each.learnt, each.works, each.used) for each in told], took_s


def nat64(*more: str) -> str:
    return f'[nat.net]\nipv6 = "firewall"\nnat64 = {{ {", ".join(more)} }}'


def test_where_ipv4_is_there_nothing_is_asked() -> None:
    assert found('[nat.net]\nipv6 = "firewall"') == ([], 0.0)
    assert found("[nat.net]") == ([], 0.0)


def test_what_the_name_server_says_is_right() -> None:
    assert found(nat64())[0] == [("64:ff9b::/96", "dns", True, True)]
    own = 'prefix = "2a10:64::/40"'
    assert found(nat64(own))[0] == [("2a10:64::/40", "dns", True, True)]


def test_a_router_and_the_name_server_say_the_same() -> None:
    """Names still lead to addresses that are made with it."""
    scenario = parse(
        f'title = "t"\n{nat64("advertised = true")}\n[host.alice]\nbehind = "net"\n'
        "[server.stun]\nipv6 = false",
        "t.toml",
    )
    with SimLab(scenario) as lab:
        options = MeasureOptions(command="ipv6", servers=(parse_server("stun:stun:3478"),))
        report = lab.run(lambda: measure(lab.network("alice"), options, lambda event: None))
    seen = [each for each in report.observations if isinstance(each, Nat64)]
    assert [(each.learnt, each.dns64, each.used) for each in seen] == [("router", True, True)]
    assert report.ipv6 is not None
    assert report.ipv6.nat64 == Nat64Use(prefix="64:ff9b::/96", dns64=True, works=True)


def test_it_says_nothing() -> None:
    assert found(nat64("dns64 = false"))[0] == [("64:ff9b::/96", "guess", True, True)]
    nothing, took_s = found(nat64("dns64 = false", 'prefix = "2a10:64::/96"'))
    assert nothing == []
    assert took_s <= GUESS_S + 0.1


def test_it_says_what_is_wrong() -> None:
    """Not even a prefix by which a machine with IPv6 is reached is believed: it sees no IPv4 client."""
    wrong = 'says = "2a10:dead::/96"'
    assert found(nat64(wrong))[0] == [
        ("2a10:dead::/96", "dns", False, False),
        ("64:ff9b::/96", "guess", True, True),
    ]
    assert found(nat64(wrong, 'prefix = "2a10:64::/96"'))[0] == [("2a10:dead::/96", "dns", False, False)]


def test_with_nobody_to_ask_what_is_said_is_used() -> None:
    assert found(nat64(), "10.1.2.3")[0] == [("64:ff9b::/96", "dns", None, True)]
    assert found(nat64("dns64 = false"), "10.1.2.3")[0] == []


def test_a_prefix_that_leads_to_a_machine_with_ipv6_is_none() -> None:
    """A lying name server sends all that is asked over IPv4 to a server of its own."""
    scenario = parse(
        'title = "t"\n[nat.net]\nipv6 = "firewall"\n'
        'nat64 = { prefix = "2a10:64::/96", says = "2a10:c9:0:0:0:0::/96" }\n'
        '[host.alice]\nbehind = "net"\n[server.liar]\n',
        "t.toml",
    )
    with SimLab(scenario) as lab:
        network = lab.network("alice")
        liar = lab.layout.ports_of("liar")[0].addresses[1].ip
        assert liar == "2a10:c9::2"
        assert Nat64Prefix("2a10:c9::").extract(liar) == "0.0.0.2"
        seen = lab.run(lambda: find_nat64(_Public(network), [("0.0.0.2", 3478)]))
    assert [(each.prefix, each.works, each.used) for each in seen if isinstance(each, Nat64)] == [
        ("2a10:c9::/96", False, False)
    ]


def test_without_the_privilege_to_ask_the_router_it_is_unknown() -> None:
    """Unless the name server is right, or the prefix is the one that can be guessed."""
    for more, unknown in (("", False), ('prefix = "2a10:64::/96"', False), ("dns64 = false", False)):
        assert bool(_unasked(more)) == unknown
    assert _unasked('prefix = "2a10:64::/96", dns64 = false, advertised = true')
    assert _unasked('prefix = "2a10:64::/96", says = "2a10:dead::/96"')


def _unasked(more: str) -> list[Gap]:
    scenario = parse(
        f'title = "t"\n{nat64(more)}\n[host.alice]\nbehind = "net"\n[server.stun]\nipv6 = false', "t.toml"
    )
    with SimLab(scenario) as lab:
        network = _Unprivileged(lab.network("alice"))
        seen = lab.run(lambda: find_nat64(network, [("stun", 3478)]))
    return [each for each in seen if isinstance(each, Gap)]


class _Unprivileged(TranslatedNetwork):
    """May open no raw socket."""

    async def advertised_nat64(self) -> tuple[Nat64Prefix, ...] | None:
        return None


class _Public(TranslatedNetwork):
    """Takes every address for a public one."""

    def is_public(self, address: str) -> bool:
        return True
