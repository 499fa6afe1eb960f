"""What a user wants of the router."""

from __future__ import annotations

from dataclasses import dataclass

from nattools.model.endpoint import Transport
from nattools.model.portmapping import MappingProtocol

LIFETIME_S = 7200
DESCRIPTION = "nattools"


@dataclass(frozen=True, slots=True)
class MapOptions:
    """The options of `nattools map`, checked.

    `ports` are inside ports of this machine, or of its own address `host` (None: the one that the router
    sees). `external_port` None: the router's choice, the same number if it can. `protocol` None: any.
    `mine`: all that nattools has made and noted.
    """

    ports: tuple[int, ...] = ()
    host: str | None = None
    external_port: int | None = None
    lifetime_s: int = LIFETIME_S
    description: str = DESCRIPTION
    protocol: MappingProtocol | None = None
    transports: tuple[Transport, ...] = ("udp", "tcp")
    mine: bool = False
