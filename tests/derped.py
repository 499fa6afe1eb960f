"""Two hosts behind NATs that let nothing through, and a DERP server between them, in the simulator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from nattools.lab.derpserver import derp_map
from nattools.lab.scenario import DerpSpec, HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.protocols import derp

T = TypeVar("T")
_BLOCKED = NatSpec(udp="blocked", open_ports=("tcp/443", "tcp/80"), delay_ms=10)


def between_walls(nat: NatSpec = _BLOCKED, **spec: Any) -> Scenario:
    """The DERP server as `spec` has it."""
    return Scenario(
        title="walls",
        nat={"left": nat, "right": nat},
        host={"alice": HostSpec(behind="left"), "bob": HostSpec(behind="right")},
        server={"derp": ServerSpec(derp=DerpSpec(**spec))},
    )


def derp_node(lab: SimLab, **changes: Any) -> derp.DerpNode:
    """The scenario's server, as its map has it."""
    from msgspec.structs import replace

    addresses = {name: lab.net.topology.addresses[name] for name in lab.scenario.server}
    (region,) = derp.parse_map(derp_map(lab.scenario, addresses)).regions
    return replace(region.nodes[0], **changes)


def run(scenario: Scenario, main: Callable[[SimLab], Awaitable[T]], *, seed: int = 0) -> T:
    """Run `main` beside the server."""
    with SimLab(scenario, seed=seed) as lab:
        return lab.run(lambda: main(lab))
