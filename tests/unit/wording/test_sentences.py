"""Statements and their sentences: what the code may say has one, and what that needs is given."""

from __future__ import annotations

import ast
import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from nattools.model.statement import Statement, statement, unique
from nattools.wording import sentence, text_of
from nattools.wording.sentences import tables

ROOT = Path(__file__).resolve().parents[3] / "nattools"
ALL = {code: template for table in tables().values() for code, template in table.items()}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    """The code that may say something."""
    for path in ROOT.rglob("*.py"):
        if path.parent.name != "wording":
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def calls() -> Iterator[tuple[str, str, set[str] | None]]:
    """Where a statement is made: the place, its code, and the names of its values (None: not written out)."""
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "statement":
                names = {keyword.arg for keyword in node.keywords}
                given = None if None in names else {name for name in names if name}
                for code in codes(node.args[0]):
                    yield f"{path.name}:{node.lineno}", code, given


def codes(node: ast.expr) -> list[str]:
    """The codes that an expression may be; none for what is no literal."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    return [*codes(node.body), *codes(node.orelse)] if isinstance(node, ast.IfExp) else []


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_every_statement_has_a_sentence_and_what_it_needs() -> None:
    found = list(calls())
    assert len(found) > 100
    for where, code, given in found:
        assert code in ALL, where
        assert given is None or placeholders(ALL[code]) <= given, (where, code)


def test_every_sentence_can_be_said() -> None:
    literals = {
        node.value
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    ours = [code for table in ("verdicts", "advice", "behaviour") for code in tables()[table]]
    assert [code for code in ours if code not in literals] == []


def test_codes_are_in_kebab_case_and_stand_in_one_table() -> None:
    assert len(ALL) == sum(map(len, tables().values()))
    assert [code for code in ALL if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)] == []


def is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True


def test_no_sentence_holds_an_address() -> None:
    words = [word.strip(".:,;()") for template in ALL.values() for word in template.split()]
    assert [word for word in words if is_address(word)] == []


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (statement("no-address", family=6), "This machine has no IPv6 address."),
        (statement("lifetime-at-least", alive_s=7440.0), "At least 7440 s; longer was not tried."),
        (statement("mapping-proven", transports=("UDP", "TCP")), "over UDP and TCP; verified"),
        (statement("best-mapping", protocols=("upnp-igd", "pcp", "nat-pmp")), "by UPnP, PCP or NAT-PMP:"),
        (statement("opinion-one-loss", loss=0.125), "(12%)"),
        (statement("birthday-bad-luck", peer="x", packets=2048, chance=0.0003), "2,048 packets"),
        (statement("birthday-bad-luck", peer="x", packets=2048, chance=0.0003), "up to 0.03%"),
        (Statement("of-a-later-version", {"port": 7}), "of-a-later-version: port 7"),
        (Statement("no-address"), "no-address"),
    ],
)
def test_values_are_written_for_people(made: Statement, text: str) -> None:
    assert text in sentence(made)


def test_several_statements_are_one_text_and_none_is_said_twice() -> None:
    first, second = statement("no-nat"), statement("no-probe")
    assert text_of((first, second)) == "There is no NAT. There is no probe for it yet."
    assert unique([first, second, first]) == (first, second)
