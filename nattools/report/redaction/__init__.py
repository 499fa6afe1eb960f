"""Reports without what tells who sent them: pseudonyms in place of addresses, names and tokens."""

from nattools.report.redaction.redact import Redaction, redacted

__all__ = ["Redaction", "redacted"]
