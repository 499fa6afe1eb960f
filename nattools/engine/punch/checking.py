"""What ICE checks from the first moment of an attempt on: which pairs, and how its first packets leave."""

from __future__ import annotations

import math

from nattools.engine.punch.bystanders import Neighbourhood
from nattools.engine.punch.footing import Footing
from nattools.engine.punch.gathering import Base
from nattools.engine.punch.planning import keeps_ports
from nattools.engine.punch.signaling import MAX_CANDIDATES, Introduction
from nattools.errors import ProtocolError
from nattools.model.nat import NatByTransport
from nattools.protocols import ice
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.pairs import hold_s, opening_ttl
from nattools.traversal.side import side_of

MARGIN_S = 0.02
SETTLED_S = 0.01
"""A peer whose introduction was the second one has begun when we hear of it; this is for its slowness."""
EARLY_S = 0.01
"""Between checks that may come too early."""


def begin_checks(
    footing: Footing, introduction: Introduction, peer: Introduction, bases: list[Base]
) -> IceDriver:
    """Checks between our bases and the peer's candidates, those included that it tells of later."""
    nat, partner, number = footing.own.nat, footing.partner, footing.number
    rtts = [each.rtt_ms for each in (nat.udp4, nat.udp6) if each and each.rtt_ms is not None]
    agent = ice.Agent(
        "controlling" if footing.leads else "controlled",
        ufrag=introduction.ufrag,
        password=introduction.password,
        expected_rtt_s=min(rtts) / 1000 if rtts else None,
        patience_s=3600.0,
    )
    driver = IceDriver(agent)
    for base in bases:
        driver.add_socket(base.socket, local_preference=base.preference)
        for candidate in base.candidates()[1:]:
            driver.offer(candidate)
    driver.on_candidate = lambda found: partner.tell_candidate(number, ice.encode(found))
    if introduction.udp and peer.udp:
        _take_candidates(footing, driver, peer, bases)
    return driver


def _take_candidates(footing: Footing, driver: IceDriver, peer: Introduction, bases: list[Base]) -> None:
    """Those of the peer's that can lead anywhere: a check that cannot would only spend a port of a NAT that
    counts them."""
    wide = keeps_ports(footing.plan)
    around = Neighbourhood(footing.own.run.network, bases, peer.candidates)
    opener = _opener(footing.own.nat, peer)
    for text in peer.candidates:
        if around.of_use(text, wide=wide):
            if opener is not None and " typ srflx" in text and ":" not in text.split()[4]:
                driver.agent.set_opener(opener, ice.parse(text).endpoint)
            driver.add_peer_candidate(text)
    try:
        driver.set_peer(peer.ufrag, peer.password)
    except ProtocolError as error:
        footing.timeline.note("attempt", f"the peer's ICE credentials cannot be any: {error}", ok=False)
    late = 0

    def add(text: str) -> None:
        nonlocal late
        late += 1
        if late <= MAX_CANDIDATES and around.of_use(text, wide=wide):
            driver.add_peer_candidate(text)

    footing.partner.on_candidate(footing.number, add)


def _opener(nat: NatByTransport, peer: Introduction) -> ice.Opener | None:
    """Where a check that comes too early may do harm at the peer's router, the first one goes no further than
    our own. A router that looks at addresses alone keeps no sessions that could be in the way, as Linux does
    (it could not filter so), so there one of several early checks may get in at once."""
    own = side_of(nat.udp4)
    theirs = side_of(peer.nat.udp4)
    if own is None or theirs is None or theirs.open or own.open:
        return None
    gap_s = SETTLED_S if peer.second else hold_s(own, theirs, MARGIN_S)
    if theirs.accepts != "address":
        return ice.Opener(ttl=opening_ttl(own), gap_s=gap_s)
    count = math.ceil(gap_s / EARLY_S)
    return ice.Opener(ttl=None, count=count, gap_s=gap_s / count)
