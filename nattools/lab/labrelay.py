"""A lab's relays: `nattools serve --relay`, with what goes wrong with relays; how its clients find them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack, cast

from nattools.lab.labidentity import fingerprint_at, identity_at, pem_of
from nattools.lab.labtailnet import addresses_by_family, derp_map_of
from nattools.lab.layout import Layout
from nattools.lab.scenario import Scenario, ServerSpec, TurnSpec
from nattools.model.endpoint import Endpoint
from nattools.model.serveruri import ServerUri, parse_server
from nattools.net.base import DatagramHandler, MachineSocket, Network, SendFailure, UdpOptions, UdpSocket
from nattools.net.wrappednetwork import WrappedNetwork
from nattools.server.serving import ServeConfig, serve

if TYPE_CHECKING:
    from nattools.lab.scenarioservers import RunningServer
    from nattools.protocols.derp import DerpNode

_LOWEST = 49152
"""Ports from here on are relayed ones."""
_GIVEN = {
    "private-address": {4: "10.99.0.9", 6: "fd99::9"},
    "other-address": {4: "11.199.0.9", 6: "2a10:199::9"},
}


async def serve_relay(
    network: Network, spec: ServerSpec, own: TurnSpec, addresses: tuple[str, ...]
) -> RunningServer:
    """As `scenarioservers.start`."""
    from nattools.server.relay.relayservice import RelayConfig

    with tempfile.TemporaryDirectory(prefix="nattools-") as folder:
        files = None
        if own.tls:
            path = Path(folder) / "server.pem"
            path.write_bytes(pem_of(identity_at(addresses)))
            files = str(path), str(path)
        config = ServeConfig(
            addresses=addresses,
            port=spec.port,
            alternate_port=spec.port + 1,
            tcp=spec.tcp,
            tls_files=files,
            relay=RelayConfig(users=own.users, secret=own.secret),
        )
        return await serve(_FaultyNetwork(network, own.fault) if own.fault else network, config)


class _FaultyNetwork(WrappedNetwork):
    """All as ever, but for the ports of the relay."""

    def __init__(self, inner: Network, fault: str) -> None:
        super().__init__(inner)
        self._fault = fault

    async def open_udp(self, **options: Unpack[UdpOptions]) -> MachineSocket:
        socket = await self.inner.open_udp(**options)
        if options.get("port", 0) < _LOWEST:
            return socket
        return cast(MachineSocket, _FaultyPort(socket, self._fault))


class _FaultyPort:
    """A relayed port of a relay that is set up wrongly."""

    def __init__(self, socket: UdpSocket, fault: str) -> None:
        self._socket = socket
        self._drops = fault == "drops"
        self._deaf = fault in ("drops", "not-reached")
        self.local = socket.local
        if fault in _GIVEN:
            self.local = Endpoint(_GIVEN[fault][socket.local.family], socket.local.port)

    def __setattr__(self, name: str, value: Any) -> None:
        """Handlers are the socket's own, or nobody's."""
        if name.startswith("on_"):
            if not self._deaf:
                setattr(self._socket, name, value)
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    on_datagram: DatagramHandler | None

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> SendFailure | None:
        return None if self._drops else self._socket.send(data, to, ttl=ttl)

    def send_many(self, datagrams: list[bytes], to: Endpoint) -> SendFailure | None:
        return None if self._drops else self._socket.send_many(datagrams, to)


class LabRelays(NamedTuple):
    """The relays of a scenario, and how its clients use them: `user` is `NAME:PASSWORD`."""

    turn: tuple[ServerUri, ...]
    derp: tuple[DerpNode, ...]
    pinned: dict[str, str]
    user: str


def relays_of(scenario: Scenario, layout: Layout) -> LabRelays | None:
    """None: it has none."""
    turn, pinned, derp = [], {}, {}
    user = scenario.options.get("turn_user")
    for name, spec in scenario.server.items():
        addresses = addresses_by_family(layout, name)
        if spec.relay is not None:
            scheme = "turns" if spec.relay.tls else "turn"
            turn.append(parse_server(f"{scheme}:{name}:{spec.port}"))
            user = user or next((":".join(each) for each in spec.relay.users.items()), None)
            pinned[name] = fingerprint_at(addresses)
        elif spec.derp is not None:
            derp[name] = addresses
    if not turn and not derp:
        return None
    regions = derp_map_of(scenario, derp)
    nodes = () if regions is None else tuple(node for region in regions.regions for node in region.nodes)
    return LabRelays(tuple(turn), nodes, pinned, user or "")
