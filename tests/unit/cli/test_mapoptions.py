"""What `nattools map` is asked for, and clear words for what makes no sense."""

from __future__ import annotations

from typing import Any

import pytest

from nattools.cli.map import check_kept, map_options
from nattools.errors import UsageError


def test_a_port_is_enough() -> None:
    wish = map_options(["5000"])
    assert (wish.ports, wish.host, wish.external_port) == ((5000,), None, None)
    assert (wish.protocol, wish.transports, wish.lifetime_s) == (None, ("udp", "tcp"), 7200)


def test_all_that_can_be_said() -> None:
    wish = map_options(
        ["[2a10::5]:5000"],
        protocol="upnp",
        transport="tcp",
        external_port=6000,
        lifetime=0,
        description="my game",
    )
    assert (wish.host, wish.ports, wish.external_port) == ("2a10::5", (5000,), 6000)
    assert (wish.protocol, wish.transports, wish.lifetime_s) == ("upnp-igd", ("tcp",), 0)
    assert wish.description == "my game"


def test_several_ports_of_one_address() -> None:
    wish = map_options(["10.0.1.2:5000", "10.0.1.2:5001", "5000"])
    assert (wish.host, wish.ports) == ("10.0.1.2", (5000, 5001))


def test_without_an_end_only_upnp_is_asked() -> None:
    assert map_options(["5000"], lifetime=0).protocol == "upnp-igd"


@pytest.mark.parametrize(
    ("ports", "options", "words"),
    [
        (["0"], {}, "port '0': give a number from 1 to 65535"),
        (["70000"], {}, "port '70000': give a number from 1 to 65535"),
        (["-1"], {}, "'-1'"),
        (["http"], {}, "'http'"),
        (["\u0665000"], {}, "give a number"),
        (["nonsense:5000"], {}, "write PORT"),
        (["10.0.1.2:5000", "10.0.1.3:5000"], {}, "one address at a time"),
        ([str(port) for port in range(5000, 5030)], {}, "at most 16"),
        (["5000"], {"external_port": 0}, "--external-port '0'"),
        (["5000"], {"external_port": 65536}, "--external-port '65536'"),
        (["5000", "5001"], {"external_port": 6000}, "for one port"),
        (["5000"], {"lifetime": -1}, "--lifetime -1"),
        (["5000"], {"lifetime": 604_801}, "a week"),
        (["5000"], {"lifetime": 0, "protocol": "pcp"}, "only UPnP"),
        (["5000"], {"protocol": "bonjour"}, "must be one of upnp, upnp-igd, nat-pmp, pcp"),
        (["5000"], {"transport": "sctp"}, "must be one of udp, tcp, both"),
        (["5000"], {"description": ""}, "--description"),
        (["5000"], {"description": "a\nb"}, "--description"),
        (["5000"], {"description": "x" * 81}, "--description"),
    ],
)
def test_what_makes_no_sense(ports: list[str], options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as error:
        map_options(ports, **options)
    assert words in str(error.value)


def test_keeping_renews() -> None:
    check_kept(30)
    with pytest.raises(UsageError, match="keep renews"):
        check_kept(0)
