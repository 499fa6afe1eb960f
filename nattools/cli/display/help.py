"""What `--help` and `-h` print: options in groups (typer's `rich_help_panel`), and examples.

In plain text rather than typer's boxes: at 80 columns these cut `HOST[:PORT]|URI` in mid-word and leave a
third of the width for the help, and rich takes 0.27 s to draw them.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from nattools.cli.display.debuglog import start_debug_log

MEASURE = "Measure with"
MEET = "Meet"
USE = "Use the connection"
CONNECT = "Ways to connect"
ROUTER = "On the router"
WATCH = "Watch"
OUTPUT = "Output"
LAB = "Lab"
GENERAL = "General"
PANELS = ("Arguments", "Options", MEET, USE, CONNECT, ROUTER, MEASURE, WATCH, OUTPUT, LAB, GENERAL)
"""In the order in which they are printed; an option without a group is among the command's own, "Options"."""

meet, use, connect, router, measure, watch, output, lab, general = (
    partial(typer.Option, rich_help_panel=panel)
    for panel in (MEET, USE, CONNECT, ROUTER, MEASURE, WATCH, OUTPUT, LAB, GENERAL)
)
"""`typer.Option`, in each of the groups."""

CONTEXT = {"help_option_names": ["-h", "--help"]}

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("nattools diagnose", "can this machine be reached, and how"),
        ("nattools punch", "connect it with another one"),
    ),
    "diagnose": (
        ("nattools diagnose --server stun.example.org", "measure with a server of your own"),
        ("nattools diagnose --json -o report.html", "for a script, and for a person"),
    ),
    "nat": (
        ("nattools nat --lifetime", "also how long an idle mapping lives"),
        ("nattools nat -4 --lab symmetric-random", "a simulated network"),
    ),
    "ipv6": (
        ("nattools ipv6 --server serve.example.org", "with a nattools serve that tries from outside"),
        ("nattools ipv6 --lab ipv6-prohibiting", "a simulated network"),
    ),
    "map": (
        ("nattools map add 8080", "ask the router for a port"),
        ("nattools map delete --mine", "remove all that nattools has made"),
    ),
    "map probe": (
        ("nattools map probe", "which protocols the router speaks"),
        ("nattools map probe --protocol pcp", "one of them"),
    ),
    "map add": (
        ("nattools map add 8080 --transport tcp", "until its lifetime ends"),
        ("nattools map add 5000 5001 --lifetime 600", "two ports, for ten minutes"),
    ),
    "map list": (
        ("nattools map list", "the router's table"),
        ("nattools map list --json", "for a script"),
    ),
    "map delete": (
        ("nattools map delete 8080", "one port"),
        ("nattools map delete --mine", "all that nattools has made"),
    ),
    "map keep": (
        ("nattools map keep 8080", "until Ctrl-C"),
        ("nattools map keep 8080 --exec 'notify \"$NATTOOLS_EXTERNAL\"'", "run a command at each change"),
    ),
    "punch": (
        ("nattools punch --forward 8080:localhost:80", "the other machine's web server, here on port 8080"),
        ("nattools punch 7-lantern-propeller --pipe > file", "join by the code, and receive"),
    ),
    "pwnat": (
        ("nattools pwnat listen", "wait; it prints what to type on the other machine"),
        ("nattools pwnat connect 203.0.113.7 --secret -", "call that machine (as root)"),
    ),
    "pwnat test": (
        ("nattools pwnat test --server stun.example.org", "a server of your own: nattools serve, as root"),
        ("nattools pwnat test --lab pwnat-callers:linux", "a simulated network"),
    ),
    "pwnat listen": (
        ("nattools pwnat listen --allow localhost:22", "let the caller's --forward reach SSH"),
        ("nattools pwnat listen --server stun.example.org", "learn the public address from a server"),
    ),
    "pwnat connect": (
        ("nattools pwnat connect 203.0.113.7 --secret - --forward 2022:localhost:22", "then: ssh -p 2022"),
        ("nattools pwnat connect --lab pwnat-public", "two machines of a scenario"),
    ),
    "libp2p": (
        ("nattools libp2p", "peers of the public network"),
        ("nattools libp2p /dns4/peer.example/tcp/4001", "a peer of your own"),
    ),
    "relay": (
        ("nattools relay turn:relay.example --turn-user alice:secret", "one of your own, by UDP and TCP"),
        ("nattools relay --region fra", "one region of Tailscale's public DERP map"),
    ),
    "lan": (
        ("nattools lan", "on two machines at the same time: both directions are proven"),
        ("nattools lan 192.168.1.20", "is that machine reached, or does the access point keep it apart?"),
    ),
    "tailscale": (
        ("nattools tailscale --status status.json", "why the peers of tailscale status --json are relayed"),
        ("nattools tailscale --control https://headscale.example", "a control server of one's own"),
    ),
    "serve": (
        ("nattools serve", "on the addresses that the default routes use"),
        ("nattools serve --listen 192.0.2.1 --listen 192.0.2.2", "two addresses: filtering can be measured"),
    ),
    "lab": (
        ("nattools lab run home-router", "measure in a scenario"),
        ("nattools lab shell home-router alice", "a shell on one of its machines (Linux)"),
    ),
    "lab list": (
        ("nattools lab list", "names and titles"),
        ("nattools lab list ipv6 firewall", "those that have both words"),
    ),
    "lab show": (
        ("nattools lab show home-router", "what it draws, and where its file is"),
        ("nattools lab show two-homes --json", "all of it, for a script"),
    ),
    "lab run": (
        ("nattools lab run home-router", "simulated"),
        ("nattools lab run my-network.toml --backend netns", "a file, with kernel NAT"),
    ),
    "lab matrix": (
        ("nattools lab matrix --backend sim --backend netns", "all scenarios, on both"),
        ("nattools lab matrix --pairs full-cone firewall", "do these connect?"),
    ),
    "lab exec": (
        ("nattools lab exec home-router alice -- ip address", "run any program inside"),
        ("nattools lab exec home-router alice nattools nat", "nattools itself"),
    ),
    "lab shell": (
        ("nattools lab shell home-router alice", "exit ends the lab"),
        ("nattools lab shell my-network.toml bob", "a network of your own"),
    ),
    "report": (
        ("nattools report show report.json", "as it was shown when measured"),
        ("nattools report predict a.json b.json", "will these two machines connect?"),
    ),
    "explain": (
        ("nattools explain port-per-peer", "a code of a report, which -v shows in brackets"),
        ("nattools explain UPnP 718", "what a router's refusal means"),
    ),
    "report show": (
        ("nattools report show report.json -v", "with figures"),
        ("nattools report show report.json --format html > page.html", "as a page"),
    ),
    "report diff": (
        ("nattools report diff yesterday.json today.json", "what has changed, and what it means"),
        ("nattools report diff a.json b.json --json", "each change with its code, for a script"),
    ),
    "report merge": (
        ("nattools report merge reports/ -o all.html -o all.json", "a folder of reports as one"),
        ("nattools report merge 'in/**/*.json.gz' -o all.parquet", "a table for other programs"),
    ),
    "report redact": (
        ("nattools report redact report.json -o post.json -o post.html", "to post it"),
        ("nattools report redact report.json -o post.json --keep private", "private addresses may stay"),
    ),
    "report scenario": (
        ("nattools report scenario report.json -o network.toml", "draw the network that it was made in"),
        ("nattools report scenario report.json -o drawn.toml", "then: nattools lab run drawn.toml"),
    ),
    "report validate": (
        ("nattools report validate report.json", "exit code 0 if it is a report"),
        ("nattools report validate report.json --json", "what is wrong with it, for a script"),
    ),
    "report predict": (
        ("nattools report predict mine.json yours.json", "way, odds, packets and time"),
        ("nattools report predict mine.json yours.json --low-ports both", "if both run as root"),
    ),
}
"""Two for each command: what to type, and what it is for."""


class HelpfulCommand(TyperCommand):
    """A command with grouped options, examples, `-h`, and `--debug`."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **_with_context(settings))
        self.params.append(_debug_option())

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """A section for each group."""
        _write_groups(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples."""
        _write_examples(ctx, formatter)


class HelpfulGroup(TyperGroup):
    """The same for a command that has commands."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **_with_context(settings))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """A section for each group, then the commands."""
        _write_groups(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands, each with the first sentence of its help in full: typer cuts it to one line."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.sentence(ctx, name)) for name in self.list_commands(ctx)])

    def sentence(self, ctx: Any, name: str) -> str:
        """What the command is for."""
        command: Any = self.get_command(ctx, name)
        return re.split(r"(?<=\.) ", " ".join(command.help.split()), maxsplit=1)[0]

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples."""
        _write_examples(ctx, formatter)


def _with_context(settings: dict[str, Any]) -> dict[str, Any]:
    """A command's settings, with `-h` beside `--help`."""
    return settings | {"context_settings": CONTEXT | (settings.get("context_settings") or {})}


def grouped(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Options and arguments by their groups: how each is written, and what it is for."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for each in command.get_params(ctx):
        row = each.get_help_record(ctx)
        if row is not None:
            groups.setdefault(_panel_of(each), []).append(row)
    return {title: groups[title] for title in sorted(groups, key=PANELS.index)}


def _write_groups(command: Any, ctx: Any, formatter: Any) -> None:
    """A section for each group."""
    for title, rows in grouped(command, ctx).items():
        with formatter.section(title):
            formatter.write_dl(rows)


def _panel_of(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return "Arguments"
    if parameter.name == "help":
        return GENERAL
    return str(getattr(parameter, "rich_help_panel", None) or "Options")


def _write_examples(ctx: Any, formatter: Any) -> None:
    """What to type, and below it what it is for."""
    examples = EXAMPLES.get(ctx.command_path.removeprefix("nattools").strip(), ())
    if examples:
        with formatter.section("Examples"):
            indent = " " * formatter.current_indent
            for command, purpose in examples:
                formatter.write(f"{indent}{command}\n{indent}    {purpose}\n")


def _debug_option() -> TyperOption:
    return TyperOption(
        param_decls=["--debug"],
        is_flag=True,
        default=False,
        expose_value=False,
        is_eager=True,
        callback=lambda _context, _parameter, wanted: start_debug_log("debug") if wanted else None,
        help="Log to standard error, with the tracebacks of handled errors.",
        rich_help_panel=GENERAL,
    )
