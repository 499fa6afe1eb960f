"""Does one side's part of a step."""

from __future__ import annotations

from nattools.net.base import Network
from nattools.traversal.meeting import Meeting, Outcome
from nattools.traversal.simultaneous_open import StreamMeeting, StreamOutcome, simultaneous_open
from nattools.traversal.steps import Step
from nattools.traversal.strategies.birthday import birthday
from nattools.traversal.strategies.plain import plain
from nattools.traversal.strategies.prediction import prediction

LATE_S = 0.5


async def perform(
    network: Network, meeting: Meeting, step: Step, *, first: bool, seed: int | None = None
) -> Outcome:
    """One side's part, `first` or not, of a step over UDP; both begin at the same moment. It lasts until
    connected, or until the longer part is over. ValueError: a step without parts."""
    if step.parts is None or step.transport != "udp":
        raise ValueError(f"{step.strategy} over {step.transport} is no step over UDP")
    own, peer = step.parts if first else step.parts[::-1]
    wait_s = max(LATE_S, peer.seconds - own.seconds + LATE_S)
    if step.strategy == "prediction":
        return await prediction(network, meeting, own, wait_s=wait_s)
    if step.strategy == "birthday":
        return await birthday(network, meeting, own, wait_s=wait_s, seed=seed)
    return await plain(network, meeting, own, wait_s=wait_s)


async def perform_stream(
    network: Network, meeting: StreamMeeting, step: Step, *, first: bool, seed: int | None = None
) -> StreamOutcome:
    """The same for a step over TCP."""
    if step.parts is None or step.transport != "tcp":
        raise ValueError(f"{step.strategy} over {step.transport} is no step over TCP")
    lasts_s = step.seconds or LATE_S
    own = step.parts[0 if first else 1]
    return await simultaneous_open(network, meeting, own, lasts_s=lasts_s, seed=seed)
