"""Routers that make port mappings, correctly or with the faults that real ones have.

They run over any `net.base.Network`, the simulator's included. Who checks what a scenario says of one needs
`routerbehaviour` alone, so nothing is imported with the package.
"""
