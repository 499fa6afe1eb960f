"""DERP servers: their map, how far away they are, and a path through one."""
