"""Delta tables: the Parquet files of the newest version, as the log tells them, or of the version
that the newest run of a StreamPro warehouse has.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from streampro.formats.parquet import Parquet
from streampro.names import ledger_of

if TYPE_CHECKING:
    from streampro.modeling.source import Source
    from streampro.storage.place import FileStatus, Place

_LOG = ("*", "_last_checkpoint", "_sidecars/*")


class Delta(Parquet):
    """Rows of a table. A version that only adds files is read by these; one that takes some away
    is another table.
    """

    name = "delta"
    is_table = True
    gone = "left the table"

    def found(self, source: "Source", raw: "Place") -> "Sequence[FileStatus]":
        """See `Format.found`: those of each table that `files` names."""
        columns = {path[0]: name for name, path in source.fields.items()}
        return [file for table in source.files for file in raw.data_files(table, columns)]

    def logs(self, source: "Source") -> Sequence[str]:
        """See `Format.logs`."""
        tables = [*source.files, *filter(None, map(ledger_of, source.files))]
        logs = [f"{table}/_delta_log/{each}" for table in tables for each in _LOG]
        return [*logs, *(f"{table}/*.parquet" for table in tables[len(source.files) :])]

    def patterns(self, source: "Source") -> Sequence[str]:
        """See `Format.patterns`: older files lie beside those of the newest version, and beside
        all of them the log and Hadoop's checksums, whose names are hidden.
        """
        below = [f"{folder}**/{sign}*" for folder in ("", "_*/") for sign in ("", "_", ".")]
        return [f"{table}/{each}" for table in source.files for each in below]


DELTA = Delta()
