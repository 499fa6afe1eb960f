"""Which outside addresses are believed, when the servers do not agree."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from nattools.engine.analysis.evidence import Answer, Path
from nattools.model.endpoint import Endpoint


class External(msgspec.Struct, frozen=True):
    """`hosts`: the believed outside addresses, the one with most witnesses first. `agreed`: those that two
    independent servers confirm, or the only one that was ever named. `outvoted`: answers that are not
    believed. `warnings`: who disagrees with whom."""

    hosts: tuple[str, ...] = ()
    agreed: frozenset[str] = frozenset()
    outvoted: tuple[Answer, ...] = ()
    warnings: tuple[str, ...] = ()

    def believed(self, path: Path) -> list[Answer]:
        """The path's answers without those that were outvoted."""
        if not self.outvoted:
            return path.answers
        return [answer for answer in path.answers if answer.mapped.host in self.hosts]


class _Votes(msgspec.Struct):
    """Who named an outside address: distinct destinations, and independent servers."""

    destinations: set[Endpoint]
    servers: set[str]
    answers: int = 0

    @property
    def weight(self) -> tuple[int, int, int]:
        """Compared to decide a majority."""
        return len(self.servers), len(self.destinations), self.answers


def external(path: Path) -> External:
    """The majority of distinct destinations decides; a dissenting server is named.

    A NAT may have several outside addresses (RFC 4787 4.1, "pooling"): an address that independent servers
    name, or that a lone server names from several of its endpoints, stays even in the minority.
    """
    votes: dict[str, _Votes] = defaultdict(lambda: _Votes(set(), set()))
    for answer in path.answers:
        vote = votes[answer.mapped.host]
        vote.destinations.add(answer.asked)
        vote.servers.add(path.groups.of(answer.asked.host))
        vote.answers += 1
    if not votes:
        return External()
    ranked = sorted(votes, key=lambda host: votes[host].weight, reverse=True)
    servers = {server for vote in votes.values() for server in vote.servers}
    best = votes[ranked[0]]
    kept = [host for host in ranked if _stays(votes[host], best, alone=len(servers) == 1)]
    outvoted = tuple(answer for answer in path.answers if answer.mapped.host not in kept)
    agreed = frozenset(host for host in kept if len(kept) == 1 or len(votes[host].servers) > 1)
    return External(tuple(kept), agreed, outvoted, tuple(_warnings(path, ranked[0], outvoted, kept)))


def _stays(vote: _Votes, best: _Votes, *, alone: bool) -> bool:
    if vote is best or len(vote.servers) > 1:
        return True
    if alone and len(vote.destinations) > 1:
        return True
    return (len(vote.servers), len(vote.destinations)) >= (len(best.servers), len(best.destinations))


def _warnings(path: Path, best: str, outvoted: tuple[Answer, ...], kept: list[str]) -> list[str]:
    liars: dict[Endpoint, str] = {answer.asked: answer.mapped.host for answer in outvoted}
    found = [
        f"The server {asked} says that our outside address is {host}; the others say {best}. "
        "It was not believed."
        for asked, host in liars.items()
    ]
    if len(kept) > 1:
        found.append(
            f"Several outside addresses were seen over {path.transport.upper()}: {', '.join(kept)}. "
            "Either the NAT has more than one, or a server errs."
        )
    return found
