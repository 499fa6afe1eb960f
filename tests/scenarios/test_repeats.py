"""The same seed gives the same report, in whichever process: a Python that orders its sets in another way
says the same of every scenario, and so does every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

TRIALS = Path(__file__).parents[1] / "trialreports.py"
LIMIT_S = 600


def said(hash_seed: int, command: tuple[str, ...]) -> bytes:
    """What it says, by a Python that orders its sets in its own way."""
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    whole = [sys.executable, *command]
    return subprocess.run(whole, env=environment, stdout=subprocess.PIPE, timeout=LIMIT_S).stdout


def twice(*command: str) -> list[bytes]:
    """In two processes, side by side."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda hash_seed: said(hash_seed, command), (1, 2)))


def test_every_scenario_is_repeated() -> None:
    first, second = (text.splitlines() for text in twice(str(TRIALS)))
    assert len(first) == len(second) >= 200
    for one, other in zip(first, second, strict=True):
        if one != other:
            assert json.loads(one) == json.loads(other)


@pytest.mark.parametrize(
    "arguments",
    [
        ("diagnose", "--lab", "symmetric-random", "--lifetime"),
        ("nat", "--lab", "lossy"),
        ("ipv6", "--lab", "ipv6-prohibiting"),
        ("map", "probe", "--lab", "mapping-all"),
        ("map", "add", "8080", "--lab", "mapping-all"),
        ("map", "list", "--lab", "mapping-all"),
        ("punch", "--lab", "two-homes"),
        ("punch", "--lab", "punch-only-443-derp"),
        ("punch", "--manual", "--lab", "two-homes"),
        ("punch", "--tcp-only", "--lab", "two-homes"),
        ("punch", "--lab", "punch-two-random"),
        ("pwnat", "listen", "--lab", "pwnat-listeners"),
        ("pwnat", "connect", "--lab", "pwnat-callers"),
        ("pwnat", "test", "--lab", "two-homes"),
        ("relay", "--lab", "relay-near"),
        ("libp2p", "--lab", "libp2p-symmetric"),
        ("lan", "--lab", "lan-open"),
        ("tailscale", "--lab", "tailnet"),
        ("lab", "run", "two-homes"),
    ],
    ids=" ".join,
)
def test_every_command_is_repeated(arguments: tuple[str, ...]) -> None:
    first, second = map(json.loads, twice("-m", "nattools", *arguments, "--seed", "7", "--json"))
    without_time(first)
    without_time(second)
    assert first == second


def without_time(part: Any) -> None:
    """The time of the day is another one."""
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        without_time(each)
    if isinstance(part, dict):
        part.pop("started", None)
