"""How large SQL is: what a rewrite writes several times grows with every step."""

from typing import Any

import ibis.expr.operations as ops
import sqlglot as sg
import sqlglot.expressions as sge

from streampro.errors import PipelineError

GIVEN = "streampro_given"
"""The struct of large arguments, inside what is made of them."""
_LARGE = 200
"""Parts of an argument that is computed once."""
_MOST_PARTS = 200_000
"""Of one value: what judges a row of a thousand columns has some ten thousand."""
_OF_ROWS = (ops.Analytic, ops.Reduction, ops.Subquery, ops.WindowFunction)


def parts(sql: Any) -> int:
    """Return of how many parts SQL is: names, literals, calls. What was measured is not again."""
    if isinstance(sql, list | tuple):
        return sum(map(parts, sql))
    if not isinstance(sql, sge.Expr):
        return 0
    if sql._meta and "parts" in sql._meta:
        return int(sql._meta["parts"])
    number, todo = 1, [*sql.iter_expressions()]
    while todo:
        part = todo.pop()
        if part._meta and "parts" in part._meta:
            number += part._meta["parts"]
        else:
            number += 1
            todo += part.iter_expressions()
    return number


def measured(op: Any, sql: Any) -> Any:
    """Keep how large the SQL of a value is. Raises `PipelineError` where it is too large."""
    if isinstance(op, ops.Value) and isinstance(sql, sge.Expr):
        number = sql.meta["parts"] = parts(sql)
        if number > _MOST_PARTS:
            raise PipelineError(
                f"its SQL would have more than {_MOST_PARTS:,} parts. Compute some of them in a "
                "model of their own."
            )
    return sql


def repeated(op: Any, given: dict[str, Any], sql: Any) -> dict[str, Any]:
    """Return the large arguments of a value in whose SQL they stand more than once."""
    if not isinstance(op, ops.Value) or isinstance(op, _OF_ROWS):
        return {}
    large = {
        name: parts(each)
        for name, each in given.items()
        if _is_computed(getattr(op, name, None)) and parts(each) > _LARGE
    }
    if not large or parts(sql) < sum(map(parts, given.values())) + max(large.values()):
        return {}
    return {name: given[name] for name in large}


def struct(given: dict[str, Any]) -> Any:
    """Return values as one, of which `part_of_given` takes each by its name."""
    named = (sge.PropertyEQ(this=_quoted(name), expression=sql) for name, sql in given.items())
    return sge.Struct(expressions=[*named])


def part_of_given(name: str) -> Any:
    """Return an argument where the struct of them is given."""
    return sge.Dot(this=sge.paren(sg.to_identifier(GIVEN)), expression=_quoted(name))


def _quoted(name: str) -> Any:
    return sg.to_identifier(name, quoted=True)


def _is_computed(value: Any) -> bool:
    is_value = isinstance(value, ops.Value) and not isinstance(value, ops.Literal)
    return is_value and not has_subquery(value)


def has_subquery(value: Any) -> bool:
    """Tell whether a value looks at other rows, which Spark does not take in a list."""
    return bool(value.find(ops.Subquery, filter=ops.Value))
