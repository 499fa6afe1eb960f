"""How many packets a path loses, and which losses are a server's own: of one that is overloaded, while others
answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from math import comb
from typing import Final, NamedTuple

import msgspec

from nattools.model.confidence import (
    CERTAIN_ERROR,
    WORST_LOSS,
    chance_of_silence,
    loss_upper_bound,
)

OVERLOADED: Final = 0.2
"""The least loss that is called that."""
CHANCE: Final = 0.001
"""What is less likely is no chance."""


class CopiesLost(NamedTuple):
    """Of `sent` copies of a question that `host` was bound to answer, `lost` were ("": not known of whom)."""

    host: str
    sent: int
    lost: int


class Loss(msgspec.Struct, frozen=True):
    """How many copies of questions that were bound to be answered were sent, and how many were lost. `left`:
    this machine left the network meanwhile, and nobody knows which silence was that."""

    sent: int
    lost: int
    left: bool = False

    @property
    def share(self) -> float | None:
        """0..1, or None if nothing was sent."""
        return self.lost / self.sent if self.sent else None

    @property
    def bound(self) -> float:
        """The loss to assume: the upper confidence bound, or WORST_LOSS if nothing is known."""
        return loss_upper_bound(self.sent, self.lost) if self.sent else WORST_LOSS

    def conclusive(self, copies: int) -> bool:
        """Does the silence after so many copies mean more than bad luck?"""
        return self.chance(copies) < CERTAIN_ERROR

    def chance(self, copies: int) -> float:
        """The probability that so many copies were all lost."""
        return 1.0 if self.left else chance_of_silence(min(copies, 100_000), self.bound)


def total(counted: Iterable[CopiesLost], *, left: bool = False) -> Loss:
    """The loss of all of them together."""
    pairs = list(counted)
    return Loss(sum([each.sent for each in pairs]), sum([each.lost for each in pairs]), left)


def overloaded(counted: Iterable[tuple[str, CopiesLost]]) -> frozenset[str]:
    """Those servers, by name, that lose at least one packet in five, and more than chance would make it where
    the best one loses so few: what they lose says nothing of the path."""
    by_server: dict[str, list[CopiesLost]] = defaultdict(list)
    for server, each in counted:
        by_server[server].append(each)
    losses = {server: total(lost) for server, lost in by_server.items()}
    best = min(losses.values(), key=lambda loss: loss.bound, default=Loss(0, 0))
    return frozenset(server for server, loss in losses.items() if _is_worse(loss, best))


def _is_worse(loss: Loss, best: Loss) -> bool:
    """Fisher's exact test: how likely would the best server lose as few as it did, were all losses dealt out
    among what both were sent?"""
    if not loss.sent or loss.lost < OVERLOADED * loss.sent:
        return False
    sent, lost = loss.sent + best.sent, loss.lost + best.lost
    ways = sum(comb(lost, few) * comb(sent - lost, best.sent - few) for few in range(best.lost + 1))
    return ways < CHANCE * comb(sent, best.sent)
