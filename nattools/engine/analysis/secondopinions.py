"""A second opinion held against our own finding: do they agree, and if not, why not?

pystun3 names what it finds in RFC 3489's terms. Where it is known to err, and how, was found by running it
against known NATs; everything else that differs is shown with both sides and left to the reader.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from nattools.engine.analysis.verdicts.portmappings import RouterEvidence
from nattools.model.nat import Classic, Nat
from nattools.model.observation import AnyObservation, SecondOpinion
from nattools.model.report import CrossCheck
from nattools.model.statement import Reason, Statement, statement

PYSTUN3: dict[str, Classic] = {
    "Blocked": "udp blocked",
    "Open Internet": "open internet",
    "Full Cone": "full cone",
    "Symmetric UDP Firewall": "symmetric firewall",
    "Restric NAT": "restricted cone",
    "Restric Port NAT": "port-restricted cone",
    "Symmetric NAT": "symmetric",
}


def cross_checks(
    observations: Iterable[AnyObservation], nat: Nat | None, routers: RouterEvidence, distrusted: bool
) -> tuple[CrossCheck, ...]:
    """Each second opinion with what is to be thought of it. `distrusted`: the server's filtering answers
    were not used."""
    opinions = [seen for seen in observations if isinstance(seen, SecondOpinion)]
    return tuple(
        _judge_gateway(opinion, routers) if opinion.tool == "miniupnpc" else _judge(opinion, nat, distrusted)
        for opinion in opinions
    )


_NO_GATEWAY = "no gateway"


def _judge_gateway(opinion: SecondOpinion, routers: RouterEvidence) -> CrossCheck:
    """miniupnpc's word on the router's UPnP beside what we were told."""
    theirs = _gateway(opinion.says)
    offers = routers.offers_of("upnp-igd")
    answered = [offer for offer in offers if offer.outcome == "answered" and offer.family == 4]
    ours = _with_address(answered[0].external) if answered else _NO_GATEWAY
    agrees = None if theirs == "unknown" else theirs == ours
    reason: Reason = ()
    if agrees is None:
        reason = (_missing(opinion),)
    elif not agrees:
        known = theirs == _NO_GATEWAY
        reason = (statement("opinion-multicast-only" if known else "opinion-unexplained"),)
    return CrossCheck(
        tool=f"{opinion.tool} {opinion.version}",
        says=theirs,
        ours=ours,
        agrees=agrees,
        reason=reason,
        evidence=(opinion.id,),
    )


def _gateway(says: str) -> str:
    try:
        answer = json.loads(says)
        if "gateway" in answer:
            return _with_address(answer.get("external"))
        return _NO_GATEWAY if "error" in answer else "unknown"
    except (ValueError, TypeError, AttributeError):
        return "unknown"


def _with_address(external: object) -> str:
    usable = isinstance(external, str) and external not in ("", "0.0.0.0", "127.0.0.1")
    return f"a gateway with {external}" if usable else "a gateway without an external address"


def _judge(opinion: SecondOpinion, nat: Nat | None, distrusted: bool) -> CrossCheck:
    theirs = _named(opinion.says)
    ours: Classic = nat.classic if nat is not None else "unknown"
    agrees: bool | None = None if "unknown" in (ours, theirs) else ours == theirs
    return CrossCheck(
        tool=f"{opinion.tool} {opinion.version}",
        says=theirs,
        ours=ours,
        agrees=agrees,
        reason=() if agrees else tuple(_reasons(opinion, nat, ours, theirs, distrusted)),
        evidence=(opinion.id,),
    )


def _named(says: str) -> Classic:
    """Its verdict in RFC 3489's names; "unknown" for what it does not say or cannot be read."""
    try:
        answer = json.loads(says)
        return PYSTUN3.get(answer[0], "unknown")
    except (ValueError, TypeError, IndexError, KeyError):
        return "unknown"


def _reasons(
    opinion: SecondOpinion, nat: Nat | None, ours: Classic, theirs: Classic, distrusted: bool
) -> Iterator[Statement]:
    if theirs == "unknown":
        yield _missing(opinion)
        return
    if ours == "unknown":
        yield statement("opinion-own-unknown")
    if distrusted and theirs == "full cone":
        yield statement("opinion-any-answer")
    elif ours in ("open internet", "symmetric firewall") and theirs not in ("open internet", "udp blocked"):
        yield statement("opinion-own-address")
    elif nat is not None and nat.loss:
        yield statement("opinion-one-loss", loss=nat.loss)
    elif ours != "unknown":
        yield statement("opinion-unexplained-server")


def _missing(opinion: SecondOpinion) -> Statement:
    return statement("opinion-missing", detail=opinion.detail or opinion.says)
