"""Do packets to an own outside address come back inside (RFC 4787 6)?"""

from __future__ import annotations

from nattools.engine.analysis.evidence import Path, endpoint
from nattools.engine.analysis.finding import Finding
from nattools.model.nat import Filtering
from nattools.model.observation import Hairpin


class HairpinFinding(Finding["bool | None"], frozen=True):
    """`confidence`: the share of tests that agree with the value. `source_outside`: whether the receiver saw
    the sender's outside address (RFC 4787 REQ-9)."""

    confidence: float | None = None
    source_outside: bool | None = None


def hairpinning(path: Path, *, nat: bool | None, varies: bool | None, filtering: Filtering) -> HairpinFinding:
    """One packet that came back proves it. Silence disproves it only if no filter could have caused it, since
    both ports wrote to each other, and loss could not either."""
    if nat is False:
        return HairpinFinding(None, (), "There is no NAT to turn packets back.")
    tests = [test for test in path.hairpins if test.sent > 0]
    ids = tuple(test.id for test in tests)
    if not tests:
        return HairpinFinding(None, (), "It was not tried." if path.answers else "Nothing was answered.")
    came = [test for test in tests if test.received > 0]
    if came:
        return HairpinFinding(True, ids, "", len(came) / len(tests), _source_outside(path, came))
    if not path.loss.conclusive(sum(test.sent for test in tests)):
        return HairpinFinding(None, ids, "Nothing came back; more copies would tell it from loss.")
    if filtering != "endpoint-independent" and (varies is not False or not _mutual(path, tests)):
        why = (
            "Nothing came back, but this NAT's filter may have stopped it: two hosts inside would settle it."
        )
        return HairpinFinding(None, ids, why)
    return HairpinFinding(False, ids, "", 1.0)


def _mutual(path: Path, tests: list[Hairpin]) -> bool:
    """Did every receiver itself write to the sender's outside address, so that its filter was open?"""
    outside = {answer.local: answer.mapped for answer in path.answers if answer.local is not None}
    wrote = {(outside.get(local), endpoint(test.target)) for test in tests if (local := endpoint(test.local))}
    return all((target, sender) in wrote for sender, target in wrote)


def _source_outside(path: Path, came: list[Hairpin]) -> bool | None:
    sources = [source for test in came if (source := endpoint(test.source)) is not None]
    inside = {answer.local for answer in path.answers}
    if not sources:
        return None
    return not any(source in inside or source.host in path.own for source in sources)
