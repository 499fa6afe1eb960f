"""What quoted checksums say of a NAT, and when they say nothing."""

from __future__ import annotations

from typing import Any

import pytest

from nattools.engine.analysis.evidence import gather
from nattools.engine.analysis.nat.quotefindings import quoted_checksum
from nattools.model.observation import AnyObservation, Gap
from nattools.model.quotedchecksumseen import QuotedAs, QuotedChecksum

PUBLIC = "11.9.9.9"


def seen(ttl: int, *quoted: QuotedAs, source: str | None = "10.0.1.1", **more: Any) -> QuotedChecksum:
    return QuotedChecksum(
        id=ttl,
        at_s=0.0,
        probe="quoted-checksum",
        family=4,
        asked="11.200.0.2:3478",
        local="10.0.1.2:4000",
        mapped="11.1.0.2:5000",
        ttl=ttl,
        contents=2,
        sent=1,
        source=source if quoted else None,
        quoted=quoted,
        **more,
    )


def found(*observations: AnyObservation, nat: bool | None = True, hops: int | None = 1) -> Any:
    paths = gather((), observations, lambda host: host.startswith("11."))
    return quoted_checksum(paths["udp", 4], nat, hops)


@pytest.mark.parametrize(
    ("observations", "value"),
    [
        ([seen(1, "as-sent", "as-sent"), seen(2, "as-mapped", "as-mapped", source=PUBLIC)], "translated"),
        ([seen(1, "as-sent", "as-sent"), seen(2, "as-sent", "as-sent", source=PUBLIC)], "restored"),
        ([seen(2, "none", "none", source=PUBLIC)], "removed"),
        ([seen(2, "other", "other", source=PUBLIC)], "unclear"),
        ([seen(2, "as-mapped", "other", source=PUBLIC)], "unclear"),
        # one quote alone may look so by chance
        ([seen(2, "as-mapped", source=PUBLIC)], "unknown"),
        ([seen(1), seen(2)], "unknown"),
        # the farthest counts, whatever routers between two NATs quote
        ([seen(2, "as-sent", "as-sent"), seen(3, "as-mapped", "as-mapped", source=PUBLIC)], "translated"),
    ],
)
def test_by_what_expired_farthest_away(observations: list[AnyObservation], value: str) -> None:
    assert found(*observations).value == value


def test_what_expires_before_the_nat_says_nothing_of_it() -> None:
    assert found(seen(1, "as-sent", "as-sent")).value == "unknown"
    assert found(seen(2, "as-sent", "as-sent"), hops=3).value == "unknown"
    assert found(seen(2, "as-sent", "as-sent"), hops=None).value == "unknown"
    assert found(seen(2, "as-sent", "as-sent", source=PUBLIC), hops=None).value == "restored"


def test_where_the_privilege_is_missing() -> None:
    gap = Gap(id=1, at_s=0.0, probe="quoted-checksum", question="?", reason="no root", settle="be root")
    finding = found(gap)
    assert finding.value == "unknown"
    assert finding.reason[0].code == "gap"


def test_where_it_is_no_question() -> None:
    assert found().value is None
    assert found(seen(2, "as-sent", "as-sent"), nat=False).value is None
