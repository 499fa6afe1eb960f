"""In what order were ports taken, and how often would random ones be as much in order?"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from itertools import accumulate, combinations, pairwise
from math import comb, factorial, gcd

import msgspec

PORTS = 64512
"""1024 to 65535: what NATs draw from for unprivileged source ports."""
FEWEST = 5
"""Fewer external ports than this are no pattern."""


class Taken(msgspec.Struct, frozen=True):
    """Ports in the order in which they were taken, as far as it is known: each of `moments` has ports by
    test, each test's in order."""

    moments: list[list[list[int]]]

    @property
    def ports(self) -> list[int]:
        """All of them, in an order that may be right."""
        return [port for moment in self.moments for test in moment for port in test]

    def pairs(self) -> tuple[int, int]:
        """How many pairs fall of those whose order is known, and how many rise."""
        falling = known = 0
        before: list[int] = []
        for moment in self.moments:
            now = [port for test in moment for port in test]
            both = [(one, other) for one in before for other in now]
            both += [pair for test in moment for pair in combinations(test, 2)]
            falling += sum(one > other for one, other in both)
            known += len(both)
            before += now
        return falling, known - falling


def unwrapped(ports: list[int]) -> list[int]:
    """As numbers that go on beyond 65535, if these ports lie on both sides of it and the lowest one, close
    together: a counter goes on at the lowest one."""
    ordered = sorted(set(ports))
    if len(ordered) < FEWEST:
        return ports
    gap, before = max((after - before, before) for before, after in pairwise(ordered))
    return [port if port > before else port + PORTS for port in ports] if 2 * gap > PORTS else ports


def chance_of_even_gaps(ports: list[int]) -> float:
    """The probability that random ports between the lowest and the highest of these keep at least such a
    distance from each other; where all have a step in common, counted in it."""
    ordered = sorted(set(ports))
    if len(ordered) < FEWEST:
        return 1.0
    gaps = [after - before for before, after in pairwise(ordered)]
    common = reduce(gcd, gaps)
    between, inner = (ordered[-1] - ordered[0]) // common - 1, len(ordered) - 2
    taken = len(gaps) * (min(gaps) // common - 1)
    return comb(between - taken, inner) / comb(between, inner)


def chance_of_inversions(taken: Taken, most: int) -> float:
    """The probability that of random ports at most so many pairs of known order fall. Of permutations, that
    many have each number of inversions as the product of 1 + q + ... + q^(k-1), for k up to their length,
    says; inversions between the moments are what is left of it without those within each (q-multinomial
    coefficients), which have those of each test instead."""
    sizes = [[len(test) for test in moment] for moment in taken.moments]
    ways = _inversions(most, times=(sum(map(sum, sizes)),))
    for moment in sizes:
        if len(moment) > 1:
            ways = _inversions(most, ways, times=moment, without=(sum(moment),))
    whole = factorial(sum(map(sum, sizes)))
    for moment in sizes:
        if len(moment) > 1:
            whole = whole * reduce(lambda product, size: product * factorial(size), moment, 1)
            whole //= factorial(sum(moment))
    return sum(ways) / whole


def _inversions(
    most: int, ways: Iterable[int] = (1,), *, times: Iterable[int], without: Iterable[int] = ()
) -> list[int]:
    """`ways` to have each number of inversions up to `most`, times those of permutations of these lengths,
    divided by those of others."""
    found = [*ways, *[0] * most][: most + 1]
    for size in (size for length in times for size in range(2, length + 1)):
        sums = list(accumulate(found))
        found = [sums[at] - (sums[at - size] if at >= size else 0) for at in range(most + 1)]
    for size in (size for length in without for size in range(2, length + 1)):
        steps = [found[at] - (found[at - 1] if at else 0) for at in range(most + 1)]
        found = []
        for at, step in enumerate(steps):
            found.append(step + (found[at - size] if at >= size else 0))
    return found
