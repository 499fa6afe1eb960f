"""A way that was found."""

from __future__ import annotations

from dataclasses import dataclass

from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.punch import Path, Strategy
from nattools.net.base import TcpStream
from nattools.protocols import ice
from nattools.traversal.icedriver import IceDriver


@dataclass(slots=True)
class Way:
    """Over UDP the driver has the path and looks after it; over TCP it is the stream. `elapsed_s`: from both
    sides' candidates known to the first authenticated answer."""

    strategy: Strategy
    transport: Transport
    local: Endpoint
    remote: Endpoint
    elapsed_s: float
    driver: IceDriver | None = None
    stream: TcpStream | None = None

    @property
    def family(self) -> Family:
        """Of its addresses."""
        return self.remote.family

    def close(self) -> None:
        """Idempotent."""
        if self.driver is not None:
            self.driver.close()
        if self.stream is not None:
            self.stream.abort()


def way_over(driver: IceDriver, pair: ice.Pair, strategy: Strategy, elapsed_s: float) -> Way:
    """A pair that ICE has selected, as a way."""
    return Way(
        strategy=strategy,
        transport=pair.local.transport,
        local=pair.local.sends_from,
        remote=pair.remote_endpoint,
        elapsed_s=round(elapsed_s, 4),
        driver=driver,
    )


def path_of(pair: ice.Pair) -> Path:
    """A pair for people."""
    rtt_s = pair.round_trip.smoothed_s
    return Path(
        transport=pair.local.transport,
        local=str(pair.local.sends_from),
        remote=str(pair.remote_endpoint),
        rtt_ms=None if rtt_s is None else round(rtt_s * 1000, 3),
    )


def spares_of(driver: IceDriver) -> tuple[Path, ...]:
    """Other paths that work."""
    selected = driver.agent.selected
    return tuple(path_of(pair) for pair in driver.agent.pairs if pair.valid and pair is not selected)


def strategy_of(pair: ice.Pair) -> Strategy:
    """What ICE's checks found their way by."""
    if pair.local.mapped or pair.remote.mapped or pair.local_seen.mapped:
        return "mapped"
    if pair.remote.kind == "host" and pair.local_seen.kind == "host":
        return "host"
    return "reflexive"
