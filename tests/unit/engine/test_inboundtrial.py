"""Which of a machine's addresses others are asked to try."""

from __future__ import annotations

from nattools.engine.inboundtrial import MOST_ADDRESSES, addresses_to_try
from nattools.model.host import ConfiguredAddress

STABLE, FROM_MAC, TEMPORARY = "2a10:1::a5c1:7e09:33d4:2", "2a10:1::216:3eff:fe00:2", "2a10:1::1:2:3:4"


def configured(address: str, *, temporary: bool = False, tentative: bool = False) -> ConfiguredAddress:
    return ConfiguredAddress(
        address=address, interface="eth0", temporary=temporary, stable=not temporary, tentative=tentative
    )


def test_one_of_each_kind_after_the_one_that_the_system_chooses() -> None:
    own = (
        configured(STABLE),
        configured("2a10:1::a5c1:7e09:33d4:3"),
        configured(FROM_MAC),
        configured(TEMPORARY, temporary=True),
    )
    assert addresses_to_try(TEMPORARY, own) == [TEMPORARY, STABLE, FROM_MAC]
    assert addresses_to_try(FROM_MAC, own) == [FROM_MAC, STABLE, TEMPORARY]


def test_none_that_is_not_settled_and_not_too_many() -> None:
    own = (
        configured(STABLE, tentative=True),
        configured(FROM_MAC),
        configured(TEMPORARY, temporary=True),
        configured("2001:0:4136:e378::1"),
    )
    assert addresses_to_try("2a10:5::1", own) == ["2a10:5::1", FROM_MAC, TEMPORARY]
    assert len(addresses_to_try("2a10:5::1", own)) == MOST_ADDRESSES
