"""Which tailnets are to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nattools.model.controlurl import ControlUrl
from nattools.model.overlay import OverlayStatus

if TYPE_CHECKING:
    from nattools.protocols.derp import DerpMap


class TailnetAsk(msgspec.Struct, frozen=True, kw_only=True):
    """One tailnet. `map`: a file or a URL, or "" where `regions` are its map, if there is one. `status`: what
    its client says, read from `source`."""

    name: str
    control: ControlUrl | None = None
    map: str = ""
    regions: DerpMap | None = None
    status: OverlayStatus | None = None
    source: str = ""


class TailnetSearch(msgspec.Struct, frozen=True, kw_only=True):
    """`keep`: the folder where maps that were fetched are kept. `pinned` as in `RelaySearch`."""

    tailnets: tuple[TailnetAsk, ...] = ()
    keep: Path | None = None
    pinned: dict[str, str] = {}
