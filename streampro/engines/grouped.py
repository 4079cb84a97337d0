"""A user's Python function at work: rows of one key in, rows of that key out, as Arrow.

It runs in this process or in Spark's Python workers.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streampro.errors import PipelineError, blamed

_TRIED_TWICE = 3
"""Keys of a part whose rows are computed twice."""
_BATCH_ROWS = 50_000
"""That are handed on together: a file has a block for each batch."""


def grouped(
    batches: Iterable[pa.RecordBatch],
    by: str,
    function: Callable[..., Any],
    frame: str,
    given: pa.Schema,
    made: pa.Schema,
    is_sorted: bool,
) -> Iterator[pa.RecordBatch]:
    """Yield what a function makes of the rows of each key.

    Args:
        batches: rows in which those of a key stand together.
        by: the column of the key.
        function: takes a table and returns one of Arrow, pandas or polars.
        frame: of which of these it takes one.
        given: columns and types of the rows.
        made: those of what is returned.
        is_sorted: whether the rows of a key are; else they are sorted here, by what they show.

    Raises `PipelineError` for what the function raises, for rows that do not fit, that are of
    another key, or that differ when they are computed again.
    """
    name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"

    def computed(rows: pa.Table, key: Any) -> pa.Table:
        with blamed(f"model {name}", function):
            found = _fitting(_arrow(function(_given(rows, frame))), made)
            if found.column(by).unique().to_pylist() not in ([], [key]):
                raise PipelineError(f"of the rows of one {by} it makes rows of another.")
            return found

    held, rows_held = [], 0
    for number, (key, rows) in enumerate(_of_each_key(batches, by, given)):
        rows = rows if is_sorted else _sorted(rows)
        found = computed(rows, key)
        if number < _TRIED_TWICE and not found.equals(computed(rows, key)):
            with blamed(f"model {name}", function):
                raise PipelineError("of the same rows it made others when it was called again.")
        held.append(found)
        rows_held += len(found)
        if rows_held >= _BATCH_ROWS:
            yield from pa.concat_tables(held).combine_chunks().to_batches()
            held, rows_held = [], 0
    if rows_held:
        yield from pa.concat_tables(held).combine_chunks().to_batches()


def _of_each_key(
    batches: Iterable[pa.RecordBatch], by: str, schema: pa.Schema
) -> Iterator[tuple[Any, pa.Table]]:
    held: list[pa.RecordBatch] = []
    last: Any = None
    for batch in batches:
        batch = batch.select(schema.names).cast(schema)
        runs = pc.run_end_encode(batch.column(schema.get_field_index(by)))
        start = 0
        for end, key in zip(runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True):
            if held and key != last:
                yield last, pa.Table.from_batches(held, schema)
                held = []
            held.append(batch.slice(start, end - start))
            start, last = end, key
    if held:
        yield last, pa.Table.from_batches(held, schema)


def _sorted(rows: pa.Table) -> pa.Table:
    shown = [repr(row) for row in rows.to_pylist()]
    return rows.take(sorted(range(len(shown)), key=shown.__getitem__))


def _given(rows: pa.Table, frame: str) -> Any:
    if frame == "pandas":
        import pandas as pd

        return rows.to_pandas(types_mapper=pd.ArrowDtype)
    if frame == "polars":
        import polars as pl

        return pl.from_arrow(rows)
    return rows


def _arrow(found: Any) -> pa.Table:
    if isinstance(found, pa.Table):
        return found
    if isinstance(found, pa.RecordBatch):
        return pa.Table.from_batches([found])
    kind = type(found).__module__.partition(".")[0]
    if kind == "polars":
        return found.to_arrow()
    if kind == "pandas":
        return pa.Table.from_pandas(found, preserve_index=False)
    raise PipelineError(
        f"it returns {type(found).__name__}, but must return a table of Arrow, pandas or polars."
    )


def _fitting(found: pa.Table, made: pa.Schema) -> pa.Table:
    """Return rows with the columns and types of a contract; what would lose a value is refused."""
    if {*found.column_names} != {*made.names} or len(found.column_names) != len(made.names):
        raise PipelineError(
            f"it returns the columns {', '.join(found.column_names)}; its contract says "
            f"{', '.join(made.names)}."
        )
    return pa.table([_cast(found.column(field.name), field) for field in made], schema=made)


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """Return values of the type of a column, NaN as null. Raises `PipelineError` where one would
    become another, or where an instant has no time zone.
    """
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    kind, wanted = column.type, field.type
    is_instant = pa.types.is_timestamp(wanted)
    try:
        if is_instant and not (pa.types.is_null(kind) or getattr(kind, "tz", None)):
            raise pa.ArrowInvalid("it has no time zone")
        cast = column.cast(wanted)
        is_untold = pa.types.is_nested(wanted) or pa.types.is_null(kind)
        is_same = is_untold or cast.cast(kind).equals(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise PipelineError(f"its {field.name} is {kind}, which is no {wanted}: {error}") from error
    if not is_same:
        raise PipelineError(f"its {field.name} is {kind}, of which {wanted} would lose a part.")
    return cast
