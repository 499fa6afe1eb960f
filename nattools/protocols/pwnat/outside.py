"""What a listener has read from quoted checksums of its outside ports, as a caller is told it: one word to be
typed. It holds no address, which the listener may not know.

    51234            the outside address and port of the beacons add up to this (`outsidesum`)
    51234-step1      and each further destination gets a port that is 1 further on
    51234-random     and each further destination gets any port
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from nattools.errors import ProtocolError
from nattools.model.pwnat import PortMoves
from nattools.protocols.outsidesum import MODULUS, port_behind

LARGEST_STEP: Final = 15
_WORD: Final = re.compile(r"(\d{1,5})(?:-(?:step(\d{1,2})|(random)))?", re.ASCII)


class ListenerPorts(msgspec.Struct, frozen=True):
    """How the listener's outside port changes between destinations; `step` is for "predictably", 1 to 15."""

    moves: PortMoves = "not"
    step: int = 1


class Outside(msgspec.Struct, frozen=True):
    """`total`: what the outside address and port of the beacons to the first target add up to."""

    total: int
    ports: ListenerPorts = ListenerPorts()

    def port(self, host: str) -> int:
        """The port, where this is the address."""
        return port_behind(self.total, host)

    def __str__(self) -> str:
        ends = {"not": "", "predictably": f"-step{self.ports.step}", "at random": "-random"}
        return f"{self.total}{ends[self.ports.moves]}"


def parse_outside(text: str) -> Outside:
    """Read such a word. ProtocolError: it is none."""
    found = _WORD.fullmatch(text)
    if found is None or int(found[1]) >= MODULUS:
        raise ProtocolError("not what a listener prints of its outside ports")
    total = int(found[1])
    if found[2] is None:
        return Outside(total, ListenerPorts("at random" if found[3] else "not"))
    if not 1 <= int(found[2]) <= LARGEST_STEP:
        raise ProtocolError(f"a step from 1 to {LARGEST_STEP}")
    return Outside(total, ListenerPorts("predictably", int(found[2])))
