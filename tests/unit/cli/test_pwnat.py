"""`nattools pwnat` as a person calls it, both machines inside a simulated scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from nattools.cli.app import run
from nattools.cli.options.pwnatoptions import at_outside, checked_outside
from nattools.errors import UsageError
from nattools.model.endpoint import Endpoint

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


# --- the word for outside ports


def test_the_port_follows_from_the_address_and_the_word() -> None:
    outside = checked_outside("51234-random")
    listener = Endpoint("11.1.0.2", 2222)
    assert outside is not None
    assert at_outside(listener, "11.1.0.2", outside) == Endpoint("11.1.0.2", outside.port("11.1.0.2"))
    assert at_outside(listener, "11.1.0.2", None) == listener
    named = f"11.1.0.2:{outside.port('11.1.0.2')}"
    assert at_outside(Endpoint("11.1.0.2", outside.port("11.1.0.2")), named, outside).port == outside.port(
        "11.1.0.2"
    )
    with pytest.raises(UsageError, match="give the address alone"):
        at_outside(listener, "11.1.0.2:2222", outside)


@pytest.mark.parametrize(
    "more",
    [
        ["--outside", "51234-somehow", "11.1.0.2", "--secret", "long enough"],
        ["--outside", "51234", "11.1.0.2", "--secret", "long enough", "--compat"],
        ["--outside", "51234", "--lab", "pwnat-public"],
    ],
)
def test_a_word_that_cannot_be_used(more: list[str], capsys: Capture) -> None:
    assert run(["pwnat", "connect", *more]) == 2
    assert "--outside" in capsys.readouterr().err
