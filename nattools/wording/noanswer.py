"""What it means, and what to do, when a router gives no error code: its silence, and a yes without effect."""

from __future__ import annotations

from nattools.model.portmapping import PortMappingError

_NO_ANSWER = {
    "timeout": (
        "no answer",
        "The router did not answer the request.",
        "Ask again; if it stays silent, restart the router or try another protocol.",
    ),
    "unreachable": (
        "not reachable",
        "The router could not be asked.",
        "Check the connection to the router.",
    ),
    "malformed": (
        "malformed answer",
        "The router sent an invalid answer.",
        "Look for newer firmware of the router, or try another protocol.",
    ),
    "not removed": (
        "not removed",
        "It could not be removed.",
        "Remove it in the router's own list of mappings, or restart the router.",
    ),
    "not asked": ("not asked", "It was not asked.", ""),
    "not listed": (
        "not in its table",
        "The router said yes, but its table does not have the mapping, and nothing came through it.",
        "Delete what nobody needs from the router's list of mappings, or restart the router.",
    ),
    "no lifetime": (
        "lifetime of 0 s",
        "The router said yes, but to a lifetime of 0 s, and nothing came through the mapping.",
        "Look for newer firmware of the router, or try another protocol.",
    ),
}


def no_answer(outcome: str, detail: str = "") -> PortMappingError:
    """What the outcome of a request means to which the router gave no code."""
    name, meaning, advice = _NO_ANSWER.get(outcome, ("refused", "The router refused.", ""))
    if detail:
        meaning = f"{meaning} ({detail})"
    return PortMappingError(code=None, name=name, meaning=meaning, advice=advice)
