"""The times that a scenario expects, where they are measured with a real clock. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

BUSY: Final = 10.0
"""So much longer what takes some ms may take where other programs have their time too."""
_TIMES: Final = frozenset(("direct_rtt_ms", "elapsed_s", "rtt_ms"))


def with_real_times(expected: Mapping[str, Any]) -> dict[str, Any]:
    """The same expectations, with ten times the greatest round trip (`rtt_ms`, `direct_rtt_ms`) and the
    greatest time until a connection (`elapsed_s`): a machine's own time is in them. The least ones stay: no
    machine is quicker than its wires."""
    return {key: _loosened(each) if key in _TIMES else _within(each) for key, each in expected.items()}


def _within(wanted: Any) -> Any:
    if isinstance(wanted, dict):
        return with_real_times(wanted)
    return [_within(each) for each in wanted] if isinstance(wanted, list) else wanted


def _loosened(wanted: Any) -> Any:
    if not isinstance(wanted, dict):
        return wanted
    return {key: BUSY * each if key == "max" else _loosened(each) for key, each in wanted.items()}
