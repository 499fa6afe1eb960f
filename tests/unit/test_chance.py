"""A simulated run can be repeated exactly; everywhere else nobody can guess what is drawn."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

import nattools
from nattools.chance import chance, drawn_from, random_bytes

SOURCES = Path(nattools.__file__).parent
OWN_CHANCE = {
    "chance.py",
    "engine/portmap/journal.py",
    "net/system/hosticmp.py",  # real sockets
    "traversal/links/tlslink.py",  # the password of a file that lives for a moment
    "traversal/tunnel/measure.py",  # what cannot be made smaller
}
"""Modules that ask the system although they may run in a simulation: nothing of it can be seen there."""
DRAWN = re.compile(
    r"os\.urandom|\bsecrets\.|SystemRandom|\brandom\.(random|uniform|rand\w+|choice|sample|shuffle)\b"
)


def report(hash_seed: int, *arguments: str) -> Any:
    """What a command says, by a Python that orders its sets in its own way."""
    command = [sys.executable, "-m", "nattools", *arguments, "--json"]
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    said = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    del said["started"]  # the time of the day
    return said


@pytest.mark.parametrize(
    "arguments",
    [
        ("diagnose", "--lab", "symmetric-random", "--seed", "7"),
        ("punch", "--lab", "two-homes", "--seed", "7"),
        ("punch", "--manual", "--lab", "two-homes", "--seed", "7"),
        ("map", "add", "8080", "--lab", "mapping-all", "--seed", "7"),
    ],
)
def test_a_seed_repeats_a_simulated_run_exactly(arguments: tuple[str, ...]) -> None:
    first = report(1, *arguments)
    assert first["seed"] == 7
    assert report(2, *arguments) == first


def test_another_seed_is_another_run() -> None:
    arguments = ("diagnose", "--lab", "symmetric-random", "--seed")
    assert report(1, *arguments, "1")["observations"] != report(1, *arguments, "2")["observations"]


def test_outside_of_a_simulation_nothing_follows_from_a_seed() -> None:
    with drawn_from(Random(1)):
        inside = random_bytes(16), chance().random()
    with drawn_from(Random(1)):
        assert (random_bytes(16), chance().random()) == inside
    assert random_bytes(16) != random_bytes(16)
    assert chance().random() != Random(1).random()


def test_whoever_draws_can_be_repeated() -> None:
    own = {
        str(path.relative_to(SOURCES))
        for path in SOURCES.rglob("*.py")
        if DRAWN.search(path.read_text(encoding="utf-8"))
    }
    assert own <= OWN_CHANCE
