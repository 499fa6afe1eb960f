"""`nattools lab`: scenarios to look at, to measure in, and to run any program in."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nattools.cli.app import new_app
from nattools.cli.display.outputs import show, write_files, write_json, write_out
from nattools.cli.labprograms import run_inside
from nattools.cli.options import completion, sharedoptions
from nattools.errors import CannotRun, UsageError
from nattools.lab.backend import Backend
from nattools.report.safetext import safe, wrap

if TYPE_CHECKING:
    from nattools.model.punch import Punch
    from nattools.report.document import Detail
    from nattools.trials.pairs import PairMatrix
    from nattools.trials.scenarios import Case, Trial

ScenarioName = Annotated[
    str,
    typer.Argument(
        metavar="SCENARIO", help="A name (see list), or a .toml file.", autocompletion=completion.scenarios
    ),
]
HostName = Annotated[
    str, typer.Argument(metavar="HOST", help="The host to run on.", autocompletion=completion.hosts)
]
AnyHost = Annotated[
    str | None,
    typer.Argument(
        metavar="[HOST]",
        help="The host to run on (default: the first).",
        autocompletion=completion.hosts,
        show_default=False,
    ),
]
Words = Annotated[
    list[str] | None, typer.Argument(metavar="[WORD...]", help="Only those that have all these words.")
]
Command = Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The program and its arguments.")]
OneHost = Annotated[
    str | None,
    typer.Option(
        "--host",
        metavar="HOST",
        help="Only this host (default: all with expectations).",
        autocompletion=completion.hosts,
    ),
]
Backends = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        metavar="sim|netns",
        help="What to build them on (default: sim). Repeatable.",
        autocompletion=completion.one_of(*sharedoptions.BACKENDS),
    ),
]
Scenarios = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SCENARIO...|KIND...]",
        help="Default: all; with --pairs, the nine kinds of network.",
        autocompletion=completion.scenarios,
    ),
]
Pairs = Annotated[
    bool, typer.Option("--pairs", help="Connect every pair of kinds of networks, as nattools punch does.")
]
Relay = Annotated[
    bool, typer.Option("--relay", help="With --pairs: let the server where they meet relay, too.")
]
Repeat = Annotated[int, typer.Option("--repeat", metavar="N", min=1, max=1000, help="Try each N times.")]
Jobs = Annotated[int, typer.Option("--jobs", metavar="N", min=1, max=64, help="Run N at a time.")]

lab_app = new_app(no_args_is_help=True, help="Test networks, simulated or in network namespaces.")


@lab_app.command("list")
def list_scenarios(words: Words = None, as_json: sharedoptions.Json = False) -> int:
    """The scenarios that come with nattools."""
    from nattools.cli.display import lablist

    scenarios = lablist.found(words or ())
    if as_json:
        rows = [{"name": s.name, "title": s.title, "hosts": list(s.host)} for s in scenarios]
        write_json({"scenarios": rows})
    else:
        write_out(lablist.listing(scenarios))
    return 0


@lab_app.command("show")
def show_scenario(scenario: ScenarioName, as_json: sharedoptions.Json = False) -> int:
    """What a scenario draws."""
    from nattools.cli.display import lablist
    from nattools.lab.scenariofiles import load

    drawn = load(scenario)
    if as_json:
        write_json(drawn)
    else:
        write_out(lablist.shown(drawn))
    return 0


PlayEvents = Annotated[
    bool,
    typer.Option(
        "--events", help="Do not measure: play the scenario's events and print what machines see of them."
    ),
]


@lab_app.command("run")
def run_scenario(
    scenario: ScenarioName,
    host: OneHost = None,
    backend: sharedoptions.BackendOption = None,
    seed: sharedoptions.Seed = None,
    output: sharedoptions.Output = None,
    as_json: sharedoptions.Json = False,
    pcap: sharedoptions.Pcap = None,
    events: PlayEvents = False,
    verbose: sharedoptions.Verbose = 0,
) -> int:
    """Diagnose inside a scenario and compare with what it expects: exit code 1 if anything differs."""
    from nattools.lab.backend import find_host
    from nattools.lab.scenariofiles import load
    from nattools.trials.scenarios import Case, cases_of

    drawn = load(scenario)
    [chosen] = _backends([backend] if backend else None)
    if events:
        if host or output or pcap:
            raise UsageError("--events measures nothing: --host, -o and --pcap are for a measurement")
        from nattools.cli.display.labevents import play_events

        play_events(drawn, chosen, seed, as_json=as_json)
        return 0
    named = None if host is None else Case(scenario, find_host(drawn, host), chosen, seed)
    cases = [named] if named else cases_of(scenario, chosen, seed)
    files = sharedoptions.checked_files(output, pcap)
    if len(cases) > 1 and (files or pcap):
        raise UsageError(f"-o and --pcap hold one report: name one --host of {', '.join(drawn.host)}")
    trials = [_tried(case, pcap) for case in cases]
    broken = next((trial for trial in trials if trial.report is None), None)
    if broken is not None:
        raise CannotRun(broken.problem)
    if as_json:
        answers = [trial.answer(with_report=True) for trial in trials]
        write_json({"scenario": drawn.name, "backend": chosen, "hosts": answers})
    else:
        for trial in trials if verbose else ():
            if trial.report is not None:
                show(trial.report, as_json=False, detail=sharedoptions.detail_of(verbose))
        write_out(f"{safe(drawn.title)}  ({chosen})\n" + "".join(map(_paragraph, trials)))
    for trial in trials:
        if trial.report is not None:
            write_files(trial.report, files, sharedoptions.detail_of(verbose))
    return 0 if all(trial.met for trial in trials) else 1


@lab_app.command("matrix")
def run_matrix(
    scenarios: Scenarios = None,
    backend: Backends = None,
    repeat: Repeat = 1,
    jobs: Jobs = 1,
    seed: sharedoptions.Seed = None,
    pairs: Pairs = False,
    relay: Relay = False,
    no_low_ports: sharedoptions.NoLowPorts = False,
    output: sharedoptions.Output = None,
    as_json: sharedoptions.Json = False,
    verbose: sharedoptions.Verbose = 0,
) -> int:
    """Run scenarios on each backend and compare with what they expect: exit code 1 if anything differs.

    With --pairs, print which kinds of network connect to which, how and how fast: exit code 1 if a pair that
    should connect did not, or went over the relay although a direct way was planned.
    """
    if pairs:
        from nattools.lab.natkinds import MATRIX_KINDS
        from nattools.trials.pairs import PairMatrix, PairOptions

        terms = PairOptions(low_ports=False if no_low_ports else None, relay=relay)
        kinds = PairMatrix(
            scenarios or list(MATRIX_KINDS), _backend(backend), repeat=repeat, seed=seed, terms=terms
        )
        files = sharedoptions.checked_files(output, None)
        return _pair_matrix(kinds, jobs, files, as_json, sharedoptions.detail_of(verbose))
    if output or no_low_ports or relay:
        raise UsageError("-o, --relay and --no-low-ports go with --pairs")
    from nattools.trials.scenarios import ScenarioMatrix

    matrix = ScenarioMatrix(scenarios or None, _backends(backend), repeat, seed)
    trials = matrix.run(jobs, lambda done, total: _count(done, total))
    if as_json:
        write_json({"trials": [trial.answer(with_report=False) for trial in trials]})
    else:
        write_out(matrix.table(trials))
    if any(trial.problem for trial in trials):
        return CannotRun.exit_code
    return 0 if all(trial.met for trial in trials) else 1


def _pair_matrix(
    matrix: PairMatrix, jobs: int, files: tuple[Path, ...], as_json: bool, detail: Detail
) -> int:
    report = matrix.report(jobs, _count)
    show(report, as_json=as_json, detail=detail)
    write_files(report, files, detail)
    assert report.matrix is not None
    return 0 if all(each.as_planned == each.runs for each in report.matrix.pairs) else 1


@lab_app.command("exec", context_settings={"allow_interspersed_args": False})
def run_program(
    scenario: ScenarioName, host: HostName, command: Command, seed: sharedoptions.Seed = None
) -> int:
    """Run any program on a host of a scenario, in network namespaces; its exit code becomes this one's.
    Without a HOST before the dashes, it is the first one.

    The scenario's servers run meanwhile; NATTOOLS_SERVER names them for nattools itself.
    """
    program = command[1:] if command[0] == "--" else command
    if not program:
        raise UsageError("no program to run: nattools lab exec SCENARIO HOST -- COMMAND...")
    return run_inside(scenario, None if host == "--" else host, program, seed)


@lab_app.command("shell")
def run_shell(scenario: ScenarioName, host: AnyHost = None, seed: sharedoptions.Seed = None) -> int:
    """A shell on a host of a scenario (the first, if none is named), in network namespaces."""
    from nattools.lab.backend import find_host
    from nattools.lab.scenariofiles import load

    host = find_host(load(scenario), host)
    where = f"{host}@{Path(scenario).stem}"
    greeting = f"A shell on {where}; exit ends it."
    with _prompting(where) as (command, environment):
        return run_inside(scenario, host, command, seed, environment, greeting)


@contextmanager
def _prompting(where: str) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The user's shell, with a prompt that names the host. bash reads its prompt from a file."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    prompt = f"({where}) $ "
    if Path(shell).name != "bash":
        yield [shell], {"PS1": prompt}
        return
    with tempfile.NamedTemporaryFile("w", prefix="nattools-", suffix=".bashrc") as file:
        file.write(f'[ -f ~/.bashrc ] && . ~/.bashrc\nPS1="({where}) $PS1"\n')
        file.flush()
        yield [shell, "--rcfile", file.name, "-i"], {}


def _backends(given: list[str] | None) -> list[Backend]:
    for name in given or []:
        sharedoptions.check_choice("--backend", name, sharedoptions.BACKENDS)
    return [name for name in sharedoptions.BACKENDS if name in given] if given else ["sim"]


def _backend(given: list[str] | None) -> Backend:
    backends = _backends(given)
    if len(backends) > 1:
        raise UsageError("--pairs makes one table: name one --backend")
    return backends[0]


def _tried(case: Case, pcap: Path | None) -> Trial:
    from nattools.cli.display.progress import ProgressLine
    from nattools.cli.running import captured
    from nattools.trials.scenarios import run_trial

    progress = ProgressLine(sys.stderr, waiting=case.backend != "sim")
    try:
        return run_trial(case, progress, lambda network: captured(network, pcap))
    finally:
        progress.close()


def _count(done: int, total: int) -> None:
    """How far a matrix is, on a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done} of {total} done" if done < total else "\r\x1b[K")
        sys.stderr.flush()


def _paragraph(trial: Trial) -> str:
    """A host's result: what was found, then whether that is what the scenario says."""
    report = trial.report
    if report is None:
        return _fitted([f"  {trial.case.subject}: could not run: {safe(trial.problem)}"])
    lines = [f"  {trial.case.subject}: {_found(trial)}"]
    if trial.wrong:
        lines += [f"    NOT as expected: {safe(sentence)}" for sentence in trial.wrong]
    else:
        lines.append("    as expected")
    return _fitted(lines)


def _fitted(lines: list[str]) -> str:
    """On a terminal broken at spaces, and going on 2 columns further in than each begins."""
    from nattools.report.terminal import terminal_columns

    columns = terminal_columns(sys.stdout) if sys.stdout.isatty() else sys.maxsize
    fitted = []
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        first, *more = wrap(line, columns - indent - 2)
        fitted += [f"{'':{indent}}{first}", *(f"{'':{indent + 2}}{one}" for one in more)]
    return "".join(f"{line}\n" for line in fitted)


def _found(trial: Trial) -> str:
    """The findings in one line."""
    report = trial.report
    if report is not None and report.punch is not None:
        return _way_of(report.punch)
    nat = None if report is None else report.nat.udp4 or report.nat.udp6
    if report is not None and report.command == "ipv6" and report.ipv6 is not None:
        from nattools.report.sections.ipv6 import headline as ipv6_headline
        from nattools.wording import sentence

        return f"{sentence(ipv6_headline(report.ipv6))} {safe(report.ipv6.code, 40)}"
    if report is None or nat is None:
        return "nothing measured"
    if not nat.present:
        return f"{nat.classic}, filtering {nat.filtering}"
    outside = f" as {', '.join(nat.external)}" if nat.external else ""
    return f"{nat.classic}{outside}: mapping {nat.mapping}, filtering {nat.filtering}"


def _way_of(punch: Punch) -> str:
    from nattools.report.sections.punch import headline

    return headline(punch) if punch.connected else f"{headline(punch)} {safe(punch.why)}"
