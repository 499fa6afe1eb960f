"""The table of reports, in DuckDB (the extra `nattools[fleet]`): in a file of its own, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nattools.errors import CannotRun, how_to_install
from nattools.report.fleet.fleetrow import COLUMNS

_MEMORY = "384MB"


class FleetStore:
    """Rows come in as files of JSON lines. `folder` is for such files and goes with the store."""

    def __init__(self, database: Any, folder: Path) -> None:
        self.folder = folder
        self._database = database
        columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
        database.execute(f"CREATE TABLE rows ({columns})")

    def take(self, file: Path) -> None:
        """Rows of a file, which is then removed."""
        columns = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items()) + "}"
        self._database.execute(
            f"INSERT INTO rows SELECT * FROM read_json(?, format='newline_delimited', columns={columns})",
            [str(file)],
        )
        file.unlink()

    def settle(self) -> int:
        """All are in: each counts once. How many were the same as another one."""
        before = self.rows("SELECT COUNT(*) FROM rows")[0][0]
        self._database.execute(
            "CREATE TABLE reports AS SELECT * FROM rows "
            "QUALIFY ROW_NUMBER() OVER (PARTITION BY digest ORDER BY file) = 1"
        )
        self._database.execute("DROP TABLE rows")
        return int(before - self.rows("SELECT COUNT(*) FROM reports")[0][0])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query answers."""
        found: list[tuple[Any, ...]] = self._database.execute(query).fetchall()
        return found

    def write_parquet(self, file: Path) -> None:
        """The table, without the names of files."""
        columns = ", ".join(f'"{name}"' for name in COLUMNS if name not in ("file", "digest"))
        target = str(file).replace("'", "''")
        self._database.execute(
            f"COPY (SELECT {columns} FROM reports ORDER BY started) TO '{target}' "
            "(FORMAT parquet, COMPRESSION zstd)"
        )


@contextmanager
def open_store() -> Iterator[FleetStore]:
    """A new one, which is gone afterwards. CannotRun: DuckDB is not installed."""
    try:
        import duckdb
    except ImportError:
        raise CannotRun("merging reports needs DuckDB", how_to_install("duckdb")) from None
    with TemporaryDirectory(prefix="nattools-merge-") as folder:
        database = duckdb.connect(str(Path(folder, "reports.duckdb")))
        try:
            database.execute(f"SET memory_limit = '{_MEMORY}'")
            database.execute("SET threads = 2")
            database.execute("SET preserve_insertion_order = false")
            yield FleetStore(database, Path(folder))
        finally:
            database.close()
