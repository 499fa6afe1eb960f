"""The sections of a report: one file for each family, each a function from a report to sections."""
