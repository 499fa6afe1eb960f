"""One strategy per file. Each is `async (network, meeting, part) -> Outcome`: it does this side's part of a
step, from the agreed moment on, and ends when connected or when the part is done and the peer's may be."""
