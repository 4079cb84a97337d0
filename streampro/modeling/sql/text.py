"""A text of SQL: its tables, and the expression that it is."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from streampro.modeling.sql.order import write_out_windows
from streampro.modeling.sql.relations import Query
from streampro.modeling.sql.subqueries import write_out_tests

_TOO_DEEP = "brackets or subqueries stand too deep in each other. Split it by WITH"


_TEMPLATED = re.compile(
    r"""--[^\n]*|/\*.*?\*/|\{\#.*?\#\}  # comments, in which anything may stand
    |(?P<part>'(?:[^']|'')*'|"(?:[^"]|"")*"|\{\{.*?\}\}|\{%.*?%\})""",
    re.DOTALL | re.VERBOSE,
)
_TEXT = r"""\s*(?:'[^']*'|"[^"]*")\s*"""
_NAMED = re.compile(
    rf"""\{{\{{-?\s*(?:ref\((?:{_TEXT},)?|source\({_TEXT},)\s*(?P<name>'\w+'|"\w+")\s*\)\s*-?\}}\}}"""
)
_ADVICE = {
    r"config\(": "what config says are arguments of sql_model: incremental_by, tags, owner",
    r"is_incremental\(|\{\{-?\s*this\b": "leave it out: the query is that of all rows, and "
    "incremental_by names the key by which runs compute what is new",
    r"\{%": "blocks are not carried out: write out what they write, which dbt compile shows, or "
    "return the text from a function below @sql_model",
    "": "{{ ref('model') }} and {{ source('group', 'table') }} are read, no other templates: write "
    "out what it stands for, or return the text from a function below @sql_model",
}
"""What to write in place of a template that has some words."""


class _Parser(DuckDBParser):
    """DuckDB's, for which `%` binds like `*`, as in DuckDB itself, and that knows the functions of
    days by all their names.
    """

    FUNCTIONS = {
        **DuckDBParser.FUNCTIONS,
        "DATE": lambda args: (
            exp.Cast(this=args[0], to=exp.DataType.build("date"))
            if len(args) == 1
            else exp.Date.from_arg_list(args)
        ),
        "DATE_PART": lambda args: exp.Extract(this=exp.var(args[0].name), expression=args[-1]),
    }
    TERM = {sign: kind for sign, kind in DuckDBParser.TERM.items() if sign != TokenType.MOD}
    FACTOR = {**DuckDBParser.FACTOR, TokenType.MOD: exp.Mod}


class _Dialect(DuckDB):
    Parser = _Parser


@dataclass(frozen=True)
class Text:
    """A text of SQL in DuckDB's dialect.

    Args:
        sql: the text.
        place: the file that has it, or where it stands in one, for messages.
        is_file: whether it is the file.

    What it gives raises `PipelineError` with line and column for what is no query or not known
    here.
    """

    sql: str
    place: str = ""
    is_file: bool = False

    def rows(self, tables: Mapping[str, ir.Table], unnamed: Sequence[str] = ()) -> ir.Table:
        """Return the rows of the query over tables by name.

        Args:
            tables: what its tables are; small and capital letters are the same.
            unnamed: what columns are called, by their place, that the query gives no name.
        """
        query = Query({name.lower(): table for name, table in tables.items()})
        try:
            return query.table(self._query, unnamed)
        except RefusedError as refusal:
            raise self._error(refusal.why, refusal.node) from refusal
        except StreamProError:
            raise
        except RecursionError as error:
            raise self._error(_TOO_DEEP) from error
        except Exception as error:  # of Ibis, about a whole query
            raise self._error(one_line(error)) from error

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """The tables that the query reads, in the order in which it names them."""
        query = self._query
        try:
            found = [*_tables(query, frozenset())]
        except RecursionError as error:
            raise self._error(_TOO_DEEP) from error
        found.sort(key=lambda each: place_in(self.sql, each) or (0, 0))
        names: dict[str, str] = {}
        for each in found:
            if not each.name.isidentifier() or iskeyword(each.name):
                why = f"{each.name!r}: tables are called by one word, as models are"
                raise self._error(why, each)
            names.setdefault(each.name.lower(), each.name)
        return tuple(names.values())

    @cached_property
    def _query(self) -> exp.Expr:
        try:
            parsed = sqlglot.parse(_TEMPLATED.sub(self._filled, self.sql), read=_Dialect)
        except ParseError as error:
            [first, *_] = error.errors
            at = (first["line"], max(1, first["col"] - len(first["highlight"]) + 1))
            why = f"{first['description']} at {first['highlight']!r}"
            raise self._error(why, at) from error
        except SqlglotError as error:
            raise self._error(one_line(error)) from error
        except RecursionError as error:
            raise self._error(_TOO_DEEP) from error
        found = [each for each in parsed if each and not isinstance(each, exp.Semicolon)]
        if len(found) != 1:
            raise self._error(f"a model is one query, not {len(found)}")
        try:
            write_out_windows(found[0])
            write_out_tests(found[0])
        except RefusedError as refusal:
            raise self._error(refusal.why, refusal.node) from refusal
        return found[0]

    def _filled(self, found: re.Match[str]) -> str:
        """Return what stands in the place of a template, with every sign of it in its place."""
        part = found["part"]
        if part is None or not re.search("{[{%]", part):
            return found[0]
        if named := _NAMED.fullmatch(part):
            start, end = named.span("name")
            name = f'"{part[start + 1 : end - 1]}"'
            return _blank(part[:start]) + name + _blank(part[end:])
        before = self.sql[: found.start()]
        at = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        why = next(each for words, each in _ADVICE.items() if re.search(words, part))
        raise self._error(why, at)

    def _error(self, why: str, at: exp.Expr | tuple[int, int] | None = None) -> PipelineError:
        """Return an error about a part of the text, or a line and column of it."""
        said = why.replace(f'"{OUTSIDE}".', "").removesuffix(".") + "."
        found = place_in(self.sql, at) if isinstance(at, exp.Expr) else at
        if found is None:
            return PipelineError(f"its SQL: {said}", self.place)
        line, column = found
        if self.is_file:
            return PipelineError(said, f"{self.place}:{line}:{column}")
        return PipelineError(f"line {line}, column {column} of its SQL: {said}", self.place)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


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
