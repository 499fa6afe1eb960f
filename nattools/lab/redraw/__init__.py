"""A network drawn from a report of it: a scenario that gives the same report."""

from nattools.lab.redraw.redraw import redrawn

__all__ = ["redrawn"]
