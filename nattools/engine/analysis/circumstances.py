"""What a reader should know about the measurement itself before trusting it."""

from __future__ import annotations

from collections.abc import Iterator

from nattools.model.measurement import Measurement
from nattools.model.report import TIME_WAS_OVER


def circumstances(measurement: Measurement) -> tuple[str, ...]:
    """Warnings about time, interfaces and routes."""
    return tuple(_found(measurement))


def _found(measurement: Measurement) -> Iterator[str]:
    if measurement.timed_out:
        yield TIME_WAS_OVER
    host = measurement.host
    measured = next((i for i in host.interfaces if i.name == host.measured_interface), None)
    if measured is not None and measured.kind == "vpn":
        yield (
            f"The measurement went through {measured.name}, which is a VPN: all that is said here is "
            "about the VPN. Choose another interface with --interface."
        )
    routed = list(dict.fromkeys(gateway.interface for gateway in host.gateways))
    if len(routed) > 1:
        chosen = measured.name if measured is not None else "one of them"
        yield (
            f"There are several default routes ({', '.join(routed)}); {chosen} was measured. "
            "Choose another with --interface."
        )
