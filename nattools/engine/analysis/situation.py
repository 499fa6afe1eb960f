"""Everything that verdicts are drawn from, in one place."""

from __future__ import annotations

import msgspec

from nattools.engine.analysis.behaviour import Behaviour
from nattools.engine.analysis.evidence import IsPublic, endpoint
from nattools.model.endpoint import Family, Transport
from nattools.model.measurement import Measurement
from nattools.model.nat import Nat, NatByTransport
from nattools.model.observation import Binding, Connection, DialBack, Resolution


class Situation(msgspec.Struct, frozen=True, dict=True):
    """A measurement with its findings by transport and family."""

    measurement: Measurement
    behaviours: dict[tuple[Transport, Family], Behaviour]
    is_public: IsPublic

    def nat(self, transport: Transport, family: Family) -> Nat | None:
        """The finding, or None if that was not measured."""
        found = self.behaviours.get((transport, family))
        return None if found is None else found.nat

    @property
    def by_transport(self) -> NatByTransport:
        """As the report has it."""
        return NatByTransport(
            udp4=self.nat("udp", 4),
            udp6=self.nat("udp", 6),
            tcp4=self.nat("tcp", 4),
            tcp6=self.nat("tcp", 6),
        )

    @property
    def main(self) -> Family:
        """The family that hole punching is judged by."""
        return main_family(self.nat("udp", 4), self.nat("udp", 6))

    @property
    def asked(self) -> bool:
        """Was any question put to the network?"""
        kinds = (Binding, Connection, DialBack, Resolution)
        return any(isinstance(observation, kinds) for observation in self.measurement.observations)

    @property
    def answered(self) -> bool:
        """Did anything at all come back?"""
        return any(found.nat.reachable for found in self.behaviours.values())

    def own_addresses(self, family: Family) -> tuple[str, ...]:
        """This machine's addresses of a family, those that questions left from first, without loopback and
        link-local ones."""
        asked_from = []
        for (_, of), found in self.behaviours.items():
            if of == family:
                locals_ = (endpoint(binding.local) for binding in found.path.bindings)
                asked_from += [at.host for at in locals_ if at is not None]
        configured = [
            address.partition("%")[0]
            for interface in self.measurement.host.interfaces
            if interface.up and interface.kind != "loopback"
            for address in interface.addresses
        ]
        both = dict.fromkeys((*asked_from, *configured))
        return tuple(a for a in both if (":" in a) == (family == 6) and _usable(a))


def main_family(four: Nat | None, six: Nat | None) -> Family:
    """The family that hole punching is judged by, by both findings over UDP: IPv4 where it works, for that is
    where NATs are."""
    if six is not None and (four is None or (four.reachable is None and six.reachable)):
        return 6
    return 4


def _usable(address: str) -> bool:
    lowered = address.lower()
    return lowered not in ("0.0.0.0", "::", "::1") and not lowered.startswith(("127.", "169.254.", "fe80:"))
