"""The entry point. It answers `--version` before anything is imported that takes time."""

from __future__ import annotations

import gc
import sys

_GARBAGE_AFTER = 10_000
"""Imports and measurements make many objects and little garbage: Python's 700 is looked through too often."""


def main() -> int:
    """Run the command line; the exit code of the contract (0, 1, 2, 3 or 130)."""
    arguments = sys.argv[1:]
    try:
        if arguments == ["--version"]:
            return _version()
        gc.set_threshold(_GARBAGE_AFTER)
        from nattools.cli.app import run

        code = run(arguments)
    except KeyboardInterrupt:
        code = 130
    gc.freeze()  # or the interpreter would look through all objects for garbage as it ends
    if code == 130:
        import signal

        # one more Ctrl-C while the interpreter ends must not change the exit code
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # nor may the one we know of: if it came while a text was executed, as when a class is made of one,
        # CPython would remember that, and end by the signal after all; the next text makes it forget
        exec("")
    return code


def _version() -> int:
    from nattools import __version__

    try:
        sys.stdout.write(f"nattools {__version__}\n")
        sys.stdout.flush()
    except OSError:
        # The reader went away; what is still buffered must not be tried again at exit.
        sys.stdout = None
    return 0


if __name__ == "__main__":
    sys.exit(main())
