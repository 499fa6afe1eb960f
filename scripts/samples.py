"""The commands that the documents show, run again, and their output put into the documents.

    python scripts/samples.py [--check] [FILE.md ...]

A sample is a fenced block below a comment:

    <!-- sample from="UDP OVER" until="TCP OVER" -->
    ```console
    $ nattools diagnose --lab home-router
    ...
    ```

Each line that begins with `$ ` is run, with a shell and at 80 columns, and what it prints stands below it.
`from` and `until` cut the output to the lines from the first that contains the one text to the last before
the other; `...` stands for what was cut. `exit=3` expects that exit code, 0 where it is left out.
`needs="netns stun"` names what not every machine can do. `stop=ready` ends a server as soon as it says so.
A block below `<!-- file NAME -->` is written to that file first. All samples of a document share a folder,
which is empty at the start.

With --check nothing is written, and a difference is an error. Times, dates, round trips, ports that a system
chose, its version, line breaks, and which spare paths were found by chance may differ.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"^<!-- (sample|file)\b(.*?) -->\n```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LIMIT_S = 300
EVERYTHING = frozenset({"netns", "stun"})
"""What samples may need: network namespaces; vovida's client."""
_CHANGING = (
    (re.compile(r"^ +Spare paths .*\n( {15}.*\n)*", re.MULTILINE), ""),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"\d+(\.\d+)?\s(h|min|s|ms)\b(\s\d+(\.\d+)?\s(min|s)\b)?"), "<duration>"),
    (re.compile(r"Linux \S+ Python [\d.]+"), "<system>"),
    (re.compile(r"(?<=[\d\]]):\d{4,5}\b"), ":<port>"),
    (re.compile(r"ICMP errors for pwnat test: .*"), "ICMP errors for pwnat test: <as the privilege is>"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True, slots=True)
class Block:
    """A marked block of a document, from `start` to `end` in its text. `name` is a file's name."""

    kind: str
    start: int
    end: int
    body: str
    name: str = ""
    options: dict[str, str] = field(default_factory=dict)

    @property
    def needs(self) -> frozenset[str]:
        """What the machine must be able to do: words of EVERYTHING."""
        return frozenset(self.options.get("needs", "").split())

    @property
    def commands(self) -> list[str]:
        """The command lines, without their prompt."""
        return [line[2:] for line in self.body.splitlines() if line.startswith("$ ")]


class Wrong(Exception):  # noqa: N818 -- it says what the sample is
    """A sample that cannot be made or is not what it should be, in a sentence."""


def documents() -> list[Path]:
    """All documents of the project."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> list[Block]:
    """The marked blocks of a document, in order."""
    return [_block(found) for found in _BLOCK.finditer(text)]


def _block(found: re.Match[str]) -> Block:
    kind, words, body = found[1], shlex.split(found[2]), found[4]
    start, end = found.span(4)
    if kind == "file":
        return Block(kind, start, end, body, name=words[0])
    options = dict(word.partition("=")[::2] for word in words)
    return Block(kind, start, end, body, options=options)


def refreshed(text: str, *, able: frozenset[str] = EVERYTHING) -> str:
    """The document with its samples run again. Those that need what the machine is not `able` to do stay as
    they are. `Wrong`: a command ended with another exit code than it should."""
    pieces, at = [], 0
    with _session() as session:
        for block in blocks(text):
            pieces += [text[at : block.start], _renewed(block, session, able)]
            at = block.end
    return "".join([*pieces, text[at:]])


def _renewed(block: Block, session: Path, able: frozenset[str]) -> str:
    if block.kind == "file":
        (session / block.name).write_text(block.body, encoding="utf-8")
    elif block.needs <= able:
        return "".join(_shown(block, session))
    return block.body


def _shown(block: Block, session: Path) -> Iterator[str]:
    for command in block.commands:
        yield f"$ {command}\n{_cut(_run(command, session, block.options), block.options)}"


def _run(command: str, session: Path, options: dict[str, str]) -> str:
    """Output, then what was said on standard error, without the lines that tell progress."""
    process = subprocess.Popen(
        ["bash", "-c", command], cwd=session, env=_environment(session), text=True, encoding="utf-8",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    said = _until_ready(process) if options.get("stop") == "ready" else ""
    try:
        out, err = process.communicate(timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise Wrong(f"{command}: still running after {_LIMIT_S} s") from None
    if process.returncode != int(options.get("exit", 0)):
        raise Wrong(f"{command}: exit code {process.returncode}\n{out}{err}")
    lines = [line for line in (out + said + err).splitlines() if not line.startswith("nattools: waiting:")]
    return "".join(f"{line.rstrip()}\n" for line in lines).strip("\n").replace(f"{session}/", "") + "\n"


def _until_ready(process: subprocess.Popen[str]) -> str:
    """What a server says. It is told to end when its first line is there."""
    assert process.stderr is not None
    first = process.stderr.readline()
    os.killpg(process.pid, signal.SIGTERM)
    return first + process.stderr.read()


def _cut(output: str, options: dict[str, str]) -> str:
    lines = output.splitlines()
    first, last = 0, len(lines)
    if "from" in options:
        first = _find(lines, options["from"], 0)
    if "until" in options:
        last = _find(lines, options["until"], first + 1)
    before, after = ["..."] * (first > 0), ["..."] * (last < len(lines))
    kept = "\n".join(lines[first:last]).strip("\n").splitlines()
    return "".join(f"{line}\n" for line in (*before, *kept, *after))


def _find(lines: list[str], text: str, at: int) -> int:
    for number in range(at, len(lines)):
        if text in lines[number]:
            return number
    raise Wrong(f"no line of the output contains {text!r}:\n" + "\n".join(lines))


@contextmanager
def _session() -> Iterator[Path]:
    """An empty folder, beside one with a `nattools` that is this clone's and the `python` that runs it."""
    with tempfile.TemporaryDirectory(prefix="nattools-samples-") as folder:
        session, programs = Path(folder) / "session", Path(folder) / "bin"
        session.mkdir()
        programs.mkdir()
        for name, arguments in (("nattools", "-m nattools"), ("python", "")):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments} "$@"\n')
            program.chmod(0o755)
        yield session


def _environment(session: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("LANG", "LC_ALL")}
    path = os.pathsep.join([str(session.parent / "bin"), "/usr/sbin", "/sbin", os.environ.get("PATH", "")])
    own = {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(session), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **own, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "SHELL": "/bin/sh"}


def alike(one: str, other: str) -> bool:
    """Are two texts the same but for what may differ between two runs?"""
    return settled(one) == settled(other)


def settled(text: str) -> str:
    """A text without what may differ between two runs."""
    for pattern, replacement in _CHANGING:
        text = pattern.sub(replacement, text)
    return text.strip()


def main(arguments: list[str]) -> int:
    """Renew or check all documents, or those named."""
    check = "--check" in arguments
    chosen = [Path(each).resolve() for each in arguments if each != "--check"] or documents()
    stale = [document for document in chosen if _is_stale(document, check=check)]
    for document in stale:
        sys.stderr.write(f"{document.relative_to(ROOT)}: {'out of date' if check else 'renewed'}\n")
    return 1 if check and stale else 0


def _is_stale(document: Path, *, check: bool) -> bool:
    text = document.read_text(encoding="utf-8")
    try:
        new = refreshed(text)
    except Wrong as wrong:
        raise SystemExit(f"{document.relative_to(ROOT)}: {wrong}") from None
    if alike(text, new):
        return False
    if not check:
        document.write_text(new, encoding="utf-8")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
