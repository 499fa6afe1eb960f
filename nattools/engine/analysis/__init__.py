"""From observations to findings and verdicts, one concept a file. Pure: no network, no clock.

Truth is three-valued throughout: a finding is a value, or unknown with what would settle it.
"""
