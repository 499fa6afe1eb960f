"""What can have ended a NAT's mapping between two questions from one own port: silence, and ICMP errors, at
which some NATs end it (against RFC 4787 REQ-12)."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from nattools.engine.analysis.evidence import BindingAnswer, PathEvidence
from nattools.model.endpoint import Endpoint, read_endpoint

KEPT_S = 10.0
"""NATs keep a mapping for at least so long without traffic, as far as any has been seen."""
TOGETHER_S = 0.005
"""Between questions so close together no error comes back that one of them caused."""
_ICMP_ERRORS = ("refused", "unreachable", "prohibited")


class MappingEnds(msgspec.Struct, frozen=True):
    """`errors`: for each own port, from when until when an ICMP error may have come back to it, in seconds
    since the measurement began."""

    errors: dict[Endpoint, list[tuple[float, float]]]

    def same_mapping(self, one: BindingAnswer, other: BindingAnswer) -> bool:
        """Did the NAT have one mapping for both, if one serves both destinations? Both came from the same own
        port."""
        first, last = sorted((one.asked_s, other.asked_s))
        if last - first <= TOGETHER_S or one.local is None:
            return last - first <= KEPT_S
        errors = self.errors.get(one.local, ())
        return last - first <= KEPT_S and not any(since < last and until > first for since, until in errors)


def mapping_ends(path: PathEvidence) -> MappingEnds:
    """From the questions that met with an ICMP error."""
    errors: dict[Endpoint, list[tuple[float, float]]] = defaultdict(list)
    for binding in path.bindings:
        local = read_endpoint(binding.local)
        if local is not None and binding.outcome in _ICMP_ERRORS:
            errors[local].append((binding.at_s, binding.at_s + max(0.0, binding.waited_s)))
    return MappingEnds(errors)
