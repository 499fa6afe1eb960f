"""The documents say what is so: links lead somewhere, commands parse, samples are what the commands print."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from fnmatch import fnmatch
from typing import Any

import pytest
import reference
import samples
import typer
from reference import ROOT, commands
from samples import alike, blocks, documents, refreshed, settled

from nattools.cli import app
from nattools.lab.scenariofiles import available

DOCUMENTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in documents()}
SAMPLED = [name for name, text in DOCUMENTS.items() if blocks(text)]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")
"""SCENARIO, HOST, FILE and the like stand for something."""


def prose(text: str) -> str:
    """A document without its fenced blocks."""
    return FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    for link in LINK.findall(prose(DOCUMENTS[name])):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (ROOT / name).parent / file if file else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_what_make_says_fits_a_terminal() -> None:
    said = re.findall(r'@echo "(.*)"', (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert len(said) > 10
    assert [line for line in said if len(line) > 80] == []


def shown_commands(text: str) -> list[str]:
    """All command lines of nattools in a document, in blocks and in the text."""
    lines = CODE.findall(prose(text))
    for language, body in FENCE.findall(text):
        if language == "console":
            lines += re.findall(r"^\$ (.*)$", body, re.MULTILINE)
        elif language in ("sh", "ini"):
            lines += body.replace("ExecStart=/opt/nattools/bin/", "").splitlines()
    return [line.partition("  #")[0].strip() for line in lines if re.match(r"nattools( |$)", line)]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_parse(name: str) -> None:
    for line in shown_commands(DOCUMENTS[name]):
        words = shlex.split(re.split(r" [|>] ?", line)[0])[1:]
        if words[:1] == ["help"]:
            continue
        if words and words[0] not in app.COMMANDS and not words[0].startswith("-"):
            pytest.fail(f"{line}: no such command")
        parse(words, line)


def parse(words: list[str], line: str) -> None:
    """Have the command line's own parser read the options and arguments, and run nothing."""
    if not words or "--help" in words or words[0] in ("--version", "--completion", "--man"):
        return
    command: Any = typer.main.get_command(app._application())
    while hasattr(command, "get_command"):
        command, words = command.get_command(None, words[0]), words[1:]
        assert command is not None, line
        if hasattr(command, "get_command") and not words:
            return  # a group by itself
    if words == [] and any(each.required for each in command.params):
        return  # its name by itself
    context = command.make_context("nattools", list(words))
    for option in ("lab", "scenario", "scenarios"):
        check_scenario(context.params.get(option), line)


def check_scenario(value: Any, line: str) -> None:
    """Scenarios that are shown exist, unless they are files or stand for any."""
    for name in [value] if isinstance(value, str) else value or []:
        known = available()
        if not (PLACEHOLDER.search(name) or "/" in name or name in EXAMPLES):
            assert name.partition(":")[0] in known, line


EXAMPLES = ("home-ruoter", "symmetrical", "my-network")
"""Names that the documents use because there is none such."""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_targets_of_make_exist(name: str) -> None:
    known = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", DOCUMENTS[name], re.MULTILINE)) <= set(known)


TIMES = 3
"""So often a lab of namespaces is asked: on a busy machine it leaves something unknown."""


def contents(text: str) -> list[str]:
    """What the samples of a document show, but for what may differ."""
    return [settled(block.body) for block in blocks(text)]


@pytest.mark.parametrize("name", SAMPLED)
def test_samples_are_what_the_commands_print(name: str) -> None:
    text = DOCUMENTS[name]
    assert contents(text) == contents(refreshed(text, able=frozenset())), "run python scripts/samples.py"


@pytest.mark.netns
@pytest.mark.interop("ip", "stun")
@pytest.mark.parametrize("name", [each for each in SAMPLED if any(b.needs for b in blocks(DOCUMENTS[each]))])
def test_samples_of_the_lab_are_what_the_commands_print(name: str) -> None:
    text = DOCUMENTS[name]
    for _ in range(TIMES):
        printed = contents(refreshed(text))
        if printed == contents(text):
            break
    assert contents(text) == printed, "run python scripts/samples.py"


@pytest.mark.parametrize("name", reference.PARTS)
def test_the_reference_says_what_the_code_says(name: str) -> None:
    assert reference.problems(name, DOCUMENTS[f"docs/reference/{name}"]) == []


def test_every_key_of_a_scenario_file_is_in_the_reference() -> None:
    text = DOCUMENTS["docs/reference/scenario-files.md"]
    for kind in reference.scenario_types().values():
        for key in (each for each in kind.__struct_fields__ if each != "name"):
            assert f"| `{key}` |" in text, key


def test_the_reference_has_every_command() -> None:
    text = DOCUMENTS["docs/reference/commands.md"]
    for command in commands():
        assert f"$ nattools {command}".strip() in text


def folder_map() -> dict[str, list[str]]:
    """README's map: folders, and those within nattools/."""
    body = next(b for _, b in FENCE.findall(DOCUMENTS["README.md"]) if b.startswith("nattools/"))
    lines = [line for line in body.splitlines() if line.split()[0].endswith("/")]
    outer = [line.split()[0] for line in lines if not line.startswith(" ")]
    return {"": outer, "nattools/": [line.split()[0] for line in lines if line.startswith(" ")]}


@pytest.mark.parametrize("where", ["", "nattools/"])
def test_the_readme_maps_the_folders_that_there_are(where: str) -> None:
    made = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()]
    folders = [path.name for path in (ROOT / where).iterdir() if path.is_dir()]
    ours = [name for name in folders if not any(fnmatch(name, pattern) for pattern in (*made, ".git"))]
    assert sorted(folder_map()[where]) == sorted(f"{name}/" for name in ours)


def test_every_dependency_has_its_reason() -> None:
    text = DOCUMENTS["docs/design/0003-dependencies.md"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *(one for extra in extras.values() for one in extra)]:
        name = re.split(r"[<>=\[ ]", requirement)[0]
        assert name == "nattools" or f"`{name}`" in text, name


def test_the_index_names_every_document() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for name in DOCUMENTS:
        if name.startswith("docs/") and name != "docs/README.md":
            assert f"({name.removeprefix('docs/')})" in index, name


def literals() -> list[str]:
    """All texts in the code, those of f-strings in the pieces between what is filled in."""
    found = []
    for path in (ROOT / "nattools").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_the_messages_of_troubleshooting_are_in_the_code() -> None:
    said = "\n".join(literals())
    text = prose(DOCUMENTS["docs/troubleshooting.md"])
    headings = re.findall(r"^### (.*)$", text, re.MULTILINE)
    quoted = [quote for line in headings for quote in re.findall(r'"([^"]*)"', line)]
    quoted += re.findall(r'^\| "([^"]*)"', text, re.MULTILINE)
    assert len(quoted) > 20
    for quote in quoted:
        for piece in re.split(r"\.\.\.|\d+", quote):
            assert piece.strip(" ;:") in said, quote


def test_a_sample_that_drifts_is_noticed() -> None:
    text = "<!-- sample -->\n```console\n$ nattools --version\nnattools 0.0.0\n```\n"
    assert not alike(text, refreshed(text))


def test_a_sample_with_another_exit_code_is_wrong() -> None:
    with pytest.raises(samples.Wrong, match="exit code 2"):
        refreshed("<!-- sample -->\n```console\n$ nattools frobnicate\n```\n")


def test_only_what_changes_between_runs_may_differ() -> None:
    assert alike("at 2026-11-22T14:22:45Z: 358 ms,\n  all", "at 2027-01-02T03:04:05Z: 1.4 s, all")
    assert alike("seen as 11.1.0.2:40001", "seen as 11.1.0.2:51002")
    assert not alike("seen as 11.1.0.2:40001", "seen as 11.1.0.3:40001")
    spares = "  Spare paths  UDP, 10.0.1.2:1 to 11.2.0.2:2\n               UDP, 10.0.1.2:3 to 11.2.0.2:4\n"
    assert alike(f"  Why          It is.\n{spares}\n  PLAN", "  Why          It is.\n\n  PLAN")
    assert not alike(f"{spares}  Why          It is.\n", "  Why          It is not.\n")
    assert not alike("yes", "no")
