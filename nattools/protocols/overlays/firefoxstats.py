"""What Firefox's `about:webrtc` copies of a connection, or of all: getStats' dictionaries by their kinds, in
lists (RTCStatsReportInternal of its interface descriptions)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from nattools.protocols.overlays import jsonfields as j

_LISTS: Final = ("iceCandidatePairStats", "iceCandidateStats", "trickledIceCandidateStats")
_MOST_CONNECTIONS: Final = 100


def is_firefox(value: Any) -> bool:
    """Does it look like that?"""
    return next(_reports(value), None) is not None


def firefox_connections(value: Any) -> list[tuple[str, j.Fields, list[dict[str, Any]]]]:
    """Of each connection: its name, its fields, and the dictionaries of its pairs and candidates. One
    that was closed counts if there is no other."""
    reports = list(_reports(value))
    still = [each for each in reports if not j.flag_in(each, "closed")]
    return [
        (
            j.text_in(each, "pcid") or "connection",
            each,
            [dict(part) for name in _LISTS for part in j.objects_in(each, name)],
        )
        for each in (still or reports)
    ]


def _reports(value: Any) -> Iterator[j.Fields]:
    """One by itself, a list, or all under `reports`."""
    if isinstance(value, dict) and isinstance(value.get("reports"), list):
        value = value["reports"]
    listed = value[:_MOST_CONNECTIONS] if isinstance(value, list) else [value]
    for each in listed:
        if isinstance(each, dict) and isinstance(each.get("iceCandidatePairStats"), list):
            yield each
