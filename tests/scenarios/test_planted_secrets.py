"""Nothing of 260 secrets is left in a redacted report of any command, whatever text of it they stood in."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect
from plantedsecrets import Secret, all_secrets, filled, forms, left_of, person, planted_into

from nattools.cli.app import run
from nattools.model.report import Report
from nattools.report.html import render_html
from nattools.report.markdown import render_markdown
from nattools.report.redaction import Redaction, redacted
from nattools.report.savedreport import load, render_json
from nattools.report.terminal import render_text

SECRETS = all_secrets(4)
COMMANDS = (
    "diagnose --lab mapping-all",
    "diagnose --lab all-blocked",
    "diagnose --lab captive-portal",
    "nat --lab nat64",
    "map probe --lab mapping-all",
    "ipv6 --lab ipv6-black-hole",
    "lan --lab lan-open",
    "libp2p --lab libp2p-symmetric",
    "relay --lab relay-near",
    "tailscale --lab tailnet",
    "punch --lab two-homes",
    "pwnat test --lab pwnat-listeners",
)
WAYS = (Redaction(), Redaction(salt="grains", ports=True), Redaction(keep=frozenset({"private"})))


def texts(report: Report) -> str:
    """All that can be made of it."""
    made = (render_json(report), render_text(report, detail=2), render_markdown(report), render_html(report))
    return "\n".join(made).lower()


def measured(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Report:
    run([*command.split(), "-o", str(folder / "report.json")])
    capsys.readouterr()
    return load((folder / "report.json").read_bytes())


def test_each_secret_would_be_found() -> None:
    assert len(SECRETS) >= 200
    assert all(left_of(secret, secret.text.lower()) for secret in SECRETS)
    assert len({secret.text for secret in SECRETS}) == len(SECRETS)


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_of_them_is_left(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = measured(command, tmp_path, capsys)
    for turn, wanted in enumerate(WAYS):
        before = texts(redacted(report, wanted))
        secrets = [each for each in SECRETS if not left_of(each, before)]  # a number may be a port there
        source, tried = cycle(secrets[turn * 7 :] + secrets[: turn * 7]), set[Secret]()
        assert len(secrets) >= 200
        while len(tried) < len(secrets):  # a short report takes them in several parts
            full, planted = planted_into(report, source)
            found = texts(redacted(full, wanted))
            left = {secret.text: left for secret in planted if (left := left_of(secret, found))}
            assert left == {}
            tried |= set(planted)


def test_nothing_of_any_form_is_left_in_any_field_of_any_type() -> None:
    people = [forms(person(number)) for number in range(4)]
    source, planted = cycle("; ".join(secret.text for secret in each) for each in people), list[str]()
    report = msgspec.convert(filled(inspect.type_info(Report), source, planted, many=1), Report)
    assert len(planted) >= 500
    before, found = render_json(report).lower(), render_json(redacted(report, Redaction())).lower()
    for secret in SECRETS:
        assert left_of(secret, before)
        assert not left_of(secret, found), secret.text
