"""How a NAT chooses outside ports (RFC 4787, section 4.2, and what NATs do in the field)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

from nattools.errors import UsageError
from nattools.lab.scenario import NatSpec

Allocation = Literal["preserving", "sequential", "random", "block"]
Free = Callable[[int], bool]
_RANDOM_TRIES = 16


def allocation_of(spec: NatSpec) -> Allocation:
    """Left out, it is what Linux does: keep the port, or with address-and-port-dependent mapping
    (`masquerade fully-random`) draw one."""
    if spec.allocation is not None:
        return spec.allocation
    if spec.block is not None:
        return "block"
    return "random" if spec.mapping == "address-and-port-dependent" else "preserving"


def is_kernel_like(spec: NatSpec) -> bool:
    """Does it map and allocate as Linux does?"""
    allocation = allocation_of(spec)
    if spec.mapping == "endpoint-independent":
        return allocation == "preserving"
    return spec.mapping == "address-and-port-dependent" and allocation == "random"


def destination(text: str) -> tuple[str, int]:
    """Read a destination port, as "udp/53"."""
    protocol, _, port = text.partition("/")
    return protocol, int(port)


def linux_class(port: int) -> tuple[int, int]:
    """The ports among which Linux chooses when it cannot keep `port` (nf_nat_core.c): privileged ports
    stay privileged."""
    if port < 512:
        return 1, 511
    if port < 1024:
        return 600, 1023
    return 1024, 65535


class PortAllocator:
    """Gives out outside ports for new bindings. `rng` makes every choice, so that a seed repeats a run."""

    def __init__(self, spec: NatSpec, rng: random.Random) -> None:
        self.allocation = allocation_of(spec)
        self._rng = rng
        self._range = spec.range
        self._parity = spec.parity
        self._set = spec.port_set
        self._step = spec.step
        self._foreign = spec.foreign_sessions
        self._next: dict[str, int] = {}
        self._block_of: dict[str, tuple[int, int]] = {}
        self._free_blocks = self._draw_blocks(spec.block or 512) if self.allocation == "block" else []

    def keeps(self, port: int) -> bool:
        """Is this source port one that the NAT would leave as it is?"""
        within = self._range is None or self._range[0] <= port <= self._range[1]
        return within and self._in_set(port) and self.allocation == "preserving"

    def choose(self, protocol: str, inside: str, port: int, free: Free) -> int | None:
        """The outside port for a new binding of `inside`:`port`; None when none is free.

        ICMP query identifiers (RFC 5508, section 3.1) are chosen like ports, from all 65536.
        """
        if self.keeps(port) and free(port):
            return port
        return self._moved(protocol, inside, port, lambda at: self._in_set(at) and free(at))

    def _in_set(self, port: int) -> bool:
        return self._set is None or port & self._set[0] == self._set[1]

    def _moved(self, protocol: str, inside: str, port: int, free: Free) -> int | None:
        if self.allocation == "sequential":
            return self._sequential(protocol, port, free)
        if self.allocation == "block":
            return self._random(self._block(inside), port, free)
        return self._random(self._bounds(protocol, port), port, free)

    def _bounds(self, protocol: str, port: int) -> tuple[int, int] | None:
        if self._range is not None:
            return self._range
        return (0, 65535) if protocol == "icmp" else linux_class(port)

    def _random(self, bounds: tuple[int, int] | None, port: int, free: Free) -> int | None:
        """Any free port within the bounds: draw some, then look through all of them from a random one."""
        if bounds is None:
            return None
        low, count, step = self._eligible(bounds, port)
        for _ in range(_RANDOM_TRIES):
            candidate = low + step * self._rng.randrange(count)
            if free(candidate):
                return candidate
        start = self._rng.randrange(count)
        candidates = (low + step * ((start + index) % count) for index in range(count))
        return next(filter(free, candidates), None)

    def _eligible(self, bounds: tuple[int, int], port: int) -> tuple[int, int, int]:
        """First, number and distance of the ports that may stand for `port` (REQ-4: parity)."""
        low, high = bounds
        if not self._parity or low == high:
            return low, high - low + 1, 1
        low += (low ^ port) & 1
        return low, (high - low) // 2 + 1, 2

    def _sequential(self, protocol: str, port: int, free: Free) -> int | None:
        """The next port after the last one given out; others take `foreign_sessions` ports in between."""
        low, high = self._range or (1024, 65535)
        count = high - low + 1
        if protocol not in self._next:
            self._next[protocol] = self._rng.randrange(count)
        else:
            self._next[protocol] += self._step * self._foreign
        for _ in range(2 * count):
            offset = self._next[protocol] % count
            candidate = low + offset
            if (not self._parity or not (candidate ^ port) & 1) and free(candidate):
                self._next[protocol] = offset + self._step
                return candidate
            # An even step alone would never come to a port of the other parity, nor past a taken one.
            self._next[protocol] = offset + (1 if self._parity else self._step)
        return None

    def _draw_blocks(self, size: int) -> list[tuple[int, int]]:
        low, high = self._range or (1024, 65535)
        first = -(-low // size) * size
        blocks = [(start, start + size - 1) for start in range(first, high - size + 2, size)]
        if not blocks:
            raise UsageError(f"no aligned block of {size} ports fits into {low} to {high}")
        self._rng.shuffle(blocks)
        return blocks

    def _block(self, inside: str) -> tuple[int, int] | None:
        """The inside host's block, for good; None when all blocks are given out."""
        if inside not in self._block_of and self._free_blocks:
            self._block_of[inside] = self._free_blocks.pop()
        return self._block_of.get(inside)
