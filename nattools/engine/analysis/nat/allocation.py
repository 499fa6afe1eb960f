"""How does the NAT choose external ports (RFC 4787 4.2, and what NATs do in the field)?

Every conclusion is held against chance: a pattern counts only if ports drawn at random would show it less
often than CERTAIN_ERROR.
"""

from __future__ import annotations

from collections import Counter
from functools import reduce
from itertools import groupby, pairwise
from math import ceil, factorial, gcd

from nattools.engine.analysis.evidence import BindingAnswer, Finding, PathEvidence
from nattools.engine.analysis.nat.externals import ExternalAddresses
from nattools.engine.analysis.nat.portorder import (
    FEWEST,
    PORTS,
    Taken,
    chance_of_even_gaps,
    chance_of_inversions,
    unwrapped,
)
from nattools.model.confidence import CERTAIN_ERROR
from nattools.model.endpoint import Endpoint
from nattools.model.nat import PortAllocation
from nattools.model.statement import statement

BLOCKS = (64, 128, 256, 512, 1024, 2048, 4096)
"""Sizes of the port blocks that carriers give their customers (RFC 6888, RFC 7422), aligned to their size."""
RANGES = ((49152, 65535), (32768, 60999), (32768, 65535), (10000, 65535), (1024, 65535))
"""Ranges that systems draw from: IANA's dynamic ports, Linux' local ports, and what NATs are often set to."""
UNLIKELY = 0.01
"""Ports that lie so close in an aligned block only by such a chance have another block."""
SUSPICIOUS = 0.001
"""Ports that are in order as random ones are only by such a chance may be a counter's."""
FEW = 8
"""Of fewer ports than these a counter's may look at random: in order but for one, or spread a little."""
MARGIN = 2.0
"""A block ends about one gap between ports beyond the outermost ones; twice that is allowed for."""
ORDER_ERROR = CERTAIN_ERROR / 10
"""Several looks are taken at the same ports: each errs so seldom that all together hardly do."""
PORT_SET_SHARE = 0.01
"""Few customers have ports that all have their lowest bits in common."""
MOST_OUT_OF_ORDER = 1 / 6
"""A counter's ports are hardly ever more out of order, in pairs."""
KEPT_SHARE = 0.75
"""A NAT that keeps the internal port in so many cases preserves; the rest are collisions."""


class AllocationFinding(Finding[PortAllocation], frozen=True):
    """`step` for sequential allocation; `port_range` as known or inferred; `block`: whether that range is a
    block of this customer alone; `mask`: as `Nat.port_mask`."""

    step: int | None = None
    port_range: tuple[int, int] | None = None
    block: bool | None = None
    mask: tuple[int, int] | None = None


def allocation(
    path: PathEvidence, outside: ExternalAddresses, *, nat: bool | None, varies: bool | None
) -> AllocationFinding:
    """The allocation behaviour, from all fresh external ports in the order in which they were taken."""
    of_all = _samples(outside.believed(path), varies=varies)
    samples = _of_commonest(of_all)
    ids = tuple(sample.id for sample in samples)
    if nat is False:
        return AllocationFinding("preserving", ids)
    telling = _later(samples) if varies else samples
    kept = [s for s in telling if s.local is not None and s.local.port == s.mapped.port]
    if kept and len(kept) >= KEPT_SHARE * len(telling):
        return AllocationFinding("preserving", ids)
    ordinary = [s for s in samples if _is_ordinary(s) and s not in kept]
    if len({s.mapped.port for s in ordinary}) < FEWEST:
        few = statement("allocation-few-ports", seen=len(ordinary), needed=FEWEST)
        return AllocationFinding("unknown", ids, (few if samples else path.unanswered,))
    parity = all(s.local is None or not (s.local.port ^ s.mapped.port) & 1 for s in samples)
    found = _sequential(ordinary, ids)
    if found is None and len(of_all) > len(samples):  # several addresses may have their ports of one counter
        found = _sequential(list(filter(_is_ordinary, of_all)), tuple(sample.id for sample in of_all))
    return found or _random(ordinary, ids, keeps_parity=parity)


def _samples(answers: list[BindingAnswer], *, varies: bool | None) -> list[BindingAnswer]:
    """The first answer for each mapping that the NAT had to make, in time order. With a mapping that varies,
    each destination has one of its own."""
    seen: set[object] = set()
    found = []
    for answer in sorted(answers, key=lambda one: one.at_s):
        fresh: object = (answer.local, answer.mapped.port) if varies else answer.local or answer.mapped.port
        if fresh not in seen:
            seen.add(fresh)
            found.append(answer)
    return found


def _of_commonest(samples: list[BindingAnswer]) -> list[BindingAnswer]:
    """The samples of the commonest external address."""
    commonest = Counter(sample.mapped.host for sample in samples).most_common(1)
    return [sample for sample in samples if sample.mapped.host == commonest[0][0]]


def _is_ordinary(sample: BindingAnswer) -> bool:
    """NATs give privileged source ports ports of their own."""
    return sample.local is None or sample.local.port >= 1024


def _later(samples: list[BindingAnswer]) -> list[BindingAnswer]:
    """Without each local port's first external port, which many a symmetric NAT keeps, unlike the later ones;
    all if there are no later ones."""
    firsts: set[Endpoint | None] = set()
    later = []
    for sample in samples:
        if sample.local in firsts:
            later.append(sample)
        firsts.add(sample.local)
    return later or samples


def _sequential(samples: list[BindingAnswer], ids: tuple[int, ...]) -> AllocationFinding | None:
    """Sequential if any honest order of the ports shows it: of all of them, or of the allocation test alone,
    whose record is in the order of sending; with or without those that lost a copy, which take their port
    later if it was the first. Or if they lie closer together than chance allows, in whatever order."""
    own_test = [s for s in samples if s.purpose == "allocation"]
    own_test.sort(key=lambda one: one.id)
    parity = all(s.local is None or not (s.local.port ^ s.mapped.port) & 1 for s in samples)
    of_set = 1.0 if _in_a_set([s.mapped.port for s in samples]) else PORT_SET_SHARE
    for chosen in (samples, own_test):
        for ports in (chosen, [s for s in chosen if s.prompt]):
            share = of_set if len(ports) < len(samples) else PORT_SET_SHARE
            step = ordered_step([s.mapped.port for s in ports], keeps_parity=parity, set_share=share)
            if step is not None:
                step = _step_of_all(step, ports, samples)
                return AllocationFinding("sequential", ids, step=step)
    step = dense_step(unwrapped([s.mapped.port for s in samples]), keeps_parity=parity)
    if step is None:
        steps = (
            step_but_for_one([s.mapped.port for s in own_or_all], keeps_parity=parity, set_share=of_set)
            for own_or_all in (samples, own_test)
        )
        step = next((each for each in steps if each is not None), None)
    if step is None:
        timed = (samples, [s for s in samples if s.asked_s == s.at_s])
        orders = (mostly_ordered_step(_taken(each), keeps_parity=parity) for each in timed)
        step = next((each for each in orders if each is not None), None)
    return None if step is None else AllocationFinding("sequential", ids, step=step)


def _in_a_set(ports: list[int]) -> bool:
    """Have all ports their lowest bits in common, though they are far apart: is it a port set's?"""
    rising = sorted(set(unwrapped(ports)))
    return len(rising) >= FEWEST and reduce(gcd, _gaps(rising)) > 2 and not _dense(rising, 12)


def _taken(samples: list[BindingAnswer]) -> Taken:
    """Tests run side by side: of what they ask at the same moment nobody knows what comes first."""
    moments = []
    ports = [sample.mapped.port for sample in samples]
    onward = dict(zip(ports, unwrapped(ports), strict=True))
    for _, together in groupby(samples, key=lambda sample: sample.at_s):
        tests: dict[str, list[int]] = {}
        for sample in together:
            tests.setdefault(sample.purpose, []).append(onward[sample.mapped.port])
        moments.append(list(tests.values()))
    return Taken(moments)


def _step_of_all(step: int, chosen: list[BindingAnswer], samples: list[BindingAnswer]) -> int:
    """Of a few chosen ports every second one may be missing by chance, having been lost or of another outside
    address; others that the NAT gave close by tell. Not those after the counter began anew."""
    ports = sorted({sample.mapped.port for sample in chosen})
    near = 4 * len(samples) * abs(step)
    apart = (min((sample.mapped.port - port for port in ports), key=abs) for sample in samples)
    common = reduce(gcd, (each for each in apart if abs(each) <= near), step)
    return common if step > 0 else -common


def ordered_step(
    ports: list[int], *, keeps_parity: bool = True, choices: int = 1, set_share: float = PORT_SET_SHARE
) -> int | None:
    """The step of ports that go up (or down: negative) in small steps with at most one wrap-around; None if
    random ports of an aligned block, of any size, could as well look so. `choices`: from so many series that
    could have been looked at these ports were chosen. `set_share`: how likely it is that all of this
    customer's ports have their lowest bits in common."""
    if len(ports) < 3:
        return None
    steps = [after - before for before, after in pairwise(ports)]
    sign = 1 if 2 * sum(step > 0 for step in steps) > len(steps) else -1
    against = [step for step in steps if step * sign <= 0]
    onward = [abs(step) for step in steps if step * sign > 0]
    wrapped = len(against) == 1 and abs(against[0]) > sum(onward)
    if not onward or (against and not wrapped):
        return None
    # a counter that wraps around has all of its range behind it
    common, room = reduce(gcd, onward), max(ports) - min(ports) + 1 if wrapped else _room(ports)
    even, in_a_set = (
        _chance_of_evenness(each, len(onward) + 1, keeps_parity=keeps_parity)
        for each in (common, _odd_part(common))
    )
    even = max(even, in_a_set * set_share)
    chance = _chance_of_order(len(onward) + 1, sum(onward), room) * even
    return sign * common if chance * choices < CERTAIN_ERROR else None


def step_but_for_one(
    ports: list[int], *, keeps_parity: bool, set_share: float = PORT_SET_SHARE
) -> int | None:
    """The same with one port left out. A local port that was in use a short while ago still has the mapping
    of then, whose port is out of order."""
    if len(ports) <= FEWEST:
        return None
    less = (ports[:place] + ports[place + 1 :] for place in range(len(ports)))
    steps = [
        ordered_step(each, keeps_parity=keeps_parity, choices=len(ports), set_share=set_share)
        for each in less
    ]
    return max((step for step in steps if step is not None), key=abs, default=None)


def mostly_ordered_step(taken: Taken, *, keeps_parity: bool = True) -> int | None:
    """The step of ports of which so few pairs are out of order that random ones hardly ever are: those whose
    first copy was lost take their port a little later."""
    ports = taken.ports
    if len(ports) < FEWEST or len(set(ports)) < len(ports):
        return None
    falling, rising = taken.pairs()
    few, sign = min((falling, 1), (rising, -1))
    if few > MOST_OUT_OF_ORDER * (falling + rising):
        return None
    common = reduce(gcd, _gaps(sorted(ports)))
    even = _chance_of_evenness(_odd_part(common), len(ports), keeps_parity=keeps_parity)
    return sign * common if 2 * chance_of_inversions(taken, few) * even < ORDER_ERROR else None


def _odd_part(common: int) -> int:
    """Of what all steps have in common: bits that ports have in common may be those of a port set."""
    return common // (common & -common)


def _room(ports: list[int]) -> int:
    """The size of the smallest usual block that all ports fit into, wherever it begins, or else of the
    smallest usual range: within it, a jump back proves as little as any other order. No block goes on at the
    lowest port."""
    low, high = min(ports), max(ports)
    if high > 65535:
        return PORTS
    ranges = (last - first + 1 for first, last in RANGES if first <= low and high <= last)
    return next((size for size in BLOCKS if high - low < size), next(ranges, PORTS))


def _chance_of_order(count: int, span: int, room: int) -> float:
    """The probability that `count` ports drawn from `room` come out in order (up or down) and within `span`.
    Times `count` for the place of a wrap-around."""
    return count * 2 / factorial(min(count, 150)) * _chance_of_nearness(count, span, room)


def _chance_of_nearness(count: int, span: int, room: int) -> float:
    return min(1.0, count * min(1.0, span / room) ** (count - 1))


def _chance_of_evenness(common: int, count: int, *, keeps_parity: bool) -> float:
    """The probability that random ports all lie a multiple of `common` apart. Where each port has its inside
    port's parity (RFC 4787 REQ-4) a factor of 2 proves nothing."""
    telling = common // 2 if keeps_parity and common % 2 == 0 else common
    return (1 / telling) ** max(0, count - 2)


def dense_step(ports: list[int], *, keeps_parity: bool = True) -> int | None:
    """The step of ports that fill a short stretch, in whatever order they were seen; None if random ports of
    the smallest block, or of all, could as well lie so close."""
    ordered = sorted(set(ports))
    if len(ordered) < FEWEST or len(ordered) < len(ports) or not _dense(ordered):
        return None
    common, span = reduce(gcd, _gaps(ordered)), ordered[-1] - ordered[0]
    even = _chance_of_evenness(_odd_part(common), len(ordered), keeps_parity=keeps_parity)
    chance = _chance_of_nearness(len(ordered), span, _room(ordered)) * even
    return common if chance < CERTAIN_ERROR else None


def _gaps(ordered: list[int]) -> list[int]:
    return [after - before for before, after in pairwise(ordered)]


def _dense(ordered: list[int], thin: int = 4) -> bool:
    """Do the ports fill one in `thin`, or more, of the stretch that they are in?"""
    return ordered[-1] - ordered[0] <= thin * len(ordered) * reduce(gcd, _gaps(ordered))


def _random(
    samples: list[BindingAnswer], ids: tuple[int, ...], *, keeps_parity: bool = False
) -> AllocationFinding:
    """Ports that lie close together may be a counter's: one that also keeps parity goes on unevenly."""
    ports = [sample.mapped.port for sample in samples]
    block = _block(ports)
    if block is None:
        return AllocationFinding("random", ids, port_range=_range(ports), block=False, mask=port_set(ports))
    rising = sorted(set(ports))
    in_order = ports in (rising, rising[::-1])
    few = len(ports) < FEW
    dense = _dense(rising, 12 if keeps_parity or few else 4)
    if dense or (in_order and few) or _suspicious(_taken(samples), 10 * SUSPICIOUS if few else SUSPICIOUS):
        return AllocationFinding("unknown", ids, (statement("allocation-ports-close"),), port_range=block)
    return AllocationFinding("random", ids, port_range=block, block=True)


def _suspicious(taken: Taken, error: float) -> bool:
    """Are ports as much in order as random ones seldom are, or as far apart from each other, whatever else
    there is against a counter? One that keeps parity goes on by steps that differ, all long."""
    falling, rising = taken.pairs()
    few = min(falling, rising)
    return min(2 * chance_of_inversions(taken, few), 10 * chance_of_even_gaps(taken.ports)) < error


def _block(ports: list[int]) -> tuple[int, int] | None:
    """The smallest aligned block that holds all ports, unless they fill too small a part of it: carriers hand
    out blocks of any size, from anywhere, and then it is what the ports span, and some more on either side.
    None if random ports could as well lie in one."""
    span, count = max(ports) - min(ports), len(set(ports))
    more = ceil(MARGIN * span / max(1, count - 1))
    low, high = max(1024, min(ports) - more), min(65535, max(ports) + more)
    for size in BLOCKS:
        start = min(ports) // size * size
        if max(ports) < start + size:
            if _chance_of_nearness(count, span, size) >= UNLIKELY:
                low, high = start, start + size - 1
            break
    chance = ((high - low + 1) / PORTS) ** (len(ports) - 1)
    return (low, high) if chance < CERTAIN_ERROR and high - low < BLOCKS[-1] else None


def port_set(ports: list[int]) -> tuple[int, int] | None:
    """(mask, value) of the bits in the midst of port numbers that all ports have in common: the port set of a
    customer (RFC 7597 5.1), which lies in many small blocks. None if random ports could as well look so."""
    same = [bit for bit in range(16) if len({port >> bit & 1 for port in ports}) == 1]
    runs: list[list[int]] = []
    for bit in same:
        if runs and runs[-1][-1] == bit - 1:
            runs[-1].append(bit)
        else:
            runs.append([bit])
    bits = max(runs, key=len, default=[])
    if not bits or 16 * 0.5 ** (len(bits) * (len(set(ports)) - 1)) >= CERTAIN_ERROR:
        return None
    mask = sum(1 << bit for bit in bits)
    return mask, ports[0] & mask


def _range(ports: list[int]) -> tuple[int, int]:
    """The narrowest usual range that holds all ports and that is not there by chance."""
    for low, high in RANGES:
        chance = ((high - low + 1) / PORTS) ** len(ports)
        if low <= min(ports) and max(ports) <= high and (chance < CERTAIN_ERROR or high - low + 1 == PORTS):
            return low, high
    return min(min(ports), 1024), 65535
