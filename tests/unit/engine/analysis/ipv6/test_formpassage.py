"""Do fragments and extension headers pass, by what was tried?"""

from __future__ import annotations

from typing import Any

import pytest
from ipv6found import BOTH, PLENTY, SERVER, STABLE, answered, codes, found_on

from nattools.model.ipv6 import Ipv6
from nattools.model.packetform import FormPassage, FormTrial


def trial(outcome: str, *, outward: bool = True, **more: Any) -> FormTrial:
    given = {"family": 6, "form": "fragments", "asked": SERVER, "able": True, "size": 1600, "sent": 16}
    return FormTrial(probe="packet-forms", outcome=outcome, outward=outward, **given | more)


def found(*trials: FormTrial, lost: int = 0) -> Ipv6:
    seen = [*PLENTY[lost:], *(answered(sent=2, received=1) for _ in range(lost))]
    return found_on(STABLE, seen=(*seen, *trials), servers=BOTH)


@pytest.mark.parametrize(
    ("trials", "outbound", "inbound"),
    [
        ((trial("passed"), trial("passed", outward=False)), True, True),
        ((trial("silent"), trial("silent", outward=False)), False, False),
        ((trial("silent"), trial("passed", outward=False)), False, True),
        ((trial("passed"), trial("not tried", outward=False, detail="it may not")), True, None),
        ((trial("silent", able=False), trial("not tried", outward=False, detail="it does not")), None, None),
        ((trial("passed", able=False), trial("not tried", outward=False, detail="it does not")), True, None),
        ((trial("silent", sent=1), trial("silent", outward=False, sent=1)), None, None),
    ],
)
def test_by_what_arrived(trials: tuple[FormTrial, ...], outbound: bool | None, inbound: bool | None) -> None:
    report = found(*trials)
    assert report.fragments.ipv6 == FormPassage(outbound=outbound, inbound=inbound)
    assert report.fragments.ipv4 is None
    assert report.extension_headers is None
    assert ("fragments-dropped" in codes(report)) is (False in (outbound, inbound))
    unknown = [
        f"fragments.{way}" for way, value in (("outbound", outbound), ("inbound", inbound)) if value is None
    ]
    assert [each for each in report.unknowns if each.startswith("fragments")] == unknown
    assert all(report.unknowns[each] for each in unknown)


def test_nothing_tried_is_nothing_said() -> None:
    report = found()
    assert (report.fragments.ipv4, report.fragments.ipv6, report.extension_headers) == (None, None, None)


def test_an_extension_header_that_is_dropped_is_told_and_is_no_problem() -> None:
    header: dict[str, Any] = {"form": "destination-options"}
    report = found(trial("silent", **header), trial("silent", outward=False, **header))
    assert report.extension_headers == FormPassage(outbound=False, inbound=False)
    assert codes(report) == []


def test_of_fragments_over_ipv4_ipv6_has_no_problem() -> None:
    report = found(trial("silent", family=4), trial("passed"), answered(family=4, at_s=1.0))
    assert codes(report) == []
    assert report.fragments.ipv6 == FormPassage(outbound=True)


def test_where_packets_are_lost_more_silence_is_needed_outwards() -> None:
    """Two fragments and an answer have to pass there."""
    few = found(trial("silent", sent=12), trial("silent", outward=False, sent=12), lost=8)
    assert few.fragments.ipv6 == FormPassage(outbound=None, inbound=False)
    many = found(trial("silent", sent=60), lost=8)
    assert many.fragments.ipv6 == FormPassage(outbound=False)
