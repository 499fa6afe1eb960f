"""The texts of a report, made from its statements once everything is concluded."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from nattools.model.ipv6 import Ipv6
from nattools.model.lan import Lan, LanReadiness
from nattools.model.libp2p import (
    DcutrKind,
    Libp2p,
    Libp2pAddress,
    Libp2pPeer,
    Libp2pRelay,
    Libp2pUpgrade,
)
from nattools.model.nat import Nat, PeerKind, Requirement
from nattools.model.punch import PlannedStep, Punch, Stage
from nattools.model.pwnat import Pwnat
from nattools.model.relay import Relay
from nattools.model.report import Advice, CrossCheck, Report
from nattools.model.tailscale import Tailnet, TailnetClash, TailnetPeer, Tailscale
from nattools.wording.sentences import is_known, sentence, text_of

Explained = TypeVar(
    "Explained",
    PeerKind,
    Requirement,
    CrossCheck,
    PlannedStep,
    DcutrKind,
    Libp2pAddress,
    Libp2pPeer,
    Libp2pRelay,
    Libp2pUpgrade,
)
Connection = TypeVar("Connection", Punch, Pwnat)
Advised = TypeVar("Advised", Tailnet, TailnetPeer, TailnetClash)


def with_texts(report: Report) -> Report:
    """The report with every text that has statements made from them anew. A text without statements, as in
    reports of earlier versions, stays as it is."""
    return replace(
        report,
        servers=tuple(
            replace(one, problem=text_of(one.problems)) if one.problems else one for one in report.servers
        ),
        nat=report.nat.each(_nat),
        ipv6=report.ipv6 and ipv6_with_texts(report.ipv6),
        advice=report.advice and _advice(report.advice),
        techniques=tuple(
            replace(one, summary=text_of(one.reason), advice=text_of(one.remedy)) if one.reason else one
            for one in report.techniques
        ),
        peers=_explained(report.peers),
        requirements=_explained(report.requirements),
        cross_checks=_explained(report.cross_checks),
        ended=report.ended and replace(report.ended, why=text_of(report.ended.reason) or report.ended.why),
        warnings=tuple(map(sentence, report.notices)) if report.notices else report.warnings,
        punch=report.punch and _punch(report.punch),
        pwnat=report.pwnat and _punch(report.pwnat),
        relays=tuple(map(_relay, report.relays)),
        libp2p=report.libp2p and _libp2p(report.libp2p),
        tailscale=report.tailscale and _tailscale(report.tailscale),
        lan=report.lan and _lan(report.lan),
    )


def stage_with_text(stage: Stage) -> Stage:
    """The same with its text made from its statements. Where this version has no sentence for one of them,
    as a newer peer may send, the text that came with them is all that is kept."""
    if stage.statements and all(map(is_known, stage.statements)):
        return replace(stage, text=text_of(stage.statements))
    return replace(stage, text=stage.text or text_of(stage.statements), statements=())


def _explained(parts: tuple[Explained, ...]) -> tuple[Explained, ...]:
    return tuple(replace(one, why=text_of(one.reason)) if one.reason else one for one in parts)


def _punch(punch: Connection) -> Connection:
    return replace(
        punch,
        stages=tuple(map(stage_with_text, punch.stages)),
        plan=_explained(punch.plan),
        why=text_of(punch.reasons) if punch.reasons else punch.why,
        advice=text_of(punch.remedies) if punch.remedies else punch.advice,
    )


def _relay(relay: Relay) -> Relay:
    error = relay.error
    if error is None or not error.reason:
        return relay
    return replace(relay, error=replace(error, meaning=text_of(error.reason), advice=text_of(error.remedy)))


def ipv6_with_texts(found: Ipv6) -> Ipv6:
    """The section with the texts of its problems, and of what is not known."""
    return replace(
        found,
        problems=tuple(
            replace(one, meaning=text_of(one.reason), advice=text_of(one.remedy)) if one.reason else one
            for one in found.problems
        ),
        unknowns={name: text_of(why) for name, why in found.unknown_reasons.items()} or found.unknowns,
    )


def _libp2p(found: Libp2p) -> Libp2p:
    return replace(
        found,
        peers=_explained(found.peers),
        autonat=_explained(found.autonat),
        relays=_explained(found.relays),
        dcutr_with=_explained(found.dcutr_with),
        upgrades=_explained(found.upgrades),
        why=text_of(found.reason) if found.reason else found.why,
    )


def _tailscale(found: Tailscale) -> Tailscale:
    return replace(
        found,
        tailnets=tuple(_tailnet(each) for each in found.tailnets),
        address_overlaps=_advised(found.address_overlaps),
        conflicts=_advised(found.conflicts),
        why=text_of(found.reason) if found.reason else found.why,
        to_do=tuple(dict.fromkeys(map(sentence, found.actions))) if found.actions else found.to_do,
        beyond=tuple(map(sentence, found.beyond_netcheck)) if found.beyond_netcheck else found.beyond,
    )


def _lan(found: Lan) -> Lan:
    def ready(one: LanReadiness) -> LanReadiness:
        return replace(one, why=text_of(one.reason)) if one.reason else one

    return replace(
        found,
        why=text_of(found.reason) if found.reason else found.why,
        to_do=tuple(dict.fromkeys(map(sentence, found.actions))) if found.actions else found.to_do,
        yggdrasil=ready(found.yggdrasil),
        batman=ready(found.batman),
        qaul=ready(found.qaul),
        syncthing=ready(found.syncthing),
        casting=ready(found.casting),
    )


def _tailnet(tailnet: Tailnet) -> Tailnet:
    return replace(_advised((tailnet,))[0], peers=_advised(tailnet.peers))


def _advised(parts: tuple[Advised, ...]) -> tuple[Advised, ...]:
    return tuple(
        replace(one, why=text_of(one.reason), advice=text_of(one.remedy)) if one.reason else one
        for one in parts
    )


def _nat(nat: Nat) -> Nat:
    if not nat.unknown_reasons:
        return nat
    return replace(nat, unknowns={name: text_of(why) for name, why in nat.unknown_reasons.items()})


def _advice(advice: Advice) -> Advice:
    return replace(
        advice,
        headline=advice.headline if advice.answer is None else sentence(advice.answer),
        best=advice.best if advice.best_way is None else sentence(advice.best_way),
        to_do=tuple(map(sentence, advice.actions)) if advice.actions else advice.to_do,
    )
