"""A router's table is believed over its answer."""

from __future__ import annotations

import pytest

from nattools.engine.portmap.readback import as_listed, leads_to, runs_on
from nattools.model.endpoint import Endpoint
from nattools.probes.portmap import Granted, TableEntry

INSIDE = Endpoint("192.168.1.10", 40000)


def granted(lifetime_s: int | None = 3600) -> Granted:
    return Granted(
        protocol="upnp-igd",
        transport="udp",
        internal=INSIDE,
        external_host="11.1.0.2",
        external_port=40000,
        lifetime_s=lifetime_s,
    )


def row(host: str = INSIDE.host, port: int = INSIDE.port, lifetime_s: int | None = 3600) -> TableEntry:
    return TableEntry(
        transport="udp", internal=Endpoint(host, port), external_port=40000, lifetime_s=lifetime_s
    )


@pytest.mark.parametrize(
    ("listed_s", "is_s"), [(3600, 3600), (3599, 3600), (3590, 3600), (3589, 3589), (7200, 7200), (None, None)]
)
def test_the_table_has_the_lifetime(listed_s: int | None, is_s: int | None) -> None:
    found = as_listed(granted(), row(lifetime_s=listed_s))
    assert (found.listed, found.lifetime_s) == (True, is_s)


def test_without_a_row_nothing_is_known() -> None:
    assert as_listed(granted(), None) == granted()


class TestRenewals:
    """`keep` renews; some routers answer and let the mapping run out all the same."""

    @pytest.mark.parametrize(
        ("before_s", "passed_s", "now_s", "still"),
        [
            (3600, 1800, 3600, False),  # renewed
            (3600, 1800, 1800, True),  # only said so
            (3600, 1800, 1803, True),
            (3600, 1800, 1810, False),  # ends later than before
            (3600, 5, 3595, False),  # too soon to tell
            (None, 1800, 3600, False),
            (3600, 1800, None, False),
        ],
    )
    def test_by_when_it_ends(
        self, before_s: int | None, passed_s: float, now_s: int | None, still: bool
    ) -> None:
        assert runs_on(granted(before_s), passed_s, granted(now_s)) is still

    def test_the_first_time_there_is_nothing_to_compare(self) -> None:
        assert not runs_on(None, 1800, granted())


@pytest.mark.parametrize(
    ("host", "port", "ours"),
    [
        ("192.168.1.10", 40000, True),
        ("192.168.1.10", 40001, False),
        ("192.168.1.11", 40000, False),
        ("alices-laptop", 40000, True),
        ("alices-laptop", 40001, False),
        ("", 40000, True),
    ],
)
def test_a_row_is_ours_by_address_and_port_or_by_port_where_the_router_writes_names(
    host: str, port: int, ours: bool
) -> None:
    assert leads_to(row(host, port), INSIDE) is ours
