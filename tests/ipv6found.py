"""IPv6 as the analysis finds it on a machine, by what that has and what was seen."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from nattools.engine.analyse import analyse, reanalyse
from nattools.model.host import ConfiguredAddress, ConfiguredRouter, Host, Interface, Ipv6Setup, Way
from nattools.model.ipv6 import Ipv6
from nattools.model.ipv6trial import InboundCheck
from nattools.model.observation import AnyObservation, Binding
from nattools.model.report import Measurement, Server
from nattools.net.addresses import is_public

OWN, SERVER, OTHER = "2a10:1:0:1:a5c1:7e09:33d4:2", "[2a10:c9::2]:3478", "[2a10:c9::3]:3479"
ROUTER = ConfiguredRouter(address="fe80::1", interface="eth0", source="ra")
STABLE = ConfiguredAddress(
    address=OWN, interface="eth0", prefix_length=64, temporary=False, stable=True, valid_s=600
)
LINK_LOCAL = ConfiguredAddress(address="fe80::2", interface="eth0", stable=True)


def address(text: str, **more: Any) -> ConfiguredAddress:
    return ConfiguredAddress(address=text, interface="eth0", **more)


def found_on(
    *addresses: ConfiguredAddress,
    seen: tuple[AnyObservation, ...] = (),
    routers: tuple[ConfiguredRouter, ...] = (ROUTER,),
    disabled: bool | None = False,
    resolvers: tuple[str, ...] = (),
    servers: tuple[Server, ...] = (),
    blocked: bool = False,
) -> Ipv6:
    setup = Ipv6Setup(
        addresses=addresses, routers=routers, disabled=disabled, resolvers=resolvers, blocked=blocked
    )
    ways = (Way(family=6, interface="eth0", source=OWN),) if routers else ()
    interface = Interface(name="eth0", kind="ethernet", addresses=tuple(a.address for a in addresses))
    numbered = tuple(replace(each, id=number) for number, each in enumerate(seen, 1))
    report = analyse(
        Measurement(
            command="ipv6",
            started="2026-11-30T08:00:00Z",
            duration_s=1.0,
            substrate="sim",
            host=Host(os="Linux", interfaces=(interface,), ipv6=setup, ways=ways),
            families=(4, 6),
            servers=servers,
            observations=numbered,
        ),
        is_public=is_public,
    )
    assert report.ipv6 is not None
    assert reanalyse(report, is_public=is_public).ipv6 == report.ipv6
    return report.ipv6


def answered(asked: str = SERVER, family: int = 6, mapped: str | None = None, **more: Any) -> Binding:
    given = {
        "probe": "mapping",
        "purpose": "mapping",
        "transport": "udp",
        "family": family,
        "local": f"[{OWN}]:4000" if family == 6 else "10.0.1.2:4000",
        "asked": asked,
        "outcome": "answered",
        "received": 1,
        "rtt_s": 0.02,
        "source": asked,
        "mapped": mapped or (f"[{OWN}]:4000" if family == 6 else "11.1.0.2:4000"),
    }
    return Binding(**given | more)


def check(transport: str = "udp", **more: Any) -> InboundCheck:
    given = {"outcome": "timeout", "sent": 16, "address": OWN, "target": f"[{OWN}]:5000", "origin": OTHER}
    return InboundCheck(probe="inbound", transport=transport, family=6, **given | more)


BOTH = tuple(Server(uri="stun:stun:3478", address=at, answered=True) for at in ("11.201.0.2:3478", SERVER))
PLENTY = tuple(answered(at_s=0.1 * number) for number in range(40))


def codes(found: Ipv6) -> list[str]:
    return [each.code for each in found.problems]
