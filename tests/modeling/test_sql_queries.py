"""A query in SQL is the expression that it says: what DuckDB itself makes of its text."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

from streampro.engines.compilation.casts import physical_query
from streampro.engines.duckdb.compiler import compiler_of as duckdb_compiler
from streampro.engines.spark.compiler import compiler_of as spark_compiler
from streampro.errors import PipelineError
from streampro.expressions.order import ties
from streampro.expressions.portability import findings
from streampro.modeling.sql.text import Text

D = Decimal
SALES: dict[str, tuple[str, list[Any]]] = {
    "id": ("int64", [1, 2, 3, 4, 5, 6, 7, 8]),
    "shop": ("string", ["a", "a", "b", "b", "b", "c", None, "é"]),
    "amount": ("int64", [5, None, 7, 7, -2, 0, 3, 9]),
    "price": (
        "decimal(12, 2)",
        [D("1.50"), D("0.00"), None, D("-2.25"), D("9.99"), D("1.50"), D("3.00"), D("100.00")],
    ),
    "weight": ("float64", [0.5, 1.0, -2.5, None, 0.25, 3.0, 0.0, 8.0]),
    "day": (
        "date",
        [date(2024, 1, 31), date(2024, 2, 29), None, date(2023, 12, 31)] + [date(2024, 3, 1)] * 4,
    ),
    "moment": (
        "timestamp('UTC', 6)",
        [datetime(2024, 1, 31, hour, 59, 59, 999999, UTC) for hour in range(8)],
    ),
    "is_paid": ("boolean", [True, False, None, True, True, False, None, True]),
    "note": ("string", ["x,y", "", None, " a ", "10", "1e3", "A_B", "50%"]),
}
SHOPS: dict[str, tuple[str, list[Any]]] = {
    "shop": ("string", ["a", "b", "d", None]),
    "city": ("string", ["Oslo", None, "Rome", "Nice"]),
    "size": ("int64", [1, 2, 3, 4]),
}
BOXES: dict[str, tuple[str, list[Any]]] = {
    "id": ("int64", [1, 2, 3, 4]),
    "tags": ("array<string>", [["b", "a", "b"], [], None, ["x", None]]),
    "sizes": ("map<string, int64>", [[("a", 1), ("b", None)], [], None, [("c", 3)]]),
    "Box": (
        "struct<A: int64, inner: struct<c: string>>",
        [{"A": 1, "inner": {"c": "x"}}, {"A": None, "inner": None}, None, {"A": 4, "inner": {}}],
    ),
}
TABLES = {"sales": SALES, "shops": SHOPS, "boxes": BOXES}
EQUAL = [
    "SELECT id, box.a AS x, b.Box.inner.c AS y, (box).inner AS z, b.box.A AS w FROM boxes b",
    "SELECT id, box['A'] + 1 AS n FROM boxes WHERE box.a > 0 ORDER BY box.a, id LIMIT 1",
    "SELECT box.a, count(*) AS n FROM boxes GROUP BY box.a",
    "SELECT id, tags[1] AS x, tags[2] AS y, tags[-1] AS z, tags[-3] AS w FROM boxes",
    "SELECT id, sizes['a'] AS x, sizes['z'] AS y FROM boxes",
    "SELECT id, tags[1:2] AS x, tags[2:] AS y, tags[:1] AS z, tags[3:2] AS w FROM boxes",
    "SELECT id, note[1:2] AS x, note[2:] AS y, note[1] AS z, note[:0] AS w FROM sales",
    "SELECT id, [id, 2, NULL] AS x, list_value(note, 'b') AS y, ['a', 'b'] AS z FROM sales",
    "SELECT id, {'a': id, 'b': note} AS x, struct_pack(c := shop).c AS y FROM sales",
    "SELECT id, amount & 3 AS x, amount | 8 AS y, xor(amount, id) AS z FROM sales",
    "SELECT id, note LIKE '%!%' ESCAPE '!' AS x, note NOT LIKE 'A!__' ESCAPE '!' AS y, "
    "note LIKE '_,%' ESCAPE '|' AS z FROM sales",
    "SELECT id, tag FROM boxes, unnest(tags) AS t(tag) WHERE tag <> 'a'",
    "SELECT s.id, t.tag, u.tag AS other FROM sales AS s, boxes AS b, unnest(b.tags) AS t(tag) "
    "CROSS JOIN unnest(['b', 'x']) AS u(tag) WHERE s.id = b.id AND u.tag = t.tag",
    "SELECT tag, count(*) AS n FROM boxes AS b CROSS JOIN unnest(b.tags) AS t(tag) "
    "LEFT JOIN shops ON shop = tag GROUP BY tag",
    "SELECT b.id, tag, s.shop FROM boxes AS b CROSS JOIN shops AS o CROSS JOIN unnest(b.tags) "
    "AS t(tag) RIGHT JOIN shops AS s ON s.shop = tag WHERE o.size = b.id",
    "SELECT id, list_contains(tags, 'b') AS x, array_length(tags) AS y, len(tags) AS z FROM boxes",
    "SELECT id, array_to_string(tags, '-') AS x FROM boxes WHERE id < 3",
    "SELECT id, unnest(tags) AS tag FROM boxes",
    "SELECT id, EXISTS (SELECT 1 FROM shops AS o WHERE o.shop = s.shop) AS x, "
    "CASE WHEN NOT EXISTS (SELECT city FROM shops AS o WHERE o.shop = s.shop AND size > 1) "
    "THEN 'none' END AS y, EXISTS (SELECT 1 FROM shops WHERE size > 9) AS z FROM sales AS s",
    "SELECT id FROM sales AS s WHERE amount > 5 OR EXISTS (SELECT 1 FROM shops AS o "
    "WHERE o.shop = s.shop)",
    "SELECT id FROM sales AS s WHERE NOT (amount > 5 OR EXISTS (SELECT 1 FROM shops AS o "
    "WHERE o.shop = s.shop)) AND EXISTS (SELECT 1 FROM shops AS o WHERE o.size > s.id)",
    "SELECT shop, sum(CASE WHEN EXISTS (SELECT 1 FROM shops AS o WHERE o.shop = s.shop) "
    "THEN amount END) AS n FROM sales AS s GROUP BY shop",
    "SELECT id, EXISTS (SELECT 1 FROM shops AS o WHERE o.shop = s.shop AND (o.size = 1 OR "
    "EXISTS (SELECT 1 FROM boxes AS b WHERE b.id = o.size))) AS x FROM sales AS s",
    "SELECT id, amount = ANY (SELECT size FROM shops) AS x FROM sales",
    "SELECT id FROM sales WHERE id <> ALL (SELECT size FROM shops)",
    "SELECT id FROM sales AS s WHERE id = ANY (SELECT size FROM shops AS o WHERE o.shop = s.shop)",
    "SELECT id, shop FROM sales ORDER BY amount DESC NULLS LAST, id LIMIT 3 OFFSET 2",
    "SELECT id FROM sales ORDER BY id OFFSET 5",
    "(SELECT id FROM sales UNION ALL SELECT size FROM shops) ORDER BY id LIMIT 4 OFFSET 9",
    "SELECT shop, count(*) AS n FROM sales GROUP BY shop ORDER BY n DESC, shop OFFSET 1",
    "SELECT tag, count(*) AS n FROM (SELECT unnest(tags) AS tag FROM boxes) AS t GROUP BY tag",
    "SELECT id, string_split(note, ',') AS parts FROM sales",
    "SELECT shop, string_agg(note, ', ' ORDER BY note) AS notes FROM sales GROUP BY shop",
    "SELECT string_agg(DISTINCT shop, '' ORDER BY shop) AS shops FROM sales",
    "SELECT string_agg(shop, '' ORDER BY shop) FILTER (WHERE id > 2) AS shops FROM sales",
    "SELECT shop, quantile_cont(weight, 0.75) AS q, "
    "percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) AS p FROM sales GROUP BY shop",
    "SELECT quantile_cont(amount, 0.25) FILTER (WHERE is_paid) AS q FROM sales",
    "SELECT id, trunc(weight) AS t FROM sales",
    "SELECT id, epoch(moment) AS e, epoch(day) AS d, extract(epoch FROM moment) AS x FROM sales",
    "SELECT id, dayname(day) AS d, monthname(moment) AS m FROM sales",
    "SELECT id, note ~ '[a-z,]+' AS x, regexp_full_match(note, 'a|x,y') AS y FROM sales",
    "SELECT id, note || amount AS x, id || '-' || shop AS y FROM sales",
    "SELECT id, (day + INTERVAL (amount) DAY)::date AS x, moment - INTERVAL (id * 2) HOUR AS y, "
    "date_add(moment, INTERVAL 3 MINUTE) AS z FROM sales",
    "SELECT id, lag(id) OVER (ORDER BY id DESC, id) AS c FROM sales",
    "SELECT id, ntile(3) OVER (ORDER BY (id) DESC NULLS LAST, amount, id) AS c FROM sales",
    "SELECT id, id AS other FROM sales ORDER BY id DESC, other, id LIMIT 2",
    "SELECT lpad(note, 2, '0') AS l, rpad(note, 1, '0') AS r, lpad(note, 5, 'x') AS x FROM sales",
    "SELECT id, price * price + round(price, 1) AS c FROM sales",
    "SELECT id, round(price, 1) - price * price AS c FROM sales",
    "SELECT id, price * price > CAST(amount AS DECIMAL(9, 4)) AS c FROM sales",
    "SELECT * FROM sales",
    "FROM sales",
    "SELECT id, amount + 1 AS more, -amount AS less, amount * 2 - 3 AS x FROM sales",
    "SELECT id, amount % 3 AS rest, amount // 2 AS half FROM sales WHERE amount >= 0",
    "SELECT id, price * 0.05 AS tax, price + 1 AS more, weight * 0.5 AS half FROM sales",
    "SELECT id, price * CAST(amount AS DECIMAL(9, 4)) AS p FROM sales",
    "SELECT id FROM sales WHERE price = CAST(amount AS DECIMAL(9, 4))",
    "SELECT id, TRY_CAST(note AS TINYINT) AS n FROM sales WHERE note IN ('10', '1000')",
    "SELECT id, 1.5 AS number, 2 AS two, 'x' AS letter, TRUE AS yes FROM sales",
    "SELECT ID, Sales.Shop FROM SALES",
    'SELECT s.id AS "an id" FROM sales AS s',
    "SELECT id FROM sales WHERE amount > 3 AND (shop = 'a' OR shop = 'b') AND NOT is_paid",
    "SELECT id FROM sales WHERE amount IS NULL OR shop IS NOT NULL AND is_paid IS TRUE",
    "SELECT id FROM sales WHERE is_paid IS NOT FALSE AND amount <> 7",
    "SELECT id FROM sales WHERE amount BETWEEN 0 AND 7 AND price NOT BETWEEN 1 AND 2",
    "SELECT id FROM sales WHERE shop IN ('a', 'é') OR amount NOT IN (5, 7)",
    "SELECT id FROM sales WHERE note LIKE '%,%' OR note NOT LIKE '_'",
    "SELECT id FROM sales WHERE regexp_matches(note, '[0-9]+')",
    "SELECT id FROM sales WHERE day >= '2024-01-31' AND day < DATE '2024-01-31' + INTERVAL 1 MONTH",
    "SELECT id FROM sales WHERE moment > TIMESTAMP '2024-01-31 03:00:00'",
    "SELECT id, shop IS DISTINCT FROM 'a' AS d, shop IS NOT DISTINCT FROM note AS s FROM sales",
    "SELECT id, CASE WHEN amount > 5 THEN 'big' WHEN amount IS NULL THEN '?' END AS s FROM sales",
    "SELECT id, CASE shop WHEN 'a' THEN 1 WHEN 'b' THEN 2 ELSE 0 END AS n FROM sales",
    "SELECT id, CASE WHEN is_paid THEN price ELSE 0 END AS paid FROM sales",
    "SELECT id, coalesce(amount, 0) AS a, nullif(amount, 7) AS b, ifnull(shop, '-') AS c"
    " FROM sales",
    "SELECT id, if(amount > 5, 'x', 'y') AS a FROM sales",
    "SELECT id, upper(shop) AS u, lower(note) AS l, length(note) AS n FROM sales WHERE id < 8",
    "SELECT id, substring(note, 2, 1) AS s, substr(note, 2) AS t, left(note, 1) AS u FROM sales",
    "SELECT id, ltrim(note) AS a, rtrim(note) AS b FROM sales",
    "SELECT id, replace(note, ',', '-') AS r, right(note, 2) AS s, trim(note) AS t FROM sales",
    "SELECT id, shop || note AS a, concat(shop, '-', note) AS b FROM sales",
    "SELECT id, starts_with(note, '5') AS a, contains(note, ',') AS b, strpos(note, ',') AS c"
    " FROM sales",
    "SELECT id, abs(amount) AS a, abs(price) AS p, floor(weight) AS f, ceil(weight) AS c"
    " FROM sales",
    "SELECT id, greatest(amount, 3) AS g, least(amount, 3) AS l"
    " FROM sales WHERE amount IS NOT NULL",
    "SELECT id, year(day) AS y, extract(month FROM day) AS m, day(day) AS d, hour(moment) AS h"
    " FROM sales",
    "SELECT id, date_trunc('month', day) = day AS is_first FROM sales",
    "SELECT id, date_diff('day', day, DATE '2024-03-10') AS days FROM sales",
    "SELECT id, CAST(amount AS DOUBLE) AS d, CAST(id AS VARCHAR) AS v FROM sales",
    "SELECT id, TRY_CAST(note AS BIGINT) AS n FROM sales WHERE note IN ('10', '', ' a ')",
    "SELECT count(*) AS n, count(amount) AS a, count(DISTINCT shop) AS s, sum(amount) AS t"
    " FROM sales",
    "SELECT min(price) AS a, max(day) AS b, avg(amount) AS c, bool_and(is_paid) AS d FROM sales",
    "SELECT count(*) FILTER (WHERE amount > 3) AS n, sum(amount) FILTER (is_paid) AS s FROM sales",
    "SELECT count(*) AS n FROM sales WHERE FALSE",
    "SELECT shop, count(*) AS n, sum(price) AS total FROM sales GROUP BY shop",
    "SELECT shop, sum(amount) + 1 AS more FROM sales GROUP BY 1",
    "SELECT upper(shop) AS u, max(amount) AS m FROM sales GROUP BY u",
    "SELECT upper(shop) AS u, max(amount) AS m FROM sales GROUP BY upper(shop)",
    "SELECT shop, is_paid, count(*) AS n FROM sales GROUP BY ALL",
    "SELECT shop FROM sales GROUP BY shop",
    "SELECT shop, count(*) AS n FROM sales GROUP BY shop HAVING count(*) > 1 AND max(amount) > 5",
    "SELECT shop, count(*) AS n FROM sales GROUP BY shop HAVING n > 1",
    "SELECT shop, count(*) AS n FROM sales GROUP BY shop"
    " HAVING count(*) > (SELECT avg(size) FROM shops)",
    "SELECT DISTINCT shop, is_paid FROM sales",
    "SELECT s.id, h.city FROM sales s JOIN shops h ON s.shop = h.shop",
    "SELECT s.id, h.city FROM sales s LEFT JOIN shops h ON s.shop = h.shop AND s.amount > h.size",
    "SELECT s.id, h.city, h.shop FROM sales s RIGHT JOIN shops h ON s.shop = h.shop",
    "SELECT s.id, h.city FROM sales s FULL OUTER JOIN shops h ON s.shop = h.shop",
    "SELECT h.shop, s.id FROM sales s CROSS JOIN sales t RIGHT JOIN shops h ON s.shop = h.shop"
    " WHERE s.id = t.id OR h.size > 2",
    "SELECT h.shop, s.id FROM sales s CROSS JOIN sales t RIGHT JOIN shops h ON s.shop = h.shop"
    " WHERE s.id = t.id",
    "SELECT s.id, t.id AS other FROM sales s, sales t LEFT JOIN shops h ON t.shop = h.shop"
    " WHERE s.amount = t.amount",
    "SELECT id, city, shop FROM sales JOIN shops USING (shop)",
    "SELECT * FROM sales LEFT JOIN shops USING (shop)",
    "SELECT h.* FROM sales s, shops h WHERE s.shop = h.shop AND s.amount > 0",
    "SELECT s.id, h.size FROM sales s CROSS JOIN shops h WHERE s.amount > h.size",
    "SELECT id FROM sales SEMI JOIN shops USING (shop)",
    "SELECT id FROM sales ANTI JOIN shops USING (shop)",
    "SELECT a.id, b.id AS other FROM sales a JOIN sales b ON a.shop = b.shop AND a.id < b.id",
    "SELECT a.id, b.id AS other FROM sales a, sales b WHERE a.amount = b.amount AND a.id <> b.id",
    "SELECT id FROM sales WHERE shop IN (SELECT shop FROM shops WHERE size < 3)",
    "SELECT id FROM sales WHERE shop NOT IN (SELECT shop FROM shops WHERE shop IS NOT NULL)",
    "SELECT id FROM sales WHERE shop IN (SELECT shop FROM shops WHERE size < sales.amount)",
    "SELECT id FROM sales WHERE shop NOT IN (SELECT shop FROM shops)",
    "SELECT id FROM sales WHERE shop NOT IN (SELECT shop FROM shops WHERE size > 9)",
    "SELECT id, shop IN (SELECT shop FROM shops) AS a, note IN (SELECT city FROM shops WHERE"
    " city <> 'x') AS b FROM sales",
    "SELECT id FROM sales s WHERE EXISTS (SELECT * FROM shops h WHERE h.shop = s.shop)",
    "SELECT id FROM sales s WHERE NOT EXISTS"
    " (SELECT 1 FROM shops h WHERE h.shop = s.shop AND h.size < s.amount)",
    "SELECT id FROM sales WHERE amount > (SELECT avg(amount) FROM sales)",
    "SELECT id FROM sales s WHERE amount >= (SELECT max(amount)"
    " FROM sales t WHERE t.shop = s.shop)",
    "SELECT shop, (SELECT count(*) FROM sales s WHERE s.shop = h.shop) AS n FROM shops h",
    "SELECT shop, (SELECT sum(amount) FROM sales s WHERE s.shop = h.shop) + size AS n FROM shops h",
    "WITH paid AS (SELECT * FROM sales WHERE is_paid), by_shop AS"
    " (SELECT shop, count(*) AS n FROM paid GROUP BY shop) SELECT * FROM by_shop WHERE n > 1",
    "WITH t(a, b) AS (SELECT id, shop FROM sales) SELECT b, max(a) AS a FROM t GROUP BY b",
    "SELECT n, count(*) AS shops FROM (SELECT shop, count(*) FROM sales GROUP BY shop) AS t(s, n)"
    " GROUP BY n",
    "SELECT shop FROM sales UNION SELECT shop FROM shops",
    "SELECT shop, amount FROM sales UNION ALL SELECT city, size FROM shops",
    "SELECT shop FROM sales INTERSECT SELECT shop FROM shops",
    "SELECT shop FROM sales EXCEPT SELECT shop FROM shops",
    "SELECT id, row_number() OVER (PARTITION BY shop ORDER BY id DESC) AS n FROM sales",
    "SELECT id, rank() OVER (ORDER BY amount NULLS FIRST, id) AS r,"
    " ntile(3) OVER (ORDER BY id) AS t FROM sales",
    "SELECT id, lag(amount) OVER (ORDER BY id) AS a, lead(amount, 2, 0) OVER (ORDER BY id) AS b"
    " FROM sales",
    "SELECT id, sum(amount) OVER (PARTITION BY shop ORDER BY id) AS s,"
    " sum(amount) OVER (PARTITION BY shop) AS t, count(*) OVER (ORDER BY id) AS n FROM sales",
    "SELECT id, sum(amount) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS s"
    " FROM sales",
    "SELECT shop, rank() OVER (ORDER BY sum(amount), shop) AS r FROM sales GROUP BY shop",
    "SELECT * FROM sales QUALIFY row_number() OVER (PARTITION BY shop ORDER BY id) = 1",
    "SELECT id, shop FROM sales ORDER BY id LIMIT 3",
    "SELECT id FROM sales ORDER BY amount DESC, id LIMIT 3",
    "SELECT id AS n FROM sales ORDER BY n LIMIT 2",
    "SELECT shop, count(*) AS n FROM sales GROUP BY shop ORDER BY count(*) DESC, shop LIMIT 2",
    "SELECT DISTINCT shop FROM sales ORDER BY shop LIMIT 2",
    "(SELECT id FROM sales ORDER BY id LIMIT 1) UNION ALL (SELECT size FROM shops)",
    "SELECT * EXCLUDE (note, moment) REPLACE (amount + 1 AS amount) FROM sales",
    "SELECT sum(amount) / count(*) AS mean, sum(price) / 7.0 AS part FROM sales",
    "SELECT id FROM sales WHERE (shop = 'a' AND id = 1) OR (shop = 'a' AND id = 2)",
    "SELECT s.id FROM sales s, shops h WHERE (s.shop = h.shop AND size = 1)"
    " OR (s.shop = h.shop AND size = 2)",
    "SELECT id, 10 - 4 % 3 AS a, id % 3 * 2 AS b FROM sales WHERE id + 1 % 3 = 2",
    "SELECT id, amount // 2 AS a, -7 // 2 AS b, amount % 3 AS c, -amount // 2 AS d FROM sales",
    "SELECT id, count(*) OVER () AS n FROM sales QUALIFY row_number() OVER (ORDER BY id) <= 2",
    "SELECT id, row_number() OVER (ORDER BY id) AS r FROM sales QUALIFY r % 2 = 0",
    "SELECT shop, count(*) AS n, sum(count(*)) OVER () AS m FROM sales GROUP BY shop"
    " QUALIFY row_number() OVER (ORDER BY count(*), shop) < 3",
    "SELECT DISTINCT shop, count(*) OVER () AS n FROM sales"
    " QUALIFY row_number() OVER (ORDER BY id) < 6",
    "SELECT id, sum(amount) FILTER (is_paid) OVER (ORDER BY id) AS s FROM sales",
    "SELECT s.id, count(*) OVER () AS n FROM sales s"
    " WHERE EXISTS (SELECT 1 FROM shops h WHERE h.size = s.id)",
    "SELECT id FROM sales WHERE amount = NULL",
    "SELECT id FROM sales WHERE NOT (amount = NULL) OR amount <> NULL OR amount NOT IN (5, NULL)",
    "SELECT id, CASE amount WHEN NULL THEN 1 ELSE 2 END AS a, amount IN (7, NULL) AS b FROM sales",
    "SELECT id, amount NOT IN (5) AS a, NOT (shop = 'a') AS b, (amount > 3) IS NULL AS c"
    " FROM sales",
    "SELECT id, split_part(note, ',', 1) AS a, split_part(note, ',', 2) AS b,"
    " split_part(note, ',', 3) AS c FROM sales",
    "SELECT id, substring(note, 1, 2) AS a, substring(note, 3) AS b, left(note, 0) AS c FROM sales",
    "SELECT id, round(weight) AS a, round(-weight) AS b, round(price) AS c FROM sales",
    "SELECT id, TRY_CAST(amount * 100 AS TINYINT) AS a, TRY_CAST(amount AS SMALLINT) AS b"
    " FROM sales",
    "SELECT (SELECT max(size) FROM shops) AS a, (SELECT max(size) FROM shops) AS b, id FROM sales"
    " WHERE id < (SELECT max(size) FROM shops)",
    "SELECT 'k' AS a, count(*) AS n FROM sales WHERE FALSE GROUP BY ALL",
    "SELECT shop AS id, id AS shop FROM sales WHERE shop = 'a' ORDER BY id, shop LIMIT 1",
    "SELECT amount AS shop, count(*) AS n FROM sales GROUP BY shop, amount",
    "WITH shops AS (SELECT shop FROM sales) SELECT * FROM shops",
    "WITH a AS (SELECT shop FROM sales), b AS (SELECT * FROM a) SELECT count(*) AS n FROM b, a",
    "(SELECT shop FROM sales UNION ALL SELECT shop FROM shops) INTERSECT SELECT shop FROM shops",
    "SELECT shop FROM sales UNION ALL (SELECT shop FROM shops INTERSECT SELECT shop FROM sales)",
    "SELECT Id, SHOP FROM Sales",
    "SELECT id, amount * 2 AS twice, twice + 1 AS more, more - twice AS one FROM sales",
    "SELECT id AS amount, amount + 1 AS more FROM sales",
    "SELECT shop, sum(amount) AS total, total / count(*) AS mean FROM sales GROUP BY shop",
    "SELECT id, amount * 2 AS twice FROM sales WHERE twice > 3 AND id > 1",
    "SELECT shop AS s FROM sales WHERE s IN (SELECT shop FROM shops)",
    "SELECT id, row_number() OVER (PARTITION BY shop ORDER BY id) AS n, n = 1 AS is_first"
    " FROM sales",
    "SELECT id, sum(amount) OVER w AS s, count(*) OVER (w ROWS 1 PRECEDING) AS n,"
    " max(id) OVER v AS m FROM sales"
    " WINDOW w AS (PARTITION BY shop ORDER BY id), V AS (ORDER BY id)",
    "SELECT id FROM sales WINDOW w AS (ORDER BY id) QUALIFY row_number() OVER w < 3",
    "SELECT id, n FROM (SELECT id, count(*) OVER w AS n FROM sales WINDOW w AS (PARTITION BY shop))"
    " WHERE id IN (SELECT count(*) OVER w FROM sales WINDOW w AS (ORDER BY id))",
    "SELECT shop, size, id FROM sales FULL JOIN shops USING (shop)",
    "SELECT * FROM sales RIGHT JOIN shops USING (shop) WHERE shop <> 'b'",
    "SELECT s.shop AS a, h.shop AS b, shop FROM sales s FULL JOIN shops h USING (shop)",
    "SELECT shop, count(*) AS n FROM sales s FULL JOIN shops h USING (shop) JOIN shops USING (shop)"
    " GROUP BY shop",
    "SELECT shop, a.id, b.id AS other FROM sales a FULL JOIN shops USING (shop)"
    " LEFT JOIN sales b USING (shop)",
    "SELECT id, date_part('year', day) AS y, date_part('hour', moment) AS h, date(moment) AS d,"
    " date_part('dow', day) AS w, dayofweek(day) AS v, isodow(day) AS i FROM sales",
    "SELECT id, md5(note) AS k FROM sales",
    "SELECT id, (price * 0.01)::decimal(12, 2) AS p, (price + 0.5)::numeric(13, 1) AS q FROM sales",
    "SELECT id, regexp_extract(note, '([a-z]),([a-z])', 2) AS a,"
    " regexp_extract(note, '[0-9]+') AS b FROM sales",
    "SELECT id, regexp_replace(note, '[a-z]', '-', 'g') AS a, translate(note, 'x,', 'y') AS b"
    " FROM sales",
    "SELECT id, lpad(shop, 3, '*') AS l, rpad(shop, 3, '-') AS r, repeat(shop, 2) AS t FROM sales",
    "SELECT id, concat_ws('-', shop, note, 'x') AS t FROM sales",
    "SELECT id, strftime(day, '%Y-%m') AS m, last_day(day) AS l, last_day(moment) AS k FROM sales",
    "SELECT id, make_date(2024, 2, id) AS d FROM sales WHERE id BETWEEN 1 AND 20",
    "SELECT id, day - DATE '2024-01-31' AS n, day + 1 AS d, day - id::INT AS e FROM sales",
    "SELECT id, sum(amount) OVER (ORDER BY day RANGE BETWEEN INTERVAL 30 DAYS PRECEDING"
    " AND CURRENT ROW) AS s FROM sales",
    "SELECT id, count(*) OVER (PARTITION BY shop ORDER BY moment RANGE BETWEEN INTERVAL 2 HOURS"
    " PRECEDING AND INTERVAL 2 HOURS FOLLOWING) AS n FROM sales",
    "SELECT id, count(*) OVER (ORDER BY amount RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING) AS n"
    " FROM sales",
    "SELECT shop, count(*) AS n FROM sales GROUP BY shop HAVING n > 1",
    "SELECT id FROM sales; -- all of them",
    "/* What /* each */ shop */ -- took\nSELECT shop, -- of\n  id, FROM sales\n;\n",
]
"""Queries whose rows DuckDB and the expression, on each engine, have in common."""


def arrow(columns: Mapping[str, tuple[str, list[Any]]]) -> pa.Table:
    return pa.table(
        {
            name: pa.array(rows, ibis.dtype(kind).to_pyarrow())
            for name, (kind, rows) in columns.items()
        }
    )


UNBOUND = {
    name: ibis.table({column: kind for column, (kind, _) in columns.items()}, name=name)
    for name, columns in TABLES.items()
}
KEYS = {"sales": [("id",)], "shops": [("size",)], "boxes": [("id",)]}


def expression(text: str) -> ir.Table:
    query = Text(text)
    return query.rows({name: UNBOUND[name.lower()] for name in query.tables})


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, columns in TABLES.items():
            connection.register("given", arrow(columns))
            connection.execute(f"CREATE TABLE {name} AS FROM given")
        yield connection


def rows_of(found: pa.Table) -> list[str]:
    """Return rows in any order; numbers are equal whatever their type."""
    return sorted(repr([_plain(value) for value in row.values()]) for row in found.to_pylist())


def _plain(value: Any) -> Any:
    return (
        float(value) + 0.0
        if isinstance(value, int | float | D) and not isinstance(value, bool)
        else value
    )


@pytest.mark.parametrize("text", EQUAL)
def test_query_is_what_duckdb_makes_of_its_text(
    text: str, database: duckdb.DuckDBPyConnection
) -> None:
    made = expression(text)
    assert findings(made) == []
    assert [*ties(made, KEYS)] == []
    found = database.sql(physical_query(duckdb_compiler(), made)).to_arrow_table()
    wanted = database.sql(text).to_arrow_table()
    assert [name.lower() for name in found.column_names] == [
        name.lower() for name in wanted.column_names
    ]
    assert rows_of(found) == rows_of(wanted)


def test_spark_gives_the_same_rows(spark: Any, database: duckdb.DuckDBPyConnection) -> None:
    for name, columns in TABLES.items():
        spark.createDataFrame(arrow(columns)).createOrReplaceTempView(name)
    different = [
        text
        for text in EQUAL
        if rows_of(spark.sql(physical_query(spark_compiler(), expression(text))).toArrow())
        != rows_of(database.sql(text).to_arrow_table())
    ]
    assert different == []


REFUSED = {
    "the first row": (
        "SELECT id, first_value(shop) OVER (ORDER BY id) AS f FROM sales",
        1,
        12,
        "write arg_min",
    ),
    "some row": ("SELECT any_value(shop) AS s FROM sales", 1, 18, "write min"),
    "texts of rows in no order": (
        "SELECT string_agg(note, ',') AS t FROM sales",
        1,
        19,
        "ORDER BY",
    ),
    "texts in another order": (
        "SELECT string_agg(note, ',' ORDER BY id) AS t FROM sales",
        1,
        19,
        "ORDER BY text",
    ),
    "a falling quantile": (
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id DESC) AS p FROM sales",
        1,
        8,
        "rising",
    ),
    "more than all": ("SELECT quantile_cont(id, 1.5) AS q FROM sales", 1, 22, "from 0 to 1"),
    "element zero": ("SELECT tags[0] AS t FROM boxes", 1, 8, "number of an element"),
    "a part of a list from its end": ("SELECT tags[-2:] AS t FROM boxes", 1, 8, "numbers from 1"),
    "a part of a map": ("SELECT sizes[1:2] AS t FROM boxes", 1, 8, "number of an element"),
    "an unnest that may have no rows": (
        "SELECT id FROM boxes LEFT JOIN unnest(tags) AS t(tag) ON true",
        1,
        39,
        "tables and queries",
    ),
    "an unnest without names": ("SELECT id FROM boxes, unnest(tags)", 1, 30, "AS t(element)"),
    "an escape of nothing": (
        "SELECT note LIKE 'a!' ESCAPE '!' AS t FROM sales",
        1,
        8,
        "that a sign follows",
    ),
    "a field without a name": (
        "SELECT struct_pack(id) AS t FROM sales",
        1,
        8,
        "fields have names",
    ),
    "no such field": ("SELECT box.nope AS n FROM boxes", 1, 12, "no field nope"),
    "a field of a number": ("SELECT id.a AS n FROM boxes", 1, 11, "no field a"),
    "sets without brackets": (
        "SELECT shop FROM sales UNION SELECT shop FROM shops INTERSECT SELECT shop FROM shops",
        1,
        70,
        "brackets",
    ),
    "IS beside a comparison": ("SELECT id FROM sales WHERE amount = id IS NULL", 1, 28, "brackets"),
    "several largest": ("SELECT max(amount, 2) AS m FROM sales", 1, 8, "expressions is not known"),
    "a flag": ("SELECT regexp_matches(note, 'A', 'i') AS m FROM sales", 1, 8, "flag is not known"),
    "a share of the rows": ("SELECT id FROM sales ORDER BY id LIMIT 50%", 1, 42, "missing"),
    "a sample": ("SELECT id FROM (SELECT id FROM sales) TABLESAMPLE 1 PERCENT", 1, 24, "sample"),
    "another name in a star": ("SELECT * RENAME (id AS n) FROM sales", 1, 8, "rename is not"),
    "an unknown column left out": ("SELECT * EXCLUDE (nope) FROM sales", 1, 19, "no column"),
    "rows that exist up to a limit": (
        "SELECT id FROM sales s WHERE EXISTS (SELECT 1 FROM shops h WHERE h.size = s.id LIMIT 0)",
        1,
        45,
        "EXISTS and IN look at rows",
    ),
    "a frame without order": (
        "SELECT sum(id) OVER (ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM sales",
        1,
        8,
        "a frame stands behind ORDER BY",
    ),
    "a place before the first": ("SELECT substring(note, 0, 2) AS s FROM sales", 1, 18, "from 1"),
    "the last part": ("SELECT split_part(note, ',', -1) AS s FROM sales", 1, 8, "from 1"),
    "floats of 32 bits": ("SELECT CAST(id AS FLOAT) AS f FROM sales", 1, 13, "REAL is no type"),
    "a day in other words": ("SELECT id FROM sales WHERE day > '20240131'", 1, 34, "is no day"),
    "a number as a condition": ("SELECT id FROM sales WHERE amount", 1, 28, "is no condition"),
    "numbers added": ("SELECT sum(note) AS s FROM sales", 1, 8, "SUM"),
    "two words": ('SELECT id FROM "my sales"', 1, 16, "one word"),
    "no such table": ("SELECT * FROM sale", 1, 15, "no table sale"),
    "no such column": ("SELECT id,\n  amout\nFROM sales", 2, 3, "no column amout"),
    "a word too many": ("SELECT id a b FROM sales", 1, 13, "Unexpected token at 'b'"),
    "a column of two tables": ("SELECT shop FROM sales, shops", 1, 8, "name the table"),
    "a column of no group": ("SELECT shop, id FROM sales GROUP BY shop", 1, 14, "GROUP BY"),
    "the clock": ("SELECT id FROM sales WHERE day = current_date", 1, 28, "no clock"),
    "its function": ("SELECT now() AS n FROM sales", 1, 8, "no clock"),
    "an unknown function": ("SELECT foo(id) AS n FROM sales", 1, 8, 'FOO("id"): not known here'),
    "any row": ("SELECT DISTINCT ON (shop) id FROM sales", 1, 21, "DISTINCT ON takes any row"),
    "an offset": ("SELECT id FROM sales ORDER BY id OFFSET id", 1, 41, "OFFSET is a whole number"),
    "a text that may be no number": ("SELECT CAST(note AS INT) AS n FROM sales", 1, 13, "TRY_CAST"),
    "a text that is no day": ("SELECT id FROM sales WHERE day > '2024-13-01'", 1, 34, "no day"),
    "a row of many": (
        "SELECT id FROM sales WHERE amount > (SELECT size FROM shops)",
        1,
        45,
        "a subquery for a value is one aggregate",
    ),
    "a function of a file": ("SELECT * FROM read_csv('x.csv')", 1, 15, "named by one word"),
    "a table with its layer": ("SELECT * FROM staging.sales", 1, 15, "without a layer"),
    "a comma before a right join": (
        "SELECT h.shop FROM sales s, sales t RIGHT JOIN shops h ON t.shop = h.shop",
        1,
        29,
        "CROSS JOIN",
    ),
    "sets of sets": ("SELECT shop FROM sales GROUP BY CUBE (shop)", 1, 39, "CUBE"),
    "recursion": ("WITH RECURSIVE a AS (SELECT * FROM a) SELECT * FROM a", 1, 16, "recursive"),
    "two columns of a name": ("SELECT id, shop AS ID FROM sales", 1, 8, "are called id"),
    "sides of other columns": (
        "SELECT id FROM sales UNION SELECT * FROM shops",
        1,
        8,
        "both sides",
    ),
    "values": ("SELECT * FROM (VALUES (1)) AS v(a)", 1, 24, "tables and queries"),
    "another order in an aggregate": ("SELECT sum(DISTINCT id) AS s FROM sales", 1, 8, "aggregate"),
    "an unknown window": ("SELECT sum(id) OVER w AS s FROM sales", 1, 21, "no window w"),
    "a window with two orders": (
        "SELECT sum(id) OVER (w ORDER BY shop) AS s FROM sales WINDOW w AS (ORDER BY id)",
        1,
        22,
        "w says that itself",
    ),
    "a window in WHERE": (
        "SELECT id, row_number() OVER (ORDER BY id) AS n FROM sales WHERE n = 1",
        1,
        12,
        "use QUALIFY",
    ),
    "numbers beside texts": ("SELECT id + shop AS n FROM sales", 1, 8, "id"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_known_is_refused_with_line_and_column(name: str) -> None:
    text, line, column, said = REFUSED[name]
    with pytest.raises(PipelineError) as told:
        Text(text).rows({name: UNBOUND[name] for name in TABLES if Text(text).tables})
    assert f"line {line}, column {column} of its SQL: " in str(told.value)
    assert said in str(told.value)


def test_tables_are_those_that_no_with_around_them_makes() -> None:
    text = "WITH sales AS (SELECT * FROM sales), b AS (SELECT * FROM sales) SELECT * FROM b, SHOPS"
    assert Text(text).tables == ("sales", "SHOPS")
    assert Text("SELECT * FROM sales a JOIN SALES b USING (id)").tables == ("sales",)


def test_a_text_that_is_not_one_query_is_refused() -> None:
    for text, said in (
        ("", "one query, not 0"),
        ("SELECT 1; SELECT 2", "one query, not 2"),
        ("DROP TABLE sales", "a model is a query"),
        ("SELECT 'a FROM sales", "Error tokenizing"),
    ):
        with pytest.raises(PipelineError, match=said):
            Text(text).rows(UNBOUND)


def test_a_division_by_zero_is_null_and_ties_are_broken_by_the_columns() -> None:
    made = expression(
        "SELECT shop, is_paid, CASE WHEN amount / 0 IS NULL THEN 1 END AS n FROM sales"
        " ORDER BY shop LIMIT 3"
    )
    assert findings(made) == []
    assert [*ties(made, {})] == []
    with duckdb.connect() as connection:
        connection.register("sales", arrow(SALES))
        rows = connection.sql(physical_query(duckdb_compiler(), made)).fetchall()
    assert rows == [("a", False, 1), ("a", True, 1), ("b", True, 1)]


@pytest.mark.parametrize(
    "text",
    [
        "select * from {{ ref('sales') }}",
        'with s as (select * from {{ref("sales")}}) select * from s -- of {{ var("nothing") }}',
        "select *\nfrom {{- source('shop', 'sales') -}} as s",
        "{# All {{ of }} them. #}\nselect * from {{\n  ref('pack', 'sales')\n}} /* {% x %} */",
    ],
)
def test_ref_and_source_name_a_table(text: str) -> None:
    assert Text(text).tables == ("sales",)
    assert expression(text).schema() == UNBOUND["sales"].schema()


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("{{ config(materialized='view') }}\nselect 1", 1, 1, "arguments of sql_model"),
        ("select *\nfrom {{ ref('sales') }}\n{% for x in y %}", 3, 1, "dbt compile"),
        ("select 1\n{% if is_incremental() %}", 2, 1, "incremental_by"),
        ("select max(id) from {{ this }}", 1, 21, "incremental_by"),
        ("select id from sales where day > '{{ var('day') }}'", 1, 34, "write out what"),
        ("select {{ cents_to_dollars('id') }}", 1, 8, "write out what"),
        ("select * from {{ ref('sales', v=2) }}", 1, 15, "write out what"),
        ("select *, nope\nfrom {{ ref('sales') }}", 1, 11, "no column nope"),
        ("select *\nfrom {{ ref('nope') }}", 2, 13, "no table nope"),
    ],
)
def test_templates_are_refused_with_what_to_write(
    text: str, line: int, column: int, said: str
) -> None:
    with pytest.raises(PipelineError) as told:
        Text(text).rows(UNBOUND)
    assert f"line {line}, column {column} of its SQL: " in str(told.value)
    assert said in str(told.value)
