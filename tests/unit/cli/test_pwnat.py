"""`nattools pwnat` as a person calls it, both machines inside a simulated scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from nattools.cli.app import run

Capture = pytest.CaptureFixture[str]
ADDRESSES = ("10.0.1.2", "11.1.0.2", "11.101.0.2")


@pytest.mark.parametrize("part", ["listen", "connect"])
def test_a_report_for_others_has_pseudonyms(part: str, tmp_path: Path, capsys: Capture) -> None:
    """In the file and on the page; without the option it has the addresses."""
    plain, shared = tmp_path / "plain.json", tmp_path / "shared.json"
    assert run(["pwnat", part, "--lab", "pwnat-public", "-o", str(plain)]) == 0
    shown = capsys.readouterr().out
    assert run(["pwnat", part, "--lab", "pwnat-public", "--redact", "-o", str(shared)]) == 0
    shown_to_others = capsys.readouterr().out
    for told in (plain.read_text(), shown):
        assert any(address in told for address in ADDRESSES)
    for told in (shared.read_text(), shown_to_others):
        assert not any(address in told for address in ADDRESSES)
