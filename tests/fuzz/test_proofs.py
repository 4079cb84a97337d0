"""What is told from expressions holds of the rows: keys, that rows of a key follow from those of
the key alone, the origin of a row, and one code hash for every build. Of relations as anybody may
write them, on DuckDB.
"""

import itertools
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from fuzz.running import nasty, plain
from fuzz.steps import step
from fuzz.test_walk import IS_THOROUGH, SEED, STEPS, is_accepted
from fuzz.walking import NAMES, SCHEMA

from streampro.engines.compilation.casts import physical_query
from streampro.engines.duckdb.compiler import compiler_of
from streampro.errors import PipelineError
from streampro.expressions.columns import rows_of
from streampro.expressions.decimals import exact
from streampro.expressions.hash import digest
from streampro.expressions.keys import keys_of
from streampro.expressions.locality import why_not_local
from streampro.expressions.rows import contributions

pytestmark = pytest.mark.slow

NUMBER = 800 if IS_THOROUGH else 50
COLUMNS = {name: SCHEMA[name] for name in ("b", "n", "m", "k", "s", "d", "at", "p", "ns", "x")}
ROWS = ibis.table({"i": "int64"} | COLUMNS, name="rows")
GIVEN = nasty(columns=COLUMNS).slice(0, 48)
KEYS = ["k", "n", "s"]
"""Columns of which each is taken for the key of a model in turn."""
MOST_ROWS = 500
Row = tuple[Any, ...]


class Rows:
    """A connection with the rows of the table."""

    def __init__(self, given: pa.Table) -> None:
        self.duckdb = ibis.duckdb.connect(memory_limit="1GB")
        self.duckdb.create_table("rows", given)
        self.numbers = itertools.count()

    def fetch(self, query: ir.Table) -> pa.Table:
        return self.duckdb.con.sql(physical_query(compiler_of(), query)).to_arrow_table()

    def of(self, query: ir.Table) -> list[Row]:
        return _rows(self.fetch(query))

    def cache(self, query: ir.Table) -> ir.Table:
        """Return what is computed of a query, as a table."""
        return self.keep(self.fetch(query), exact(query).schema())

    def keep(self, rows: pa.Table, schema: ibis.Schema) -> ir.Table:
        name = f"cached_{next(self.numbers)}"
        self.duckdb.create_table(name, rows)
        return ibis.table(schema, name=name)


def _rows(found: pa.Table) -> list[Row]:
    return [*zip(*map(plain, found.columns), strict=True)]


class Story(NamedTuple):
    """The steps to a relation, the relation, and its rows."""

    codes: list[str]
    relation: ir.Table
    rows: list[Row]

    def values(self, *names: str) -> list[str]:
        """Return what each row has in some columns."""
        places = [self.relation.columns.index(name) for name in names]
        return [repr([row[place] for place in places]) for row in self.rows]


@pytest.fixture(scope="module")
def whole() -> Rows:
    return Rows(GIVEN)


@pytest.fixture(scope="module")
def stories(whole: Rows) -> list[Story]:
    return [*itertools.islice(_stories(whole), NUMBER)]


def _stories(whole: Rows) -> Iterator[Story]:
    random = Random(SEED)
    while True:
        codes, relation, rows = [], ROWS, whole.of(ROWS)
        for _ in range(random.randint(1, STEPS)):
            written = step(random, relation, ROWS)
            if written is None or not is_accepted(written.value, written.code):
                continue
            try:
                [(number,)] = whole.of(written.value.count().as_table())
                found = whole.of(written.value) if int(number[1]) <= MOST_ROWS else None
            except Exception:  # a value that stops the query
                found = None
            if found is not None:
                codes, relation, rows = [*codes, written.code], written.value, found
        if codes:
            yield Story(codes, relation, rows)


def built(codes: list[str]) -> ir.Table:
    table = ROWS
    for code in codes:
        table = eval(code, NAMES | {"t": table, "o": ROWS.view()})
    return table


def test_two_builds_have_one_hash(stories: list[Story]) -> None:
    other = [each.codes for each in stories if digest(built(each.codes)) != digest(each.relation)]
    assert not other


def test_every_column_has_an_origin(stories: list[Story]) -> None:
    for each in stories:
        assert rows_of("v", each.relation).columns.keys() == {*each.relation.columns}


def test_no_two_rows_have_one_key(stories: list[Story]) -> None:
    claimed = [
        (each, key) for each in stories for key in keys_of(each.relation, {"rows": [("i",)]})
    ]
    assert claimed
    assert not [
        (each.codes, key) for each, key in claimed if len({*each.values(*key)}) < len(each.rows)
    ]


@pytest.mark.parametrize("key", KEYS)
def test_rows_of_a_key_follow_from_those_of_the_key_alone(stories: list[Story], key: str) -> None:
    some = pa.array([each for each in pc.unique(GIVEN[key]).to_pylist() if each][::2])
    part = Rows(GIVEN.filter(pc.is_in(GIVEN[key], some.cast(GIVEN[key].type))))
    wanted = {repr([each]) for each in plain(pa.chunked_array([some]))}
    claimed = [
        (each, by)
        for each in stories
        for by in each.relation.columns
        if not why_not_local(each.relation, by, {"rows": key})
    ]
    assert claimed
    for each, by in claimed:
        again = each._replace(rows=part.of(each.relation))
        assert {*again.values(by)} <= wanted, (each.codes, by)
        kept = [row for row, of in zip(each.rows, each.values(by), strict=True) if of in wanted]
        assert sorted(map(repr, again.rows)) == sorted(map(repr, kept)), (each.codes, by)


def test_a_row_follows_from_the_rows_that_are_told(whole: Rows, stories: list[Story]) -> None:
    random, told = Random(SEED), 0
    for each in stories:
        kinds = exact(each.relation).schema()
        names = [n for n, kind in kinds.items() if not (kind.is_nested() or kind.is_floating())]
        if not (each.rows and names):
            continue
        one = whole.fetch(each.relation).slice(random.randrange(len(each.rows)), 1)
        selected = whole.keep(one.select(names), ibis.schema({n: kinds[n] for n in names}))
        try:
            found = contributions(
                each.relation, {"rows": ROWS}, selected, each.relation.columns, whole.cache
            )["rows"]
        except PipelineError:  # a subquery, whose rows are told by none
            continue
        parts = [rows for rows in (found.rows, found.deciding) if rows is not None]
        ids = pa.array(
            {i for rows in parts for i in whole.fetch(rows)["i"].to_pylist()}, pa.int64()
        )
        given = GIVEN if found.decides_as_a_whole else GIVEN.filter(pc.is_in(GIVEN["i"], ids))
        assert _rows(one)[0] in Rows(given).of(each.relation), each.codes
        told += 1
    assert told > len(stories) // 2
