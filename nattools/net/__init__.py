"""The seam between nattools and a network: the machine's own, a namespace's, or the simulator's."""
