"""What codes mean beyond their sentences: how it was found, and what to do, by product where that differs."""

from __future__ import annotations

from nattools.wording.explanations.lookup import (
    TOPICS,
    Explanation,
    all_codes,
    explain,
    near_codes,
    topic_of,
)

__all__ = ["TOPICS", "Explanation", "all_codes", "explain", "near_codes", "topic_of"]
