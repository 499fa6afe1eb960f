"""Verdicts: which techniques work here, and with whom."""
