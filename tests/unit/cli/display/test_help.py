"""The help: groups, examples that can be typed, `-h`; and the log for those who look for a fault."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from nattools.cli.app import COMMANDS, _application, run
from nattools.cli.display import debuglog
from nattools.cli.display.help import EXAMPLES, PANELS

Capture = pytest.CaptureFixture[str]


def commands() -> Iterator[tuple[str, Any, Any]]:
    """Every command by its path, itself, and a context to ask it in."""
    root: Any = typer.main.get_command(_application())
    context = root.make_context("nattools", [], resilient_parsing=True)
    yield "", root, context
    for name in COMMANDS:
        command = root.get_command(context, name)
        inner = command.context_class(command, info_name=name, parent=context)
        yield name, command, inner
        for one in getattr(command, "commands", {}):
            yield f"{name} {one}", command.commands[one], inner


def parse(words: list[str]) -> None:
    """Have the command line's own parser read the words; it runs nothing."""
    command: Any = typer.main.get_command(_application())
    context = command.make_context("nattools", [], resilient_parsing=True)
    while hasattr(command, "get_command"):
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, name
    command.make_context(name, words, parent=context)


def test_every_command_has_two_examples() -> None:
    paths = [path for path, _, _ in commands()]
    assert sorted(EXAMPLES) == sorted(paths)
    assert all(len(examples) == 2 for examples in EXAMPLES.values())


@pytest.mark.parametrize("path", EXAMPLES)
def test_examples_can_be_typed(path: str) -> None:
    for line, purpose in EXAMPLES[path]:
        words = shlex.split(line.partition(" > ")[0])
        assert words[0] == "nattools"
        if path:
            assert line.startswith(f"nattools {path}")
        parse(words[1:])
        assert len(f"      {purpose}") <= 80
        assert len(f"  {line}") <= 80


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path])
def test_options_are_in_groups(path: str, capsys: Capture) -> None:
    assert run([*path.split(), "-h"]) == 0
    short = capsys.readouterr().out
    assert run([*path.split(), "--help"]) == 0
    assert capsys.readouterr().out == short
    assert run(["help", *path.split()]) == 0
    assert capsys.readouterr().out == short
    titles = [
        line.removesuffix(":") for line in short.splitlines() if line[:1].isalpha() and line.endswith(":")
    ]
    groups = [title for title in titles if title in PANELS]
    assert groups == sorted(groups, key=PANELS.index)
    assert titles[-1] == "Examples"


@pytest.mark.parametrize("group", ["", "map", "lab", "report"])
def test_what_a_command_is_for_is_a_whole_sentence(group: str, capsys: Capture) -> None:
    run([*group.split(), "-h"])
    rows = capsys.readouterr().out.partition("Commands:\n")[2].partition("\n\n")[0]
    for row in re.split(r"^  (?=\S)", rows, flags=re.MULTILINE)[1:]:
        assert re.search(r"\w[.?]\s*$", row), row


def test_only_commands_of_one_subject_have_options_without_a_group(capsys: Capture) -> None:
    for path in ("diagnose", "nat", "punch"):
        run([path, "-h"])
        assert "\nOptions:" not in capsys.readouterr().out


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """Ours, as it was before."""
    logger = logging.getLogger("nattools")
    before = logger.level, logger.handlers[:], logger.propagate
    yield logger
    logger.setLevel(before[0])
    logger.handlers[:], logger.propagate = before[1:]


def test_debug_logs_to_standard_error_alone(capsys: Capture, log: logging.Logger) -> None:
    assert run(["nat", "--lab", "home-router", "-4", "--json", "--debug"]) == 0
    log.debug("said by a peer: \x1b[31mred")
    out, err = capsys.readouterr()
    assert out.startswith("{")
    assert "DEBUG" in err
    assert "said by a peer: " in err
    assert "\x1b" not in err
    assert log.level == logging.DEBUG


def test_the_environment_switches_it_on(
    capsys: Capture, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(debuglog.VARIABLE, "INFO")
    assert run(["lab", "list"]) == 0
    assert log.level == logging.INFO
    monkeypatch.setenv(debuglog.VARIABLE, "everything")
    assert run(["lab", "list"]) == 2
    assert "NATTOOLS_LOG=everything: must be one of debug, info" in capsys.readouterr().err


def test_the_manual_page_has_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--man"]) == 0
    page = capsys.readouterr().out
    assert page.startswith(".TH NATTOOLS 1")
    for name in (*COMMANDS, "lab shell", "map keep", "report predict"):
        assert f'.SH "NATTOOLS {name.upper()}"' in page
    assert ".B \\-\\-forward" in page
    macros = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert macros <= {".TH", ".SH", ".SS", ".TP", ".B", ".I", ".PP", ".br"}
