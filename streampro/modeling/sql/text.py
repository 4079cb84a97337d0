"""A text of SQL: its tables, and the expression that it is."""

from collections.abc import Mapping, Sequence

import ibis.expr.types as ir
import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from streampro.errors import PipelineError, StreamProError
from streampro.modeling.sql.names import RefusedError, one_line, place_in
from streampro.modeling.sql.relations import Query

_DIALECT = "duckdb"


def expression_of(
    text: str,
    tables: Mapping[str, ir.Table],
    unnamed: Sequence[str] = (),
    place: str = "",
    is_file: bool = False,
) -> ir.Table:
    """Return the rows of a query over tables by name.

    Args:
        text: the query, in DuckDB's dialect.
        tables: what its tables are; small and capital letters are the same.
        unnamed: what columns are called, by their place, that the query gives no name.
        place: the file that has the text, or where the text stands in one.
        is_file: whether it is the file.

    Raises `PipelineError` with line and column for what is no query or not known here.
    """
    query = Query({name.lower(): table for name, table in tables.items()})
    node = _parsed(text, place, is_file)
    try:
        return query.table(node, unnamed)
    except RefusedError as refusal:
        at = place_in(text, refusal.node)
        raise _error(refusal.why, at, place, is_file) from refusal
    except StreamProError:
        raise
    except Exception as error:  # of Ibis, about a whole query
        raise _error(one_line(error), None, place, is_file) from error


def tables_of(text: str, place: str = "", is_file: bool = False) -> tuple[str, ...]:
    """Return the tables that a query reads, in the order in which it names them."""
    found = _parsed(text, place, is_file)
    own = {each.alias.lower() for each in found.find_all(exp.CTE)}
    tables = sorted(found.find_all(exp.Table), key=lambda each: place_in(text, each) or (0, 0))
    names = (each.name for each in tables)
    return tuple(dict.fromkeys(name for name in names if name and name.lower() not in own))


def _parsed(text: str, place: str, is_file: bool) -> exp.Expr:
    try:
        found = [each for each in sqlglot.parse(text, read=_DIALECT) if each is not None]
    except ParseError as error:
        [first, *_] = error.errors
        at = (first["line"], max(1, first["col"] - len(first["highlight"]) + 1))
        why = f"{first['description']} at {first['highlight']!r}"
        raise _error(why, at, place, is_file) from error
    except SqlglotError as error:
        raise _error(one_line(error), None, place, is_file) from error
    if len(found) != 1:
        raise _error(f"a model is one query, not {len(found)}", None, place, is_file)
    return found[0]


def _error(why: str, at: tuple[int, int] | None, place: str, is_file: bool) -> PipelineError:
    said = why.rstrip(".") + "."
    if at is None:
        return PipelineError(f"its SQL: {said}", place)
    line, column = at
    if is_file:
        return PipelineError(said, f"{place}:{line}:{column}")
    return PipelineError(f"line {line}, column {column} of its SQL: {said}", place)
