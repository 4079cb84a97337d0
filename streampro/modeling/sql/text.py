"""A text of SQL: its tables, and the expression that it is."""

from collections.abc import Iterator, Mapping, Sequence
from keyword import iskeyword

import ibis.expr.types as ir
import sqlglot
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.tokenizer_core import TokenType

from streampro.errors import PipelineError, StreamProError
from streampro.modeling.sql.names import OUTSIDE, RefusedError, one_line, place_in
from streampro.modeling.sql.relations import Query


class _Parser(DuckDBParser):
    """DuckDB's, for which `%` binds like `*`, as in DuckDB itself."""

    TERM = {sign: kind for sign, kind in DuckDBParser.TERM.items() if sign != TokenType.MOD}
    FACTOR = {**DuckDBParser.FACTOR, TokenType.MOD: exp.Mod}


class _Dialect(DuckDB):
    Parser = _Parser


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
    found = [*_tables(_parsed(text, place, is_file), frozenset())]
    found.sort(key=lambda each: place_in(text, each) or (0, 0))
    names: dict[str, str] = {}
    for each in found:
        if not each.name.isidentifier() or iskeyword(each.name):
            why = f"{each.name!r}: tables are called by one word, as models are"
            raise _error(why, place_in(text, each), place, is_file)
        names.setdefault(each.name.lower(), each.name)
    return tuple(names.values())


def _tables(node: exp.Expr, own: frozenset[str]) -> Iterator[exp.Table]:
    """Yield the tables in a query that no WITH around them makes."""
    found = node.args.get("with_")
    for each in found.expressions if found else ():
        yield from _tables(each.this, own)
        own |= {each.alias.lower()}
    if isinstance(node, exp.Table) and node.name and node.name.lower() not in own:
        yield node
    for child in node.iter_expressions():
        if child is not found:
            yield from _tables(child, own)


def _parsed(text: str, place: str, is_file: bool) -> exp.Expr:
    try:
        found = [each for each in sqlglot.parse(text, read=_Dialect) if each is not None]
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
    said = why.replace(f'"{OUTSIDE}".', "").removesuffix(".") + "."
    if at is None:
        return PipelineError(f"its SQL: {said}", place)
    line, column = at
    if is_file:
        return PipelineError(said, f"{place}:{line}:{column}")
    return PipelineError(f"line {line}, column {column} of its SQL: {said}", place)
