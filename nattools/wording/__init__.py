"""Sentences from statements: the one place where a finding becomes words.

Each area has a file with a table `SENTENCES` from code to template; `sentence` fills a template in.
"""

from __future__ import annotations

from nattools.wording.sentences import is_known, sentence, text_of

__all__ = ["is_known", "sentence", "text_of"]
