"""Many reports as one: which technique works for which share of them."""

from nattools.report.fleet.fleetsummary import Fleet
from nattools.report.fleet.merging import merged

__all__ = ["Fleet", "merged"]
