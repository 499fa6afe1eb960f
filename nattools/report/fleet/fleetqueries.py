"""What is asked of the table, in SQL that any engine understands that reads Parquet."""

from __future__ import annotations

from nattools.model.report import TECHNIQUE_IDS
from nattools.report.fleet.fleetsummary import Grouping

TOTALS = "SELECT COUNT(*), MIN(started), MAX(started) FROM reports"
REACHABLE = "SELECT reachable, COUNT(*) FROM reports GROUP BY reachable ORDER BY 2 DESC, 1"
TECHNIQUES = " UNION ALL ".join(
    f"""SELECT '{name}' AS technique, "{name}" AS verdict, COUNT(*) AS many FROM reports GROUP BY "{name}\""""
    for name in TECHNIQUE_IDS
)
"""A row for each technique and verdict."""
ENDS = "SELECT ends, COUNT(*) AS many FROM reports GROUP BY ends ORDER BY many DESC, ends LIMIT {most}"
QUARTILES = (
    "SELECT quantile_cont({what}, 0.25), quantile_cont({what}, 0.75) FROM reports WHERE {what} IS NOT NULL"
)
OUTLIERS = "SELECT file, {what} FROM reports WHERE {what} > {bound!r} ORDER BY {what} DESC, file LIMIT {most}"
DIRECT = ("directly", "by punching", "over tcp only")
"""What a report says of its machine that needs no relay."""


def by(column: Grouping, most: int) -> str:
    """A row for each group, the largest first: its name, how many reports, how many are reached without a
    relay, of how many that is known, and for each technique how often it works and how often it fails."""
    direct = ", ".join(f"'{each}'" for each in DIRECT)
    counts = ", ".join(
        f"""SUM(CASE WHEN "{name}" = '{verdict}' THEN 1 ELSE 0 END)"""
        for name in TECHNIQUE_IDS
        for verdict in ("works", "fails")
    )
    return (
        f"SELECT {column}, COUNT(*) AS many, SUM(CASE WHEN reachable IN ({direct}) THEN 1 ELSE 0 END), "
        f"SUM(CASE WHEN reachable IN ({direct}, 'by relay only') THEN 1 ELSE 0 END), {counts} "
        f"FROM reports GROUP BY {column} ORDER BY many DESC, {column} LIMIT {most}"
    )
