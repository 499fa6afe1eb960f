"""Events of a scenario, as its file has them."""

from __future__ import annotations


def event(**values: object) -> str:
    """A table of it."""
    lines = (f"{key} = {value!r}".replace("'", '"') for key, value in values.items())
    return "[[event]]\n" + "\n".join(lines) + "\n"
