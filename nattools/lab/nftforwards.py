"""Forwardings of a fake router in a network namespace: the kernel's, by the rules that miniupnpd would write
(Linux)."""

from __future__ import annotations

import asyncio
import subprocess
from math import inf

from nattools.lab import nft
from nattools.lab.forwards import Forwards
from nattools.model.endpoint import Endpoint


class NftForwards(Forwards):
    """`Forwards` that are in force in the namespace at `path`, for one address family. Only on a running
    event loop, which ends each when its time has come."""

    def __init__(self, run: Runner) -> None:
        super().__init__()
        self._run = run

    def open(self, protocol: str, outside: Endpoint, inside: Endpoint, expires: float = inf) -> None:
        """See `Forwards.open`."""
        super().open(protocol, outside, inside, expires)
        self._run.renew()
        if expires < inf:
            asyncio.get_running_loop().call_at(expires, self._run.renew)

    def close(self, protocol: str, outside: Endpoint) -> None:
        """See `Forwards.close`."""
        super().close(protocol, outside)
        self._run.renew()

    def clear(self) -> None:
        """See `Forwards.clear`."""
        super().clear()
        self._run.renew()


class Runner:
    """The chains of one router, written anew at each change. It runs `program`, which is nft, in the
    namespace that the calling thread is in."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._all: list[NftForwards] = []

    def forwards(self) -> NftForwards:
        """New forwardings, whose rules stand in the same chains."""
        self._all.append(NftForwards(self))
        return self._all[-1]

    def renew(self) -> None:
        """Put the rules of what is alive in force."""
        now = asyncio.get_running_loop().time()
        text = "\n".join(rules([each for forwards in self._all for each in alive(forwards, now)]))
        subprocess.run([self._program, "-f", "-"], input=f"{text}\n", text=True, check=True)


Row = tuple[str, Endpoint, Endpoint]


def alive(forwards: Forwards, now: float) -> list[Row]:
    """(protocol, outside, inside) of those that have not ended."""
    return [
        (protocol, Endpoint(host, port), inside)
        for (protocol, host, port), (inside, expires) in forwards.targets.items()
        if expires > now
    ]


def rules(rows: list[Row]) -> list[str]:
    """What `nft -f` reads to put these forwardings, and no others, in force."""
    chains = nft.MAPPER_CHAINS
    lines = [f"flush chain inet {nft.TABLE} {chain}" for chain in chains.values()]
    for protocol, outside, inside in rows:
        inward = f'iifname "{nft.WAN}"'
        six = ":" in inside.host
        if not six:
            dnat = f"{protocol} dport {outside.port} dnat ip to {inside.host}:{inside.port}"
            lines.append(f"add rule inet {nft.TABLE} {chains['prerouting']} {inward} {dnat}")
        to = f"ip{'6' if six else ''} daddr {inside.host} {protocol} dport {inside.port}"
        lines.append(f"add rule inet {nft.TABLE} {chains['forward']} {inward} {to} accept")
    return lines
