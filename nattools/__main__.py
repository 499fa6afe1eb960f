"""The entry point. It answers `--version` before anything is imported that takes time."""

from __future__ import annotations

import sys

try:
    import gc

    from nattools.cli.display.standardstreams import prepare, settle_output
    from nattools.defects import DEFECT, DEFECTS, install, watch_tasks
except KeyboardInterrupt:  # within the first moments, before `main` can see to it
    sys.exit(130)

INTERRUPTED = 130
GARBAGE_AFTER = 100_000
"""Imports and measurements make many objects and little garbage, for which Python looks after 700 of them.
What runs for weeks has a threshold of its own."""


def main() -> int:
    """Run the command line; the exit code of the contract (0, 1, 2, 3, 70 or 130)."""
    install()
    try:
        prepare()
        code = _version() if sys.argv[1:] == ["--version"] else _run(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        code = DEFECTS.note(error, "at the start")
    gc.freeze()  # or the interpreter would look through all objects for garbage as it ends
    if code == INTERRUPTED:
        import signal

        # one more signal while the interpreter ends must not change the exit code
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):  # Windows has no SIGHUP
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        # nor may the one we know of: if it came while a text was executed, as when a class is made of one,
        # CPython would remember that, and end by the signal after all; the next text makes it forget
        exec("")
    return code or (DEFECT if DEFECTS.count else 0)


def _run(arguments: list[str]) -> int:
    gc.set_threshold(GARBAGE_AFTER)
    watch_tasks()
    try:
        from nattools.cli.app import run
    except KeyboardInterrupt:
        _tell_interruption(arguments)
        return INTERRUPTED
    return run(arguments)


def _tell_interruption(arguments: list[str]) -> None:
    """A program that reads events waits for one that is the last; a person knows what he did."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from nattools.cli.display.plainevents import last_event, wants_events

    if wants_events(arguments):
        last_event(INTERRUPTED, "interrupted")


def _version() -> int:
    from nattools import __version__
    from nattools.errors import CannotRun

    try:
        sys.stdout.write(f"nattools {__version__}\n")
        sys.stdout.flush()
    except CannotRun as error:
        sys.stderr.write(f"nattools: {error}\n")
        return error.exit_code
    finally:
        settle_output()
    return 0


if __name__ == "__main__":
    sys.exit(main())
