"""What peers' dials prove, and whom DCUtR makes direct, by tables."""

from __future__ import annotations

from typing import Any

import pytest

from nattools.engine.analyse import analyse
from nattools.engine.analysis.libp2p.directupgrade import way_between
from nattools.model.host import Host
from nattools.model.libp2p import Libp2p, Libp2pAddress
from nattools.model.nat import NAT_KINDS, Nat
from nattools.model.observation import AnyObservation
from nattools.model.peertrial import DialAsked, PeerVisit, QuicAsked, ReservationAsked, UpgradeTried
from nattools.model.report import Measurement

ONE, TWO = "11.201.0.2", "11.202.0.2"
OWN = "/ip4/11.1.0.2/tcp/4001"


def said(*observations: AnyObservation, command: Any = "libp2p") -> Libp2p | None:
    """What is concluded of these."""
    numbered = tuple(
        type(each)(**{**{name: getattr(each, name) for name in each.__struct_fields__}, "id": number})
        for number, each in enumerate(observations, 1)
    )
    host = Host(os="Linux", python="3.11", interfaces=(), gateways=())
    measurement = Measurement(
        command=command, started="2026-01-01T00:00:00Z", duration_s=1.0, substrate="sim", host=host,
        observations=numbered,
    )  # fmt: skip
    return analyse(measurement, is_public=lambda address: True).libp2p


def dial(server: str = ONE, dial: str | None = "ok", origin: str | None = None, **more: Any) -> DialAsked:
    """The port has written to ONE alone."""
    return DialAsked(
        server=f"/ip4/{server}/tcp/4001/p2p/peer-at-{server}", peer=f"peer-at-{server}", asked=OWN,
        local="10.0.0.2:4001", status=more.pop("status", "ok"), dial=dial, origin=origin, written_to=(ONE,),
        outcome=more.pop("outcome", "answered"), **more,
    )  # fmt: skip


KNOWN = dial(origin=f"{ONE}:5000")
STRANGER = dial(TWO, origin=f"{TWO}:5000")
OTHER_ADDRESS = dial(origin="11.201.0.3:5000")
FAILED, FAILED_TWO = dial(dial="dial-error"), dial(TWO, dial="dial-error")
ADDRESSES: dict[str, tuple[tuple[DialAsked, ...], bool | None, bool, str]] = {
    "a stranger came": ((FAILED, STRANGER), True, False, "address-reached"),
    "the one we know came from elsewhere": ((OTHER_ADDRESS,), True, False, "address-reached"),
    "whom we know came, strangers failed": (
        (KNOWN, FAILED_TWO, FAILED_TWO), False, True, "address-false-positive",
    ),
    "whom we know came, a stranger failed once": ((KNOWN, FAILED_TWO), None, False, "address-only-known"),
    "whom we know came, and failed too": ((KNOWN, FAILED, FAILED), None, False, "address-only-known"),
    "whom we know came, and nobody else was asked": ((KNOWN,), None, False, "address-only-known"),
    "all failed": ((FAILED, FAILED_TWO), False, False, "address-not-reached"),
    "one failed once": ((FAILED,), None, False, "address-tried-once"),
    "claimed": ((dial(),), None, False, "address-claimed"),
    "refused": ((dial(dial="unused", status="refused"),), None, False, "address-refused"),
    "rejected": ((dial(dial="unused", status="rejected"),), None, False, "address-rejected"),
    "silent": ((dial(dial=None, status=None, outcome="silent"),), None, False, "address-unanswered"),
}  # fmt: skip


@pytest.mark.parametrize("case", ADDRESSES)
def test_what_dials_prove(case: str) -> None:
    asked, reachable, false_positive, code = ADDRESSES[case]
    found = said(*asked)
    assert found is not None
    (address,) = found.autonat
    assert isinstance(address, Libp2pAddress)
    assert (address.reachable, address.false_positive) == (reachable, false_positive)
    assert address.reason[0].code == code
    assert address.why
    assert address.evidence == tuple(range(1, len(asked) + 1))


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("unresolved", "looked up"), ("unsupported", "only TCP"), ("timeout", "Nothing answers"),
        ("refused", "Nothing listens"), ("unreachable", "cannot be reached"), ("prohibited", "firewall"),
        ("reset", "closed"), ("closed", "closed"), ("protocol", "not this peer"), ("error", "No connection"),
        ("connected", "does not identify itself"),
    ],
)  # fmt: skip
def test_why_a_peer_could_not_be_asked(outcome: Any, words: str) -> None:
    found = said(PeerVisit(address="/ip4/11.9.9.9/tcp/1", outcome=outcome, remote="11.9.9.9:1", detail="why"))
    assert found is not None
    assert words in found.peers[0].why


def test_an_address_of_a_family_that_is_not_here_is_no_name() -> None:
    visit = PeerVisit(
        address="/ip6/2a10::9/tcp/4001", outcome="unresolved", stage="connect",
        detail="it has no address of a family that is measured here",
    )  # fmt: skip
    found = said(visit)
    assert found is not None
    assert (
        found.peers[0].why
        == "This machine has no way to IPv6 addresses, or only the other family was asked for."
    )


def test_a_peer_with_what_it_offers() -> None:
    peer = "12D3KooWpeer"
    visit = PeerVisit(
        address=f"/ip4/{ONE}/tcp/1/p2p/{peer}", outcome="connected", peer=peer, identified=True, agent="a/1",
        protocols=("/libp2p/autonat/2/dial-request",), observed=OWN, rtt_s=0.01,
    )  # fmt: skip
    quic = QuicAsked(address=visit.address, remote=f"{ONE}:1", sent=1, answered=True)
    found = said(visit, quic)
    assert found is not None
    (row,) = found.peers
    assert (row.autonat, row.relay, row.quic, row.rtt_ms, row.observed) == (True, False, True, 10.0, (OWN,))
    assert row.evidence == (1, 2)


@pytest.mark.parametrize(("answered", "quic", "words"), [(True, True, "answers"), (False, None, "not every")])
def test_a_quic_port_of_no_visited_peer_is_told_of(answered: bool, quic: bool | None, words: str) -> None:
    found = said(QuicAsked(address=f"/ip4/{ONE}/udp/1/quic-v1", remote=f"{ONE}:1", sent=3, answered=answered))
    assert found is not None
    (row,) = found.peers
    assert (row.identified, row.quic, row.evidence) == (False, quic, (1,))
    assert words in row.why


@pytest.mark.parametrize(
    ("asked", "reserved", "words"),
    [
        ({"outcome": "silent"}, None, "did not answer"),
        ({"outcome": "answered", "status": "reservation-refused"}, False, "none left"),
        ({"outcome": "answered", "status": "permission-denied"}, False, "only to peers"),
        ({"outcome": "answered", "status": "limit-exceeded"}, False, "given as many as it allows, or"),
        ({"outcome": "answered", "status": "malformed"}, False, "refuses"),
        (
            {"outcome": "answered", "status": "ok", "carried": False, "detail": "x"},
            True,
            "no connection was made",
        ),
        ({"outcome": "answered", "status": "ok", "carried": True}, True, ""),
    ],
)
def test_what_a_relay_said(asked: dict[str, Any], reserved: bool | None, words: str) -> None:
    found = said(ReservationAsked(relay="/ip4/11.9.9.9/tcp/1", peer="p", **asked))
    assert found is not None
    assert found.relays[0].reserved is found.relay_reserved is reserved
    assert words in found.relays[0].why


@pytest.mark.parametrize(
    ("tried", "direct", "words"),
    [
        ({"relayed": "no-reservation"}, None, "no reservation"),
        ({"relayed": "weird"}, None, "weird"),
        ({"relayed": "ok", "end": "met", "attempts": 2, "remote": "11.2.0.2:1"}, True, "attempt 2"),
        ({"relayed": "ok", "end": "dialled", "remote": "11.2.0.2:1"}, True, "just connected"),
        ({"relayed": "ok", "end": "failed", "attempts": 3}, False, "3 times"),
        ({"relayed": "ok", "end": "silent"}, None, "did not begin"),
        ({"relayed": "ok", "end": "no-addresses"}, None, "names no address"),
    ],
)
def test_what_became_of_an_upgrade(tried: dict[str, Any], direct: bool | None, words: str) -> None:
    found = said(UpgradeTried(relay="/ip4/11.9.9.9/tcp/1", peer="p", role="caller", **tried))
    assert found is not None
    assert found.upgrades[0].direct is direct
    assert words in found.upgrades[0].why


def test_other_commands_say_nothing_of_it_and_nothing_is_known_of_nothing() -> None:
    assert said(command="nat") is None
    found = said()
    assert found is not None
    assert (found.dcutr, found.relay_reserved, found.dcutr_with) == ("unknown", None, ())


DIRECT = {
    "open internet": 9, "firewall": 5, "full cone": 9, "address-restricted": 8, "port-restricted": 5,
    "symmetric sequential": 3, "symmetric random": 3, "symmetric block": 3,
}  # fmt: skip


@pytest.mark.parametrize("kind", DIRECT)
def test_the_table_of_each_kind_of_network(kind: str) -> None:
    """As go-libp2p does it: 5 of 9 behind a port-restricted NAT, measured."""
    own = NAT_KINDS[kind]
    ways = [way_between(own, own, peer)[0] for peer in NAT_KINDS.values()]
    assert "unknown" not in ways
    assert ways.count("direct") == DIRECT[kind]


def test_where_udp_is_blocked_only_who_can_be_called_is_met() -> None:
    blocked = NAT_KINDS["udp blocked"]
    ways = {
        kind: way_between(blocked, NAT_KINDS["port-restricted"], NAT_KINDS[kind])[0] for kind in NAT_KINDS
    }
    assert {kind for kind, way in ways.items() if way == "direct"} == {"open internet", "full cone"}
    assert way_between(blocked, None, NAT_KINDS["open internet"])[0] == "unknown"
    assert way_between(blocked, Nat(reachable=False), NAT_KINDS["open internet"])[0] == "relay"
