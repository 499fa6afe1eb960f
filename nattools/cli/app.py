"""The command line as a whole: its commands, and how errors are reported.

A command's module is imported when it is called by name, so that `nattools nat` does not pay for `lab`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any, NamedTuple, TypeVar

import typer

from nattools.cli.display.debuglog import start_from_environment
from nattools.cli.display.help import HelpfulCommand, HelpfulGroup, general
from nattools.cli.display.plainevents import READER, last_event, wants_events
from nattools.cli.display.standardstreams import settle_output
from nattools.defects import DEFECT, DEFECTS, each_of
from nattools.errors import CannotRun, NattoolsError, UsageError
from nattools.report.safetext import safe, wrap

INTERRUPTED = 130
Decorated = TypeVar("Decorated", bound=Callable[..., Any])
SHELLS = ("bash", "zsh", "fish", "powershell")
COMPLETE_VARIABLE = "_NATTOOLS_COMPLETE"
# The base of all usage errors that typer raises; it has no public name in every supported version.
UsageProblem: type[Exception] = typer.BadParameter.__mro__[1]


class Command(NamedTuple):
    """Where a command is, as `module` and the name in it of a typer application or a function."""

    module: str
    name: str
    help: str


COMMANDS: dict[str, Command] = {
    "diagnose": Command("nattools.cli.running", "diagnose", "Can this machine be reached, and how?"),
    "nat": Command("nattools.cli.running", "nat", "What the NAT does: mapping, filtering, ports, lifetime."),
    "ipv6": Command(
        "nattools.cli.ipv6", "command", "Can others reach this machine over IPv6, and if not, why?"
    ),
    "map": Command("nattools.cli.map", "map_app", "Port mappings on the router: try, add, keep, delete."),
    "punch": Command("nattools.cli.punch", "command", "Connect two machines directly, with a short code."),
    "pwnat": Command(
        "nattools.cli.pwnat", "pwnat_app", "Connect two machines without any third one, by ICMP."
    ),
    "relay": Command("nattools.cli.relay", "command", "Which relay works, and what it costs: TURN and DERP."),
    "libp2p": Command("nattools.cli.libp2p", "command", "Will libp2p connect here, and if not, why?"),
    "lan": Command("nattools.cli.lan", "command", "Do machines on this network reach each other?"),
    "tailscale": Command("nattools.cli.tailscale", "command", "Will Tailscale and headscale connect here?"),
    "serve": Command("nattools.cli.serve", "command", "A server for the other commands to measure with."),
    "lab": Command("nattools.cli.lab", "lab_app", "Test networks, simulated or in network namespaces."),
    "explain": Command("nattools.cli.explain", "command", "What a code of a report means, and what to do."),
    "report": Command("nattools.cli.report", "report_app", "Show, check and compare saved reports."),
}


class LazyGroup(HelpfulGroup):
    """Commands that are imported when they are called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        command = COMMANDS.get(cmd_name)
        return None if command is None else _loaded(command, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments begin with; a usage error suggests the nearest name."""
        if args[0] not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            suggestion = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{suggestion}")
        return super().resolve_command(ctx, args)

    def sentence(self, ctx: Any, name: str) -> str:
        """What the command is for, without importing it."""
        return COMMANDS[name].help


def _loaded(command: Command, name: str) -> Any:
    target = getattr(import_module(command.module), command.name)
    loaded = typer.main.get_command(target if isinstance(target, typer.Typer) else _single(target))
    loaded.name = name
    return loaded


def _single(function: Callable[..., Any]) -> typer.Typer:
    application = new_app()
    application.command()(function)
    return application


class Application(typer.Typer):
    """A typer application whose commands have grouped help and `--debug`."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Decorated], Decorated]:
        """As typer's."""
        return super().command(name, cls=HelpfulCommand, **settings)


def new_app(*, cls: type[HelpfulGroup] = HelpfulGroup, **settings: Any) -> Application:
    """An application with the settings that all commands share."""
    return Application(
        cls=cls, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, **settings
    )


def _application() -> typer.Typer:
    application = new_app(cls=LazyGroup, no_args_is_help=True)

    @application.callback()
    def root(
        version: Annotated[bool, general("--version", is_eager=True, help="Print the version.")] = False,
        completion: Annotated[
            str | None,
            general(
                "--completion",
                metavar="SHELL",
                is_eager=True,
                callback=_completion_script,
                help=f"Print a shell's completion script: {', '.join(SHELLS)}.",
            ),
        ] = None,
        man: Annotated[
            bool,
            general(
                "--man",
                is_eager=True,
                callback=_manual_page,
                help="Print the manual page, for: nattools --man | man -l -",
            ),
        ] = False,
    ) -> None:
        """What works on this network, why the rest does not, and what to do about it."""
        if version:
            from nattools import __version__

            sys.stdout.write(f"nattools {__version__}\n")
            raise typer.Exit

    return application


def _manual_page(wanted: bool) -> bool:
    """Print it, if it is wanted."""
    if wanted:
        from nattools.cli.display.manpage import manual

        sys.stdout.write(manual(typer.main.get_command(_application())))
        raise typer.Exit
    return wanted


def _completion_script(shell: str | None) -> str | None:
    """Print what that shell has to read at its start, if one is named."""
    if shell is None:
        return None
    if shell not in SHELLS:
        raise UsageError(f"--completion {shell[:20]!r}: must be one of {', '.join(SHELLS)}")
    script: str = _completions().get_completion_script(
        prog_name="nattools", complete_var=COMPLETE_VARIABLE, shell=shell
    )
    sys.stdout.write(f"{script}\n")
    raise typer.Exit


def _completions() -> Any:
    """typer's own module for it, which marks nothing in it as public."""
    return import_module("typer.completion")


def _completed(instruction: str) -> int:
    """Answer a shell that asks what a command line may go on with."""
    completions = _completions()
    completions.completion_init()
    group = typer.main.get_command(_application())
    try:
        code: int = completions.shell_complete(group, {}, "nattools", COMPLETE_VARIABLE, instruction)
    except (KeyError, ValueError) as error:  # the shell's script sets what it read of the line
        raise UsageError(f"{COMPLETE_VARIABLE} is for the scripts of --completion: {error}") from None
    return code


class Failure(NamedTuple):
    """Why a command did not do its job, and what to do."""

    exit_code: int
    message: str
    remedy: str = ""


_INTERRUPTED = Failure(INTERRUPTED, "interrupted")
_WITHOUT_MEMORY = Failure(CannotRun.exit_code, "this machine refuses: out of memory")


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; nothing leaves as a traceback."""
    READER.choose(program=wants_events(arguments))
    defects = DEFECTS.count
    try:
        ended = _called(list(arguments))
    except (KeyboardInterrupt, typer.Abort):
        ended = _INTERRUPTED
    except MemoryError:
        if not READER.is_program:
            raise
        ended = _WITHOUT_MEMORY
    if READER.is_program and ended == 0 and DEFECTS.count > defects:  # as `main` takes it
        ended = Failure(DEFECT, DEFECTS.sentence)
    try:
        return _as_event(ended) if READER.is_program else _in_words(ended)
    finally:
        settle_output()


def _called(arguments: list[str]) -> int | Failure:
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    group: Any = typer.main.get_command(_application())
    try:
        if instruction := os.environ.get(COMPLETE_VARIABLE):
            return _completed(instruction)
        start_from_environment()
        with group.make_context("nattools", arguments) as context:
            result = group.invoke(context)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except typer.Exit as finished:
        return finished.exit_code
    except UsageProblem as problem:
        return _misused(problem)
    except typer.Abort:
        raise
    except Exception as error:
        return _ended_by(error)


def _ended_by(error: Exception) -> int | Failure:
    """Of the errors of a group that a TaskGroup raised, nattools' own say most."""
    own = next((each for each in each_of(error) if isinstance(each, NattoolsError)), None)
    if own is not None:
        return Failure(own.exit_code, str(own), getattr(own, "remedy", ""))
    if not READER.is_program:
        return DEFECTS.note(error, "in the command")
    taken = DEFECTS.taken(error, "in the command")
    return Failure(taken.exit_code, taken.message, taken.remedy)


def _misused(problem: Any) -> int | Failure:
    """A wrong option or command, as typer found it. Without any command the message is the whole help."""
    message = problem.format_message()
    if type(problem).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{message}\n")
        return 2
    path = problem.ctx.command_path if problem.ctx is not None else "nattools"
    return Failure(2, message, f"See: {path} --help")


def _as_event(ended: int | Failure) -> int:
    """The last of the lines of `--events`, however the command ended."""
    if ended == INTERRUPTED:
        ended = _INTERRUPTED
    if isinstance(ended, int):
        last_event(ended)
        return ended
    last_event(ended.exit_code, ended.message, ended.remedy)
    return ended.exit_code


def _in_words(ended: int | Failure) -> int:
    if isinstance(ended, int):
        return ended
    failure = ended
    lines = [*(failure.message.strip().splitlines() or ["failed"]), *failure.remedy.splitlines()]
    lines = [safe(line) for line in lines]
    lines[0] = f"nattools: {lines[0]}"
    if sys.stderr.isatty():
        from nattools.report.terminal import terminal_columns

        columns = terminal_columns(sys.stderr) - 3
        lines = [part for line in lines for part in wrap(line, columns)]
    sys.stderr.write(f"{lines[0]}\n" + "".join(f"  {line}\n" for line in lines[1:]))
    return failure.exit_code
