"""Where the servers are: their names as addresses, and the address families that lead to them."""

from __future__ import annotations

import asyncio

import msgspec

from nattools.engine.measureoptions import MeasureOptions
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family, family_of
from nattools.model.observation import Resolution
from nattools.net.addresses import FAR_AWAY
from nattools.net.base import Network
from nattools.net.resolve import numeric
from nattools.probes.probe import Recorder
from nattools.probes.reach import resolve
from nattools.probes.target import Lane

CONNECT_IT = "Connect it to a network (is the cable in, is Wi-Fi on?), or look at `ip route`."
_BY_ADDRESS = "name a server by its address: --server 192.0.2.1"


class ServerAddress(msgspec.Struct, frozen=True):
    """A server in one family: the address that is preferred, and the `others` of its name. `tls`: the name in
    the certificate, where TLS is asked for."""

    uri: str
    endpoint: Endpoint
    others: tuple[Endpoint, ...] = ()
    tls: str | None = None
    over: str | None = None

    def serves(self, lane: Lane) -> bool:
        """May it be asked over this lane's transport, as its URI says?"""
        return self.over in (None, lane.transport) and not (self.tls and lane.transport == "udp")

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All, in the order in which they are to be tried."""
        return self.endpoint, *self.others


async def routed_families(network: Network, options: MeasureOptions) -> tuple[Family, ...]:
    """The asked-for families that this machine has a route for: to the internet, or to a server, which may
    stand in the own network. CannotRun: there is none."""

    def routed(targets: list[str]) -> tuple[Family, ...]:
        reached = {family_of(to) for to in targets if network.route(to)}
        return tuple(family for family in options.families if family in reached)

    addresses = [address for server in options.servers if (address := numeric(server.host))]
    found = routed([*FAR_AWAY.values(), *addresses])
    if found:
        return found
    if options.interface is not None:
        return options.families
    if not options.default_servers and any(each.kind != "loopback" for each in network.interfaces()):
        answers = await asyncio.gather(*(network.resolve(server.host) for server in options.servers))
        found = routed([address for answer in answers if not isinstance(answer, str) for address in answer])
        if found:
            return found
    wanted = " or ".join(f"IPv{family}" for family in options.families)
    way_out = CONNECT_IT
    if other := next((each for each in FAR_AWAY if network.route(FAR_AWAY[each])), None):
        way_out = f"It has one of IPv{other}: leave out -{10 - other}."
    raise CannotRun(f"this machine has no {wanted} route to the internet", way_out)


def check_route(network: Network, to: str, options: MeasureOptions) -> None:
    """CannotRun: this machine has no route to that address, and is not told to use some interface."""
    if options.interface is None and network.route(to) is None:
        where = "the internet" if network.is_public(to) else to
        raise CannotRun(f"this machine has no IPv{family_of(to)} route to {where}", CONNECT_IT)


async def look_up_servers(
    network: Network, recorder: Recorder, options: MeasureOptions, families: tuple[Family, ...]
) -> dict[Family, list[ServerAddress]]:
    """The servers in each family. CannotRun: none has an address of these families."""
    found: dict[Family, list[ServerAddress]] = {}
    async with asyncio.TaskGroup() as group:
        tasks = [
            (server, group.create_task(resolve(network, recorder, server.host, families)))
            for server in options.servers
        ]
    for server, task in tasks:
        for family, hosts in task.result().items():
            first, *others = (Endpoint(host, server.port_or_default) for host in hosts)
            tls = server.host if server.secure else None
            address = ServerAddress(server.text, first, tuple(others), tls, server.transport)
            found.setdefault(family, []).append(address)
    if not found:
        raise _no_address(recorder, options, families)
    return found


def _no_address(recorder: Recorder, options: MeasureOptions, families: tuple[Family, ...]) -> CannotRun:
    """Why there is nobody to ask: what the resolver said, or no way to such addresses."""
    hosts = dict.fromkeys(server.host for server in options.servers)
    why = "; ".join(dict.fromkeys(why_no_address(recorder, options, host) for host in hosts))
    if any((seen := _looked_up(recorder, host)) is not None and seen.addresses for host in hosts):
        here = " or ".join(f"IPv{family}" for family in families)
        return CannotRun(why, f"Name a server that has an {here} address: --server HOST.")
    if options.default_servers:
        first = why_no_address(recorder, options, options.servers[0].host)
        message = f"the names of the public servers cannot be looked up: {first}"
        return CannotRun(message, f"Check this machine's name servers (DNS), or {_BY_ADDRESS}")
    message = f"no server's name can be looked up: {why}"
    return CannotRun(message, f"Check the spelling and that DNS works here, or {_BY_ADDRESS}")


def _looked_up(recorder: Recorder, host: str) -> Resolution | None:
    seen = (one for one in recorder.observations if isinstance(one, Resolution) and one.name == host)
    return next(seen, None)


def why_no_address(recorder: Recorder, options: MeasureOptions, host: str) -> str:
    """Why a server has no address that can be asked, in words."""
    seen = _looked_up(recorder, host)
    if seen is None:
        return "nothing was sent to it"
    if not seen.addresses:
        return seen.error or f"{host} has no address"
    other = family_of(seen.addresses[0])
    what = f"is an IPv{other} address" if numeric(host) else f"has IPv{other} addresses alone"
    missing = "has no route here" if other in options.families else "was not asked for"
    return f"{host} {what}, and IPv{other} {missing}"
