"""Trials in a lab: scenarios held to their expectations, and pairs of networks connected."""
