"""The page of a diagnosis fits a terminal of 24 lines and 80 columns, on every network that is drawn, and as
HTML it is valid and small."""

from __future__ import annotations

import pytest
from htmlpages import check_page

from nattools.cli.app import run
from nattools.lab.scenariofiles import available, load
from nattools.report.html import render_html
from nattools.report.safetext import safe
from nattools.report.savedreport import load as load_report
from nattools.report.terminal import render_text

MOST_BYTES = 300_000
LABELS = ("  UDP", "  IPv6 ", "  Router ", "  Latency ", "  Local ")


@pytest.mark.parametrize("name", available())
def test_the_answer_and_what_to_do_are_on_the_screen(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for host in load(name).host:
        code = run(["diagnose", "--lab", f"{name}:{host}", "--json"])
        report = load_report(capsys.readouterr().out.encode())
        assert code == (0 if any(server.answered for server in report.servers) else 3)
        assert report.ended is None or code == 3
        assert report.advice is not None
        lines = render_text(report, columns=80).splitlines()
        text = " ".join(" ".join(lines).split())
        # the shell's prompt takes the last line, and where nothing answered, an error stands before it
        assert len(lines) <= (23 if report.ended is None else 20)
        assert max(map(len, lines)) <= 80
        assert report.advice.headline in text
        assert report.ended is not None or report.advice.best in text
        for action in report.advice.to_do[:1]:
            assert safe(action) in text
        for label in LABELS:
            assert any(line.startswith(label) for line in lines), label
        if report.warnings:
            assert "Beware" in text
        page = render_html(report)
        assert len(page.encode()) <= MOST_BYTES
        assert report.advice.headline in check_page(page).replace("  ", " ")
