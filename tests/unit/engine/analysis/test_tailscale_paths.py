"""Which pairs of networks Tailscale connects directly: the matrix that was measured with tailscaled."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nattools.engine.analysis.overlays.tailscalepaths import connects_directly, ways_with_kinds
from nattools.engine.analysis.verdicts.peerkinds import peer_kinds
from nattools.model.nat import NAT_KINDS, Nat
from nattools.traversal.plan.side import Side, only_services

EASY = Side()
SIDES = {
    "open": Side(accepts="all", translated=False),
    "firewall": Side(translated=False),
    "full cone": Side(accepts="all"),
    "address-restricted": Side(accepts="address"),
    "port-restricted": EASY,
    "symmetric random": Side(moves="at random"),
    "symmetric sequential": Side(moves="predictably"),
    "address-dependent sequential": Side(moves="predictably", by_address=True),
    "udp blocked": Side(reachable=False),
}
STRICT = ("firewall", "port-restricted")
HARD = ("symmetric random", "symmetric sequential", "address-dependent sequential")


def measured(one: str, other: str) -> bool:
    """As tailscaled 1.102.5 did it in the lab, 24 of 45."""
    pair = {one, other}
    if "udp blocked" in pair or pair <= set(HARD):
        return False
    return not (pair & set(STRICT) and pair & set(HARD))


def test_the_matrix_is_the_one_that_tailscaled_showed() -> None:
    names = list(SIDES)
    pairs = [(one, other) for place, one in enumerate(names) for other in names[place:]]
    direct = {pair: connects_directly(SIDES[pair[0]], SIDES[pair[1]]) for pair in pairs}
    assert direct == {pair: measured(*pair) for pair in pairs}
    assert (len(pairs), sum(direct.values())) == (45, 24)


@pytest.mark.parametrize("one", SIDES.values(), ids=SIDES)
@pytest.mark.parametrize("other", SIDES.values(), ids=SIDES)
def test_it_does_not_matter_who_is_asked(one: Side, other: Side) -> None:
    assert connects_directly(one, other) == connects_directly(other, one)


def test_a_moving_nat_that_lets_all_in_is_met_by_those_who_let_its_address_in() -> None:
    odd = Side(moves="at random", accepts="all")
    met = [name for name, side in SIDES.items() if connects_directly(odd, side)]
    assert met == ["open", "full cone", "address-restricted"]


def test_what_is_not_known_of_this_side_leaves_open_what_depends_on_it() -> None:
    half = replace(NAT_KINDS["port-restricted"], filtering="unknown")
    ways = ways_with_kinds(half)
    assert (ways["open internet"], ways["port-restricted"], ways["udp blocked"]) == (
        "direct",
        "direct",
        "relay",
    )
    assert ways["symmetric random"] == "unknown"
    assert set(ways_with_kinds(Nat()).values()) == {"unknown", "relay"}
    assert ways_with_kinds(None)["open internet"] == "unknown"


def test_a_port_mapping_is_open_to_all_who_send_udp() -> None:
    ways = ways_with_kinds(NAT_KINDS["symmetric random"], mapped=True)
    assert [kind for kind, way in ways.items() if way != "direct"] == ["udp blocked"]
    assert set(ways_with_kinds(NAT_KINDS["udp blocked"], mapped=True).values()) == {"relay"}


@pytest.mark.parametrize(
    ("opened", "blocked", "services"),
    [
        ((3478,), (3479,), True),
        ((53, 443, 3478), (3479, 40000), True),
        ((3478, 3479), (), False),
        ((), (3478, 3479), False),
        ((443, 444), (3478,), False),
        ((19302,), (3478,), False),
    ],
)
def test_where_udp_gets_out_to_services_alone_no_peer_is_reached(
    opened: tuple[int, ...], blocked: tuple[int, ...], services: bool
) -> None:
    """STUN is answered there. One blocked port of a service says nothing of all others."""
    nat = replace(NAT_KINDS["port-restricted"], open_ports=opened, blocked_ports=blocked)
    assert only_services(nat) is services
    ways = ways_with_kinds(nat)
    assert (set(ways.values()) == {"relay"}) is services
    mapped = ways_with_kinds(nat, mapped=True)
    assert (mapped["open internet"] == "direct") is not services


def test_no_kind_of_peer_is_said_to_be_met_there() -> None:
    nat = replace(NAT_KINDS["port-restricted"], open_ports=(3478,), blocked_ports=(3479,))
    rows = peer_kinds(nat, None)
    assert not [row.kind for row in rows if row.path == "direct"]
