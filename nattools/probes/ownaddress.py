"""An address of this machine, and what leaves from it."""

from __future__ import annotations

import msgspec

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import MachineSocket, Network, TcpFailure, TcpStream


class OwnAddress(msgspec.Struct, frozen=True):
    """An address of this machine, `local`, and the interface that has it (None: whichever does)."""

    network: Network
    interface: str | None
    family: Family
    local: str

    async def open_udp(self, *, port: int = 0) -> MachineSocket:
        """A socket on this interface, bound to the own address. CannotRun."""
        try:
            return await self.network.open_udp(
                family=self.family, host=self.local, port=port, interface=self.interface
            )
        except CannotRun:
            # binding to an interface may want a privilege; the address alone mostly leads the same way
            return await self.network.open_udp(family=self.family, host=self.local, port=port)

    async def connect(self, remote: Endpoint, timeout_s: float) -> TcpStream | TcpFailure:
        """A connection from the own address."""
        try:
            return await self.network.connect_tcp(remote, host=self.local, timeout_s=timeout_s)
        except CannotRun as error:
            return TcpFailure("error", str(error))
