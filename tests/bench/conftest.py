"""Programs are measured as they are installed: with compiled modules (PYTHONDONTWRITEBYTECODE or not)."""

from __future__ import annotations

import compileall
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Without them each start would compile some 100 ms worth of source text."""
    assert compileall.compile_dir(Path(__file__).parents[2] / "nattools", quiet=1)
