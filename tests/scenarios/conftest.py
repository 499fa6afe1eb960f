"""Scenarios that sleep for minutes begin with the session, and are asked for their result at its end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

_running: dict[str, subprocess.Popen[bytes]] = {}


def _is_sleeper(item: pytest.Item) -> bool:
    return item.get_closest_marker("sleeper") is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sleepers last."""
    items.sort(key=_is_sleeper)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin those that are going to be asked for."""
    if session.config.option.collectonly:
        return
    from conftest import why_no_namespaces

    if why_no_namespaces() is not None:
        return
    for item in session.items:
        if _is_sleeper(item):
            name = item.callspec.params["name"]  # type: ignore[attr-defined]
            command = [sys.executable, "-m", "nattools", "lab", "run", name, "--backend", "netns", "--json"]
            _running[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )


def pytest_sessionfinish() -> None:
    """Nobody stays behind."""
    for process in _running.values():
        if process.poll() is None:
            process.terminate()
            process.wait()


@pytest.fixture
def slept() -> Callable[[str], Any]:
    """The result of a sleeper, as `lab run --json` tells it."""

    def result(name: str) -> Any:
        out, _ = _running[name].communicate(timeout=900)
        return json.loads(out)

    return result
