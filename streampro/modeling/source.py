"""What is read: raw files of one kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import ibis

from streampro.errors import PipelineError

RAW_COLUMNS = ("raw_line", "source_file")


@dataclass(frozen=True)
class Source:
    """Raw files of one kind, read as text: one row per line (or CSV record) that is not blank.

    The table that a transform receives has a nullable string column per field, `raw_line`,
    `source_file` (relative to the raw folder) and, for JSON, the boolean `is_object`.

    Args:
        name: the parameter name under which transforms ask for it.
        files: glob patterns below the raw folder; at least one file must match. Names that begin
            with `_` or `.` are passed over.
        format: `json_lines` (also gzipped) or `csv` (with a header row).
        fields: the columns. For JSON a mapping to the path of the value, outermost key first;
            a field that stands in two places is two columns.
        secret: JSON keys, or columns of CSV (read or not), whose values no table may hold: models
            may let them decide (filter, join or group by them, ask for them in a case), and in
            the text of rejected lines they are masked. `streampro check` and every run refuse
            models that would store them.
    """

    name: str
    files: tuple[str, ...]
    format: Literal["json_lines", "csv"]
    fields: Mapping[str, tuple[str, ...]]
    secret: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if taken := {*self.fields} & {*RAW_COLUMNS, "is_object", "is_invalid_utf8"}:
            raise PipelineError(
                f"source {self.name!r} has a field {min(taken)!r}, a name that StreamPro gives."
            )
        if isinstance(self.secret, str):
            raise PipelineError(
                f"source {self.name!r}: secret is a text, but must be a tuple: ({self.secret!r},)."
            )

    @property
    def schema(self) -> ibis.Schema:
        """Columns and types of the table that a transform receives."""
        columns = dict.fromkeys((*self.fields, *RAW_COLUMNS), "string")
        return ibis.schema(
            columns | ({"is_object": "boolean"} if self.format == "json_lines" else {})
        )

    @property
    def secret_fields(self) -> tuple[str, ...]:
        """The fields that are read from a secret key or column, or from within one.

        The case of JSON keys does not matter, as where they are masked.
        """
        if self.format == "csv":
            return tuple(name for name in self.fields if name in self.secret)
        secret = {key.casefold() for key in self.secret}
        paths = self.fields.items()
        return tuple(name for name, path in paths if secret & {key.casefold() for key in path})
