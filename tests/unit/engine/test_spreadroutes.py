"""A machine that spreads what it sends over several interfaces by itself."""

from __future__ import annotations

from typing import Any

import pytest

from nattools.engine.spreadroutes import FAR_APART, spread_over


class Routes:
    """What a routing table answers about each of some places."""

    def __init__(self, answers: list[tuple[str | None, str] | None]) -> None:
        self._answers = dict(zip(FAR_APART, answers, strict=False))

    def route(self, destination: str) -> tuple[str | None, str] | None:
        return self._answers.get(destination)


ETH0, ETH1, UNNAMED = ("eth0", "10.0.1.2"), ("eth1", "100.64.0.2"), (None, "10.0.1.2")


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([], ()),
        ([ETH0] * len(FAR_APART), ()),
        ([ETH0, ETH0, ETH1, ETH0], ("eth0", "eth1")),
        ([ETH1, ETH0], ("eth1", "eth0")),
        ([UNNAMED, ETH0, UNNAMED, None], ()),
    ],
)
def test_only_several_interfaces_count(answers: Any, found: tuple[str, ...]) -> None:
    network: Any = Routes(answers)
    assert spread_over(network) == found
