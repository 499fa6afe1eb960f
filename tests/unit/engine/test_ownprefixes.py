"""Which addresses stand for this machine's prefixes."""

from __future__ import annotations

from typing import Any

from nattools.engine.ownprefixes import MOST_PREFIXES, one_of_each_prefix
from nattools.model.host import ConfiguredAddress


def configured(address: str, **more: Any) -> ConfiguredAddress:
    return ConfiguredAddress(address=address, interface="eth0", **more)


def test_one_of_each_that_the_system_may_choose() -> None:
    own = (
        configured("2a10:1:0:1::2", tentative=True),
        configured("2a10:1:0:1::3"),
        configured("2a10:1:0:1::4"),
        configured("2a10:2:0:1::2", deprecated=True),
        configured("2a10:3:0:1::2", duplicate=True),
        configured("2a10:4:0:1::2", temporary=True),
    )
    assert one_of_each_prefix(own) == ["2a10:1:0:1::3", "2a10:4:0:1::2"]


def test_not_too_many() -> None:
    own = [configured(f"2a10:{number}:0:1::2") for number in range(1, 20)]
    assert len(one_of_each_prefix(own)) == MOST_PREFIXES
