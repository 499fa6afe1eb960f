"""Servers that are reached through a NAT64: what they see is its IPv4 side, and says nothing of IPv6."""

from __future__ import annotations

import msgspec
import pytest
from synthetic_nats import CORNERS, World, measurement

from nattools.engine.analyse import analyse
from nattools.model.endpoint import parse_endpoint
from nattools.model.host import Host, Interface
from nattools.model.observation import Binding
from nattools.model.report import Report
from nattools.net.addresses import is_public
from nattools.protocols.nat64 import Nat64Prefix, embed

OWN = "2a10:1::2"
HOST = Host(os="test", interfaces=(Interface(name="eth0", kind="ethernet", addresses=(OWN,)),))


def reached_by(prefix: str) -> Report:
    """A host with IPv6 alone behind a NAT64 with that prefix, asked all that a server with two addresses can
    tell."""

    def translated(binding: Binding) -> Binding:
        return msgspec.structs.replace(
            binding,
            family=6,
            local=f"[{OWN}]:{parse_endpoint(binding.local or '').port}",
            asked=str(embed(parse_endpoint(binding.asked), Nat64Prefix(prefix))),
            source=binding.source and str(embed(parse_endpoint(binding.source), Nat64Prefix(prefix))),
        )

    world = World(mangle=translated).measure()
    for corner in CORNERS[:2]:  # a server with IPv6 of its own
        native = world.binding("reach", world.fresh(), corner, other=None)
        own = f"[{OWN}]:5000"
        six = {
            "family": 6,
            "local": own,
            "mapped": own,
            "asked": "[2a10:c9::2]:3478",
            "source": "[2a10:c9::2]:3478",
        }
        world.seen.append(msgspec.structs.replace(native, id=900 + len(world.seen), **six))
    return analyse(measurement(tuple(world.seen), host=HOST, families=(6,)), is_public=is_public)


@pytest.mark.parametrize("prefix", ["64:ff9b::", "2a10:64::"])
def test_it_is_a_nat_of_ipv4_and_none_of_ipv6(prefix: str) -> None:
    report = reached_by(prefix)
    four, six = report.nat.udp4, report.nat.udp6
    assert four is not None
    assert (four.present, four.mapping, four.external) == (True, "endpoint-independent", ("11.1.0.2",))
    assert four.filtering == "address-and-port-dependent"
    assert six is not None
    assert (six.present, six.external) == (False, (OWN,))
    assert [server.problem for server in report.servers if server.problem] == []
    assert ["NAT64" in warning for warning in report.warnings] == [True]


def test_a_plain_server_through_another_prefix_is_not_accused() -> None:
    asked = str(embed(parse_endpoint("11.202.0.2:3478"), Nat64Prefix("2a10:64::")))
    plain = World().binding("reach", parse_endpoint(f"[{OWN}]:5000"), CORNERS[0], other=None)
    seen = msgspec.structs.replace(plain, id=1, family=6, asked=asked, source=asked, mapped="11.1.0.2:5000")
    report = analyse(measurement((seen,), host=HOST, families=(6,)), is_public=is_public)
    assert report.nat.udp4 is not None
    assert (report.nat.udp4.present, report.nat.udp4.external) == (True, ("11.1.0.2",))
    assert report.nat.udp6 is None
    assert not any("not believed" in warning for warning in report.warnings)
