"""Parquet by DuckDB's reader: one query reads a file on every engine."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from streampro.formats.format import Format, LocalText
from streampro.formats.parquet.footers import footer_of, local_footers, on_disk
from streampro.formats.parquet.parts import parts_of, rows_of, session

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

    from streampro.modeling.source import Source

_REPEATED = 0.02
"""Share of the rows that are dealt out twice."""
_BATCH = 10_000


class Parquet(Format):
    """Rows with columns that have types."""

    name = "parquet"
    revision = 1
    may_be_empty = True  # its columns alone are a table
    grows = False
    is_whole = True

    def refused_type(self, kind: "dt.DataType") -> str | None:
        """See `Format.refused_type`: whatever a table may hold."""
        return None

    def secret_fields(self, source: "Source") -> tuple[str, ...]:
        """See `Format.secret_fields`: in whatever case, as where texts are masked; also those in
        whose type one stands.
        """
        secret = {key.casefold() for key in source.secret}
        keys = {
            name: {key.casefold() for key in (*path, *_names_in(source.kinds[name]))}
            for name, path in source.fields.items()
        }
        return tuple(name for name, among in keys.items() if secret & among)

    def local_text(
        self, source: "Source", raw: Path, paths: Sequence[Path], scratch: Path
    ) -> LocalText:
        """See `Format.local_text`: the rows are those that the footers tell."""
        by_file = {footer.name: footer.rows for footer in local_footers(raw, paths)}
        return LocalText(sum(by_file.values()), tuple(paths), by_file=by_file)

    def numbered(self, source: "Source", path: Path) -> Iterator[tuple[int, str]]:
        """See `Format.numbered`: by the row, the first is 1."""
        [part] = parts_of(source, [footer_of(str(path), *on_disk(path))], may_miss=True)
        query = part.query(rows_of([path]), "''")
        with session() as connection:
            found = connection.execute(f"SELECT raw_line FROM ({query})")
            number = 0
            while some := found.fetchmany(_BATCH):
                yield from ((number + n, text) for n, (text,) in enumerate(some, 1))
                number += len(some)

    def deal(self, source: "Source", path: Path, places: Sequence[Path], dice: Random) -> None:
        """See `Format.deal`."""
        import numpy as np
        import pyarrow.parquet as pq

        chance = np.random.default_rng(dice.randrange(2**32))
        file = pq.ParquetFile(path)
        writers = [pq.ParquetWriter(place, file.schema_arrow) for place in places]
        for batch in file.iter_batches(_BATCH):
            dealt = chance.integers(len(places), size=batch.num_rows)
            is_repeated = chance.random(batch.num_rows) < _REPEATED
            again = np.where(is_repeated, chance.integers(len(places), size=batch.num_rows), -1)
            for number, writer in enumerate(writers):
                writer.write_batch(batch.filter((dealt == number) | (again == number)))
        for writer in writers:
            writer.close()


PARQUET = Parquet()


def _names_in(kind: "dt.DataType") -> Iterator[str]:
    """Yield the names of the parts of structs in a type."""
    from streampro.expressions.types import parts_of

    yield from kind.fields if kind.is_struct() else ()
    for part in parts_of(kind):
        yield from _names_in(part)
