"""A lab's tailnet: its control servers and its DERP map, and how its clients know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from nattools.lab.labidentity import fingerprint_at
from nattools.lab.layout import Layout
from nattools.lab.scenario import Scenario
from nattools.model.endpoint import family_of

if TYPE_CHECKING:
    from nattools.protocols.derp import DerpMap


class LabTailnet(NamedTuple):
    """`controls`: the URLs of its control servers, in the order of the file; `statuses`: what the clients of
    each say, b"" where there is none; `map`: its DERP servers, a
    region for each; `pinned`: the SHA-256 of the control servers' certificates by name."""

    controls: tuple[str, ...]
    statuses: tuple[bytes, ...]
    map: DerpMap | None
    pinned: dict[str, str]


def tailnet_of(scenario: Scenario, layout: Layout) -> LabTailnet:
    """Empty where a scenario has no such servers."""
    controls, statuses, pinned, derp = [], [], {}, {}
    for name, spec in scenario.server.items():
        addresses = addresses_by_family(layout, name)
        if spec.derp is not None:
            derp[name] = addresses
        elif spec.control is not None:
            own = spec.control
            usual = own.port == (443 if own.tls else 80)
            controls.append(f"{'https' if own.tls else 'http'}://{name}" + ("" if usual else f":{own.port}"))
            statuses.append(msgspec.json.encode(own.status) if own.status else b"")
            if own.tls:
                pinned[name] = fingerprint_at(addresses)
    return LabTailnet(tuple(controls), tuple(statuses), derp_map_of(scenario, derp), pinned)


def derp_map_of(scenario: Scenario, addresses: dict[str, tuple[str, ...]]) -> DerpMap | None:
    """The DERP servers of a scenario that have these addresses; None: it has none."""
    if not addresses:
        return None
    from nattools.lab.derpserver import derp_map
    from nattools.protocols.derp import parse_map

    return parse_map(derp_map(scenario, addresses))


def addresses_by_family(layout: Layout, name: str) -> tuple[str, ...]:
    """A node's addresses, the IPv4 ones first."""
    found = [address.ip for port in layout.ports_of(name) for address in port.addresses]
    return tuple(sorted(found, key=family_of))
