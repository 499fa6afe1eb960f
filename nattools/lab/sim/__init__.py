"""The simulator: an internet in memory on a virtual clock."""
