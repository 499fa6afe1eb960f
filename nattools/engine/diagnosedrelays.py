"""The relays of a diagnosis. Many networks have none: what measures them is imported where there is one."""

from __future__ import annotations

from nattools.engine.measurement import MeasurementRun
from nattools.model.serveruri import ServerUri, parse_server
from nattools.probes.probe import MachineContext, MachineProbe
from nattools.probes.target import Lane
from nattools.protocols.stun.constants import SERVICE_RELAY


class Relays(MachineProbe):
    """The relays that are named, and servers that were asked and say that they relay."""

    name = "relay"
    text = "is there a relay, and does it relay?"
    commands = frozenset({"diagnose"})

    def __init__(self, run: MeasurementRun) -> None:
        self._run = run

    async def run(self, context: MachineContext) -> None:
        """Each of them, briefly."""
        search = self._run.options.relays
        if search is None and not await self._relaying():
            return
        from nattools.engine.relaymeasurement import try_briefly
        from nattools.engine.relaysearch import RelaySearch

        await try_briefly(self._run, search or RelaySearch(), context.families, self._relaying)

    async def _relaying(self) -> list[ServerUri]:
        """Servers of `nattools serve` that say that they relay, by the transport that reached them first."""
        run, search = self._run, self._run.options.relays
        named = () if search is None else search.turn
        known = {(server.host, server.port_or_default) for server in named}
        await run.resolved.wait()
        found: dict[str, ServerUri] = {}
        for family, addresses in run.addresses.items():
            for transport in ("udp", "tcp"):
                lane = Lane("udp" if transport == "udp" else "tcp", family)
                if any(address.serves(lane) for address in addresses):
                    await run.reach_finished(lane).wait()
        for target in run.reached:
            host, port = parse_server(target.uri).host, target.endpoint.port
            if target.services & SERVICE_RELAY and (host, port) not in known:
                uri = f"turn:{f'[{host}]' if ':' in host else host}:{port}"
                found.setdefault(uri, ServerUri(uri, "turn", host, port, target.transport))
        return list(found.values())
