"""Refusals whose effect is read back: the router's table is believed, not its answer."""

from __future__ import annotations

import pytest
from portmapped import Home, at_home, granted, refused, wanted
from simulated import pass_time

from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.model.portmapping import MappingProtocol
from nattools.probes.portmap import Granted, Mapper, Refused


async def asked_twice(
    home: Home, first: MappingProtocol, behaviour: RouterBehaviour, *, between_s: float = 0.0
) -> tuple[Mapper, Granted | Refused]:
    """A mapping that another protocol has made; what UPnP says when it is asked for the same one."""
    await home.router(behaviour)
    found = await home.discover()
    before, upnp = found.mapper(first), found.mapper("upnp-igd")
    assert before is not None
    assert upnp is not None
    granted(await before.make(wanted()))
    await pass_time(between_s)
    return upnp, await upnp.make(wanted())


@pytest.mark.parametrize("first", ["pcp", "nat-pmp"])
@pytest.mark.parametrize(
    "behaviour",
    [
        RouterBehaviour(then_fails=501),
        RouterBehaviour(then_fails=718),
        RouterBehaviour(then_fails=501, lease_becomes=30),
        RouterBehaviour(then_fails=501, lease_becomes=0),
        RouterBehaviour(then_fails=501, rows="blank"),
    ],
)
def test_what_was_made_over_another_protocols_mapping_is_ours(
    first: MappingProtocol, behaviour: RouterBehaviour
) -> None:
    """That one's protocol may not be able to remove it any more."""

    async def main(home: Home) -> None:
        upnp, answer = await asked_twice(home, first, behaviour)
        made = granted(answer)
        assert made.quirks == (f"error {behaviour.then_fails}, but it is in the table",)
        assert await upnp.delete(wanted(), made) is None
        assert home.routers[0].table.rows(0.0) == []

    at_home(main)


def test_a_renewal_that_is_called_refused_and_was_done() -> None:
    async def main(home: Home) -> None:
        upnp, answer = await asked_twice(home, "upnp-igd", RouterBehaviour(then_fails=501), between_s=300.0)
        assert granted(answer).quirks == ("error 501, but it is in the table",)
        (row,) = home.routers[0].table.rows(0.0)
        assert row.expires > 800.0
        assert await upnp.delete(wanted(), granted(answer)) is None

    at_home(main)


@pytest.mark.parametrize("first", ["pcp", "nat-pmp"])
@pytest.mark.parametrize("between_s", [0.0, 300.0])
def test_a_refusal_that_changes_nothing_leaves_a_mapping_to_who_made_it(
    first: MappingProtocol, between_s: float
) -> None:
    async def main(home: Home) -> None:
        _, answer = await asked_twice(home, first, RouterBehaviour(upnp_error=501), between_s=between_s)
        assert refused(answer).certain

    at_home(main)


@pytest.mark.parametrize("first", ["pcp", "nat-pmp"])
def test_where_rows_cannot_be_compared_an_older_one_is_not_taken_for_a_new_one(
    first: MappingProtocol,
) -> None:
    """The list shows one; whether it was there before the refusal nobody has seen."""

    async def main(home: Home) -> None:
        _, answer = await asked_twice(home, first, RouterBehaviour(upnp_error=501, rows="hidden"))
        assert refused(answer).code == 501
        assert not refused(answer).certain
        assert "older" in refused(answer).detail

    at_home(main)


def test_a_hidden_row_that_is_what_was_asked_for_was_made() -> None:
    async def main(home: Home) -> None:
        await home.router(RouterBehaviour(then_fails=501, rows="hidden"))
        upnp = (await home.discover()).mapper("upnp-igd")
        assert upnp is not None
        assert granted(await upnp.make(wanted())).quirks[-1] == "error 501, but it is in the table"

    at_home(main)


@pytest.mark.parametrize("code", [402, 501, 718])
def test_what_is_called_refused_was_made_and_has_another_name(code: int) -> None:
    async def main(home: Home) -> None:
        await home.router(RouterBehaviour(then_fails=code, names="replaced"))
        upnp = (await home.discover()).mapper("upnp-igd")
        assert upnp is not None
        made = granted(await upnp.make(wanted()))
        assert made.external_port == 4000
        assert await upnp.delete(wanted(), made) is None
        assert home.routers[0].table.rows(0.0) == []

    at_home(main)
