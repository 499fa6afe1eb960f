"""What holds for the statements of any report: each is known, and the texts can be made again from them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from nattools.model.lan import Lan
from nattools.model.nat import Nat
from nattools.model.report import Report
from nattools.model.statement import Statement
from nattools.model.tailscale import Tailscale
from nattools.wording import is_known, sentence
from nattools.wording.texts import Advised, with_texts


def statements_of(part: object) -> Iterator[Statement]:
    """All statements anywhere in a report."""
    if isinstance(part, Statement):
        yield part
    elif isinstance(part, msgspec.Struct):
        for name in part.__struct_fields__:
            yield from statements_of(getattr(part, name))
    elif isinstance(part, dict):
        for each in part.values():
            yield from statements_of(each)
    elif isinstance(part, tuple):
        for each in part:
            yield from statements_of(each)


def _without_unknowns(nat: Nat | None) -> Nat | None:
    return None if nat is None else replace(nat, unknowns={})


def without_texts(report: Report) -> Report:
    """The report without any text that has statements."""
    nats = report.nat
    return replace(
        report,
        servers=tuple(replace(one, problem="") for one in report.servers),
        nat=replace(
            nats, **{name: _without_unknowns(getattr(nats, name)) for name in nats.__struct_fields__}
        ),
        advice=report.advice and replace(report.advice, headline="", best="", to_do=()),
        techniques=tuple(replace(one, summary="", advice="") for one in report.techniques),
        peers=tuple(replace(one, why="") if one.reason else one for one in report.peers),
        requirements=tuple(replace(one, why="") for one in report.requirements),
        cross_checks=tuple(replace(one, why="") for one in report.cross_checks),
        warnings=(),
        tailscale=report.tailscale and _without_tailscale_texts(report.tailscale),
        lan=report.lan and _without_lan_texts(report.lan),
    )


def _without_lan_texts(found: Lan) -> Lan:
    programs = ("yggdrasil", "batman", "qaul", "syncthing", "casting")
    bare = {name: replace(getattr(found, name), why="") for name in programs}
    return replace(found, why="", to_do=(), **bare)


def _without_tailscale_texts(found: Tailscale) -> Tailscale:
    def bare(parts: tuple[Advised, ...]) -> tuple[Advised, ...]:
        return tuple(replace(one, why="", advice="") for one in parts)

    tailnets = tuple(replace(one, peers=bare(one.peers)) for one in bare(found.tailnets))
    return replace(
        found,
        tailnets=tailnets,
        address_overlaps=bare(found.address_overlaps),
        conflicts=bare(found.conflicts),
        why="",
        to_do=(),
        beyond=(),
    )


def check_statements(report: Report) -> None:
    """Every statement has a sentence and all that the sentence needs; the texts follow from them alone."""
    for each in statements_of(replace(report, observations=())):
        assert is_known(each), each
        assert not sentence(each).startswith(f"{each.code}:"), each
    assert with_texts(without_texts(report)) == report
