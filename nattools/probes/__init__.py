"""Probes: one question to the network a file. They record observations and judge nothing."""
