"""Hypothesis strategies for saved reports that somebody has tampered with."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from report_samples import home_router, punched

from nattools.report.savedreport import render_json

SAMPLES = tuple(render_json(report()).encode() for report in (home_router, punched))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A sample with one value somewhere in its tree replaced."""
    document = json.loads(draw(st.sampled_from(SAMPLES)))
    place: Any = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or draw(st.integers(0, 4)) == 0:
            break
        place = place[key]
    kept = isinstance(place[key], int | float) and not isinstance(place[key], bool)
    numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    place[key] = draw(numbers if kept else VALUES | st.text())
    return json.dumps(document).encode()
