"""What has changed from one report to another."""

from nattools.report.comparison.compare import compare
from nattools.report.comparison.page import comparison_json, comparison_page

__all__ = ["compare", "comparison_json", "comparison_page"]
