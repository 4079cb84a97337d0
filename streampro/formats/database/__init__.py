"""Tables of databases, read once a run: what is read lies in typed Parquet extracts."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from streampro import addresses
from streampro.formats.database import extracts
from streampro.formats.format import Format, LocalText, Placed, digest

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

    from streampro.modeling.source import Source
    from streampro.storage.place import FileStatus, Place


class Database(Format):
    """Rows of tables. `Source.files` names them by database and table, such as
    `crm/public.users`; the folder of a source is that of its extracts.
    """

    name = "database"
    revision = 1
    may_be_empty = True  # its columns alone are a table
    grows = False
    is_table = True
    is_database = True
    gone = "left the database"

    def own_columns(self, source: "Source") -> Mapping[str, str]:
        """See `Format.own_columns`."""
        return {"is_unreadable": "boolean"}

    def refused_type(self, kind: "dt.DataType") -> str | None:
        """See `Format.refused_type`."""
        from streampro.formats.database.values import refused_type

        return refused_type(kind)

    def wanted_file(self, file: str) -> str | None:
        """See `Format.wanted_file`."""
        return addresses.wanted_table(file)

    def wanted_path(self, name: str, path: Sequence[str]) -> str | None:
        """See `Format.wanted_path`."""
        return None if len(path) == 1 else f"the name of one column, such as ({name!r},)"

    def found(self, source: "Source", raw: "Place") -> "Sequence[FileStatus]":
        """See `Format.found`: what was extracted, or would be."""
        return extracts.listed(source, raw)

    def stored_as(self, source: "Source", path: str) -> str:
        """See `Format.stored_as`."""
        return extracts.stored_as(source.name, path)

    def patterns(self, source: "Source") -> Sequence[str]:
        """See `Format.patterns`: nothing of it is in the raw folder."""
        return ()

    def secret_fields(self, source: "Source") -> tuple[str, ...]:
        """See `Format.secret_fields`: in whatever case, as where texts are masked."""
        secret = {key.casefold() for key in source.secret}
        return tuple(
            n for n, path in source.fields.items() if secret & {n.casefold(), path[0].casefold()}
        )

    def local_text(
        self, source: "Source", raw: Path, paths: Sequence[Path], scratch: Path
    ) -> LocalText:
        """See `Format.local_text`: the rows are those that the footers tell."""
        by_file = extracts.rows_of(paths)
        return LocalText(sum(by_file.values()), tuple(paths), by_file=by_file)

    def numbered(self, source: "Source", path: Path) -> Iterator[tuple[int, str]]:
        """See `Format.numbered`: by the row in the order of the key, the first is 1."""
        yield from ((number, text) for number, text, _ in extracts.numbered(source, [path]))

    def placed(self, source: "Source", path: Path) -> Iterator[Placed]:
        """See `Format.placed`: those of the whole table, which is the file of its rows."""
        for number, text, row in extracts.numbered(source, extracts.in_table(path)):
            yield Placed(number, digest(text), text, row=row)

    def deal(self, source: "Source", path: Path, places: Sequence[Path], dice: Random) -> None:
        """See `Format.deal`, into folders of extracts: each holds more than the one before; of a
        table that is only added to, each holds the rows that come after those of the one before.
        """
        extracts.deal(source, path, places, dice)


DATABASE = Database()
