"""Relays tried: what each step towards a relayed byte took, the first that failed, and what a round trip
through it costs."""
