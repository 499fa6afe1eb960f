"""`nattools report`: what it prints of what it is given."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_samples import home_router

from nattools.cli.app import run
from nattools.report.savedreport import render_json


@pytest.mark.parametrize("content", [render_json(home_router()), "no report"])
def test_the_name_of_a_file_does_not_drive_the_terminal(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a\x1b[2J\u202e.json"
    file.write_text(content, encoding="utf-8")
    for command in ("validate", "show"):
        run(["report", command, str(file)])
    run(["report", "validate", str(tmp_path / "\x1b[2Jnone")])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\u202e" not in said.out + said.err
